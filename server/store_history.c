/* sample_state: what the scored epochs of a job say about each sample. The rows are a fold over the
 * committed epochs in order; they are changed only in the transaction that commits or drops epochs,
 * so no crash counts an epoch twice. To take an epoch in again, the history is rebuilt from the
 * score rows of the others: the same additions in the same order, hence the same bits. */
#include <errno.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "server/store_internal.h"
#include "server/store_rows.h"

/* Share of the newest measurement in adm_ema. */
#define EMA_NEW 0.3
#define EMA_OLD 0.7

/* Samples of a history that is kept between folds: 64 to 128 MiB. Larger ones are read again. */
#define HISTORY_KEEP_MAX (2u << 20)

static const struct history_sample unmeasured = {.last_epoch = -1};

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

static int load(struct store *s, int64_t job, uint32_t count, struct history *ret,
                struct errbuf *why)
{
    struct history h = {.count = count, .last_epoch = -1};
    sqlite3_stmt *stmt;

    h.samples = alloc_bytes(count, sizeof(*h.samples));
    if (!h.samples)
        return err_set(why, -ENOMEM, "out of memory for the history of %u samples", count);
    for (uint32_t i = 0; i < count; i++)
        h.samples[i] = unmeasured;
    int rc = db_query(&s->difficulty,
                      "SELECT sample_id, class_id, adm, adm_ema, adm_first, adm_max, loss, correct,"
                      " n_seen, n_correct, n_forget, n_hard, last_epoch FROM sample_state"
                      " WHERE job_id = ?1 AND sample_id >= 0 AND sample_id < ?2",
                      DB_ARGS(DB_I(job), DB_I(count)), &stmt, why);
    if (rc == 0) {
        while ((rc = db_step(&s->difficulty, stmt, why)) > 0) {
            struct history_sample *x = &h.samples[sqlite3_column_int64(stmt, 0)];
            read_sample(stmt, x);
            if (x->last_epoch > h.last_epoch)
                h.last_epoch = x->last_epoch;
        }
        sqlite3_finalize(stmt);
    }
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
        h->samples[i] = unmeasured;
        h->samples[i].class_id = class_id;
    }
    h->last_epoch = -1;
}

void history_add(struct history *h, uint32_t sample, int64_t epoch, double adm, double loss,
                 bool correct, bool hard)
{
    struct history_sample *x = &h->samples[sample];
    bool first = x->seen == 0;

    x->forgotten += !first && x->correct && !correct;
    x->adm_ema = first ? adm : EMA_NEW * adm + EMA_OLD * x->adm_ema;
    x->adm_max = first || adm > x->adm_max ? adm : x->adm_max;
    if (first)
        x->adm_first = adm;
    x->adm = adm;
    x->loss = loss;
    x->correct = correct;
    x->last_epoch = (int32_t)epoch;
    x->seen++;
    x->right += correct;
    x->hard += hard;
    if (epoch > h->last_epoch)
        h->last_epoch = epoch;
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
                      " AND s.sample_id >= 0 AND s.sample_id < ?4 ORDER BY e.epoch, s.sample_id",
                      DB_ARGS(DB_I(job), DB_I(from), DB_I(to), DB_I(h->count)), &stmt, why);

    if (rc != 0)
        return rc;
    while ((rc = db_step(&s->difficulty, stmt, why)) > 0) {
        double adm = sqlite3_column_double(stmt, 2);
        history_add(h, (uint32_t)sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1), adm,
                    sqlite3_column_double(stmt, 3), sqlite3_column_int(stmt, 4),
                    history_is_hard(adm, sqlite3_column_double(stmt, 5)));
    }
    sqlite3_finalize(stmt);
    return rc;
}

static bool has_sample(const void *arg, uint32_t row)
{
    const struct history *h = arg;

    return h->samples[row].seen > 0;
}

static void sample_column(const void *arg, uint32_t row, int column, sqlite3_context *ret)
{
    const struct history_sample *x = &((const struct history *)arg)->samples[row];
    const double reals[] = {x->adm, x->adm_ema, x->adm_first, x->adm_max, x->loss};
    const int64_t counts[] = {x->correct, x->seen, x->right, x->forgotten, x->hard, x->last_epoch};

    if (column == 0)
        sqlite3_result_int64(ret, row);
    else if (column == 1)
        sqlite3_result_int64(ret, x->class_id);
    else if (column < 7)
        sqlite3_result_double(ret, reals[column - 2]);
    else
        sqlite3_result_int64(ret, counts[column - 7]);
}

int history_write(struct store *s, int64_t job, const struct history *h, struct errbuf *why)
{
    struct rows rows = {.to = h->count, .arg = h, .has = has_sample, .column = sample_column};
    int rc = db_run(&s->difficulty, "DELETE FROM sample_state WHERE job_id = ?1",
                    DB_ARGS(DB_I(job)), why);

    if (rc == 0)
        rc = db_run(&s->difficulty,
                    "INSERT INTO sample_state(job_id, sample_id, class_id, adm, adm_ema,"
                    " adm_first, adm_max, loss, correct, n_seen, n_correct, n_forget, n_hard,"
                    " last_epoch)"
                    " SELECT ?2, c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12"
                    " FROM rows(?1)",
                    DB_ARGS(DB_P(&rows), DB_I(job)), why);
    return rc;
}
