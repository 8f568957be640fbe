#include "server/store/history_rows.h"

#include <errno.h>

#include "server/store/store_rows.h"

/* Behind job_id and sample_id. */
#define COLUMNS                                                                                    \
    "class_id, adm_ema, loss_mean, margin_mean, confidence, confidence_m2, correct, n_seen,"       \
    " n_correct, n_forget, n_hard, last_epoch"
/* Set to what row_column gives for them. */
#define CHANGES                                                                                    \
    "class_id = row_value(?1, sample_id, 1), adm_ema = row_value(?1, sample_id, 2), loss_mean = "  \
    "row_value(?1, sample_id, 3),"                                                                 \
    " margin_mean = row_value(?1, sample_id, 4), confidence = row_value(?1, sample_id, 5),"        \
    " confidence_m2 = row_value(?1, sample_id, 6), correct = row_value(?1, sample_id, 7),"         \
    " n_seen = row_value(?1, sample_id, 8), n_correct = row_value(?1, sample_id, 9),"              \
    " n_forget = row_value(?1, sample_id, 10), n_hard = row_value(?1, sample_id, 11),"             \
    " last_epoch = row_value(?1, sample_id, 12)"

static void read_row(sqlite3_stmt *stmt, struct sample_history *ret)
{
    *ret = (struct sample_history){
        .class_id = (uint16_t)sqlite3_column_int(stmt, 1),
        .adm_ema = db_real(stmt, 2),
        .loss_mean = db_real(stmt, 3),
        .margin_mean = db_real(stmt, 4),
        .confidence = db_real(stmt, 5),
        .confidence_m2 = db_real(stmt, 6),
        .correct = sqlite3_column_int(stmt, 7),
        .seen = (uint32_t)sqlite3_column_int64(stmt, 8),
        .right = (uint32_t)sqlite3_column_int64(stmt, 9),
        .forgotten = (uint32_t)sqlite3_column_int64(stmt, 10),
        .hard = (uint32_t)sqlite3_column_int64(stmt, 11),
        .last_epoch = sqlite3_column_int(stmt, 12),
    };
}

int history_rows_key(struct db *db, int64_t job, int64_t *ret, struct errbuf *why)
{
    int rc = db_i64(db, "SELECT coalesce(history, job_id) FROM job WHERE job_id = ?1",
                    DB_ARGS(DB_I(job)), ret, why);

    if (rc == -ENOENT)
        *ret = job;
    return rc == -ENOENT ? 0 : rc;
}

int history_rows_load(struct db *db, int64_t key, struct sample_history *samples, uint32_t from,
                      uint32_t to, int64_t *io_last, struct errbuf *why)
{
    sqlite3_stmt *stmt;

    for (uint32_t i = from; i < to; i++)
        samples[i] = SAMPLE_UNMEASURED;
    int rc = db_query(db,
                      "SELECT sample_id, " COLUMNS " FROM sample_state"
                      " WHERE job_id = ?1 AND sample_id >= ?2 AND sample_id < ?3",
                      DB_ARGS(DB_I(key), DB_I(from), DB_I(to)), &stmt, why);
    if (rc != 0)
        return rc;
    while ((rc = db_step(db, stmt, why)) > 0) {
        struct sample_history *x = &samples[sqlite3_column_int64(stmt, 0)];
        read_row(stmt, x);
        if (x->last_epoch > *io_last)
            *io_last = x->last_epoch;
    }
    sqlite3_finalize(stmt);
    return rc;
}

int history_rows_replay(struct db *db, int64_t job, int64_t from, int64_t to,
                        struct sample_history *samples, uint32_t count, int64_t *io_last,
                        struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int rc = db_query(db,
                      "SELECT s.sample_id, e.epoch, s.adm, s.loss, s.correct, e.adm_p90, s.el2n"
                      " FROM epoch e CROSS JOIN score s"
                      " WHERE e.job_id = ?1 AND e.epoch >= ?2 AND e.epoch < ?3"
                      " AND e.state = 'committed' AND s.job_id = e.job_id AND s.epoch = e.epoch"
                      " AND s.sample_id >= 0 AND s.sample_id < ?4 ORDER BY e.epoch, s.sample_id",
                      DB_ARGS(DB_I(job), DB_I(from), DB_I(to), DB_I(count)), &stmt, why);

    if (rc != 0)
        return rc;
    while ((rc = db_step(db, stmt, why)) > 0) {
        double adm = db_real(stmt, 2);
        struct measurement m = {
            .adm = adm,
            .loss = db_real(stmt, 3),
            .el2n = db_real(stmt, 6),
            .right = db_class(stmt, 4),
            .hard = sample_history_is_hard(adm, db_real(stmt, 5)),
        };
        *io_last = sqlite3_column_int64(stmt, 1);
        sample_history_add(&samples[sqlite3_column_int64(stmt, 0)], *io_last, &m);
    }
    sqlite3_finalize(stmt);
    return rc;
}

struct changed {
    const struct sample_history *samples;
    int64_t since;
};

static bool is_changed(const void *arg, uint32_t row)
{
    const struct changed *c = arg;

    return c->samples[row].last_epoch > c->since;
}

static bool is_new(const void *arg, uint32_t row)
{
    const struct changed *c = arg;

    return is_changed(arg, row) && (c->since < 0 || c->samples[row].seen == 1);
}

static void row_column(const void *arg, uint32_t row, int column, sqlite3_context *ret)
{
    const struct sample_history *x = &((const struct changed *)arg)->samples[row];
    const double reals[] = {x->adm_ema, x->loss_mean, x->margin_mean, x->confidence,
                            x->confidence_m2};
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

#define INSERT                                                                                     \
    "INSERT OR FAIL INTO sample_state(job_id, sample_id, " COLUMNS ")"                             \
    " SELECT ?2, c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12 FROM rows(?1)"

int history_rows_write(struct db *db, int64_t key, const struct sample_history *samples,
                       uint32_t count, int64_t since, struct errbuf *why)
{
    const struct changed changed = {samples, since};
    struct rows rows = {.to = count, .arg = &changed, .has = is_changed, .column = row_column};
    /* Existing rows are overwritten in place, in one walk along the key: less work than removing
     * and inserting them. */
    int rc = db_run(db,
                    "UPDATE OR FAIL sample_state SET " CHANGES
                    " WHERE job_id = ?2 AND row_is_there(?1, sample_id)",
                    DB_ARGS(DB_P(&rows), DB_I(key)), why);

    rows.has = is_new;
    return rc == 0 ? db_run(db, INSERT, DB_ARGS(DB_P(&rows), DB_I(key)), why) : rc;
}

int history_rows_replace(struct db *db, int64_t key, const struct sample_history *samples,
                         uint32_t from, uint32_t to, bool last, struct errbuf *why)
{
    const struct changed measured = {samples, -1};
    struct rows rows = {from, to, &measured, is_changed, row_column};
    int rc = db_run(
        db, "DELETE FROM sample_state WHERE job_id = ?1 AND sample_id >= ?2 AND sample_id < ?3",
        DB_ARGS(DB_I(key), DB_I(from), DB_I(last ? INT64_MAX : (int64_t)to)), why);

    return rc == 0 ? db_run(db, INSERT, DB_ARGS(DB_P(&rows), DB_I(key)), why) : rc;
}
