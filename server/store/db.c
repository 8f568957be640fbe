/* See db.h. SQLite's own message follows ours in parentheses: a person will search for it. A failed
 * statement may have ended its transaction by itself (disk full, I/O error), so db_end checks the
 * connection's state before it rolls back. */
#define _GNU_SOURCE
#include "server/store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "server/store/db_locks.h"
#include "server/store/state_dir.h"

#define PROGRESS_STEPS 10000 /* of SQLite's machine: some milliseconds */
#define ROLLBACK_TRIES 100

static int code_of_system(int error, int otherwise)
{
    static const struct {
        int error, code;
    } known[] = {
        {ENOSPC, -ENOSPC}, {EFBIG, -ENOSPC}, {EDQUOT, -EDQUOT}, {EROFS, -EROFS},
        {EACCES, -EACCES}, {EPERM, -EPERM},  {EMFILE, -EMFILE}, {ENFILE, -ENFILE},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (error == known[i].error)
            return known[i].code;
    return otherwise;
}

/* The errno behind a failed write. SQLite forgets it when a COMMIT fails; the file object of the
 * log, to which a commit writes, still has it. */
static int system_error(sqlite3 *sql)
{
    sqlite3_file *log = NULL;
    int error = sqlite3_system_errno(sql);

    if (error == 0 && sqlite3_extended_errcode(sql) == SQLITE_IOERR_WRITE &&
        sqlite3_file_control(sql, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) == SQLITE_OK && log &&
        log->pMethods)
        log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &error);
    return error;
}

static int code_of(sqlite3 *sql)
{
    static const struct {
        int result, code;
    } codes[] = {
        {SQLITE_FULL, -ENOSPC},  {SQLITE_READONLY, -EROFS},    {SQLITE_PERM, -EACCES},
        {SQLITE_AUTH, -EACCES},  {SQLITE_CORRUPT, -EUCLEAN},   {SQLITE_NOTADB, -EUCLEAN},
        {SQLITE_BUSY, -EBUSY},   {SQLITE_LOCKED, -EBUSY},      {SQLITE_INTERRUPT, -ETIMEDOUT},
        {SQLITE_NOMEM, -ENOMEM}, {SQLITE_CONSTRAINT, -EEXIST}, {SQLITE_PROTOCOL, -EBUSY},
    };
    int result = sqlite3_extended_errcode(sql);

    if (result == SQLITE_READONLY_DBMOVED)
        return -ESTALE;
    result &= 0xff;

    if (result == SQLITE_IOERR || result == SQLITE_CANTOPEN)
        return code_of_system(system_error(sql), -EIO);
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (codes[i].result == result)
            return codes[i].code;
    return -EPROTO;
}

static int stale(const struct db *db, const char *suffix, struct errbuf *why)
{
    return err_set(why, -ESTALE,
                   "%s%s was removed or replaced while the server runs; put it back or restart the "
                   "server (steppe db backup saves what it had); it was in %s",
                   db->name, suffix, db->dir);
}

static bool is_ending(const struct db *db)
{
    return db->ends && *db->ends->now;
}

static int say_ending(struct errbuf *why)
{
    return err_set(why, -ESHUTDOWN, "the server is stopping; try again in a moment");
}

static int on_progress(void *arg)
{
    return is_ending(arg);
}

/* As SQLite's own, which does not look at anything meanwhile. */
static int on_busy(void *arg, int tries)
{
    static const int delays_ms[] = {1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100};
    const int last = (int)(sizeof(delays_ms) / sizeof(delays_ms[0])) - 1;
    struct db *db = arg;
    int delay_ms = delays_ms[tries < last ? tries : last];

    if (tries == 0)
        db->waited_ms = 0;
    if (delay_ms > db->wait_ms - db->waited_ms)
        delay_ms = db->wait_ms - db->waited_ms;
    if (delay_ms <= 0 || is_ending(db))
        return 0;
    sqlite3_sleep(delay_ms);
    db->waited_ms += delay_ms;
    return 1;
}

static void set_wait(struct db *db)
{
    int patience = db->writable ? DB_WRITE_WAIT_MS : DB_READ_WAIT_MS;

    db->wait_ms = db->locked ? DB_AGAIN_WAIT_MS : patience;
}

static void set_locked(struct db *db, bool is)
{
    if (db->locked == is)
        return;
    db->locked = is;
    set_wait(db);
}

int db_is_locked(const struct db *db, const char *said, struct errbuf *why)
{
    char who[DB_HOLDER_BYTES];

    if (!why)
        return -EBUSY;
    if (!db_locked_by(db->dir, db->name, who))
        snprintf(who, sizeof(who), "another process");
    return err_set(why, -EBUSY, "%s is locked by %s, in %s (%s)", db->name, who, db->dir, said);
}

/* Our own doing: two connections of this process use one table. */
static int in_use(const struct db *db, const char *said, struct errbuf *why)
{
    return err_set(why, -EBUSY, "%s in %s is in use by this server itself (%s)", db->name, db->dir,
                   said);
}

int db_error(struct db *db, struct errbuf *why)
{
    int rc = code_of(db->sql);
    const char *said = sqlite3_errmsg(db->sql);

    switch (rc) {
    case -EUCLEAN:
        return err_set(why, rc,
                       "%s in %s is damaged (%s); it was not touched; restore it from a backup",
                       db->name, db->dir, said);
    case -ENOSPC:
    case -EDQUOT:
    case -EROFS:
    case -EACCES:
    case -EPERM:
        return err_set(why, rc, "cannot write %s in %s: %s (%s)", db->name, db->dir, err_text(rc),
                       said);
    case -EBUSY:
        if (is_ending(db))
            return say_ending(why);
        if ((sqlite3_errcode(db->sql) & 0xff) == SQLITE_LOCKED)
            return in_use(db, said, why);
        set_locked(db, true);
        return db_is_locked(db, said, why);
    case -ESTALE:
        return stale(db, "", why);
    case -EMFILE:
    case -ENFILE:
        return err_set(why, rc, "cannot open %s in %s: %s (%s)", db->name, db->dir, err_text(rc),
                       said);
    case -ETIMEDOUT:
        if (is_ending(db))
            return say_ending(why);
        return err_set(why, rc, "the query of %s took too long and was stopped", db->name);
    default:
        return err_set(why, rc, "%s in %s: %s", db->name, db->dir, said);
    }
}

/* SQLite would create it with the umask's permissions; its -wal and -shm files follow the mode. */
static int create_file(const char *path, mode_t mode, struct errbuf *why)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);

    if (fd < 0 && errno == EEXIST)
        return 0;
    if (fd < 0 || fchmod(fd, mode) != 0) {
        int rc = -errno;
        if (fd >= 0)
            close(fd);
        return err_set(why, rc, "cannot create %s: %s", path, err_text(rc));
    }
    close(fd);
    return 0;
}

/* Opens path, or the URI of one; says path when it cannot. */
static int open_file(struct db *db, const char *path, const char *uri, struct errbuf *why)
{
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | (uri ? SQLITE_OPEN_URI : 0) |
                (db->writable ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY);

    if (!db->writable && access(path, F_OK) != 0)
        return err_set(why, -ENOENT, "there is no %s in %s", db->name, db->dir);
    int result = sqlite3_open_v2(uri ? uri : path, &db->sql, flags, NULL);
    if (!db->sql)
        return err_set(why, -ENOMEM, "cannot open %s: out of memory", path);
    if (result != SQLITE_OK)
        return db_error(db, why);
    if (db->writable && sqlite3_db_readonly(db->sql, "main") == 1)
        return err_set(why, -EACCES, "cannot write %s: it is read-only", path);
    set_wait(db);
    sqlite3_busy_handler(db->sql, on_busy, db);
    /* Others may have changed the content of a file. */
    sqlite3_db_config(db->sql, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db->sql, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return 0;
}

static void end_alone(struct db *db)
{
    struct db **at;

    if (!db->ends)
        return;
    pthread_mutex_lock(&db->ends->mutex);
    for (at = &db->ends->first; *at != db; at = &(*at)->next)
        continue;
    *at = db->next;
    pthread_mutex_unlock(&db->ends->mutex);
    db->ends = NULL;
}

int db_open(struct db *db, const char *dir, const char *name, bool writable, mode_t mode,
            struct errbuf *why)
{
    char *path = xasprintf("%s/%s", dir, name);

    *db = (struct db){.name = name, .dir = dir, .writable = writable};
    int rc = writable ? create_file(path, mode, why) : 0;
    if (rc == 0)
        rc = open_file(db, path, NULL, why);
    if (rc != 0)
        db_close(db);
    free(path);
    return rc;
}

int db_open_apart(struct db *db, const char *dir, const char *name, struct errbuf *why)
{
    static const char option[] = "?readonly_shm=1";
    char *path = xasprintf("%s/%s", dir, name);
    char *uri = xmalloc(strlen("file:") + 3 * strlen(path) + sizeof(option)), *end = uri;

    *db = (struct db){.name = name, .dir = dir};
    end = stpcpy(end, "file:");
    for (const char *p = path; *p; p++)
        if (strchr("%?#", *p))
            end += sprintf(end, "%%%02x", (unsigned)(unsigned char)*p);
        else
            *end++ = *p;
    memcpy(end, option, sizeof(option));
    int rc = open_file(db, path, uri, why);
    if (rc != 0)
        db_close(db);
    free(uri);
    free(path);
    return rc;
}

void db_close(struct db *db)
{
    end_alone(db);
    sqlite3_close_v2(db->sql);
    db->sql = NULL;
}

/* --- ends --- */

void db_ends_open(struct db_ends *e, const atomic_bool *now)
{
    *e = (struct db_ends){.now = now};
    pthread_mutex_init(&e->mutex, NULL);
}

void db_ends_close(struct db_ends *e)
{
    pthread_mutex_destroy(&e->mutex);
}

void db_end_with(struct db *db, struct db_ends *e)
{
    db->ends = e;
    sqlite3_progress_handler(db->sql, PROGRESS_STEPS, on_progress, db);
    pthread_mutex_lock(&e->mutex);
    db->next = e->first;
    e->first = db;
    pthread_mutex_unlock(&e->mutex);
}

void db_ends_interrupt(struct db_ends *e)
{
    pthread_mutex_lock(&e->mutex);
    for (struct db *db = e->first; db; db = db->next)
        sqlite3_interrupt(db->sql);
    pthread_mutex_unlock(&e->mutex);
}

int db_ends_check(const struct db_ends *e, struct errbuf *why)
{
    return *e->now ? say_ending(why) : 0;
}

static const char *const suffixes[DB_FILES] = {"", "-wal", "-shm"};

/* 0: there is none. */
static ino_t inode_of(const struct db *db, int file)
{
    char path[STATE_PATH_BYTES];
    struct stat st;

    state_dir_db(path, db->dir, db->name, suffixes[file]);
    return stat(path, &st) == 0 ? st.st_ino : 0;
}

void db_watch(struct db *db)
{
    for (int i = 0; i < DB_FILES; i++)
        db->inodes[i] = inode_of(db, i);
}

static int check_files(struct db *db, struct errbuf *why)
{
    for (int i = 0; i < DB_FILES; i++) {
        if (!db->inodes[i] || inode_of(db, i) == db->inodes[i])
            continue;
        /* A removed log may already be complete in the file. */
        sqlite3_wal_checkpoint_v2(db->sql, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
        return stale(db, suffixes[i], why);
    }
    return 0;
}

/* An interrupt may meet this, too; what comes next must not be part of it. */
static void roll_back(struct db *db)
{
    for (int i = 0; !sqlite3_get_autocommit(db->sql) && i < ROLLBACK_TRIES; i++)
        db_exec(db, "ROLLBACK", NULL);
}

int db_probe(struct db *db, struct errbuf *why)
{
    int rc = db_begin(db, why);

    if (rc == 0)
        roll_back(db);
    return rc;
}

int db_move_log(struct db *db, int64_t *ret_pages, int64_t *ret_left)
{
    int pages = 0, moved = 0;
    int result =
        sqlite3_wal_checkpoint_v2(db->sql, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages, &moved);

    if (result != SQLITE_OK)
        return result == SQLITE_BUSY ? -EBUSY : db_error(db, NULL);
    *ret_pages = pages;
    *ret_left = pages - moved;
    return 0;
}

/* Frames that are already moved need not be moved under the writers' lock. */
bool db_cut_log(struct db *db)
{
    int64_t pages = 0, left = 0;

    if (db_move_log(db, &pages, &left) != 0 || left > 0)
        return false;
    db->wait_ms = 0;
    int result = sqlite3_wal_checkpoint_v2(db->sql, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    set_wait(db);
    return result == SQLITE_OK;
}

int db_exec(struct db *db, const char *sql, struct errbuf *why)
{
    if (sqlite3_exec(db->sql, sql, NULL, NULL, NULL) != SQLITE_OK)
        return db_error(db, why);
    return 0;
}

static int bind(sqlite3_stmt *stmt, int column, const struct db_arg *arg)
{
    switch (arg->type) {
    case DB_INT:
        return sqlite3_bind_int64(stmt, column, arg->i);
    case DB_REAL:
        return isfinite(arg->r) ? sqlite3_bind_double(stmt, column, arg->r)
                                : sqlite3_bind_null(stmt, column);
    case DB_TEXT:
        return sqlite3_bind_text(stmt, column, arg->s, -1, SQLITE_STATIC);
    case DB_BLOB:
        return sqlite3_bind_blob(stmt, column, arg->p ? arg->p : "", (int)arg->i, SQLITE_STATIC);
    case DB_POINTER:
        return sqlite3_bind_pointer(stmt, column, arg->p, DB_POINTER_TYPE, NULL);
    }
    return SQLITE_MISUSE;
}

int db_query(struct db *db, const char *sql, const struct db_arg *args, int count,
             sqlite3_stmt **ret, struct errbuf *why)
{
    sqlite3_stmt *stmt;

    *ret = NULL;
    if (sqlite3_prepare_v2(db->sql, sql, -1, &stmt, NULL) != SQLITE_OK)
        return db_error(db, why);
    for (int i = 0; i < count; i++)
        if (bind(stmt, i + 1, &args[i]) != SQLITE_OK) {
            int rc = db_error(db, why);
            sqlite3_finalize(stmt);
            return rc;
        }
    *ret = stmt;
    return 0;
}

int db_step(struct db *db, sqlite3_stmt *stmt, struct errbuf *why)
{
    int result = sqlite3_step(stmt);

    if (result != SQLITE_ROW && result != SQLITE_DONE)
        return db_error(db, why);
    if (!db->writable || !sqlite3_stmt_readonly(stmt))
        set_locked(db, false);
    return result == SQLITE_ROW;
}

int db_run(struct db *db, const char *sql, const struct db_arg *args, int count, struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int rc = db_query(db, sql, args, count, &stmt, why);

    if (rc != 0)
        return rc;
    if (sqlite3_get_autocommit(db->sql) && !sqlite3_stmt_readonly(stmt))
        rc = check_files(db, why);
    while (rc == 0 && (rc = db_step(db, stmt, why)) > 0)
        rc = 0;
    sqlite3_finalize(stmt);
    return rc;
}

int db_i64(struct db *db, const char *sql, const struct db_arg *args, int count, int64_t *ret,
           struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int rc = db_query(db, sql, args, count, &stmt, why);

    if (rc != 0)
        return rc;
    rc = db_step(db, stmt, why);
    if (rc == 0 || (rc > 0 && sqlite3_column_type(stmt, 0) == SQLITE_NULL))
        rc = -ENOENT;
    if (rc > 0) {
        *ret = sqlite3_column_int64(stmt, 0);
        rc = 0;
    }
    sqlite3_finalize(stmt);
    return rc;
}

void db_text(sqlite3_stmt *stmt, int column, char *ret, size_t bytes)
{
    const unsigned char *text = sqlite3_column_text(stmt, column);

    snprintf(ret, bytes, "%s", text ? (const char *)text : "");
}

double db_real(sqlite3_stmt *stmt, int column)
{
    if (sqlite3_column_type(stmt, column) == SQLITE_NULL)
        return NAN;
    return sqlite3_column_double(stmt, column);
}

int32_t db_class(sqlite3_stmt *stmt, int column)
{
    return sqlite3_column_type(stmt, column) == SQLITE_NULL ? -1 : sqlite3_column_int(stmt, column);
}

int db_begin(struct db *db, struct errbuf *why)
{
    int rc = check_files(db, why);

    if (rc == 0)
        rc = db_exec(db, "BEGIN IMMEDIATE", why);
    if (rc == 0)
        set_locked(db, false);
    return rc;
}

int db_end(struct db *db, int rc, struct errbuf *why)
{
    if (rc == 0)
        rc = db_exec(db, "COMMIT", why);
    if (rc != 0)
        roll_back(db);
    return rc;
}

/* The level cannot be changed inside a transaction. */
int db_begin_durable(struct db *db, struct errbuf *why)
{
    int rc = db_exec(db, "PRAGMA synchronous=FULL", why);

    if (rc == 0)
        rc = db_begin(db, why);
    if (rc != 0)
        db_exec(db, "PRAGMA synchronous=NORMAL", NULL);
    return rc;
}

int db_end_durable(struct db *db, int rc, struct errbuf *why)
{
    rc = db_end(db, rc, why);
    db_exec(db, "PRAGMA synchronous=NORMAL", NULL);
    return rc;
}
