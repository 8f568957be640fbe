/* sample_state: what the scored epochs of a job say about each sample. The rows are a fold over the
 * committed epochs in order; they are changed only in the transaction that commits or drops epochs,
 * so no crash counts an epoch twice. To take an epoch in again, the history is rebuilt from the
 * score rows of the others: the same additions in the same order, hence the same bits. */
#include <errno.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "server/store_internal.h"

/* Share of the newest measurement in adm_ema. */
#define EMA_NEW 0.3
#define EMA_OLD 0.7

static const struct history_sample unmeasured = {.last_epoch = -1};

int history_last_epoch(struct store *s, int64_t job, int64_t *ret, struct errbuf *why)
{
    int rc = db_i64(&s->difficulty, "SELECT max(last_epoch) FROM sample_state WHERE job_id = ?1",
                    DB_ARGS(DB_I(job)), ret, why);

    if (rc != -ENOENT)
        return rc;
    *ret = -1;
    return 0;
}

static void read_sample(sqlite3_stmt *stmt, struct history_sample *ret)
{
    *ret = (struct history_sample){
        .class_id = (uint16_t)sqlite3_column_int(stmt, 1),
        .adm = sqlite3_column_double(stmt, 2),
        .adm_ema = sqlite3_column_double(stmt, 3),
        .adm_first = sqlite3_column_double(stmt, 4),
        .adm_max = sqlite3_column_double(stmt, 5),
        .loss = sqlite3_column_double(stmt, 6),
        .correct = sqlite3_column_int(stmt, 7),
        .seen = (uint32_t)sqlite3_column_int64(stmt, 8),
        .right = (uint32_t)sqlite3_column_int64(stmt, 9),
        .forgotten = (uint32_t)sqlite3_column_int64(stmt, 10),
        .hard = (uint32_t)sqlite3_column_int64(stmt, 11),
        .last_epoch = sqlite3_column_int(stmt, 12),
    };
}

int history_load(struct store *s, int64_t job, uint32_t count, struct history *ret,
                 struct errbuf *why)
{
    struct history h = {.samples = alloc_bytes(count, sizeof(*h.samples)), .count = count};
    sqlite3_stmt *stmt;

    if (count && !h.samples)
        return err_set(why, -ENOMEM, "out of memory for the history of %u samples", count);
    for (uint32_t i = 0; i < count; i++)
        h.samples[i] = unmeasured;
    int rc = db_query(&s->difficulty,
                      "SELECT sample_id, class_id, adm, adm_ema, adm_first, adm_max, loss, correct,"
                      " n_seen, n_correct, n_forget, n_hard, last_epoch FROM sample_state"
                      " WHERE job_id = ?1 AND sample_id < ?2 ORDER BY sample_id",
                      DB_ARGS(DB_I(job), DB_I(count)), &stmt, why);
    if (rc == 0) {
        while ((rc = db_step(&s->difficulty, stmt, why)) > 0)
            read_sample(stmt, &h.samples[sqlite3_column_int64(stmt, 0)]);
        sqlite3_finalize(stmt);
    }
    if (rc == 0)
        *ret = h;
    else
        history_done(&h);
    return rc;
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
        h->samples[i] = unmeasured;
        h->samples[i].class_id = class_id;
    }
    h->rebuilt = true;
}

void history_add(struct history_sample *h, int64_t epoch, double adm, double loss, bool correct,
                 bool hard)
{
    bool first = h->seen == 0;

    h->forgotten += !first && h->correct && !correct;
    h->adm_ema = first ? adm : EMA_NEW * adm + EMA_OLD * h->adm_ema;
    h->adm_max = first || adm > h->adm_max ? adm : h->adm_max;
    if (first)
        h->adm_first = adm;
    h->adm = adm;
    h->loss = loss;
    h->correct = correct;
    h->last_epoch = (int32_t)epoch;
    h->seen++;
    h->right += correct;
    h->hard += hard;
}

bool history_is_hard(double adm, double adm_p90)
{
    return adm > 0 && adm >= adm_p90;
}

int history_replay(struct store *s, int64_t job, int64_t from, int64_t to, struct history *h,
                   struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int rc = db_query(&s->difficulty,
                      "SELECT s.sample_id, e.epoch, s.adm, s.loss, s.correct, e.adm_p90"
                      " FROM epoch e CROSS JOIN score s"
                      " WHERE e.job_id = ?1 AND e.epoch >= ?2 AND e.epoch < ?3"
                      " AND e.state = 'committed' AND s.job_id = e.job_id AND s.epoch = e.epoch"
                      " AND s.sample_id < ?4 ORDER BY e.epoch, s.sample_id",
                      DB_ARGS(DB_I(job), DB_I(from), DB_I(to), DB_I(h->count)), &stmt, why);

    if (rc != 0)
        return rc;
    while ((rc = db_step(&s->difficulty, stmt, why)) > 0) {
        double adm = sqlite3_column_double(stmt, 2);
        history_add(&h->samples[sqlite3_column_int64(stmt, 0)], sqlite3_column_int64(stmt, 1), adm,
                    sqlite3_column_double(stmt, 3), sqlite3_column_int(stmt, 4),
                    history_is_hard(adm, sqlite3_column_double(stmt, 5)));
    }
    sqlite3_finalize(stmt);
    return rc;
}

static int write_sample(struct db *db, sqlite3_stmt *stmt, uint32_t sample,
                        const struct history_sample *h, struct errbuf *why)
{
    sqlite3_bind_int64(stmt, 2, sample);
    sqlite3_bind_int(stmt, 3, h->class_id);
    sqlite3_bind_double(stmt, 4, h->adm);
    sqlite3_bind_double(stmt, 5, h->adm_ema);
    sqlite3_bind_double(stmt, 6, h->adm_first);
    sqlite3_bind_double(stmt, 7, h->adm_max);
    sqlite3_bind_double(stmt, 8, h->loss);
    sqlite3_bind_int(stmt, 9, h->correct);
    sqlite3_bind_int64(stmt, 10, h->seen);
    sqlite3_bind_int64(stmt, 11, h->right);
    sqlite3_bind_int64(stmt, 12, h->forgotten);
    sqlite3_bind_int64(stmt, 13, h->hard);
    sqlite3_bind_int(stmt, 14, h->last_epoch);
    int rc = db_step(db, stmt, why);
    sqlite3_reset(stmt);
    return rc;
}

int history_write(struct store *s, int64_t job, int64_t epoch, const struct history *h,
                  struct errbuf *why)
{
    struct db *db = &s->difficulty;
    sqlite3_stmt *insert = NULL, *update = NULL;
    int rc = 0;

    if (h->rebuilt)
        rc = db_run(db, "DELETE FROM sample_state WHERE job_id = ?1", DB_ARGS(DB_I(job)), why);
    if (rc == 0)
        rc = db_query(db,
                      "INSERT INTO sample_state(job_id, sample_id, class_id, adm, adm_ema,"
                      " adm_first, adm_max, loss, correct, n_seen, n_correct, n_forget, n_hard,"
                      " last_epoch)"
                      " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
                      DB_ARGS(DB_I(job)), &insert, why);
    /* An update writes over the row in place, REPLACE would remove and insert it. */
    if (rc == 0)
        rc = db_query(db,
                      "UPDATE sample_state SET class_id = ?3, adm = ?4, adm_ema = ?5,"
                      " adm_first = ?6, adm_max = ?7, loss = ?8, correct = ?9, n_seen = ?10,"
                      " n_correct = ?11, n_forget = ?12, n_hard = ?13, last_epoch = ?14"
                      " WHERE job_id = ?1 AND sample_id = ?2",
                      DB_ARGS(DB_I(job)), &update, why);
    for (uint32_t i = 0; rc == 0 && i < h->count; i++) {
        const struct history_sample *x = &h->samples[i];
        if (h->rebuilt ? x->seen > 0 : x->last_epoch == epoch)
            rc = write_sample(db, h->rebuilt || x->seen == 1 ? insert : update, i, x, why);
    }
    sqlite3_finalize(insert);
    sqlite3_finalize(update);
    return rc;
}
