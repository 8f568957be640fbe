/* One connection to an SQLite file. The only place where SQLite's results become errno and
 * sentences that name the file; store and query use it, each from a single thread at a time.
 *
 * All functions that can fail return 0 (db_step: 1 for a row) or:
 *   -ENOSPC  no space: disk or file size limit           -EUCLEAN  damaged, or not ours
 *   -EROFS   cannot be written                           -ENOENT   no such file, no such row
 *   -EBUSY   another process holds the lock              -EEXIST   a constraint refused it
 *   -ESTALE  the file was removed or replaced            -ETIMEDOUT  interrupted at its deadline
 *   -ESHUTDOWN  given up, as the server stops (db_end_with)
 *   -EDQUOT, -EACCES, -EPERM, -EMFILE, -ENFILE, -ENOMEM, -EIO; -EPROTO: what should not be
 * After any error the connection can be used again. */
#ifndef STEPPE_SERVER_STORE_DB_H
#define STEPPE_SERVER_STORE_DB_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/err.h"

/* How long another process may have the file locked. A writer waits on the store's own thread, so
 * that a person's sqlite3 has the seconds that an update or a VACUUM takes; behind a reader others
 * wait. Once that was not enough, each further try waits only a moment until one succeeds: the work
 * in line need not wait the full time for each. */
#define DB_WRITE_WAIT_MS 5000
#define DB_READ_WAIT_MS 2000
#define DB_AGAIN_WAIT_MS 250

/* The file itself, its log and the shared memory of that. */
#define DB_FILES 3

/* Connections whose work ends soon after *now is set. */
struct db_ends {
    const atomic_bool *now; /* borrowed */
    pthread_mutex_t mutex;  /* guards the list */
    struct db *first;
};

struct db {
    sqlite3 *sql;     /* NULL: closed */
    const char *name; /* of the file in dir; borrowed */
    const char *dir;  /* borrowed */
    bool writable;
    bool locked;            /* the last try to write (for a reader: to read) waited in vain */
    ino_t inodes[DB_FILES]; /* as db_watch found them; 0: not checked */
    int waited_ms, wait_ms; /* for a lock: since the first try, and how long at most */
    struct db_ends *ends;   /* NULL: its work takes as long as it takes */
    struct db *next;        /* in the list of ends */
};

/* Opens dir/name. Writable: creates it with mode when missing, and refuses a file that cannot be
 * written. Looks at nothing inside. */
int db_open(struct db *db, const char *dir, const char *name, bool writable, mode_t mode,
            struct errbuf *why);
/* Opens it to read, for a process that cannot be trusted with it: also the index of its log, which
 * readers share with writers, is mapped to be read only. Another process must have the file open. A
 * read that meets a writer at the index fails with -EROFS; try again. */
int db_open_apart(struct db *db, const char *dir, const char *name, struct errbuf *why);
void db_close(struct db *db); /* a zeroed struct is fine */

void db_ends_open(struct db_ends *e, const atomic_bool *now);
/* No connection is left. */
void db_ends_close(struct db_ends *e);
/* What db works on, or waits for, from now on ends with -ESHUTDOWN once *e->now is set; what takes
 * but a moment may still succeed. Until it is closed, db stays where it is in memory. */
void db_end_with(struct db *db, struct db_ends *e);
/* From any thread, while *e->now is set: again and again, as a statement that is about to begin
 * does not hear it. */
void db_ends_interrupt(struct db_ends *e);
/* -ESHUTDOWN with its sentence, once *e->now is set; 0. */
int db_ends_check(const struct db_ends *e, struct errbuf *why);

/* From now on each writing transaction first checks that the files in the folder are still the open
 * ones: what is written to a removed file is lost at the next start. */
void db_watch(struct db *db);
/* Can it be written now? Waits as for another try. */
int db_probe(struct db *db, struct errbuf *why);
/* Moves the write-ahead log into the file as far as readers allow: tells how many pages it has, and
 * how many are left because of a reader. -EBUSY: another connection is moving it. */
int db_move_log(struct db *db, int64_t *ret_pages, int64_t *ret_left);
/* The same; then makes the log an empty file if nothing is left and nobody uses it. Waits for
 * nobody. False: not now. */
bool db_cut_log(struct db *db);

/* -EBUSY, and the sentence that names who has it locked. */
int db_is_locked(const struct db *db, const char *said, struct errbuf *why);
/* The errno and sentence of what just failed on this connection. */
int db_error(struct db *db, struct errbuf *why);

/* A value to bind: DB_I int64_t, DB_R double (NaN and infinity become NULL), DB_S string (NULL
 * becomes NULL; borrowed until the statement is finalised), DB_P a pointer that only our own tables
 * can see (DB_POINTER_TYPE; borrowed likewise), DB_B bytes (borrowed likewise). */
struct db_arg {
    enum { DB_INT, DB_REAL, DB_TEXT, DB_POINTER, DB_BLOB } type;
    int64_t i; /* of bytes: how many */
    double r;
    const char *s;
    void *p;
};
#define DB_POINTER_TYPE "steppe"
#define DB_I(v) ((struct db_arg){.type = DB_INT, .i = (v)})
#define DB_R(v) ((struct db_arg){.type = DB_REAL, .r = (v)})
#define DB_S(v) ((struct db_arg){.type = DB_TEXT, .s = (v)})
#define DB_B(v, bytes) ((struct db_arg){.type = DB_BLOB, .p = (void *)(v), .i = (bytes)})
#define DB_P(v) ((struct db_arg){.type = DB_POINTER, .p = (v)})
/* The two arguments `args, count`: DB_ARGS(DB_I(job), DB_S(name)) for ?1 and ?2. */
#define DB_ARGS(...)                                                                               \
    (const struct db_arg[]){__VA_ARGS__},                                                          \
        (int)(sizeof((const struct db_arg[]){__VA_ARGS__}) / sizeof(struct db_arg))
#define DB_NONE NULL, 0

/* Several statements without values or rows. */
int db_exec(struct db *db, const char *sql, struct errbuf *why);
/* One statement, to its end; rows are ignored. */
int db_run(struct db *db, const char *sql, const struct db_arg *args, int count,
           struct errbuf *why);
/* One statement with its values bound; *ret is released with sqlite3_finalize (NULL after an
 * error). */
int db_query(struct db *db, const char *sql, const struct db_arg *args, int count,
             sqlite3_stmt **ret, struct errbuf *why);
/* 1: a row, 0: done. */
int db_step(struct db *db, sqlite3_stmt *stmt, struct errbuf *why);
/* The first column of the only row; -ENOENT without a sentence when there is none or it is NULL. */
int db_i64(struct db *db, const char *sql, const struct db_arg *args, int count, int64_t *ret,
           struct errbuf *why);

/* A column as text ("" for NULL) cut to bytes; as real (NAN for NULL). */
void db_text(sqlite3_stmt *stmt, int column, char *ret, size_t bytes);
double db_real(sqlite3_stmt *stmt, int column);
/* A class; -1: NULL. */
int32_t db_class(sqlite3_stmt *stmt, int column);

/* A write transaction. db_end commits when rc is 0, rolls back otherwise, and returns rc or why the
 * commit failed. */
int db_begin(struct db *db, struct errbuf *why);
int db_end(struct db *db, int rc, struct errbuf *why);
/* The same on a connection with synchronous=NORMAL, and durable when db_end_durable returns 0, like
 * everything committed before it. */
int db_begin_durable(struct db *db, struct errbuf *why);
int db_end_durable(struct db *db, int rc, struct errbuf *why);

#endif
