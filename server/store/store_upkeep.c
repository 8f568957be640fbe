/* Backups use SQLite's online copy from the connection that writes: its commits between two steps
 * also go into the copy, so that the copy need not begin again. Retention marks the epochs of a job
 * in one durable transaction and removes their rows slice by slice; a crash in between leaves rows
 * that nobody sees; the next pass removes them. */
#include "server/store/store_upkeep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "server/store/store_internal.h"

#define VACUUM_PAGES "500"
#define BACKUP_PAGES 256
#define LAST_EPOCHS 5
#define DAY_MS (INT64_C(24) * 3600 * 1000)

/* --- copying --- */

struct store_backup {
    char *folder;
    const struct db *from; /* difficulty.db */
    struct db copy;
    sqlite3_backup *pages;
};

/* A copy is one file: people read it without a log beside it. */
static int seal_copy(struct db *copy, struct errbuf *why)
{
    return db_exec(copy, "PRAGMA journal_mode=DELETE", why);
}

/* SQLITE_DONE as 0, SQLITE_OK as 1. Nobody else knows the copy, so a locked file is `from`. */
static int copy_pages(const struct db *from, struct db *copy, sqlite3_backup *pages, int count,
                      struct errbuf *why)
{
    int result = sqlite3_backup_step(pages, count);

    if (result == SQLITE_DONE)
        return 0;
    if (result == SQLITE_OK)
        return 1;
    if ((result & 0xff) == SQLITE_BUSY || (result & 0xff) == SQLITE_LOCKED)
        return db_is_locked(from, sqlite3_errstr(result), why);
    int rc = db_error(copy, why);
    return rc < 0 ? rc : err_set(why, -EIO, "cannot copy to %s in %s", copy->name, copy->dir);
}

static int copy_state(struct store *s, const char *folder, struct errbuf *why)
{
    struct db copy = {0};
    int rc = db_open(&copy, folder, STATE_DB, true, 0600, why);
    sqlite3_backup *pages =
        rc == 0 ? sqlite3_backup_init(copy.sql, "main", s->state.sql, "main") : NULL;

    if (rc == 0)
        rc = pages ? 1 : db_error(&copy, why);
    /* At once: what is written in between would be in the one file and not in the other. */
    while (rc == 1) {
        rc = copy_pages(&s->state, &copy, pages, BACKUP_PAGES, why);
        if (rc == 1 && s->ends && db_ends_check(s->ends, why) < 0)
            rc = -ESHUTDOWN;
    }
    sqlite3_backup_finish(pages);
    if (rc == 0)
        rc = seal_copy(&copy, why);
    db_close(&copy);
    return rc;
}

int store_backup_begin(struct store *s, const char *folder, struct store_backup **ret,
                       struct errbuf *why)
{
    struct store_backup *b = xcalloc(1, sizeof(*b));

    b->folder = xstrdup(folder);
    b->from = &s->difficulty;
    int rc = copy_state(s, folder, why);
    if (rc == 0)
        rc = db_open(&b->copy, b->folder, DIFFICULTY_DB, true, 0600, why);
    if (rc == 0) {
        b->pages = sqlite3_backup_init(b->copy.sql, "main", s->difficulty.sql, "main");
        rc = b->pages ? 0 : db_error(&b->copy, why);
    }
    if (rc == 0)
        *ret = b;
    else
        store_backup_free(b);
    return rc;
}

int store_backup_step(struct store_backup *b, struct errbuf *why)
{
    int rc = copy_pages(b->from, &b->copy, b->pages, BACKUP_PAGES, why);

    if (rc != 0)
        return rc;
    sqlite3_backup_finish(b->pages);
    b->pages = NULL;
    rc = seal_copy(&b->copy, why);
    db_close(&b->copy);
    b->copy = (struct db){0};
    return rc;
}

void store_backup_free(struct store_backup *b)
{
    if (!b)
        return;
    sqlite3_backup_finish(b->pages);
    db_close(&b->copy);
    free(b->folder);
    free(b);
}

/* --- giving pages back --- */

static int pages_of(struct db *db, const char *what, int64_t *ret, struct errbuf *why)
{
    char sql[64];

    snprintf(sql, sizeof(sql), "PRAGMA %s", what);
    return db_i64(db, sql, DB_NONE, ret, why);
}

int store_vacuum(struct store *s, struct errbuf *why)
{
    int64_t before = 0, after = 0;
    int rc = pages_of(&s->difficulty, "freelist_count", &before, why);

    if (rc == 0 && before > 0)
        rc = db_exec(&s->difficulty, "PRAGMA incremental_vacuum(" VACUUM_PAGES ")", why);
    store_end_slice(s);
    if (rc == 0 && before > 0)
        rc = pages_of(&s->difficulty, "freelist_count", &after, why);
    if (rc != 0)
        return rc;
    if (after > 0 && after < before)
        return 1;
    rc = db_exec(&s->state, "VACUUM", why);
    db_cut_log(&s->state);
    db_cut_log(&s->difficulty);
    return rc;
}

/* --- retention --- */

/* Scored epochs of an ended job, ascending. */
struct ended {
    int64_t job, finished_unix_ms, rows;
    int64_t *epochs; /* owned */
    size_t count, room;
};

static void add_epoch(struct ended *e, int64_t epoch, int64_t rows)
{
    if (e->count == e->room) {
        e->room = e->room ? 2 * e->room : 64;
        e->epochs = xrealloc(e->epochs, e->room * sizeof(*e->epochs));
    }
    e->epochs[e->count++] = epoch;
    e->rows += rows;
}

/* The k for which keeping every k-th epoch leaves at most `cap` epochs; 0: keep only the first and
 * the last ones. */
static size_t stride(size_t count, int64_t cap)
{
    int64_t room = cap - LAST_EPOCHS - 1;

    return room > 0 ? (count + (size_t)room - 1) / (size_t)room : 0;
}

/* Which epochs of the job stay? */
struct keep {
    bool last_only;
    size_t every;
};

static bool keeps(const struct keep *k, size_t i, size_t count)
{
    if (k->last_only || i + 1 == count)
        return i + 1 == count;
    return i == 0 || i + LAST_EPOCHS >= count || (k->every && i % k->every == 0);
}

/* What the policy says about the place-th youngest job; false: everything stays. */
static bool judge(const struct retention *r, const struct ended *e, int64_t place, int64_t now_ms,
                  struct keep *ret)
{
    *ret = (struct keep){0};
    if (e->count < 2)
        return false;
    if ((r->jobs && place >= r->jobs) ||
        (r->days && now_ms - e->finished_unix_ms > r->days * DAY_MS)) {
        ret->last_only = true;
        return true;
    }
    if (!r->rows || e->rows <= r->rows)
        return false;
    ret->every = stride(e->count, r->rows / (e->rows / (int64_t)e->count));
    for (size_t i = 0; i < e->count; i++)
        if (!keeps(ret, i, e->count))
            return true;
    return false;
}

/* The epochs lose their scores for readers; the rows go slice by slice. */
static int mark(struct store *s, const struct ended *e, const struct keep *k, struct retired *io,
                struct errbuf *why)
{
    struct db *db = &s->difficulty;
    char text[160];
    int64_t dropped = 0;
    int rc = db_begin_durable(db, why);

    if (rc != 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < e->count; i++) {
        if (keeps(k, i, e->count))
            continue;
        rc = db_run(db,
                    "UPDATE epoch SET n_dropped = n_scored, n_scored = 0"
                    " WHERE job_id = ?1 AND epoch = ?2",
                    DB_ARGS(DB_I(e->job), DB_I(e->epochs[i])), why);
        dropped++;
    }
    rc = db_end_durable(db, rc, why);
    if (rc != 0)
        return rc;
    io->jobs++;
    io->epochs += dropped;
    snprintf(text, sizeof(text),
             "the scores of %lld of %zu epochs were dropped, as the server's --keep options say",
             (long long)dropped, e->count);
    store_event_add(s, e->job, "retention", text, NULL);
    return 1;
}

/* Goes through the ended jobs, the youngest first; 1: one lost scores, 0: all may stay as they are.
 * With `oldest`, cuts the oldest job with several epochs down to its last. */
static int look(struct store *s, const struct retention *r, int64_t now_ms, bool oldest,
                struct retired *io, struct errbuf *why)
{
    struct ended e = {0}, last = {0};
    struct keep keep = {.last_only = true};
    int64_t place = 0;
    sqlite3_stmt *stmt;
    int step, rc = db_query(&s->difficulty,
                            "SELECT j.job_id, coalesce(j.finished_unix_ms, 0), e.epoch, e.n_scored"
                            " FROM job j CROSS JOIN epoch e"
                            " WHERE j.state IN ('done', 'failed', 'cancelled')"
                            " AND e.job_id = j.job_id AND e.state = 'committed' AND e.n_scored > 0"
                            " ORDER BY j.finished_unix_ms DESC, j.job_id DESC, e.epoch",
                            DB_NONE, &stmt, why);

    if (rc != 0)
        return rc;
    do {
        step = db_step(&s->difficulty, stmt, why);
        int64_t job = step > 0 ? sqlite3_column_int64(stmt, 0) : 0;
        if (e.job && job != e.job) { /* all epochs of one job are here */
            if (oldest ? e.count > 1 : judge(r, &e, place, now_ms, &keep)) {
                free(last.epochs);
                last = e;
                e = (struct ended){0};
                if (!oldest)
                    break;
            }
            place++;
            e.count = 0;
            e.rows = 0;
        }
        if (step > 0) {
            e.job = job;
            e.finished_unix_ms = sqlite3_column_int64(stmt, 1);
            add_epoch(&e, sqlite3_column_int64(stmt, 2), sqlite3_column_int64(stmt, 3));
        }
    } while (step > 0);
    sqlite3_finalize(stmt);
    rc = step < 0 ? step : last.job ? mark(s, &last, &keep, io, why) : 0;
    free(e.epochs);
    free(last.epochs);
    return rc;
}

/* Removes a slice of rows that an epoch has lost. 1: there was one. */
static int remove_rows(struct store *s, struct retired *io, struct errbuf *why)
{
    struct db *db = &s->difficulty;
    sqlite3_stmt *stmt;
    int64_t job = 0, epoch = 0, sample = 0;
    int rc = db_query(db,
                      "SELECT e.job_id, e.epoch, (SELECT min(s.sample_id) FROM score s"
                      "   WHERE s.job_id = e.job_id AND s.epoch = e.epoch)"
                      " FROM epoch e WHERE e.n_dropped > 0 AND (EXISTS (SELECT 1 FROM score s"
                      "   WHERE s.job_id = e.job_id AND s.epoch = e.epoch)"
                      " OR EXISTS (SELECT 1 FROM test_score t"
                      "   WHERE t.job_id = e.job_id AND t.epoch = e.epoch)) LIMIT 1",
                      DB_NONE, &stmt, why);

    if (rc != 0)
        return rc;
    rc = db_step(db, stmt, why);
    if (rc > 0) {
        job = sqlite3_column_int64(stmt, 0);
        epoch = sqlite3_column_int64(stmt, 1);
        sample = sqlite3_column_int64(stmt, 2);
    }
    sqlite3_finalize(stmt);
    if (rc <= 0)
        return rc;
    rc = db_run(db, "DELETE FROM test_score WHERE job_id = ?1 AND epoch = ?2",
                DB_ARGS(DB_I(job), DB_I(epoch)), why);
    if (rc == 0)
        rc = db_run(db,
                    "DELETE FROM probability WHERE job_id = ?1 AND epoch = ?2"
                    " AND sample_id >= ?3 AND sample_id < ?4",
                    DB_ARGS(DB_I(job), DB_I(epoch), DB_I(sample), DB_I(sample + SLICE_ROWS)), why);
    if (rc == 0)
        rc = db_run(db,
                    "DELETE FROM score WHERE job_id = ?1 AND epoch = ?2"
                    " AND sample_id >= ?3 AND sample_id < ?4",
                    DB_ARGS(DB_I(job), DB_I(epoch), DB_I(sample), DB_I(sample + SLICE_ROWS)), why);
    if (rc == 0)
        io->rows += sqlite3_changes(db->sql);
    store_end_slice(s);
    return rc == 0 ? 1 : rc;
}

/* Bytes of difficulty.db in use. */
static int used_bytes(struct store *s, int64_t *ret, struct errbuf *why)
{
    int64_t pages = 0, free_pages = 0, page_bytes = 0;
    int rc = pages_of(&s->difficulty, "page_count", &pages, why);

    if (rc == 0)
        rc = pages_of(&s->difficulty, "freelist_count", &free_pages, why);
    if (rc == 0)
        rc = pages_of(&s->difficulty, "page_size", &page_bytes, why);
    *ret = (pages - free_pages) * page_bytes;
    return rc;
}

int store_retire(struct store *s, const struct retention *r, int64_t now_unix_ms,
                 struct retired *io, struct errbuf *why)
{
    int64_t used = 0;
    int rc = remove_rows(s, io, why);

    if (rc == 0)
        rc = look(s, r, now_unix_ms, false, io, why);
    if (rc == 0 && r->bytes) {
        rc = used_bytes(s, &used, why);
        if (rc == 0 && used > r->bytes)
            rc = look(s, r, now_unix_ms, true, io, why);
    }
    return rc;
}
