/* The text of a revision, and what it makes of ranks and labels. */
#include "server/core/overlay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/core/curriculum.h"
#include "tests/harness.h"

#define DATA "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define HEAD "steppe-revision-1\n" DATA "\n"

static struct overlay_row rows[] = {{1, 5}, {7, OVERLAY_EXCLUDED}, {67000000, 0}};
static const struct overlay three = {.number = 2, .rows = rows, .count = 3, .excluded = 1};

TEST(a_revision_is_its_text)
{
    struct overlay o;
    struct errbuf why;
    size_t bytes;
    char *text = overlay_text(&three, DATA, &bytes);

    ASSERT_STR(HEAD "1 5\n7 -\n67000000 0\n", text);
    ASSERT_EQ(strlen(text), bytes);
    ASSERT_OK(overlay_parse(text, bytes, DATA, 67000001, 6, &o, &why), why);
    ASSERT_EQ(3, o.count);
    ASSERT_EQ(1, o.excluded);
    ASSERT_MEM(rows, o.rows, sizeof(rows));
    overlay_done(&o);
    free(text);
    ASSERT_OK(overlay_parse(HEAD, strlen(HEAD), DATA, 1, 1, &o, &why), why);
    ASSERT_EQ(0, o.count);
    overlay_done(&o);
}

TEST(what_is_no_revision_of_the_data_is_refused)
{
    static const char *const bad[] = {"",
                                      "steppe-revision-2\n" DATA "\n",
                                      "steppe-revision-1\n0" DATA,
                                      HEAD "1 5",
                                      HEAD "1\n",
                                      HEAD "1 6\n",
                                      HEAD "9 0\n",
                                      HEAD "2 0\n1 0\n",
                                      HEAD "2 0\n2 1\n",
                                      HEAD "-1 0\n",
                                      HEAD "2 -1\n",
                                      HEAD "2 -",
                                      HEAD "99999999999999 0\n"};
    struct overlay o;
    struct errbuf why;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ASSERT_EQ(-EINVAL, overlay_parse(bad[i], strlen(bad[i]), DATA, 9, 6, &o, &why));
}

TEST(a_revision_changes_labels_and_leaves_out)
{
    static struct overlay_row changes[] = {{0, 2}, {2, OVERLAY_EXCLUDED}};
    const struct overlay o = {.rows = changes, .count = 2, .excluded = 1}, none = {0};
    const bool own[] = {false, true, false, false};
    const uint16_t imported[] = {1, 1, 1, 1};
    double rank[] = {0.3, CURRICULUM_EXCLUDED, 0.6, 0.9};
    uint16_t labels[4];

    for (int again = 0; again < 2; again++) { /* once more changes nothing */
        overlay_apply(&o, own, imported, 4, rank, labels);
        ASSERT_EQ(0.3, rank[0]); /* a relabelled sample keeps its rank */
        ASSERT_EQ(CURRICULUM_EXCLUDED, rank[1]);
        ASSERT_EQ(CURRICULUM_EXCLUDED, rank[2]);
        ASSERT_EQ(0.9, rank[3]);
        ASSERT_EQ(2, labels[0]);
        ASSERT_EQ(1, labels[2]);
    }
    overlay_apply(&none, own, imported, 4, rank, labels);
    ASSERT_EQ(CURRICULUM_EXCLUDED, rank[1]);
    ASSERT_EQ(CURRICULUM_UNRANKED, rank[2]); /* it comes back as one that was never measured */
    ASSERT_EQ(1, labels[0]);
}
