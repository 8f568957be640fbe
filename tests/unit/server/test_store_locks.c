/* Other programs at the files of the store. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/store/db.h"
#include "tests/unit/server/store_fixture.h"

/* Another process, begun before this one opens SQLite's files: what it inherited of them would be
 * in its way. It locks the file that it is told, and lets go at the end of what it is told. */
struct foreign {
    pid_t pid;
    int tell, told;
};

static void be_foreign(int in, int out)
{
    char file[32] = "";
    ssize_t n = read(in, file, sizeof(file) - 1);
    sqlite3 *sql = n > 0 ? fixture_sql(file) : NULL;
    bool has = sql && sqlite3_exec(sql, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK;

    if (write(out, has ? "y" : "n", 1) == 1)
        n = read(in, file, 1);
    sqlite3_close(sql);
    _exit(n != 0);
}

static struct foreign foreign_begin(void)
{
    int tell[2], told[2];

    ASSERT_EQ(0, pipe(tell));
    ASSERT_EQ(0, pipe(told));
    pid_t pid = fork();
    ASSERT(pid >= 0);
    if (pid == 0) {
        close(tell[1]);
        be_foreign(tell[0], told[1]);
    }
    close(tell[0]);
    close(told[1]);
    return (struct foreign){pid, tell[1], told[0]};
}

static void foreign_lock(struct foreign *f, const char *file)
{
    char byte = 0;

    ASSERT_EQ(strlen(file), write(f->tell, file, strlen(file)));
    ASSERT_EQ(1, read(f->told, &byte, 1));
    ASSERT_EQ('y', byte);
}

static void foreign_end(struct foreign *f)
{
    int status = 1;

    close(f->tell);
    ASSERT_EQ(f->pid, waitpid(f->pid, &status, 0));
    ASSERT_EQ(0, status);
    close(f->told);
}

/* The sentence names the file and the program that has it. */
static void says_who(int rc, const struct errbuf *why, const char *file, const struct foreign *f)
{
    char pid[32];

    ASSERT_EQ(-EBUSY, rc);
    snprintf(pid, sizeof(pid), "(pid %ld)", (long)f->pid);
    ASSERT_HAS(file, why->text);
    ASSERT_HAS("is locked by", why->text);
    ASSERT_HAS(pid, why->text);
}

static char *whole_store(void)
{
    char *state = fixture_select("state.db", "SELECT * FROM dataset; SELECT * FROM job;"
                                             "SELECT * FROM event; SELECT * FROM checkpoint");
    char *difficulty = fixture_dump(), *both;

    ASSERT(asprintf(&both, "%s%s", state, difficulty) > 0);
    free(state);
    free(difficulty);
    return both;
}

static void nothing_is_half_done(const char *file)
{
    struct foreign f = foreign_begin();
    struct store *s = fixture_open();
    struct job_record other = fixture_job_record(2), one = fixture_job_record(1);
    struct checkpoint_record checkpoint = {.step = 3, .file = "step-3.safetensors"};
    struct errbuf why;
    bool last;

    fixture_dataset(s, 500);
    one.job = fixture_job(s, 1);
    checkpoint.job = one.job;
    fixture_fold(s, one.job, 0, 500, NULL);
    char *before = whole_store();
    foreign_lock(&f, file);
    says_who(store_job_remove(s, one.job, &why), &why, file, &f);
    says_who(store_job_insert(s, &other, NULL, &why), &why, file, &f);
    says_who(store_job_update(s, &one, "state", "changed", &why), &why, file, &f);
    says_who(store_dataset_remove(s, "digits", &last, &why), &why, file, &f);
    says_who(store_probe(s, &why), &why, file, &f);
    if (strcmp(file, "state.db") == 0)
        says_who(store_checkpoint_add(s, &checkpoint, &why), &why, file, &f);
    foreign_end(&f);
    char *after = whole_store();
    ASSERT_STR(before, after);
    ASSERT_EQ(0, other.job);
    ASSERT_OK(store_probe(s, &why), why);
    ASSERT_OK(store_job_insert(s, &other, NULL, &why), why);
    ASSERT_OK(store_job_remove(s, one.job, &why), why);
    ASSERT_SELECT("0\n", "SELECT count(*) FROM score");
    free(before);
    free(after);
    store_close(s);
}

TEST(what_meets_a_locked_difficulty_db_is_not_half_done)
{
    nothing_is_half_done("difficulty.db");
}

TEST(what_meets_a_locked_state_db_is_not_half_done)
{
    nothing_is_half_done("state.db");
}

TEST(a_store_does_not_open_while_a_file_is_locked_and_says_by_whom)
{
    struct foreign f = foreign_begin();
    struct store *s = fixture_open();
    struct errbuf why;

    store_close(s);
    foreign_lock(&f, "difficulty.db");
    int rc = store_open(test_path("state"), &s, &why);
    says_who(rc, &why, "difficulty.db", &f);
    foreign_end(&f);
    store_close(fixture_open());
}

TEST(a_file_that_was_taken_away_is_not_written)
{
    static const char *const files[] = {"difficulty.db", "state.db", "difficulty.db-wal"};
    char path[300], away[320];
    struct errbuf why;

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct store *s = fixture_open();
        struct job_record rec = fixture_job_record((int)i);
        snprintf(path, sizeof(path), "%s/%s", test_path("state"), files[i]);
        snprintf(away, sizeof(away), "%s.away", path);
        ASSERT_EQ(0, rename(path, away));
        ASSERT_EQ(-ESTALE, store_job_insert(s, &rec, NULL, &why));
        ASSERT_HAS(files[i], why.text);
        ASSERT_HAS("was removed or replaced while the server runs", why.text);
        ASSERT_EQ(0, rename(away, path));
        ASSERT_OK(store_job_insert(s, &rec, NULL, &why), why);
        store_close(s);
    }
}

TEST(scores_of_a_job_that_is_no_more_go_at_the_next_opening)
{
    struct store *s = fixture_open();

    fixture_dataset(s, 100);
    int64_t gone = fixture_job(s, 1), stays = fixture_job(s, 2);
    fixture_fold(s, gone, 0, 100, NULL);
    fixture_fold(s, stays, 0, 100, NULL);
    store_close(s);
    sqlite3 *sql = fixture_sql("state.db");
    ASSERT_EQ(SQLITE_OK, sqlite3_exec(sql, "DELETE FROM job WHERE job_id = 1", NULL, NULL, NULL));
    sqlite3_close(sql);
    sql = fixture_sql("difficulty.db");
    ASSERT_EQ(SQLITE_OK, sqlite3_exec(sql,
                                      "DELETE FROM job WHERE job_id = 1;"
                                      "DELETE FROM epoch WHERE job_id = 1",
                                      NULL, NULL, NULL));
    sqlite3_close(sql);
    store_close(fixture_open());
    ASSERT_SELECT("2\n", "SELECT DISTINCT job_id FROM score");
}

TEST(a_query_that_cannot_begin_leaves_nothing_to_be_released)
{
    struct store *s = fixture_open();
    sqlite3_stmt *stmt = (sqlite3_stmt *)s; /* what is no statement */
    struct db db = {0};
    struct errbuf why;

    ASSERT_OK(db_open(&db, test_path("state"), "state.db", false, 0, &why), why);
    ASSERT(db_query(&db, "SELECT 1 FROM no_such_table", DB_NONE, &stmt, &why) < 0);
    ASSERT(stmt == NULL);
    db_close(&db);
    store_close(s);
}

/* More of SQLite's steps than anybody waits for. */
#define ENDLESS                                                                                    \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"

TEST(what_takes_long_or_waits_ends_with_the_server)
{
    struct foreign f = foreign_begin();
    struct db db;
    struct db_ends ends;
    atomic_bool now = false;
    struct errbuf why;

    store_close(fixture_open());
    ASSERT_OK(db_open(&db, test_path("state"), "state.db", true, 0600, &why), why);
    db_ends_open(&ends, &now);
    db_end_with(&db, &ends);
    ASSERT_EQ(0, db_ends_check(&ends, &why));
    ASSERT_OK(db_begin(&db, &why), why);
    now = true;
    ASSERT_EQ(-ESHUTDOWN, db_end(&db, db_exec(&db, ENDLESS, &why), &why));
    ASSERT_HAS("the server is stopping", why.text);
    ASSERT_EQ(-ESHUTDOWN, db_ends_check(&ends, &why));
    /* What is short goes on: nothing is left of the transaction. */
    ASSERT_OK(db_probe(&db, &why), why);
    foreign_lock(&f, "state.db");
    ASSERT_EQ(-ESHUTDOWN, db_probe(&db, &why));
    foreign_end(&f);
    ASSERT_OK(db_probe(&db, &why), why);
    db_ends_interrupt(&ends);
    db_close(&db);
    db_ends_interrupt(&ends);
    db_ends_close(&ends);
}
