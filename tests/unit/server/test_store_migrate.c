/* Databases of earlier versions, when this one opens them. */
#include <errno.h>

#include "tests/unit/server/store_fixture.h"

/* Jobs of version 3: what they waited for was known by the end of the reason only. */
static const struct {
    enum job_state state;
    const char *reason;
    enum job_wait wait;
} cases[] = {
    {JOB_PAUSED, "the disk is full; it goes on by itself when there is room", WAIT_ROOM},
    {JOB_PAUSED, "x: permission denied; it goes on by itself when it can be written",
     WAIT_WRITABLE},
    {JOB_PAUSED, "state.db is locked; it goes on by itself when the lock is gone", WAIT_LOCK},
    {JOB_PAUSED, "difficulty.db is gone; it goes on by itself when it is back", WAIT_FILE},
    {JOB_PAUSED, "the disk is broken; steppe resume tries again", WAIT_NOTHING},
    {JOB_PAUSED, "paused by a person", WAIT_NOTHING},
    {JOB_PAUSED, "", WAIT_NOTHING},
    {JOB_PAUSED, "a worker said: it goes on by itself when there is room, perhaps", WAIT_NOTHING},
    {JOB_FAILED, "worker w: x; it goes on by itself when there is room", WAIT_NOTHING},
    {JOB_QUEUED, "", WAIT_NOTHING},
};
#define CASES ((int)(sizeof(cases) / sizeof(cases[0])))

static void write_version_3(void)
{
    struct store *s = fixture_open();
    struct errbuf why;

    for (int i = 0; i < CASES; i++) {
        struct job_record rec = fixture_job_record(i);
        rec.state = cases[i].state;
        snprintf(rec.reason, sizeof(rec.reason), "%s", cases[i].reason);
        ASSERT_OK(store_job_insert(s, &rec, NULL, &why), why);
    }
    store_close(s);
    fixture_older(3);
}

static void check_one(void *arg, struct job_record *rec)
{
    int *seen = arg;

    ASSERT_EQ(cases[*seen].state, rec->state);
    ASSERT_STR(cases[*seen].reason, rec->reason);
    if (cases[*seen].wait != rec->wait)
        FAIL("\"%s\" waits for \"%s\"", rec->reason, job_wait_names[rec->wait]);
    (*seen)++;
    free(rec->spec_json);
}

TEST(what_a_job_waited_for_by_its_reason_is_in_its_column)
{
    struct errbuf why;
    int seen = 0;

    write_version_3();
    struct store *s = fixture_open();
    ASSERT_OK(store_jobs_load(s, check_one, &seen, &why), why);
    ASSERT_EQ(CASES, seen);
    store_close(s);
    char *version = fixture_select("state.db", "PRAGMA user_version");
    ASSERT_EQ(FIXTURE_STATE_VERSION, atoi(version));
    free(version);
}

/* The reason is for people: whoever words it otherwise changes nothing else. */
TEST(a_reason_is_read_at_the_migration_only)
{
    struct errbuf why;
    struct store *s = fixture_open();

    for (int i = 0; i < CASES; i++) {
        struct job_record rec = fixture_job_record(i);
        rec.state = cases[i].state;
        rec.wait = cases[i].wait;
        snprintf(rec.reason, sizeof(rec.reason), "%s", cases[i].reason);
        ASSERT_OK(store_job_insert(s, &rec, NULL, &why), why);
    }
    store_close(s);
    free(fixture_select("state.db", "UPDATE job SET reason = 'en attente'"));
    s = fixture_open();
    store_close(s);
    char *waits = fixture_select("state.db", "SELECT waits_for, count(*) FROM job WHERE reason ="
                                             " 'en attente' GROUP BY waits_for ORDER BY waits_for");
    ASSERT_STR("|6\nfile|1\nlock|1\nroom|1\nwritable|1\n", waits);
    free(waits);
}

static void drop(void *arg, struct job_record *rec)
{
    (void)arg;
    free(rec->spec_json);
}

TEST(a_job_that_waits_for_something_unknown_is_damage)
{
    struct errbuf why;
    struct store *s = fixture_open();

    fixture_job(s, 1);
    free(fixture_select("state.db", "UPDATE job SET waits_for = 'rain'"));
    ASSERT_EQ(-EUCLEAN, store_jobs_load(s, drop, NULL, &why));
    ASSERT_HAS("job 1", why.text);
    store_close(s);
}

TEST(a_database_of_version_1_gets_what_came_later)
{
    struct store *s = fixture_open();
    char *error = NULL;

    fixture_dataset(s, 20);
    int64_t job = fixture_job(s, 1);
    fixture_fold(s, job, 0, 20, NULL);
    fixture_fold(s, job, 2, 20, NULL);
    store_close(s);
    char *state = fixture_select("difficulty.db", "SELECT * FROM sample_state");
    char *suspects_before = fixture_select("difficulty.db", "SELECT * FROM v_suspect");
    sqlite3 *sql = fixture_sql("difficulty.db");
    sqlite3_exec(
        sql,
        "DROP VIEW v_hardest; DROP VIEW v_latest; DROP VIEW v_class; DROP VIEW v_suspect;"
        "DROP TABLE revision; DROP VIEW v_metric; DROP TABLE metric;"
        "DROP TABLE probability;"
        "DROP TABLE revision_sample; CREATE VIEW v_latest AS SELECT 1;"
        "CREATE VIEW v_hardest AS SELECT 1; CREATE VIEW v_class AS SELECT 1;"
        "ALTER TABLE dataset DROP COLUMN names_sha256; DROP INDEX sample_uri;"
        "DROP VIEW v_job_compare; DROP VIEW v_riser; DROP VIEW v_data_map;"
        "DROP VIEW v_forgetting; DROP VIEW v_rank_correlation;"
        "DROP VIEW v_flatness_line; DROP VIEW v_flatness; DROP TABLE flatness_line;"
        "DROP VIEW v_test_hardest; DROP VIEW v_test; DROP TABLE test_score; DROP TABLE test_sample;"
        "DROP VIEW v_test_group; DROP TABLE test_group; DROP TABLE flatness;"
        "ALTER TABLE score DROP COLUMN adv_predicted; CREATE VIEW v_label_suspect AS SELECT 1;"
        "ALTER TABLE epoch DROP COLUMN revision;"
        "ALTER TABLE epoch DROP COLUMN newly_right;ALTER TABLE epoch DROP COLUMN n_dropped;"
        "DROP VIEW v_study; DROP TABLE study_job; ALTER TABLE epoch DROP COLUMN validation_loss;"
        "DROP TABLE study; ALTER TABLE epoch DROP COLUMN validation_accuracy;"
        "ALTER TABLE epoch DROP COLUMN validation_adv_accuracy;"
        "DROP VIEW v_domain; DROP TABLE domain; ALTER TABLE sample DROP COLUMN domain_id;"
        "DROP TABLE sample_state; CREATE TABLE sample_state(job_id, sample_id);"
        "ALTER TABLE job DROP COLUMN history;"
        "ALTER TABLE job DROP COLUMN alpha; ALTER TABLE job DROP COLUMN attack_steps;"
        "DELETE FROM meta WHERE key IN ('job.alpha', 'job.attack_steps');"
        "CREATE VIEW v_job_compare AS SELECT job_id AS job FROM job;"
        "PRAGMA user_version=1",
        NULL, NULL, &error);
    ASSERT(!error);
    sqlite3_close(sql);
    s = fixture_open();
    ASSERT_SELECT("20\n", "PRAGMA user_version");
    ASSERT_SELECT("1|fgsm|0.25|NULL|NULL\n",
                  "SELECT job, attack, epsilon, quote(alpha), quote(attack_steps)"
                  " FROM v_job_compare");
    ASSERT_SELECT("2\n",
                  "SELECT count(*) FROM meta WHERE key IN ('job.alpha', 'job.attack_steps')");
    ASSERT_SELECT(state, "SELECT * FROM sample_state"); /* from the scores, to the same bits */
    char *suspects = fixture_select("difficulty.db", "SELECT * FROM v_suspect");
    ASSERT_STR(suspects_before, suspects);
    free(suspects);
    free(suspects_before);
    free(state);
    store_close(s);
}
