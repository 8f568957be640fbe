/* Verdicts in state.db: all of a request or nothing, each request once, nothing is ever lost. */
#include <errno.h>

#include "tests/unit/server/store_fixture.h"

#define FIRST "aaaaaaaa-1111-4111-8111-aaaaaaaaaaaa"
#define SECOND "bbbbbbbb-1111-4111-8111-bbbbbbbbbbbb"
#define THIRD "cccccccc-1111-4111-8111-cccccccccccc"

#define ASSERT_STATE(want, query)                                                                  \
    do {                                                                                           \
        char *got_ = fixture_select("state.db", query);                                            \
        ASSERT_STR(want, got_);                                                                    \
        free(got_);                                                                                \
    } while (0)

static struct verdict said(uint32_t sample, enum verdict_kind kind, int32_t label)
{
    return (struct verdict){.sample = sample, .kind = kind, .label = label};
}

static struct verdicts_put put(struct store *s, const char *uuid, const char *who,
                               const struct verdict *rows, size_t count)
{
    struct verdicts_put p = {.sha256 = FIXTURE_SHA,
                             .uuid = uuid,
                             .who = who,
                             .rows = rows,
                             .count = count,
                             .unix_ms = 5};
    struct errbuf why;

    ASSERT_OK(store_verdicts_put(s, &p, &why), why);
    return p;
}

TEST(a_request_counts_once)
{
    struct store *s = fixture_open();
    const struct verdict a[] = {said(1, VERDICT_WRONG, 4), said(2, VERDICT_EXCLUDE, -1)};
    const struct verdict b[] = {said(1, VERDICT_WRONG, 5)};

    ASSERT_EQ(2, put(s, FIRST, "ann", a, 2).added);
    /* Another person in between, and the first request again: a lost reply. */
    ASSERT_EQ(1, put(s, SECOND, "bob", b, 1).added);
    ASSERT_EQ(2, put(s, FIRST, "ann", a, 2).added);
    ASSERT_STATE("1|1|wrong|4|ann\n2|2|exclude|NULL|ann\n3|1|wrong|5|bob\n",
                 "SELECT verdict_id, sample, verdict, label, who FROM verdict");
    /* The same words once more, by another request, repeat what counts for sample 2 only. */
    struct verdicts_put again = put(s, THIRD, "ann", a, 2);
    ASSERT_EQ(1, again.added);
    ASSERT_EQ(1, again.same);
    store_close(s);
}

TEST(a_withdrawn_verdict_stays_in_the_history)
{
    struct store *s = fixture_open();
    const struct verdict a = said(7, VERDICT_WRONG, 4), none = said(7, VERDICT_NONE, -1);

    /* Of a sample of which nothing was said there is nothing to withdraw. */
    ASSERT_EQ(0, put(s, FIRST, "", &none, 1).added);
    ASSERT_EQ(1, put(s, SECOND, "", &a, 1).added);
    ASSERT_EQ(1, put(s, THIRD, "", &none, 1).added);
    store_close(s);
    s = fixture_open();
    ASSERT_STATE("wrong\nnone\n", "SELECT verdict FROM verdict ORDER BY verdict_id");
    store_close(s);
}

/* A verdict is people's work: it outlives the dataset's last name. */
TEST(verdicts_outlive_the_name_of_their_data)
{
    struct store *s = fixture_open();
    const struct verdict a = said(7, VERDICT_UNSURE, -1);
    struct errbuf why;
    bool last;

    fixture_dataset(s, 20);
    put(s, FIRST, "", &a, 1);
    ASSERT_OK(store_dataset_remove(s, "digits", &last, &why), why);
    ASSERT(last);
    fixture_dataset(s, 20);
    ASSERT_STATE("7|unsure\n", "SELECT sample, verdict FROM verdict");
    store_close(s);
}

TEST(requests_are_remembered_up_to_a_bound)
{
    struct store *s = fixture_open();
    const struct verdict a = said(7, VERDICT_UNSURE, -1);

    put(s, FIRST, "", &a, 1);
    free(fixture_select("state.db", "UPDATE sqlite_sequence SET seq = 10000"
                                    " WHERE name = 'verdict_request'"));
    put(s, SECOND, "", &a, 1);
    ASSERT_STATE(SECOND "\n", "SELECT uuid FROM verdict_request");
    store_close(s);
}

/* A state.db of the version before. */
TEST(an_older_database_gets_the_tables)
{
    struct store *s = fixture_open();
    const struct verdict a = said(7, VERDICT_UNSURE, -1);

    store_close(s);
    fixture_older(5);
    s = fixture_open();
    ASSERT_EQ(1, put(s, FIRST, "", &a, 1).added);
    store_close(s);
}
