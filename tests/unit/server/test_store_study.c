/* Studies in both databases: all of it or nothing, and the same again after opening. */
#include <errno.h>

#include "tests/unit/server/store_fixture.h"

#define UUID "cccccccc-1111-4111-8111-cccccccccccc"

struct made {
    struct study *study;
    struct job_record records[8];
    struct job_record *recs[8];
};

/* Two arms on one column with the seeds 1 to `seeds`, of which those that lack a number are new. */
static void make(struct made *m, const char *name, int seeds)
{
    static const char *const arms[] = {"sgd", "sam"};

    *m = (struct made){.study = study_create(name)};
    m->study->created_unix_ms = 5;
    for (int a = 0; a < 2; a++)
        for (int s = 1; s <= seeds; s++)
            study_add(m->study, study_arm(m->study, arms[a]), study_data(m->study, "digits"),
                      (uint64_t)s, "{\"dataset\":\"digits\"}");
    m->study->control = 0;
    study_add_uuid(m->study, UUID);
    for (int i = 0; i < m->study->job_count; i++) {
        m->records[i] = fixture_job_record(i + 1);
        m->recs[i] = &m->records[i];
    }
}

struct found {
    int count;
    struct study *study;
};

static void keep(void *arg, struct study *study)
{
    struct found *f = arg;

    f->count++;
    study_free(f->study);
    f->study = study;
}

static struct found load(struct store *s)
{
    struct found f = {.count = 0};
    struct errbuf why;

    ASSERT_OK(store_studies_load(s, keep, &f, &why), why);
    return f;
}

#define ASSERT_ROWS(want, db, sql)                                                                 \
    do {                                                                                           \
        char *got_ = fixture_select(db, sql);                                                      \
        ASSERT_STR(want, got_);                                                                    \
        free(got_);                                                                                \
    } while (0)

TEST(a_study_comes_back_as_it_was_put)
{
    struct store *s = fixture_open();
    struct made m;
    struct errbuf why;

    fixture_dataset(s, 20);
    make(&m, "first", 2);
    ASSERT_OK(store_study_put(s, m.study, m.recs, NULL, &why), why);
    ASSERT(m.study->study > 0);
    /* Seed by seed. */
    for (int i = 0; i < 4; i++) {
        ASSERT_EQ(i % 2 * 2 + i / 2 + 1, m.study->jobs[i].job);
        ASSERT_EQ(m.study->jobs[i].job, m.records[i].job);
    }
    store_close(s);
    s = fixture_open();
    struct found f = load(s);
    ASSERT_EQ(1, f.count);
    ASSERT_STR("first", f.study->name);
    ASSERT_EQ(0, f.study->control);
    ASSERT_EQ(4, f.study->job_count);
    ASSERT_EQ(2, study_find(f.study, 1, 0, 1)->job);
    ASSERT_STR("sam", f.study->arms[1]);
    ASSERT_STR("{\"dataset\":\"digits\"}", f.study->jobs[3].described);
    ASSERT(study_has_uuid(f.study, UUID));
    ASSERT_ROWS("first|sgd|1|digits|1|1|queued\nfirst|sgd|1|digits|2|3|queued\n"
                "first|sam|0|digits|1|2|queued\nfirst|sam|0|digits|2|4|queued\n",
                "difficulty.db",
                "SELECT study, arm, control, dataset, seed, job, state FROM v_study");
    study_free(f.study);
    study_free(m.study);
    store_close(s);
}

TEST(a_study_grows_and_keeps_its_jobs)
{
    struct store *s = fixture_open();
    struct made m;
    struct errbuf why;

    fixture_dataset(s, 20);
    make(&m, "first", 1);
    ASSERT_OK(store_study_put(s, m.study, m.recs, NULL, &why), why);
    study_add(m.study, 0, 0, 9, "{}");
    study_add(m.study, 1, 0, 9, "{}");
    m.records[1] = fixture_job_record(11);
    m.records[3] = fixture_job_record(12);
    for (int i = 0; i < 4; i++)
        m.recs[i] = &m.records[i];
    ASSERT_OK(store_study_put(s, m.study, m.recs, NULL, &why), why);
    ASSERT_ROWS("sgd|1|1\nsgd|9|3\nsam|1|2\nsam|9|4\n", "state.db",
                "SELECT arm_name, seed, job_id FROM study_job ORDER BY arm, seed");
    ASSERT_ROWS("4\n", "difficulty.db", "SELECT count(*) FROM v_study");
    study_free(m.study);
    store_close(s);
}

/* The third job's uuid is taken: nothing of the study is there, in either file. */
TEST(all_jobs_of_a_study_exist_or_none)
{
    struct store *s = fixture_open();
    struct made m;
    struct errbuf why;

    fixture_dataset(s, 20);
    fixture_job(s, 3);
    make(&m, "first", 2);
    ASSERT_EQ(-EEXIST, store_study_put(s, m.study, m.recs, NULL, &why));
    ASSERT_EQ(0, m.study->study);
    ASSERT_EQ(0, m.study->jobs[0].job);
    ASSERT_EQ(0, m.records[0].job);
    ASSERT_ROWS("1|0\n", "state.db", "SELECT (SELECT count(*) FROM job), count(*) FROM study");
    ASSERT_ROWS("1|0|0\n", "difficulty.db",
                "SELECT (SELECT count(*) FROM job), (SELECT count(*) FROM study), count(*)"
                " FROM study_job");
    study_free(m.study);
    store_close(s);
}

TEST(a_study_goes_with_its_jobs_and_no_job_goes_alone)
{
    struct store *s = fixture_open();
    struct made m, other;
    struct errbuf why;

    fixture_dataset(s, 20);
    make(&m, "first", 1);
    ASSERT_OK(store_study_put(s, m.study, m.recs, NULL, &why), why);
    make(&other, "second", 1);
    free(other.study->uuids);
    other.study->uuids = NULL;
    other.study->uuid_count = 0;
    for (int i = 0; i < 2; i++)
        other.records[i] = fixture_job_record(20 + i);
    ASSERT_OK(store_study_put(s, other.study, other.recs, NULL, &why), why);
    ASSERT(store_job_remove(s, 1, &why) < 0);
    struct fixture_scores x = fixture_scores(2, 0, 20);
    char hash[SHA256_HEX];
    ASSERT_OK(store_fold(s, &x.fold, hash, &why), why);
    fixture_scores_done(&x);
    ASSERT_OK(store_study_remove(s, m.study, &why), why);
    ASSERT_ROWS("3\n4\n", "state.db", "SELECT job_id FROM job");
    ASSERT_ROWS("2|0|0\n", "difficulty.db",
                "SELECT (SELECT count(*) FROM v_study), (SELECT count(*) FROM epoch),"
                " (SELECT count(*) FROM score)");
    ASSERT_EQ(-ENOENT, store_study_remove(s, m.study, &why));
    study_free(m.study);
    study_free(other.study);
    store_close(s);
}

TEST(the_view_says_which_epoch_is_kept)
{
    struct store *s = fixture_open();
    struct made m;
    struct errbuf why;
    char hash[SHA256_HEX];

    fixture_dataset(s, 20);
    make(&m, "first", 1);
    ASSERT_OK(store_study_put(s, m.study, m.recs, NULL, &why), why);
    for (int64_t job = 1; job <= 2; job++)
        for (int epoch = 0; epoch < 3; epoch++) {
            struct fixture_scores x = fixture_scores(job, epoch, 20);
            ASSERT_OK(store_fold(s, &x.fold, hash, &why), why);
            fixture_scores_done(&x);
        }
    free(fixture_select(
        "difficulty.db",
        "UPDATE job SET config_json = '{\"keep\":\"best\",\"seed\":1}' WHERE job_id = 2;"
        "UPDATE epoch SET validation_accuracy = 0.5 - abs(epoch - 1) * 0.1;"
        "UPDATE epoch SET sharpness = 0 WHERE job_id = 1"));
    ASSERT_ROWS("1|2|1|NULL\n2|1|0|0.01\n", "difficulty.db",
                "SELECT job, epoch, last, sharpness FROM v_study WHERE kept");
    free(fixture_select("difficulty.db", "UPDATE epoch SET validation_accuracy = 0.5"));
    ASSERT_ROWS("1|2\n2|0\n", "difficulty.db", "SELECT job, epoch FROM v_study WHERE kept");
    study_free(m.study);
    store_close(s);
}

/* What a crash between the two commits leaves. */
TEST(a_copy_that_is_ahead_is_put_right_at_the_opening)
{
    struct store *s = fixture_open();
    struct made m;
    struct errbuf why;

    fixture_dataset(s, 20);
    make(&m, "first", 1);
    ASSERT_OK(store_study_put(s, m.study, m.recs, NULL, &why), why);
    store_close(s);
    free(fixture_select("difficulty.db", "INSERT INTO study VALUES(9, 'ghost', 'a', 1);"
                                         "INSERT INTO study_job VALUES(9, 0, 0, 1, 'a', 'd', 77);"
                                         "DELETE FROM study_job WHERE study_id = 1"));
    s = fixture_open();
    ASSERT_ROWS("first|1\nfirst|2\n", "difficulty.db", "SELECT study, job FROM v_study");
    ASSERT_ROWS("1\n", "difficulty.db", "SELECT count(*) FROM study");
    study_free(m.study);
    store_close(s);
}
