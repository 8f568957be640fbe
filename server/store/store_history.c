/* sample_state: the history of each sample over the scored epochs of a job. The rows are a fold
 * over the committed epochs in order; what is seen of them changes only in the transaction that
 * commits or drops epochs, so no crash counts an epoch twice. To add an epoch again, the history is
 * rebuilt from the score rows of the others: the same additions in the same order, hence the same
 * bits.
 *
 * Millions of rows in one transaction would let nobody write for half a minute. So a job of more
 * than one slice has two sets of them, under its number and under minus its number: the set that
 * nobody sees is written anew, slice by slice, and the transaction says in the job's row (history)
 * that it is the one that counts. */
#include <errno.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "server/store/history_rows.h"
#include "server/store/store_internal.h"

/* Most samples of a history that is kept between folds: 64 to 128 MiB. Larger histories are read
 * again. */
#define HISTORY_KEEP_MAX (2u << 20)

static uint32_t slice_end(uint32_t from, uint32_t count)
{
    return count - from > SLICE_ROWS ? from + SLICE_ROWS : count;
}

static int load(struct store *s, int64_t key, uint32_t count, struct history *ret,
                struct errbuf *why)
{
    struct history h = {.count = count, .key = key, .last_epoch = -1};
    int rc = 0;

    h.samples = alloc_bytes(count, sizeof(*h.samples));
    if (!h.samples)
        return err_set(why, -ENOMEM, "out of memory for the history of %u samples", count);
    for (uint32_t from = 0; rc == 0 && from < count; from = slice_end(from, count)) {
        rc = history_rows_load(&s->difficulty, key, h.samples, from, slice_end(from, count),
                               &h.last_epoch, why);
        store_pass(s);
    }
    h.rows_epoch = h.last_epoch;
    if (rc == 0)
        *ret = h;
    else
        history_done(&h);
    return rc;
}

int history_take(struct store *s, int64_t job, uint32_t count, struct history *ret,
                 struct errbuf *why)
{
    struct history kept = s->history;
    int64_t last = -1, key;

    s->history = (struct history){0};
    if (s->history_job == job && kept.count >= count) {
        s->history_job = 0;
        *ret = kept;
        return 0;
    }
    s->history_job = 0;
    history_done(&kept);
    int rc = history_rows_key(&s->difficulty, job, &key, why);
    if (rc == 0)
        rc = db_i64(&s->difficulty, "SELECT max(sample_id) FROM sample_state WHERE job_id = ?1",
                    DB_ARGS(DB_I(key)), &last, why);
    if (rc != 0 && rc != -ENOENT)
        return rc;
    if (last >= (int64_t)count)
        count = last < SAMPLES_MAX ? (uint32_t)last + 1 : SAMPLES_MAX;
    return load(s, key, count ? count : 1, ret, why);
}

void history_keep(struct store *s, int64_t job, struct history *h)
{
    history_done(&s->history);
    s->history_job = 0;
    if (h->ahead)
        h->key = -h->key;
    h->ahead = false;
    if (h->count <= HISTORY_KEEP_MAX) {
        s->history = *h;
        s->history.rows_epoch = h->last_epoch;
        s->history_job = job;
        *h = (struct history){0};
    }
    history_done(h);
}

void history_drop(struct store *s, int64_t job)
{
    if (s->history_job != job)
        return;
    history_done(&s->history);
    s->history_job = 0;
}

void history_done(struct history *h)
{
    free(h->samples);
    *h = (struct history){0};
}

void history_reset(struct history *h)
{
    for (uint32_t i = 0; i < h->count; i++) {
        uint16_t class_id = h->samples[i].class_id;
        h->samples[i] = SAMPLE_UNMEASURED;
        h->samples[i].class_id = class_id;
    }
    h->last_epoch = h->rows_epoch = -1;
}

int history_replay(struct store *s, int64_t job, int64_t from, int64_t to, struct history *h,
                   struct errbuf *why)
{
    return history_rows_replay(&s->difficulty, job, from, to, h->samples, h->count, &h->last_epoch,
                               why);
}

int history_write_ahead(struct store *s, struct history *h, struct errbuf *why)
{
    struct db *db = &s->difficulty;
    uint32_t from = 0, to;
    int rc = 0;

    for (; rc == 0 && h->count > SLICE_ROWS && from < h->count; from = to) {
        to = slice_end(from, h->count);
        rc = db_begin(db, why);
        if (rc != 0)
            break;
        rc = history_rows_replace(db, -h->key, h->samples, from, to, to == h->count, why);
        if (rc == 0)
            failpoint_hit(&s->failpoint, "fold.history");
        rc = db_end(db, rc, why);
        store_end_slice(s);
    }
    h->ahead = rc == 0 && h->count > SLICE_ROWS;
    return rc;
}

int history_write(struct store *s, int64_t job, const struct history *h, struct errbuf *why)
{
    int rc = 0;

    if (h->ahead)
        return db_run(&s->difficulty, "UPDATE job SET history = ?2 WHERE job_id = ?1",
                      DB_ARGS(DB_I(job), DB_I(-h->key)), why);
    if (h->rows_epoch < 0)
        rc = db_run(&s->difficulty, "DELETE FROM sample_state WHERE job_id = ?1",
                    DB_ARGS(DB_I(h->key)), why);
    return rc == 0 ? history_rows_write(&s->difficulty, h->key, h->samples, h->count, h->rows_epoch,
                                        why)
                   : rc;
}

/* Removes all rows under that key, a slice at a time. */
static int remove_rows(struct store *s, int64_t key, struct errbuf *why)
{
    struct db *db = &s->difficulty;
    int64_t from = 0;
    int rc;

    while ((rc = db_i64(db, "SELECT min(sample_id) FROM sample_state WHERE job_id = ?1",
                        DB_ARGS(DB_I(key)), &from, why)) == 0) {
        rc = db_run(
            db, "DELETE FROM sample_state WHERE job_id = ?1 AND sample_id >= ?2 AND sample_id < ?3",
            DB_ARGS(DB_I(key), DB_I(from), DB_I(from + SLICE_ROWS)), why);
        if (rc != 0)
            break;
        store_end_slice(s);
    }
    return rc == -ENOENT ? 0 : rc;
}

int history_sweep(struct store *s, int64_t job, struct errbuf *why)
{
    int64_t there;
    int rc = db_i64(&s->difficulty, "SELECT job_id FROM job WHERE job_id = ?1", DB_ARGS(DB_I(job)),
                    &there, why);

    if (rc != -ENOENT)
        return rc;
    rc = remove_rows(s, job, why);
    return rc == 0 ? remove_rows(s, -job, why) : rc;
}

static int read_classes(struct store *s, int64_t job, struct history *h, struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int rc = db_query(&s->difficulty,
                      "SELECT m.sample_id, m.class_id FROM job j CROSS JOIN sample m"
                      " WHERE j.job_id = ?1 AND m.dataset_id = j.dataset_id"
                      " AND m.sample_id >= 0 AND m.sample_id < ?2",
                      DB_ARGS(DB_I(job), DB_I(h->count)), &stmt, why);

    if (rc != 0)
        return rc;
    while ((rc = db_step(&s->difficulty, stmt, why)) > 0)
        h->samples[sqlite3_column_int64(stmt, 0)].class_id = (uint16_t)sqlite3_column_int(stmt, 1);
    sqlite3_finalize(stmt);
    return rc;
}

static int mend_job(struct store *s, int64_t job, struct errbuf *why)
{
    struct db *db = &s->difficulty;
    struct history h = {0};
    int64_t last = -1, key;
    int rc = db_i64(db,
                    "SELECT max(s.sample_id) FROM epoch e CROSS JOIN score s"
                    " WHERE e.job_id = ?1 AND s.job_id = ?1 AND s.epoch = e.epoch",
                    DB_ARGS(DB_I(job)), &last, why);

    if (rc != 0)
        return rc == -ENOENT ? 0 : rc;
    rc = history_rows_key(db, job, &key, why);
    if (rc == 0)
        rc = load(s, key, last < SAMPLES_MAX ? (uint32_t)last + 1 : SAMPLES_MAX, &h, why);
    if (rc == 0)
        rc = history_replay(s, job, 0, EPOCHS_MAX, &h, why);
    if (rc == 0)
        rc = read_classes(s, job, &h, why);
    if (rc == 0)
        rc = db_begin(db, why);
    if (rc == 0)
        rc = db_end(db, history_write(s, job, &h, why), why);
    history_done(&h);
    return rc;
}

int history_mend(struct store *s, struct errbuf *why)
{
    int64_t job = 0;
    int rc;

    do {
        rc = db_i64(&s->difficulty,
                    "SELECT min(job_id) FROM job j WHERE job_id > ?1 AND EXISTS (SELECT 1"
                    " FROM epoch e WHERE e.job_id = j.job_id AND e.n_scored > 0)"
                    " AND NOT EXISTS (SELECT 1 FROM sample_state x"
                    " WHERE x.job_id = coalesce(j.history, j.job_id))",
                    DB_ARGS(DB_I(job)), &job, why);
        if (rc == 0)
            rc = mend_job(s, job, why);
    } while (rc == 0);
    return rc == -ENOENT ? 0 : rc;
}
