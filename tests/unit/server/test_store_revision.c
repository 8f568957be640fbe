/* Revisions in state.db, and their copy for readers. */
#include <errno.h>

#include "tests/unit/server/store_fixture.h"

static int uuids;

static void say(struct store *s, uint32_t sample, enum verdict_kind kind, int32_t label)
{
    const struct verdict v = {.sample = sample, .kind = kind, .label = label};
    char uuid[UUID_BYTES];
    struct verdicts_put p = {
        .sha256 = FIXTURE_SHA, .uuid = uuid, .who = "ann", .rows = &v, .count = 1, .unix_ms = 5};
    struct errbuf why;

    snprintf(uuid, sizeof(uuid), "00000000-0000-4000-8000-%012d", ++uuids);
    ASSERT_OK(store_verdicts_put(s, &p, &why), why);
}

static struct revision_record revise(struct store *s, bool made)
{
    struct revision_record rec;
    struct errbuf why;
    bool got;

    ASSERT_OK(store_revision_make(s, FIXTURE_SHA, "bob", 7, &rec, &got, &why), why);
    ASSERT_EQ(made, got);
    return rec;
}

TEST(a_revision_is_what_counts_when_it_is_made)
{
    struct store *s = fixture_open();
    struct overlay o;
    struct errbuf why;

    fixture_dataset(s, 20);
    ASSERT_EQ(0, revise(s, false).number);
    say(s, 3, VERDICT_RIGHT, -1);
    say(s, 4, VERDICT_UNSURE, -1);
    ASSERT_EQ(0, revise(s, false).number);
    say(s, 7, VERDICT_WRONG, 2);
    say(s, 5, VERDICT_EXCLUDE, -1);
    struct revision_record first = revise(s, true);
    ASSERT_EQ(1, first.number);
    ASSERT_EQ(1, first.relabelled);
    ASSERT_EQ(1, first.excluded);
    ASSERT_STR("bob", first.who);
    ASSERT_STR(first.sha256, revise(s, false).sha256);
    say(s, 7, VERDICT_NONE, -1);
    struct revision_record next = revise(s, true);
    ASSERT_EQ(2, next.number);
    say(s, 7, VERDICT_WRONG, 2);
    ASSERT_STR(first.sha256, revise(s, true).sha256); /* the same again is another number */
    store_close(s);
    s = fixture_open();
    ASSERT_OK(store_revision_load(s, FIXTURE_SHA, 1, first.sha256, 20, 10, &o, &why), why);
    ASSERT_EQ(1, o.number);
    ASSERT_EQ(2, o.count);
    ASSERT_EQ(OVERLAY_EXCLUDED, o.rows[0].label);
    ASSERT_EQ(2, o.rows[1].label);
    overlay_done(&o);
    ASSERT_EQ(-EINVAL, store_revision_load(s, FIXTURE_SHA, 1, next.sha256, 20, 10, &o, &why));
    ASSERT_HAS("it is another", why.text);
    ASSERT_EQ(-ENOENT, store_revision_load(s, FIXTURE_SHA, 4, "", 20, 10, &o, &why));
    ASSERT_HAS("there are 1 to 3", why.text);
    store_close(s);
    free(fixture_select("state.db", "UPDATE revision SET overlay = x'00' WHERE number = 2"));
    s = fixture_open();
    ASSERT_EQ(-EUCLEAN, store_revision_load(s, FIXTURE_SHA, 2, "", 20, 10, &o, &why));
    store_close(s);
}

TEST(readers_have_a_copy_that_is_mended)
{
    struct store *s = fixture_open();
    static const char copy[] = "SELECT revision, sample_id, class_id FROM revision_sample";
    struct errbuf why;
    bool last;

    fixture_dataset(s, 20);
    say(s, 7, VERDICT_WRONG, 2);
    say(s, 5, VERDICT_EXCLUDE, -1);
    revise(s, true);
    ASSERT_SELECT("1|5|NULL\n1|7|2\n", copy);
    ASSERT_SELECT("1|1|1\n", "SELECT revision, n_relabelled, n_excluded FROM revision");
    store_close(s);
    free(fixture_select("difficulty.db", "DELETE FROM revision; DELETE FROM revision_sample"));
    s = fixture_open();
    ASSERT_SELECT("1|5|NULL\n1|7|2\n", copy);
    /* The data goes, and comes back with its revisions. */
    ASSERT_OK(store_dataset_remove(s, "digits", &last, &why), why);
    ASSERT_SELECT("", copy);
    fixture_dataset(s, 20);
    ASSERT_SELECT("1|5|NULL\n1|7|2\n", copy);
    store_close(s);
}

/* Labels and truth in the views are those of the epoch's revision. */
TEST(views_have_the_labels_of_the_revision)
{
    struct store *s = fixture_open();
    struct fixture_scores x;
    char sha256[SHA256_HEX];
    struct errbuf why;

    fixture_dataset(s, 20);
    int64_t job = fixture_job(s, 1);
    say(s, 1, VERDICT_WRONG, 7); /* a planted flip, whose label is 1 and truth 9 */
    revise(s, true);
    x = fixture_scores(job, 0, 20);
    ASSERT_OK(store_fold(s, &x.fold, sha256, &why), why);
    ASSERT_SELECT("1|9|1\n", "SELECT label, truth, planted FROM v_latest WHERE sample = 1");
    x.fold.record.epoch = 1;
    x.fold.record.revision = 1;
    x.labels[1] = 7;
    ASSERT_OK(store_fold(s, &x.fold, sha256, &why), why);
    ASSERT_SELECT("7|7|0\n", "SELECT label, truth, planted FROM v_latest WHERE sample = 1");
    ASSERT_SELECT("7|7|0\n", "SELECT label, truth, planted FROM v_suspect WHERE sample = 1");
    ASSERT_SELECT("1|1\n7|3\n", "SELECT label, samples FROM v_class WHERE label IN (1, 7)");
    ASSERT_SELECT("7\n", "SELECT class_id FROM sample_state WHERE sample_id = 1");
    fixture_scores_done(&x);
    store_close(s);
}
