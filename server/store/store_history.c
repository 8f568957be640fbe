/* sample_state: the history of each sample over the scored epochs of a job. The rows are a fold
 * over the committed epochs in order; they change only in the transaction that commits or drops
 * epochs, so no crash counts an epoch twice. To add an epoch again, the history is rebuilt from the
 * score rows of the others: the same additions in the same order, hence the same bits. */
#include <errno.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "server/store/history_rows.h"
#include "server/store/store_internal.h"

/* Most samples of a history that is kept between folds: 64 to 128 MiB. Larger histories are read
 * again. */
#define HISTORY_KEEP_MAX (2u << 20)

static int load(struct store *s, int64_t job, uint32_t count, struct history *ret,
                struct errbuf *why)
{
    struct history h = {.count = count, .last_epoch = -1};

    h.samples = alloc_bytes(count, sizeof(*h.samples));
    if (!h.samples)
        return err_set(why, -ENOMEM, "out of memory for the history of %u samples", count);
    int rc = history_rows_load(&s->difficulty, job, h.samples, count, &h.last_epoch, why);
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
    int64_t last = -1;

    s->history = (struct history){0};
    if (s->history_job == job && kept.count >= count) {
        s->history_job = 0;
        *ret = kept;
        return 0;
    }
    s->history_job = 0;
    history_done(&kept);
    int rc = db_i64(&s->difficulty, "SELECT max(sample_id) FROM sample_state WHERE job_id = ?1",
                    DB_ARGS(DB_I(job)), &last, why);
    if (rc != 0 && rc != -ENOENT)
        return rc;
    if (last >= (int64_t)count)
        count = last < SAMPLES_MAX ? (uint32_t)last + 1 : SAMPLES_MAX;
    return load(s, job, count ? count : 1, ret, why);
}

void history_keep(struct store *s, int64_t job, struct history *h)
{
    history_done(&s->history);
    s->history_job = 0;
    if (h->count <= HISTORY_KEEP_MAX) {
        s->history = *h;
        s->history.rows_epoch = h->last_epoch;
        s->history_job = job;
        *h = (struct history){0};
    }
    history_done(h);
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

int history_write(struct store *s, int64_t job, const struct history *h, struct errbuf *why)
{
    int rc = 0;

    if (h->rows_epoch < 0)
        rc = db_run(&s->difficulty, "DELETE FROM sample_state WHERE job_id = ?1",
                    DB_ARGS(DB_I(job)), why);
    return rc == 0
               ? history_rows_write(&s->difficulty, job, h->samples, h->count, h->rows_epoch, why)
               : rc;
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
    int64_t last = -1;
    int rc = db_i64(db,
                    "SELECT max(s.sample_id) FROM epoch e CROSS JOIN score s"
                    " WHERE e.job_id = ?1 AND s.job_id = ?1 AND s.epoch = e.epoch",
                    DB_ARGS(DB_I(job)), &last, why);

    if (rc != 0)
        return rc == -ENOENT ? 0 : rc;
    rc = load(s, job, last < SAMPLES_MAX ? (uint32_t)last + 1 : SAMPLES_MAX, &h, why);
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
                    " AND NOT EXISTS (SELECT 1 FROM sample_state x WHERE x.job_id = j.job_id)",
                    DB_ARGS(DB_I(job)), &job, why);
        if (rc == 0)
            rc = mend_job(s, job, why);
    } while (rc == 0);
    return rc == -ENOENT ? 0 : rc;
}
