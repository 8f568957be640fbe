/* The fold: one epoch's scores become rows. The epoch row is `open` from the first slice on and
 * `committed` in the last transaction, which also holds all that is derived (statistics, hash,
 * sample_state); so an epoch is seen whole or not at all, and an epoch that a crash left half
 * written is folded again. A slice first removes the old rows in its range of samples: whatever an
 * earlier attempt wrote, only the rows of this fold remain. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/clock.h"
#include "server/core/score_hash.h"
#include "server/core/stats.h"
#include "server/store/store_internal.h"
#include "server/store/store_rows.h"

#define HASHED_ROWS (1u << 20) /* between two times that others pass */

struct summary {
    int64_t scored;
    double mean, p10, p50, p90; /* of adm; NAN when nothing was scored */
    double newly_right;
    char sha256[SHA256_HEX];
};

static bool measured(const struct fold *f, uint32_t i)
{
    return f->scores[i].flags & SCORE_MEASURED;
}

/* SQLite stores -0.0 as 0.0; the hash is that of the rows. */
static double stored(double x)
{
    return x + 0.0;
}

static int check(const struct fold *f, struct errbuf *why)
{
    const int64_t job = f->record.job, epoch = f->record.epoch;

    if (epoch < 0 || epoch >= EPOCHS_MAX)
        return err_set(why, -EINVAL, "epoch is %lld, allowed is 0 to %d", (long long)epoch,
                       EPOCHS_MAX - 1);
    for (uint32_t i = 0; f->scores && i < f->samples; i++) {
        if (!measured(f, i))
            continue;
        const struct score *x = &f->scores[i];
        const struct {
            const char *name;
            double value;
        } values[] = {
            {"adm", f->adm[i]},          {"loss", x->loss}, {"adv_loss", x->adv_loss},
            {"grad_norm", x->grad_norm}, {"el2n", x->el2n},
        };
        for (size_t k = 0; k < sizeof(values) / sizeof(values[0]); k++)
            if (isinf(values[k].value) || (isnan(values[k].value) && !f->partial))
                return err_set(why, -EINVAL,
                               "%s of sample %u in epoch %lld of job %lld is %g, a score must be "
                               "finite",
                               values[k].name, i, (long long)epoch, (long long)job,
                               values[k].value);
    }
    return 0;
}

/* Others pass, as between slices. */
static void hash_rows(struct store *s, const struct fold *f, char ret[SHA256_HEX])
{
    struct score_hash h;

    score_hash_init(&h);
    for (uint32_t i = 0; f->scores && i < f->samples; i++) {
        if (measured(f, i))
            score_hash_add(&h, i, &f->scores[i], f->adm[i]);
        if ((i + 1) % HASHED_ROWS == 0)
            store_pass(s);
    }
    score_hash_end(&h, ret);
}

static int summarise(struct store *s, const struct fold *f, struct summary *ret, struct errbuf *why)
{
    struct summary sum = {.mean = NAN, .p10 = NAN, .p50 = NAN, .p90 = NAN, .newly_right = NAN};
    double *adm = NULL, total = 0;
    size_t n = 0;

    hash_rows(s, f, sum.sha256);
    if (f->scores && !(adm = alloc_bytes(f->samples, 2 * sizeof(*adm))))
        return err_set(why, -ENOMEM, "out of memory for %u scores", f->samples);
    for (uint32_t i = 0; f->scores && i < f->samples; i++)
        if (measured(f, i)) {
            sum.scored++;
            if (isnan(f->adm[i]))
                continue;
            adm[n++] = f->adm[i];
            total += f->adm[i];
        }
    if (n > 0) {
        stats_sort(adm, adm + f->samples, n);
        sum.mean = total / (double)n;
        sum.p10 = stats_quantile(adm, n, 0.1);
        sum.p50 = stats_quantile(adm, n, 0.5);
        sum.p90 = stats_quantile(adm, n, 0.9);
    }
    free(adm);
    *ret = sum;
    return 0;
}

/* Writes the epoch row: with a summary committed, without one open. */
static int write_epoch(struct store *s, const struct epoch_record *e, const struct summary *sum,
                       struct errbuf *why)
{
    static const struct summary none = {
        .mean = NAN, .p10 = NAN, .p50 = NAN, .p90 = NAN, .newly_right = NAN};
    const struct summary *x = sum ? sum : &none;

    int rc = db_run(
        &s->difficulty,
        "INSERT OR REPLACE INTO epoch(job_id, epoch, state, share, scheduled, lr,"
        " train_loss, train_accuracy, sharpness, test_loss, test_accuracy, adv_accuracy,"
        " mean_gap, seconds, n_scored, adm_mean, adm_p10, adm_p50, adm_p90,"
        " committed_unix_ms, scores_sha256, newly_right, validation_loss,"
        " validation_accuracy, validation_adv_accuracy, revision)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16,"
        " ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26)",
        DB_ARGS(DB_I(e->job), DB_I(e->epoch), DB_S(sum ? "committed" : "open"), DB_R(e->share),
                DB_I(e->scheduled), DB_R(e->lr), DB_R(e->train_loss), DB_R(e->train_accuracy),
                DB_R(e->sharpness), DB_R(e->test_loss), DB_R(e->test_accuracy),
                DB_R(e->adv_accuracy), DB_R(e->mean_gap), DB_R(e->seconds), DB_I(x->scored),
                DB_R(x->mean), DB_R(x->p10), DB_R(x->p50), DB_R(x->p90),
                sum ? DB_I(clock_unix_ms()) : DB_S(NULL), DB_S(sum ? sum->sha256 : NULL),
                DB_R(x->newly_right), DB_R(e->validation_loss), DB_R(e->validation_accuracy),
                DB_R(e->validation_adv_accuracy), e->revision ? DB_I(e->revision) : DB_S(NULL)),
        why);
    if (rc == -EEXIST) /* the foreign key: a REPLACE meets no other constraint */
        return err_set(why, -ENOENT, "there is no job %lld", (long long)e->job);
    return rc;
}

static bool has_row(const void *arg, uint32_t row)
{
    return measured(arg, row);
}

static void row_column(const void *arg, uint32_t row, int column, sqlite3_context *ret)
{
    const struct fold *f = arg;
    const struct score *x = &f->scores[row];
    const double reals[] = {f->adm[row], x->loss, x->adv_loss, x->grad_norm, x->el2n};
    const int64_t ints[] = {x->predicted, x->predicted < 0 ? -1 : x->predicted == f->labels[row],
                            x->flags, x->adv_predicted};

    if (column == 0)
        sqlite3_result_int64(ret, row);
    else if (column < 6)
        sqlite3_result_double(ret, reals[column - 1]); /* NAN becomes NULL */
    else if (ints[column - 6] >= 0)
        sqlite3_result_int64(ret, ints[column - 6]);
}

/* Writes the rows of samples [from, to); last: and removes any beyond them. Within a
 * transaction. */
static int write_slice(struct store *s, const struct fold *f, uint32_t from, uint32_t to, bool last,
                       struct errbuf *why)
{
    const struct epoch_record *e = &f->record;
    struct rows rows = {from, to, f, has_row, row_column};
    int rc = db_run(
        &s->difficulty,
        "DELETE FROM score WHERE job_id = ?1 AND epoch = ?2"
        " AND sample_id >= ?3 AND sample_id < ?4",
        DB_ARGS(DB_I(e->job), DB_I(e->epoch), DB_I(from), DB_I(last ? INT64_MAX : (int64_t)to)),
        why);

    if (rc == 0 && from == 0)
        rc = write_epoch(s, e, NULL, why);
    if (rc == 0 && f->scores)
        rc = db_run(
            &s->difficulty,
            "INSERT OR FAIL INTO score(job_id, epoch, sample_id, adm, loss, adv_loss, grad_norm,"
            " el2n, predicted, correct, flags, adv_predicted)"
            " SELECT ?2, ?3, c0, c1, c2, c3, c4, c5, c6, c7, c8, c9 FROM rows(?1)",
            DB_ARGS(DB_P(&rows), DB_I(e->job), DB_I(e->epoch)), why);
    return rc;
}

static int write_slices(struct store *s, const struct fold *f, struct errbuf *why)
{
    struct db *db = &s->difficulty;
    uint32_t samples = f->scores ? f->samples : 0, from = 0, to;
    int rc;

    do { /* also once when there is nothing to write: it removes rows of an earlier attempt */
        to = samples - from > SLICE_ROWS ? from + SLICE_ROWS : samples;
        rc = db_begin(db, why);
        if (rc != 0)
            break;
        rc = write_slice(s, f, from, to, to == samples, why);
        if (rc == 0)
            failpoint_hit(&s->failpoint, "fold.slice");
        rc = db_end(db, rc, why);
        store_end_slice(s);
        from = to;
    } while (rc == 0 && from < samples);
    return rc;
}

/* Brings the history to include this epoch once, whether or not it did before. */
static int add_to_history(struct store *s, const struct fold *f, struct summary *sum, bool again,
                          struct history *h, struct errbuf *why)
{
    const struct epoch_record *e = &f->record;
    struct newly_right newly_right = {0};
    int rc = 0;

    if (again) {
        history_reset(h);
        rc = history_replay(s, e->job, 0, e->epoch, h, why);
    }
    for (uint32_t i = 0; rc == 0 && f->scores && i < f->samples; i++) {
        if (!measured(f, i))
            continue;
        struct measurement m = {
            .adm = stored(f->adm[i]),
            .loss = stored(f->scores[i].loss),
            .el2n = stored(f->scores[i].el2n),
            .right = f->scores[i].predicted < 0 ? -1 : f->scores[i].predicted == f->labels[i],
            .hard = sample_history_is_hard(f->adm[i], sum->p90),
        };
        h->samples[i].class_id = f->labels[i];
        newly_right_count(&newly_right, &h->samples[i], m.right);
        sample_history_add(&h->samples[i], e->epoch, &m);
        h->last_epoch = e->epoch;
    }
    sum->newly_right = newly_right_share(&newly_right);
    if (rc == 0 && again)
        rc = history_replay(s, e->job, e->epoch + 1, EPOCHS_MAX, h, why);
    return rc;
}

/* The last transaction: writes everything derived and commits the epoch. */
static int commit_epoch(struct store *s, const struct fold *f, struct summary *sum,
                        struct errbuf *why)
{
    struct db *db = &s->difficulty;
    struct history h = {0};
    int rc = history_take(s, f->record.job, f->scores ? f->samples : 0, &h, why);
    bool again = rc == 0 && h.last_epoch >= f->record.epoch;

    if (rc == 0)
        rc = add_to_history(s, f, sum, again, &h, why);
    if (rc == 0 && (f->scores || again))
        rc = history_write_ahead(s, &h, why);
    if (rc == 0)
        rc = db_begin_durable(db, why);
    if (rc != 0)
        goto out;
    if (f->scores || again)
        rc = history_write(s, f->record.job, &h, why);
    if (rc == 0)
        rc = flatness_write(s, f, why);
    if (rc == 0)
        rc = metric_write(s, f, why);
    if (rc == 0)
        rc = write_epoch(s, &f->record, sum, why);
    rc = db_end_durable(db, rc, why);
    if (rc == 0)
        history_keep(s, f->record.job, &h);
out:
    history_done(&h);
    return rc;
}

int store_fold(struct store *s, const struct fold *f, char ret_sha256[SHA256_HEX],
               struct errbuf *why)
{
    struct summary sum;
    int rc = check(f, why);

    failpoint_hit(&s->failpoint, "fold.begin");
    if (rc == 0)
        rc = metric_check(s, f, why);
    if (rc == 0)
        rc = summarise(s, f, &sum, why);
    if (rc == 0)
        rc = write_slices(s, f, why);
    if (rc == 0)
        rc = test_scores_write(s, f, why);
    if (rc == 0)
        rc = probabilities_write(s, f, why);
    if (rc == 0) {
        failpoint_hit(&s->failpoint, "fold.commit");
        rc = commit_epoch(s, f, &sum, why);
    }
    if (rc == 0) {
        probabilities_trim(s, f);
        memcpy(ret_sha256, sum.sha256, SHA256_HEX);
    }
    store_checkpoint_wal(s);
    /* Pages that a fold of scores read are needed by the next one. An epoch without scores only
     * adds its row; keeping that page would let memory grow with the number of epochs. */
    if (!f->scores)
        sqlite3_db_release_memory(s->difficulty.sql);
    return rc;
}

int store_epoch_hash(struct store *s, int64_t job, int64_t epoch, char ret_sha256[SHA256_HEX],
                     struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int rc = db_query(&s->difficulty,
                      "SELECT scores_sha256 FROM epoch"
                      " WHERE job_id = ?1 AND epoch = ?2 AND state = 'committed'",
                      DB_ARGS(DB_I(job), DB_I(epoch)), &stmt, why);

    if (rc != 0)
        return rc;
    rc = db_step(&s->difficulty, stmt, why);
    if (rc > 0)
        db_text(stmt, 0, ret_sha256, SHA256_HEX);
    sqlite3_finalize(stmt);
    if (rc == 0)
        return err_set(why, -ENOENT, "epoch %lld of job %lld is not committed", (long long)epoch,
                       (long long)job);
    return rc > 0 ? 0 : rc;
}

int store_epochs_committed(struct store *s, int64_t job, int64_t *ret, struct errbuf *why)
{
    return db_i64(&s->difficulty,
                  "SELECT coalesce(max(epoch) + 1, 0) FROM epoch"
                  " WHERE job_id = ?1 AND state = 'committed'",
                  DB_ARGS(DB_I(job)), ret, why);
}

/* Removes score rows of epochs >= first, a slice at a time. */
static int remove_scores(struct store *s, int64_t job, int64_t first, struct errbuf *why)
{
    struct db *db = &s->difficulty;
    sqlite3_stmt *find, *remove = NULL;
    int rc = db_query(db,
                      "SELECT epoch, sample_id FROM score WHERE job_id = ?1 AND epoch >= ?2"
                      " ORDER BY epoch, sample_id LIMIT 1",
                      DB_ARGS(DB_I(job), DB_I(first)), &find, why);

    if (rc != 0)
        return rc;
    rc = db_query(db,
                  "DELETE FROM score WHERE job_id = ?1 AND epoch = ?2"
                  " AND sample_id >= ?3 AND sample_id < ?4",
                  DB_ARGS(DB_I(job)), &remove, why);
    while (rc == 0 && (rc = db_step(db, find, why)) > 0) {
        int64_t sample = sqlite3_column_int64(find, 1);
        sqlite3_bind_int64(remove, 2, sqlite3_column_int64(find, 0));
        sqlite3_bind_int64(remove, 3, sample);
        sqlite3_bind_int64(remove, 4, sample + SLICE_ROWS);
        sqlite3_reset(find); /* an open read would keep the log from moving into the file */
        rc = db_step(db, remove, why);
        sqlite3_reset(remove);
        store_end_slice(s);
    }
    sqlite3_finalize(find);
    sqlite3_finalize(remove);
    return rc;
}

int epochs_forget(struct store *s, int64_t job, int64_t first, bool with_job, struct errbuf *why)
{
    struct db *db = &s->difficulty;
    struct history h = {0};
    int rc = with_job ? 0 : history_take(s, job, 0, &h, why); /* its rows go with the scores */

    if (rc == 0)
        rc = db_begin_durable(db, why);
    if (rc != 0)
        goto out;
    rc = db_run(db, "DELETE FROM epoch WHERE job_id = ?1 AND epoch >= ?2",
                DB_ARGS(DB_I(job), DB_I(first)), why);
    if (rc == 0)
        rc = flatness_forget(s, job, first, why);
    if (rc == 0)
        rc = metric_forget(s, job, first, why);
    if (rc == 0 && !with_job && h.last_epoch >= first) {
        history_reset(&h);
        rc = history_replay(s, job, 0, first, &h, why);
        if (rc == 0)
            rc = history_write(s, job, &h, why);
    }
    if (rc == 0 && with_job)
        rc = db_run(db, "DELETE FROM job WHERE job_id = ?1", DB_ARGS(DB_I(job)), why);
    rc = db_end_durable(db, rc, why);
    if (rc == 0 && with_job)
        history_drop(s, job);
    else if (rc == 0)
        history_keep(s, job, &h);
out:
    history_done(&h);
    return rc;
}

int scores_sweep(struct store *s, int64_t job, int64_t first, struct errbuf *why)
{
    int rc = remove_scores(s, job, first, why);

    if (rc == 0)
        rc = test_scores_remove(s, job, first, why);
    if (rc == 0)
        rc = probabilities_remove(s, job, first, why);
    if (rc == 0)
        rc = history_sweep(s, job, why);
    store_checkpoint_wal(s);
    return rc;
}

int store_epochs_drop(struct store *s, int64_t job, int64_t first, struct errbuf *why)
{
    int rc = epochs_forget(s, job, first, false, why);

    return rc == 0 ? scores_sweep(s, job, first, why) : rc;
}

void scores_sweep_unowned(struct store *s)
{
    int64_t job = 0, known;
    int rc;

    do {
        rc = db_i64(&s->difficulty,
                    "SELECT min(job_id) FROM (SELECT min(job_id) AS job_id FROM score"
                    "   WHERE job_id > ?1 UNION ALL"
                    "   SELECT min(job_id) FROM test_score WHERE job_id > ?1 UNION ALL"
                    "   SELECT min(job_id) FROM test_group WHERE job_id > ?1 UNION ALL"
                    "   SELECT min(job_id) FROM probability WHERE job_id > ?1 UNION ALL"
                    "   SELECT min(job_id) FROM sample_state WHERE job_id > ?1 UNION ALL"
                    "   SELECT -max(job_id) FROM sample_state WHERE job_id < -?1)",
                    DB_ARGS(DB_I(job)), &job, NULL);
        if (rc == 0 && db_i64(&s->difficulty,
                              "SELECT job_id FROM job WHERE job_id = ?1 UNION"
                              " SELECT job_id FROM epoch WHERE job_id = ?1",
                              DB_ARGS(DB_I(job)), &known, NULL) == -ENOENT)
            rc = scores_sweep(s, job, 0, NULL);
    } while (rc == 0);
}
