#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/server/store_fixture.h"

struct loaded {
    struct job_record jobs[4];
    int count;
};

static void keep_job(void *arg, struct job_record *rec)
{
    struct loaded *l = arg;

    ASSERT(l->count < 4);
    l->jobs[l->count++] = *rec;
}

static struct loaded load(struct store *s)
{
    struct loaded l = {.count = 0};
    struct errbuf why;

    ASSERT_OK(store_jobs_load(s, keep_job, &l, &why), why);
    return l;
}

static void loaded_done(struct loaded *l)
{
    for (int i = 0; i < l->count; i++)
        free(l->jobs[i].spec_json);
}

TEST(jobs_survive_a_reopen_with_all_their_fields)
{
    struct store *s = fixture_open();
    struct job_record rec = fixture_job_record(1);
    struct errbuf why;

    ASSERT_OK(store_job_insert(s, &rec, NULL, &why), why);
    ASSERT_EQ(1, rec.job);
    rec.state = JOB_RUNNING;
    rec.incarnation = 3;
    rec.wait = WAIT_LOCK;
    rec.started_unix_ms = 5000;
    snprintf(rec.numerics_class, sizeof(rec.numerics_class), "avx2-x");
    snprintf(rec.reason, sizeof(rec.reason), "because");
    ASSERT_OK(store_job_update(s, &rec, "state", "started", &why), why);
    store_close(s);
    s = fixture_open();
    struct loaded l = load(s);
    ASSERT_EQ(1, l.count);
    ASSERT_STR(rec.uuid, l.jobs[0].uuid);
    ASSERT_STR("job-1", l.jobs[0].name);
    ASSERT_STR("digits", l.jobs[0].dataset);
    ASSERT_STR(FIXTURE_SHA, l.jobs[0].dataset_sha256);
    ASSERT_STR(rec.spec_json, l.jobs[0].spec_json);
    ASSERT_EQ(JOB_RUNNING, l.jobs[0].state);
    ASSERT_EQ(3, l.jobs[0].incarnation);
    ASSERT_EQ(WAIT_LOCK, l.jobs[0].wait);
    ASSERT_EQ(5000, l.jobs[0].started_unix_ms);
    ASSERT_EQ(0, l.jobs[0].finished_unix_ms);
    ASSERT_EQ(1001, l.jobs[0].created_unix_ms);
    ASSERT_STR("avx2-x", l.jobs[0].numerics_class);
    ASSERT_STR("because", l.jobs[0].reason);
    loaded_done(&l);
    store_close(s);
    char *events = fixture_select("state.db", "SELECT event, kind, text FROM event");
    ASSERT_STR("1|state|queued\n2|state|started\n", events);
    free(events);
}

TEST(the_same_uuid_is_the_same_job)
{
    struct store *s = fixture_open();
    struct errbuf why;

    fixture_job(s, 1);
    int64_t second = fixture_job(s, 2);
    struct job_record again = fixture_job_record(2);
    ASSERT_EQ(-EEXIST, store_job_insert(s, &again, NULL, &why));
    ASSERT_EQ(second, again.job);
    ASSERT_HAS("job 2", why.text);
    struct loaded l = load(s);
    ASSERT_EQ(2, l.count);
    loaded_done(&l);
    store_close(s);
}

TEST(readers_see_each_job_with_its_attack)
{
    struct store *s = fixture_open();
    struct job_record rec = fixture_job_record(1);
    struct errbuf why;

    fixture_dataset(s, 20);
    ASSERT_OK(store_job_insert(s, &rec, NULL, &why), why);
    ASSERT_SELECT("1|job-1|digits|1|queued|77|fgsm|0.25|population|NULL\n",
                  "SELECT job_id, name, dataset, dataset_id, state, seed, attack, epsilon,"
                  " normaliser, model_sha256 FROM job");
    rec.state = JOB_DONE;
    rec.finished_unix_ms = 9;
    snprintf(rec.model_sha256, sizeof(rec.model_sha256), "%s", FIXTURE_SHA);
    ASSERT_OK(store_job_update(s, &rec, NULL, NULL, &why), why);
    ASSERT_SELECT("done|" FIXTURE_SHA "\n", "SELECT state, model_sha256 FROM job");
    store_close(s);
}

TEST(an_update_of_no_job_is_refused)
{
    struct store *s = fixture_open();
    struct job_record rec = fixture_job_record(1);
    struct errbuf why;

    rec.job = 9;
    ASSERT_EQ(-ENOENT, store_job_update(s, &rec, "state", "x", &why));
    ASSERT_HAS("no job 9", why.text);
    ASSERT_EQ(-ENOENT, store_event_add(s, 9, "state", "x", &why));
    ASSERT_EQ(-ENOENT, store_job_remove(s, 9, &why));
    store_close(s);
}

TEST(a_removed_job_leaves_nothing_and_its_number_is_not_used_again)
{
    struct store *s = fixture_open();
    struct errbuf why;

    fixture_dataset(s, 40);
    int64_t first = fixture_job(s, 1), second = fixture_job(s, 2);
    fixture_fold(s, first, 0, 40, NULL);
    fixture_fold(s, second, 0, 40, NULL);
    struct checkpoint_record c = {.job = second, .step = 5, .file = "f"};
    ASSERT_OK(store_checkpoint_add(s, &c, &why), why);
    ASSERT_OK(store_job_remove(s, second, &why), why);
    ASSERT_SELECT("1\n", "SELECT job_id FROM job");
    ASSERT_SELECT("1\n", "SELECT DISTINCT job_id FROM score");
    ASSERT_SELECT("1\n", "SELECT DISTINCT job_id FROM sample_state");
    ASSERT_SELECT("1\n", "SELECT DISTINCT job_id FROM epoch");
    char *left = fixture_select("state.db", "SELECT (SELECT count(*) FROM job),"
                                            " (SELECT count(*) FROM checkpoint),"
                                            " (SELECT count(*) FROM event)");
    ASSERT_STR("1|0|1\n", left);
    free(left);
    ASSERT_EQ(3, fixture_job(s, 3));
    store_close(s);
}

TEST(a_copy_without_its_job_is_removed_at_the_next_start)
{
    struct store *s = fixture_open();
    sqlite3 *sql;

    fixture_job(s, 1);
    store_close(s);
    sql = fixture_sql("difficulty.db");
    ASSERT_EQ(SQLITE_OK,
              sqlite3_exec(sql,
                           "UPDATE job SET state = 'done';"
                           "INSERT INTO job(job_id, uuid, name, dataset, state, config_json,"
                           " created_unix_ms) VALUES(7, 'u', 'n', 'd', 'queued', '{}', 1)",
                           NULL, NULL, NULL));
    sqlite3_close(sql);
    s = fixture_open();
    ASSERT_SELECT("1|queued\n", "SELECT job_id, state FROM job");
    store_close(s);
}

static void keep_dataset(void *arg, const struct dataset_record *rec)
{
    struct dataset_record *out = arg;

    *out = *rec;
}

TEST(a_dataset_is_written_once_and_its_name_stands_for_it)
{
    struct store *s = fixture_open();
    struct dataset_record rec = {.name = "digits", .bytes = 1000}, got = {.bytes = 0};
    struct dataset d = {.samples = 0};
    struct errbuf why;

    fixture_dataset(s, 23);
    fixture_dataset(s, 23);
    snprintf(rec.sha256, sizeof(rec.sha256), "ff%s", &FIXTURE_SHA[2]);
    ASSERT_EQ(-EEXIST, store_dataset_add(s, &rec, &d, &why));
    ASSERT_HAS("dataset digits exists with other data", why.text);
    ASSERT_OK(store_datasets_load(s, keep_dataset, &got, &why), why);
    ASSERT_STR("digits", got.name);
    ASSERT_STR(FIXTURE_SHA, got.sha256);
    ASSERT_EQ(1000, got.bytes);
    store_close(s);
    ASSERT_SELECT("1|digits|" FIXTURE_SHA "|23|10|drawn for a test|NULL\n",
                  "SELECT * FROM dataset");
    ASSERT_SELECT("0|0|0|0|NULL\n1|1|9|1|NULL\n2|2|2|2|NULL\n",
                  "SELECT sample_id, class_id, truth, planted, uri FROM sample LIMIT 3");
    ASSERT_SELECT("23\n", "SELECT count(*) FROM sample");
    ASSERT_SELECT("6|six\n7|seven\n8|8\n9|9\n",
                  "SELECT class_id, name FROM class WHERE class_id > 5");
}

static void name_again(struct store *s, const char *name)
{
    struct dataset_record rec = {.sha256 = FIXTURE_SHA, .bytes = 1000};
    struct dataset d = {.samples = 0};
    struct errbuf why;

    snprintf(rec.name, sizeof(rec.name), "%s", name);
    ASSERT_OK(store_dataset_add(s, &rec, &d, &why), why);
}

#define DATASET_ROWS                                                                               \
    "SELECT (SELECT count(*) FROM dataset), (SELECT count(*) FROM sample),"                        \
    " (SELECT count(*) FROM class), (SELECT count(*) FROM domain)"

TEST(the_rows_of_a_dataset_go_with_its_last_name)
{
    struct store *s = fixture_open();
    struct errbuf why;
    bool last = true;

    fixture_dataset(s, 23);
    name_again(s, "numbers");
    ASSERT_EQ(-ENOENT, store_dataset_remove(s, "figures", &last, &why));
    ASSERT_STR("there is no dataset \"figures\"", why.text);
    ASSERT_OK(store_dataset_remove(s, "digits", &last, &why), why);
    ASSERT(!last);
    ASSERT_SELECT("1|23|10|3\n", DATASET_ROWS);
    ASSERT_OK(store_dataset_remove(s, "numbers", &last, &why), why);
    ASSERT(last);
    ASSERT_SELECT("0|0|0|0\n", DATASET_ROWS);
    fixture_dataset(s, 23);
    ASSERT_SELECT("1|23|10|3\n", DATASET_ROWS);
    store_close(s);
}

TEST(a_dataset_whose_removal_was_cut_off_is_gone_at_the_next_start)
{
    struct store *s = fixture_open();
    struct dataset_record got = {.bytes = 0};
    struct errbuf why;
    bool last;
    int status;

    fixture_dataset(s, 23);
    store_close(s);
    pid_t pid = fork();
    ASSERT(pid >= 0);
    if (pid == 0) {
        setenv("STEPPE_FAILPOINT", "dataset.unnamed", 1);
        s = fixture_open();
        store_dataset_remove(s, "digits", &last, NULL);
        _exit(0);
    }
    ASSERT_EQ(pid, waitpid(pid, &status, 0));
    ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    ASSERT_SELECT("1|23|10|3\n", DATASET_ROWS);
    s = fixture_open();
    ASSERT_OK(store_datasets_load(s, keep_dataset, &got, &why), why);
    ASSERT_EQ(0, got.bytes);
    ASSERT_SELECT("0|0|0|0\n", DATASET_ROWS);
    store_close(s);
}

TEST(a_dataset_that_a_job_has_is_kept_without_a_name)
{
    struct store *s = fixture_open();
    struct errbuf why;
    bool last;

    fixture_dataset(s, 23);
    fixture_fold(s, fixture_job(s, 1), 0, 23, NULL);
    ASSERT_OK(store_dataset_remove(s, "digits", &last, &why), why);
    store_close(s);
    s = fixture_open();
    ASSERT_SELECT("1|23|10|3\n", DATASET_ROWS);
    store_close(s);
}

TEST(checkpoints_come_newest_first)
{
    struct store *s = fixture_open();
    struct checkpoint_record got[2];
    struct errbuf why;
    int count;

    int64_t job = fixture_job(s, 1);
    for (int i = 1; i <= 3; i++) {
        struct checkpoint_record c = {.job = job, .step = i * 10, .epoch = i, .sha256 = "ab"};
        snprintf(c.file, sizeof(c.file), "step-%d", i * 10);
        snprintf(c.scores_sha256, sizeof(c.scores_sha256), "%s", i == 1 ? "" : FIXTURE_SHA);
        ASSERT_OK(store_checkpoint_add(s, &c, &why), why);
        ASSERT_OK(store_checkpoint_add(s, &c, &why), why);
    }
    ASSERT_OK(store_checkpoints_load(s, job, got, 2, &count, &why), why);
    ASSERT_EQ(2, count);
    ASSERT_EQ(30, got[0].step);
    ASSERT_EQ(3, got[0].epoch);
    ASSERT_STR("step-30", got[0].file);
    ASSERT_STR("ab", got[0].sha256);
    ASSERT_STR(FIXTURE_SHA, got[0].scores_sha256);
    ASSERT_EQ(20, got[1].step);
    ASSERT_OK(store_checkpoint_remove(s, job, 30, &why), why);
    ASSERT_OK(store_checkpoints_load(s, job, got, 2, &count, &why), why);
    ASSERT_EQ(20, got[0].step);
    ASSERT_STR("", got[1].scores_sha256);
    struct checkpoint_record stray = {.job = 8, .step = 1};
    ASSERT_EQ(-ENOENT, store_checkpoint_add(s, &stray, &why));
    store_close(s);
}

TEST(the_files_have_their_modes_and_numbers)
{
    struct store *s = fixture_open();
    struct stat st;
    char path[300];

    snprintf(path, sizeof(path), "%s/state.db", test_path("state"));
    ASSERT_EQ(0, stat(path, &st));
    ASSERT_EQ(0600, st.st_mode & 0777);
    snprintf(path, sizeof(path), "%s/difficulty.db", test_path("state"));
    ASSERT_EQ(0, stat(path, &st));
    ASSERT_EQ(0600, st.st_mode & 0777);
    ASSERT_EQ(0, stat(test_path("state"), &st));
    ASSERT_EQ(0700, st.st_mode & 0777);
    ASSERT_SELECT("1094995249\n", "PRAGMA application_id");
    ASSERT_SELECT("20\n", "PRAGMA user_version");
    ASSERT_SELECT("wal\n", "PRAGMA journal_mode");
    store_close(s);
}

TEST(a_job_shows_its_attack)
{
    struct store *s = fixture_open();
    struct job_record rec = fixture_job_record(2);
    struct errbuf why;

    rec.spec_json = (char *)"{\"dataset\": \"digits\", \"model\": \"mlp\", \"attack\": {\"name\":"
                            " \"pgd\", \"epsilon\": 0.25, \"steps\": 7}}";
    fixture_job(s, 1);
    ASSERT_OK(store_job_insert(s, &rec, NULL, &why), why);
    ASSERT_SELECT("1|fgsm|0.25|NULL|NULL\n2|pgd|0.25|0.0625|7\n",
                  "SELECT job_id, attack, epsilon, quote(alpha), quote(attack_steps) FROM job");
    ASSERT_SELECT("pgd|0.0625|7\n",
                  "SELECT attack, alpha, attack_steps FROM v_job_compare WHERE job = 2");
    store_close(s);
}

TEST(a_second_store_on_one_folder_is_refused_with_the_pid)
{
    struct store *s = fixture_open(), *other;
    struct errbuf why;
    char pid[32];

    ASSERT_EQ(-EBUSY, store_open(test_path("state"), &other, &why));
    snprintf(pid, sizeof(pid), "(pid %ld)", (long)getpid());
    ASSERT_HAS(pid, why.text);
    ASSERT_HAS(test_path("state"), why.text);
    store_close(s);
    store_close(fixture_open());
}

TEST(a_folder_that_cannot_be_is_named)
{
    struct store *s;
    struct errbuf why;

    close(open(test_path("file"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    char path[300];
    snprintf(path, sizeof(path), "%s/below", test_path("file"));
    ASSERT(store_open(path, &s, &why) < 0);
    ASSERT_HAS(test_path("file"), why.text);
}

static void overwrite(const char *file, off_t at, const char *bytes, size_t count)
{
    char path[300];

    snprintf(path, sizeof(path), "%s/%s", test_path("state"), file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ASSERT(fd >= 0);
    ASSERT_EQ(count, pwrite(fd, bytes, count, at));
    close(fd);
}

static char *file_bytes(const char *file)
{
    char path[300], *hex = calloc(1, SHA256_HEX);
    uint8_t digest[SHA256_BYTES];
    struct errbuf why;

    snprintf(path, sizeof(path), "%s/%s", test_path("state"), file);
    ASSERT_OK(sha256_file(path, digest, &why), why);
    for (int i = 0; i < SHA256_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return hex;
}

static void damaged_file_is_refused(const char *file, off_t at, size_t count)
{
    struct store *s = fixture_open();
    char garbage[8192];
    struct errbuf why;

    memset(garbage, 0xa5, sizeof(garbage));
    fixture_job(s, 1);
    store_close(s);
    overwrite(file, at, garbage, count);
    char *before = file_bytes(file);
    ASSERT_EQ(-EUCLEAN, store_open(test_path("state"), &s, &why));
    ASSERT_HAS(file, why.text);
    ASSERT_HAS("damaged", why.text);
    ASSERT_HAS("it was not touched; restore it from a backup", why.text);
    char *after = file_bytes(file);
    ASSERT_STR(before, after);
    free(before);
    free(after);
}

TEST(a_state_db_with_a_broken_header_is_refused_untouched)
{
    damaged_file_is_refused("state.db", 0, 64);
}

TEST(a_state_db_with_a_broken_page_is_refused_untouched)
{
    damaged_file_is_refused("state.db", 4096, 4096);
}

TEST(a_difficulty_db_with_a_broken_header_is_refused_untouched)
{
    damaged_file_is_refused("difficulty.db", 0, 64);
}

TEST(the_database_of_another_program_is_refused)
{
    struct errbuf why;
    struct store *s = fixture_open();

    store_close(s);
    sqlite3 *sql = fixture_sql("difficulty.db");
    sqlite3_exec(sql, "PRAGMA application_id=5", NULL, NULL, NULL);
    sqlite3_close(sql);
    ASSERT_EQ(-EUCLEAN, store_open(test_path("state"), &s, &why));
    ASSERT_HAS("difficulty.db", why.text);
    ASSERT_HAS("not a database of Steppe", why.text);
    ASSERT_HAS("application_id is 5", why.text);
}

TEST(the_database_of_a_newer_version_is_refused)
{
    struct errbuf why;
    struct store *s = fixture_open();

    store_close(s);
    sqlite3 *sql = fixture_sql("state.db");
    sqlite3_exec(sql, "PRAGMA user_version=99", NULL, NULL, NULL);
    sqlite3_close(sql);
    ASSERT_EQ(-ENOTSUP, store_open(test_path("state"), &s, &why));
    ASSERT_HAS("state.db", why.text);
    ASSERT_HAS("user_version is 99", why.text);
}

TEST(meta_explains_every_column_of_every_table_and_every_view)
{
    struct store *s = fixture_open();

    ASSERT_SELECT("", "SELECT t.name || '.' || c.name FROM sqlite_master t,"
                      " pragma_table_info(t.name) c WHERE t.type = 'table'"
                      " AND t.name || '.' || c.name NOT IN (SELECT key FROM meta)");
    ASSERT_SELECT("", "SELECT name FROM sqlite_master WHERE type = 'view'"
                      " AND 'view.' || name NOT IN (SELECT key FROM meta)");
    /* And nothing that is not there. */
    ASSERT_SELECT("", "SELECT key FROM meta WHERE key NOT LIKE 'definition.%'"
                      " AND key NOT LIKE 'view.%' AND key <> 'steppe.version' AND key NOT IN"
                      " (SELECT t.name || '.' || c.name FROM sqlite_master t,"
                      " pragma_table_info(t.name) c)");
    store_close(s);
}

/* The disk is full: the files may not grow any more. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit;

    ASSERT_EQ(0, getrlimit(RLIMIT_FSIZE, &limit));
    limit.rlim_cur = bytes;
    ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &limit));
}

TEST(a_full_disk_is_a_sentence_and_the_store_goes_on_after_it)
{
    struct store *s = fixture_open();
    struct fixture_scores x;
    struct errbuf why;
    char sha256[SHA256_HEX];

    fixture_dataset(s, 5000);
    int64_t job = fixture_job(s, 1);
    fixture_fold(s, job, 0, 5000, NULL);
    char *before = fixture_dump();
    signal(SIGXFSZ, SIG_IGN);
    limit_files(600 << 10);
    x = fixture_scores(job, 1, 5000);
    ASSERT_EQ(-ENOSPC, store_fold(s, &x.fold, sha256, &why));
    ASSERT_HAS("difficulty.db", why.text);
    ASSERT_HAS("no space left", why.text);
    /* Small things go on meanwhile. */
    ASSERT_EQ(-ENOENT, store_epoch_hash(s, job, 1, sha256, &why));
    ASSERT_OK(store_epoch_hash(s, job, 0, sha256, &why), why);
    limit_files(RLIM_INFINITY);
    ASSERT_OK(store_epochs_drop(s, job, 1, &why), why);
    char *after = fixture_dump();
    ASSERT_STR(before, after);
    ASSERT_OK(store_fold(s, &x.fold, sha256, &why), why);
    ASSERT_OK(store_job_remove(s, job, &why), why);
    fixture_scores_done(&x);
    free(before);
    free(after);
    store_close(s);
}

TEST(a_full_disk_refuses_a_job_whole)
{
    struct store *s = fixture_open();
    struct errbuf why;
    int64_t job = 0;
    int rc = 0, number = 1;

    signal(SIGXFSZ, SIG_IGN);
    limit_files(300 << 10);
    for (; number < 1000 && rc == 0; number++) {
        struct job_record rec = fixture_job_record(number);
        rc = store_job_insert(s, &rec, NULL, &why);
        ASSERT(rc == 0 || rec.job == 0);
        job = rc == 0 ? rec.job : job;
    }
    ASSERT_EQ(-ENOSPC, rc);
    limit_files(RLIM_INFINITY);
    ASSERT(fixture_job(s, number - 1) > job); /* the one that was refused, again */
    char *jobs = fixture_select("state.db", "SELECT count(*), max(job_id) FROM job");
    ASSERT_SELECT(jobs, "SELECT count(*), max(job_id) FROM job");
    free(jobs);
    store_close(s);
}
