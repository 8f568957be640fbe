/* Opening and closing the store: the folder, its lock, both databases. One process owns a folder;
 * the lock is the kernel's (flock), so that a killed server leaves none behind.
 *
 * difficulty.db is in WAL mode without automatic checkpoints: the log is moved into the file after
 * each fold and whenever it has grown, never in the middle of a small commit. Its files stay when
 * the server stops (PERSIST_WAL); otherwise people without write permission could not read it. */
#include "server/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/file.h"
#include "server/store/store_internal.h"
#include "server/store/store_rows.h"

static int lock_held(int fd, const char *dir, struct errbuf *why)
{
    char pid[16] = "";
    ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

    pid[n > 0 ? n : 0] = '\0';
    pid[strspn(pid, "0123456789")] = '\0';
    if (!pid[0])
        return err_set(why, -EBUSY, "another server runs on %s", dir);
    return err_set(why, -EBUSY, "another server (pid %s) runs on %s", pid, dir);
}

static int take_lock(struct store *s, struct errbuf *why)
{
    char path[STATE_PATH_BYTES];
    int rc = 0;

    state_dir_file(path, s->dir, STATE_LOCK);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lock_fd < 0) {
        rc = -errno;
        return err_set(why, rc, "cannot write in %s: %s", s->dir, err_text(rc));
    }
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        rc = lock_held(s->lock_fd, s->dir, why);
        close(s->lock_fd);
        s->lock_fd = -1;
        return rc;
    }
    /* The pid is only for people; a full disk must not keep a server from starting, as it then
     * pauses its jobs.
     */
    if (ftruncate(s->lock_fd, 0) == 0)
        dprintf(s->lock_fd, "%ld\n", (long)getpid());
    return rc;
}

static int note_wal_pages(void *arg, sqlite3 *sql, const char *schema, int pages)
{
    struct store *s = arg;

    (void)sql;
    (void)schema;
    s->wal_bytes = pages * s->page_bytes;
    return SQLITE_OK;
}

/* A server that was killed in a commit may leave frames in the log that can be read, and must be
 * kept, but are perhaps not on the disk: SQLite does not sync what it recovers. Moving the log
 * syncs it first; if the rest fails on a full disk, that does no harm. */
static void settle_logs(struct store *s)
{
    sqlite3_wal_checkpoint_v2(s->state.sql, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    store_checkpoint_wal(s);
}

static int open_files(struct store *s, struct errbuf *why)
{
    int rc = schema_open_state(s, why);

    if (rc == 0)
        rc = schema_open_difficulty(s, why);
    return rc == -EBUSY ? err_prefix(why, rc, "the server cannot start") : rc;
}

int store_open(const char *dir, struct store **ret, struct errbuf *why)
{
    struct store *s = xcalloc(1, sizeof(*s));

    s->lock_fd = -1;
    s->dir = xstrdup(dir);
    failpoint_init(&s->failpoint);
    int rc = file_mkdirs(dir, 0700, why);
    if (rc == 0)
        rc = take_lock(s, why);
    if (rc == 0)
        rc = open_files(s, why);
    if (rc == 0)
        settle_logs(s);
    if (rc == 0)
        rc = rows_register(&s->difficulty, why);
    if (rc == 0)
        rc = db_i64(&s->difficulty, "PRAGMA page_size", DB_NONE, &s->page_bytes, why);
    if (rc == 0) {
        sqlite3_wal_hook(s->difficulty.sql, note_wal_pages, s);
        rc = job_mirror_all(s, why);
    }
    if (rc == 0)
        rc = study_mirror_all(s, why);
    if (rc == 0)
        rc = revision_mirror_all(s, why);
    if (rc == 0)
        rc = dataset_forget_unnamed(s, why);
    if (rc == 0)
        rc = history_mend(s, why);
    if (rc == 0) {
        db_watch(&s->state);
        db_watch(&s->difficulty);
        scores_sweep_unowned(s);
        *ret = s;
    } else {
        store_close(s);
    }
    return rc;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    if (s->difficulty.sql)
        store_checkpoint_wal(s);
    db_close(&s->difficulty);
    db_close(&s->state);
    history_done(&s->history);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    free(s->dir);
    free(s);
}

void store_end_with(struct store *s, struct db_ends *e)
{
    s->ends = e;
    db_end_with(&s->state, e);
    db_end_with(&s->difficulty, e);
}

void store_pass_with(struct store *s, void (*pass)(void *arg), void *arg)
{
    s->pass = pass;
    s->pass_arg = arg;
}

void store_pass(struct store *s)
{
    if (s->pass)
        s->pass(s->pass_arg);
}

struct failpoint *store_failpoint(struct store *s)
{
    return &s->failpoint;
}

void store_checkpoint_wal(struct store *s)
{
    int64_t pages, left;

    if (db_move_log(&s->difficulty, &pages, &left) == 0 && left == 0 &&
        pages * s->page_bytes > DB_LOG_BYTES_MAX)
        db_cut_log(&s->difficulty);
}

void store_end_slice(struct store *s)
{
    if (s->wal_bytes > DB_LOG_BYTES_MAX)
        store_checkpoint_wal(s);
    store_pass(s);
}

int store_probe(struct store *s, struct errbuf *why)
{
    int rc = db_probe(&s->state, why);

    return rc == 0 ? db_probe(&s->difficulty, why) : rc;
}
