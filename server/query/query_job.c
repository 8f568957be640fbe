/* The course of a job: its epochs, its events, and a replay of its scores in the order of the
 * epochs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "server/query/query_internal.h"

int query_checkpoints(struct query *q, int64_t job, struct checkpoint_record *ret, int max,
                      int *ret_count, struct errbuf *why)
{
    int rc = query_begin(q, &q->state, true, why);

    if (rc == 0)
        rc = store_checkpoints_read(&q->state, job, ret, max, ret_count, why);
    return query_end(&q->state, rc, NULL, NULL);
}

static void add_epoch(cJSON *rows, sqlite3_stmt *stmt)
{
    static const char *const names[] = {
        "epoch",
        "share",
        "scheduled",
        "train_loss",
        "train_accuracy",
        "sharpness",
        "test_loss",
        "test_accuracy",
        "adv_accuracy",
        "lr",
        "scored",
        "mean_gap",
        "adm_mean",
        "newly_right",
        "seconds",
        "validation_loss",
        "validation_accuracy",
        "validation_adv_accuracy",
        "revision",
    };
    const int count = sizeof(names) / sizeof(names[0]);
    cJSON *row = cJSON_CreateObject();

    for (int i = 0; i < count; i++)
        query_add_number(row, names[i], stmt, i);
    query_add_text(row, "scores_sha256", stmt, count);
    cJSON_AddBoolToObject(row, "committed", sqlite3_column_int(stmt, count + 1));
    if (sqlite3_column_int64(stmt, count + 2))
        query_add_number(row, "dropped", stmt, count + 2);
    cJSON_AddItemToArray(rows, row);
}

static int epochs(struct query *q, int64_t job, int64_t from, cJSON *out, struct errbuf *why)
{
    cJSON *rows = cJSON_AddArrayToObject(out, "epochs");
    sqlite3_stmt *stmt;
    int64_t dataset, count = 0;
    int rc = query_job(q, job, &dataset, why);

    if (rc == 0)
        rc = db_query(&q->difficulty,
                      "SELECT epoch, share, scheduled, train_loss, train_accuracy, sharpness,"
                      " test_loss, test_accuracy, adv_accuracy, lr, n_scored, mean_gap, adm_mean,"
                      " newly_right, seconds, validation_loss, validation_accuracy,"
                      " validation_adv_accuracy, revision, scores_sha256, state = 'committed', "
                      "n_dropped FROM epoch"
                      " WHERE job_id = ?1 AND epoch >= ?2 ORDER BY epoch LIMIT ?3",
                      DB_ARGS(DB_I(job), DB_I(from), DB_I(ROWS_MAX + 1)), &stmt, why);
    if (rc != 0)
        return rc;
    while ((rc = db_step(&q->difficulty, stmt, why)) > 0 && count++ < ROWS_MAX)
        add_epoch(rows, stmt);
    sqlite3_finalize(stmt);
    cJSON_AddBoolToObject(out, "more", rc > 0);
    return rc < 0 ? rc : 0;
}

/* The epoch with the highest validation accuracy, as run_choose picks it. */
static int best_epoch(struct query *q, int64_t job, cJSON *out, struct errbuf *why)
{
    static const char *const names[] = {"epoch", "validation_accuracy", "test_accuracy",
                                        "adv_accuracy"};
    sqlite3_stmt *stmt;
    int rc = db_query(&q->difficulty,
                      "SELECT epoch, validation_accuracy, test_accuracy, adv_accuracy FROM epoch"
                      " WHERE job_id = ?1 AND state = 'committed' AND validation_accuracy IS NOT"
                      " NULL ORDER BY validation_accuracy DESC, epoch LIMIT 1",
                      DB_ARGS(DB_I(job)), &stmt, why);

    if (rc != 0)
        return rc;
    rc = db_step(&q->difficulty, stmt, why);
    if (rc > 0) {
        cJSON *best = cJSON_AddObjectToObject(out, "best");
        for (int i = 0; i < (int)(sizeof(names) / sizeof(names[0])); i++)
            query_add_number(best, names[i], stmt, i);
    }
    sqlite3_finalize(stmt);
    return rc < 0 ? rc : 0;
}

int query_epochs(struct query *q, int64_t job, int64_t from, cJSON **ret, struct errbuf *why)
{
    cJSON *out = cJSON_CreateObject();
    int rc = query_begin(q, &q->difficulty, true, why);

    if (rc == 0)
        rc = epochs(q, job, from, out, why);
    if (rc == 0)
        rc = best_epoch(q, job, out, why);
    return query_end(&q->difficulty, rc, out, ret);
}

static int last_epoch(struct query *q, int64_t job, struct epoch_record *ret, struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int rc = db_query(&q->difficulty,
                      "SELECT epoch, share, scheduled, lr, train_loss, train_accuracy, sharpness,"
                      " test_loss, test_accuracy, adv_accuracy, mean_gap, seconds, validation_loss,"
                      " validation_accuracy, validation_adv_accuracy FROM epoch"
                      " WHERE job_id = ?1 AND state = 'committed' ORDER BY epoch DESC LIMIT 1",
                      DB_ARGS(DB_I(job)), &stmt, why);

    if (rc != 0)
        return rc;
    rc = db_step(&q->difficulty, stmt, why);
    if (rc > 0)
        *ret = (struct epoch_record){
            .job = job,
            .epoch = sqlite3_column_int64(stmt, 0),
            .share = db_real(stmt, 1),
            .scheduled = sqlite3_column_int64(stmt, 2),
            .lr = db_real(stmt, 3),
            .train_loss = db_real(stmt, 4),
            .train_accuracy = db_real(stmt, 5),
            .sharpness = db_real(stmt, 6),
            .test_loss = db_real(stmt, 7),
            .test_accuracy = db_real(stmt, 8),
            .adv_accuracy = db_real(stmt, 9),
            .mean_gap = db_real(stmt, 10),
            .seconds = db_real(stmt, 11),
            .validation_loss = db_real(stmt, 12),
            .validation_accuracy = db_real(stmt, 13),
            .validation_adv_accuracy = db_real(stmt, 14),
        };
    sqlite3_finalize(stmt);
    if (rc == 0)
        return err_set(why, -ENOENT, "job %lld has no committed epoch", (long long)job);
    return rc < 0 ? rc : 0;
}

int query_last_epoch(struct query *q, int64_t job, struct epoch_record *ret, struct errbuf *why)
{
    int rc = query_begin(q, &q->difficulty, true, why);

    if (rc == 0)
        rc = last_epoch(q, job, ret, why);
    return query_end(&q->difficulty, rc, NULL, NULL);
}

static int events(struct query *q, int64_t job, int64_t after, int64_t limit, cJSON *out,
                  struct errbuf *why)
{
    cJSON *rows = cJSON_AddArrayToObject(out, "events");
    sqlite3_stmt *stmt;
    int64_t most = query_limit(limit), count = 0;
    int rc = db_query(&q->state,
                      "SELECT event, unix_ms, kind, text FROM event"
                      " WHERE job_id = ?1 AND event > ?2 ORDER BY event LIMIT ?3",
                      DB_ARGS(DB_I(job), DB_I(after), DB_I(most + 1)), &stmt, why);

    if (rc != 0)
        return rc;
    while ((rc = db_step(&q->state, stmt, why)) > 0 && count++ < most) {
        cJSON *row = cJSON_CreateObject();
        query_add_number(row, "event", stmt, 0);
        query_add_number(row, "unix_ms", stmt, 1);
        query_add_text(row, "kind", stmt, 2);
        query_add_text(row, "text", stmt, 3);
        cJSON_AddItemToArray(rows, row);
    }
    sqlite3_finalize(stmt);
    cJSON_AddBoolToObject(out, "more", rc > 0);
    return rc < 0 ? rc : 0;
}

int query_events(struct query *q, int64_t job, int64_t after, int64_t limit, cJSON **ret,
                 struct errbuf *why)
{
    cJSON *out = cJSON_CreateObject();
    int64_t dataset;
    int rc = query_begin(q, &q->state, true, why);

    if (rc == 0)
        rc = query_job(q, job, &dataset, why);
    if (rc == 0)
        rc = events(q, job, after, limit, out, why);
    return query_end(&q->state, rc, out, ret);
}

static int notes(struct query *q, int64_t job, cJSON *rows, struct errbuf *why)
{
    char text[96];
    sqlite3_stmt *stmt;
    int rc = db_query(&q->state,
                      "SELECT text FROM event WHERE job_id = ?1 AND kind = 'note' ORDER BY event"
                      " LIMIT ?2",
                      DB_ARGS(DB_I(job), DB_I(ROWS_MAX + 1)), &stmt, why);
    int count = 0;

    if (rc != 0)
        return rc;
    while ((rc = db_step(&q->state, stmt, why)) > 0 && count++ < ROWS_MAX)
        cJSON_AddItemToArray(rows, cJSON_CreateString((const char *)sqlite3_column_text(stmt, 0)));
    sqlite3_finalize(stmt);
    if (rc > 0) {
        snprintf(text, sizeof(text), "there are more notes than these; steppe log %lld has all",
                 (long long)job);
        cJSON_AddItemToArray(rows, cJSON_CreateString(text));
    }
    return rc < 0 ? rc : 0;
}

int query_notes(struct query *q, int64_t job, cJSON **ret, struct errbuf *why)
{
    cJSON *rows = cJSON_CreateArray();
    int rc = query_begin(q, &q->state, true, why);

    if (rc == 0)
        rc = notes(q, job, rows, why);
    return query_end(&q->state, rc, rows, ret);
}

struct replay {
    struct score *scores;
    uint32_t samples;
    int64_t epoch; /* the epoch of the rows in scores; -1: none yet */
    int (*each)(void *arg, int64_t epoch, const struct score *scores);
    void *arg;
};

/* Hands over the epoch that is complete. */
static int replay_flush(struct replay *r)
{
    if (r->epoch < 0)
        return 0;
    int rc = r->each(r->arg, r->epoch, r->scores);
    memset(r->scores, 0, r->samples * sizeof(*r->scores));
    return rc;
}

static int replay_row(struct replay *r, sqlite3_stmt *stmt, struct errbuf *why)
{
    int64_t epoch = sqlite3_column_int64(stmt, 0), sample = sqlite3_column_int64(stmt, 1);

    if (epoch != r->epoch) {
        int rc = replay_flush(r);
        if (rc != 0)
            return rc;
        r->epoch = epoch;
    }
    if (sample < 0 || sample >= r->samples)
        return err_set(why, -EUCLEAN,
                       "epoch %lld holds a score of sample %lld, there are %u samples",
                       (long long)epoch, (long long)sample, r->samples);
    r->scores[sample] = (struct score){
        .loss = db_real(stmt, 2),
        .adv_loss = db_real(stmt, 3),
        .grad_norm = db_real(stmt, 4),
        .el2n = db_real(stmt, 5),
        .predicted = db_class(stmt, 6),
        .flags = (uint32_t)sqlite3_column_int64(stmt, 7),
    };
    return 0;
}

/* The epochs in [from, before). */
static int replay(struct query *q, int64_t job, int64_t from, int64_t before, struct replay *r,
                  struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int rc =
        db_query(&q->difficulty,
                 "SELECT e.epoch, s.sample_id, s.loss, s.adv_loss, s.grad_norm, s.el2n,"
                 " s.predicted, s.flags FROM epoch e CROSS JOIN score s"
                 " WHERE e.job_id = ?1 AND e.epoch >= ?3 AND e.epoch < ?2 AND e.state = 'committed'"
                 " AND s.job_id = ?1 AND s.epoch = e.epoch ORDER BY e.epoch, s.sample_id",
                 DB_ARGS(DB_I(job), DB_I(before), DB_I(from)), &stmt, why);

    if (rc != 0)
        return rc;
    while ((rc = db_step(&q->difficulty, stmt, why)) > 0) {
        rc = replay_row(r, stmt, why);
        if (rc != 0)
            break;
    }
    sqlite3_finalize(stmt);
    return rc == 0 ? replay_flush(r) : rc;
}

int query_replay(struct query *q, int64_t job, int64_t before, uint32_t samples,
                 int (*each)(void *arg, int64_t epoch, const struct score *scores), void *arg,
                 struct errbuf *why)
{
    struct replay r = {alloc_bytes(samples, sizeof(*r.scores)), samples, -1, each, arg};
    int64_t dataset;

    if (!r.scores)
        return err_set(why, -ENOMEM, "out of memory for the scores of %u samples", samples);
    int rc = query_begin(q, &q->difficulty, true, why);
    if (rc == 0)
        rc = query_job(q, job, &dataset, why);
    if (rc == 0)
        rc = query_all_kept(q, job, before, why);
    if (rc == 0)
        rc = replay(q, job, 0, before, &r, why);
    free(r.scores);
    return query_end(&q->difficulty, rc, NULL, NULL);
}

static int keep_scores(void *arg, int64_t epoch, const struct score *scores)
{
    struct replay *r = arg;

    (void)epoch;
    memcpy(r->scores, scores, r->samples * sizeof(*scores));
    return 0;
}

int query_scores(struct query *q, int64_t job, int64_t *io_epoch, uint32_t samples,
                 struct score *ret, struct errbuf *why)
{
    struct replay to = {.scores = ret, .samples = samples};
    struct replay r = {alloc_bytes(samples, sizeof(*r.scores)), samples, -1, keep_scores, &to};
    int64_t dataset, scored;

    if (!r.scores)
        return err_set(why, -ENOMEM, "out of memory for the scores of %u samples", samples);
    int rc = query_begin(q, &q->difficulty, true, why);
    if (rc == 0)
        rc = query_job(q, job, &dataset, why);
    if (rc == 0)
        rc = query_scored_epoch(q, job, io_epoch, &scored, why);
    if (rc == 0)
        rc = replay(q, job, *io_epoch, *io_epoch + 1, &r, why);
    free(r.scores);
    return query_end(&q->difficulty, rc, NULL, NULL);
}
