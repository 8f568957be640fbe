/* A state.db of an earlier version, when this one opens it. */
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
    free(fixture_select("state.db",
                        "DROP TABLE dataset_names;"
                        "DROP TABLE verdict; DROP TABLE judged; DROP TABLE verdict_request;"
                        "DROP TABLE study_job; DROP TABLE study_request; DROP TABLE study;"
                        "ALTER TABLE job DROP COLUMN waits_for; PRAGMA user_version=3"));
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
    ASSERT_STR("7\n", version);
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
