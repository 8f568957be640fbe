/* Questions to the scores of a job: the ends of an order, a distribution, one sample over time. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "server/core/stats.h"
#include "server/query/query_internal.h"

const char *const query_by_sql[] = {
    [BY_ADM] = "s.adm",
    [BY_LOSS] = "s.loss",
    [BY_ADV_LOSS] = "s.adv_loss",
    [BY_GAP] = "s.adv_loss - s.loss",
    [BY_GRAD_NORM] = "s.grad_norm",
    [BY_EL2N] = "s.el2n",
    [BY_MARGIN] = "margin(s.loss, s.el2n)",
};

/* How the kinds of samples differ: their rows, the condition that the class is ?4, what is known of
 * each sample, and the tables that know it. */
enum { SPLIT_TRAIN, SPLIT_TEST, SPLIT_TEST_OF_TRAINING };
#define TEST_JOIN(table)                                                                           \
    " LEFT JOIN class c ON c.dataset_id = ?3 AND c.class_id = s.label"                             \
    " LEFT JOIN " table " m ON m.dataset_id = ?3 AND m.sample_id = s.sample_id"
static const struct split {
    const char *table, *of_class, *known, *join;
} splits[] = {
    [SPLIT_TRAIN] =
        {"score",
         " AND coalesce((SELECT v.class_id FROM revision_sample v WHERE v.dataset_id = ?3"
         " AND v.revision = ?7 AND v.sample_id = s.sample_id), (SELECT m.class_id FROM sample m"
         " WHERE m.dataset_id = ?3 AND m.sample_id = s.sample_id)) = ?4",
         QUERY_KNOWN,
         " LEFT JOIN sample m ON m.dataset_id = ?3 AND m.sample_id = s.sample_id" QUERY_REVISED},
    [SPLIT_TEST] = {"test_score", " AND s.label = ?4", "s.label, c.name, NULL, NULL, m.uri",
                    TEST_JOIN("test_sample")},
    [SPLIT_TEST_OF_TRAINING] = {"test_score", " AND s.label = ?4",
                                "s.label, c.name, NULL, NULL, m.uri", TEST_JOIN("sample")},
};

/* Equal values are ordered by gap (adm of a clamped or saturated gap ties), then by sample; those
 * without a value come last. */
static int select_top(struct query *q, const struct top_args *a, const struct split *split,
                      int64_t epoch, int64_t dataset, int64_t revision, sqlite3_stmt **ret,
                      struct errbuf *why)
{
    const char *by = query_by_sql[a->by], *way = a->easiest ? "ASC" : "DESC";
    const char *by_way = a->easiest == (a->by == BY_MARGIN) ? "DESC" : "ASC";
    int64_t limit = query_limit(a->limit);
    char order[128], sql[2048];

    snprintf(order, sizeof(order),
             "ORDER BY %s IS NULL, %s %s, s.adv_loss - s.loss %s, s.sample_id", by, by, by_way,
             way);
    snprintf(
        sql, sizeof(sql),
        "SELECT s.sample_id, %s, " QUERY_MEASURES ", ?7"
        " FROM (SELECT * FROM %s s WHERE s.job_id = ?1 AND s.epoch = ?2%s %s LIMIT ?5 OFFSET ?6)"
        " s%s %s",
        split->known, split->table, a->class_id < 0 ? "" : split->of_class, order, split->join,
        order);
    return db_query(&q->difficulty, sql,
                    DB_ARGS(DB_I(a->job), DB_I(epoch), DB_I(dataset), DB_I(a->class_id),
                            DB_I(limit), DB_I(a->first), DB_I(revision)),
                    ret, why);
}

/* How many samples select_top orders. */
static int count_top(struct query *q, const struct top_args *a, int64_t epoch, int64_t dataset,
                     int64_t revision, int64_t *ret, struct errbuf *why)
{
    const struct split *split = &splits[a->test];
    char sql[640];

    snprintf(sql, sizeof(sql),
             "SELECT count(*), ?3, ?4, ?5, ?6, ?7 FROM %s s WHERE s.job_id = ?1 AND s.epoch = ?2%s",
             split->table, a->class_id < 0 ? "" : split->of_class);
    return db_i64(&q->difficulty, sql,
                  DB_ARGS(DB_I(a->job), DB_I(epoch), DB_I(dataset), DB_I(a->class_id), DB_I(0),
                          DB_I(0), DB_I(revision)),
                  ret, why);
}

static int top(struct query *q, const struct top_args *a, cJSON *out, struct errbuf *why)
{
    int64_t epoch = a->epoch, dataset, scored = 0, total = 0, revision = 0;
    bool training = false;
    sqlite3_stmt *stmt;
    size_t from;
    int rc = query_job(q, a->job, &dataset, why);

    if (rc == 0)
        rc = a->test ? query_test_epoch(q, a->job, &epoch, why)
                     : query_scored_epoch(q, a->job, &epoch, &scored, why);
    if (rc == 0 && a->class_id >= 0)
        rc = query_class(q, a->job, dataset, a->class_id, why);
    if (rc == 0)
        rc = query_epoch_revision(q, a->job, epoch, &revision, why);
    if (rc == 0 && !a->test && a->class_id < 0)
        total = scored;
    else if (rc == 0)
        rc = count_top(q, a, epoch, dataset, revision, &total, why);
    if (rc == 0)
        rc = query_tests_training(q, a->job, &training, why);
    if (rc == 0)
        rc = select_top(q, a,
                        &splits[!a->test   ? SPLIT_TRAIN
                                : training ? SPLIT_TEST_OF_TRAINING
                                           : SPLIT_TEST],
                        epoch, dataset, revision, &stmt, why);
    if (rc != 0)
        return rc;
    cJSON_AddNumberToObject(out, "epoch", (double)epoch);
    query_page(a->first, a->limit, (size_t)total, &from, out);
    cJSON *rows = cJSON_AddArrayToObject(out, "rows");
    while ((rc = db_step(&q->difficulty, stmt, why)) > 0) {
        cJSON *row = cJSON_CreateObject();
        query_add_number(row, "sample", stmt, 0);
        query_add_sample(row, stmt, 1);
        query_add_measures(row, stmt, 6);
        cJSON_AddItemToArray(rows, row);
    }
    sqlite3_finalize(stmt);
    return rc;
}

int query_top(struct query *q, const struct top_args *a, cJSON **ret, struct errbuf *why)
{
    cJSON *out = cJSON_CreateObject();
    int rc = query_begin(q, &q->difficulty, true, why);

    if (rc == 0)
        rc = top(q, a, out, why);
    return query_end(&q->difficulty, rc, out, ret);
}

/* The values of an epoch in sample order, with room for as many again; *ret is freed by the caller,
 * also on failure. */
static int read_values(struct query *q, int64_t job, int64_t epoch, int by, int64_t scored,
                       double **ret, size_t *ret_count, struct errbuf *why)
{
    sqlite3_stmt *stmt;
    char sql[128];
    size_t n = 0;
    double *values = alloc_bytes((size_t)scored, 2 * sizeof(*values));

    *ret = values;
    if (!values)
        return err_set(why, -ENOMEM, "out of memory for %lld scores", (long long)scored);
    snprintf(sql, sizeof(sql),
             "SELECT %s FROM score s WHERE s.job_id = ?1 AND s.epoch = ?2 ORDER BY s.sample_id",
             query_by_sql[by]);
    int rc = db_query(&q->difficulty, sql, DB_ARGS(DB_I(job), DB_I(epoch)), &stmt, why);
    if (rc != 0)
        return rc;
    while (n < (size_t)scored && (rc = db_step(&q->difficulty, stmt, why)) > 0) {
        values[n] = db_real(stmt, 0);
        n += !isnan(values[n]);
    }
    sqlite3_finalize(stmt);
    *ret_count = n;
    return rc < 0 ? rc : 0;
}

/* Edges of the bins over n >= 1 ascending values; the number of bins. Logarithmic bins start at the
 * smallest value above 0; values below it go into the first. */
static int64_t make_edges(const double *sorted, size_t n, int64_t bins, bool logarithmic,
                          double *edges)
{
    double lo = sorted[0], hi = sorted[n - 1];
    size_t positive = 0;

    while (positive < n && sorted[positive] <= 0)
        positive++;
    double from = positive < n ? sorted[positive] : hi;
    if (lo == hi || (logarithmic && from == hi && positive == 0))
        bins = 1;
    for (int64_t i = 1; i < bins; i++) {
        double at = (double)i / (double)bins;
        edges[i] =
            logarithmic && from < hi && from > 0 ? from * pow(hi / from, at) : lo + (hi - lo) * at;
    }
    edges[0] = lo;
    edges[bins] = hi;
    return bins;
}

static void add_bins(cJSON *out, const double *sorted, size_t n, const double *edges, int64_t bins)
{
    cJSON *array = cJSON_AddArrayToObject(out, "bins");
    size_t at = 0;

    for (int64_t i = 0; i < bins; i++) {
        size_t from = at;
        while (at < n && (i == bins - 1 || sorted[at] < edges[i + 1]))
            at++;
        cJSON *bin = cJSON_CreateObject();
        cJSON_AddNumberToObject(bin, "lo", edges[i]);
        cJSON_AddNumberToObject(bin, "hi", edges[i + 1]);
        cJSON_AddNumberToObject(bin, "count", (double)(at - from));
        cJSON_AddItemToArray(array, bin);
    }
}

static int histogram(struct query *q, const struct histogram_args *a, cJSON *out,
                     struct errbuf *why)
{
    int64_t epoch = a->epoch, dataset, scored;
    double edges[ROWS_MAX + 1], *values = NULL, sum = 0;
    size_t n = 0;
    int64_t bins = a->bins < 1 ? 1 : a->bins > ROWS_MAX ? ROWS_MAX : a->bins;
    int rc = query_job(q, a->job, &dataset, why);

    if (rc == 0)
        rc = query_scored_epoch(q, a->job, &epoch, &scored, why);
    if (rc == 0)
        rc = read_values(q, a->job, epoch, a->by, scored, &values, &n, why);
    if (rc == 0 && n == 0)
        rc = query_lacks(a->job, epoch, query_by_names[a->by], why);
    if (rc != 0)
        goto out;
    for (size_t i = 0; i < n; i++)
        sum += values[i];
    stats_sort(values, values + n, n);
    cJSON_AddNumberToObject(out, "epoch", (double)epoch);
    cJSON_AddStringToObject(out, "by", query_by_names[a->by]);
    bins = make_edges(values, n, bins, a->log, edges);
    add_bins(out, values, n, edges, bins);
    cJSON_AddNumberToObject(out, "mean", sum / (double)n);
    cJSON_AddNumberToObject(out, "p10", stats_quantile(values, n, 0.1));
    cJSON_AddNumberToObject(out, "p50", stats_quantile(values, n, 0.5));
    cJSON_AddNumberToObject(out, "p90", stats_quantile(values, n, 0.9));
    cJSON_AddNumberToObject(out, "count", (double)n);
out:
    free(values);
    return rc;
}

int query_histogram(struct query *q, const struct histogram_args *a, cJSON **ret,
                    struct errbuf *why)
{
    cJSON *out = cJSON_CreateObject();
    int rc = query_begin(q, &q->difficulty, true, why);

    if (rc == 0)
        rc = histogram(q, a, out, why);
    return query_end(&q->difficulty, rc, out, ret);
}

static int add_sample(struct query *q, int64_t job, int64_t epoch, int64_t dataset, int64_t sample,
                      cJSON *out, struct errbuf *why)
{
    struct db *db = &q->difficulty;
    sqlite3_stmt *stmt;
    int64_t samples = 0, revision;
    int rc = query_epoch_revision(q, job, epoch, &revision, why);

    if (rc == 0)
        rc = db_query(
            db,
            "SELECT " QUERY_KNOWN ", ?1, ?4, ?5, ?6 FROM (SELECT ?2 AS sample_id) s"
            " JOIN sample m ON m.dataset_id = ?3 AND m.sample_id = s.sample_id" QUERY_REVISED,
            DB_ARGS(DB_I(0), DB_I(sample), DB_I(dataset), DB_I(0), DB_I(0), DB_I(0),
                    DB_I(revision)),
            &stmt, why);
    if (rc != 0)
        return rc;
    rc = db_step(db, stmt, why);
    if (rc > 0) {
        cJSON *object = cJSON_AddObjectToObject(out, "sample");
        cJSON_AddNumberToObject(object, "sample", (double)sample);
        query_add_sample(object, stmt, 0);
    }
    sqlite3_finalize(stmt);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    if (dataset == 0) { /* the file lacks its samples, but has its scores */
        cJSON_AddNumberToObject(cJSON_AddObjectToObject(out, "sample"), "sample", (double)sample);
        return 0;
    }
    rc = db_i64(db, "SELECT n_samples FROM dataset WHERE dataset_id = ?1", DB_ARGS(DB_I(dataset)),
                &samples, why);
    if (rc != 0 && rc != -ENOENT)
        return rc;
    return err_set(why, -ENOENT, "job %lld has no sample %lld; its samples are 0 to %lld",
                   (long long)job, (long long)sample, (long long)samples - 1);
}

/* From the epochs to the scores: one descent each, not a scan of the job. */
#define TRAJECTORY                                                                                 \
    " FROM epoch e CROSS JOIN score s WHERE e.job_id = ?1 AND e.state = 'committed'"               \
    " AND s.job_id = ?1 AND s.epoch = e.epoch AND s.sample_id = ?2"

static int trajectory(struct query *q, const struct trajectory_args *a, cJSON *out,
                      struct errbuf *why)
{
    bool newest = a->from < 0, more = false;
    int64_t dataset, total = 0, limit = query_limit(a->limit), count = 0, last = -1, scored;
    sqlite3_stmt *stmt;
    int rc = query_job(q, a->job, &dataset, why);

    if (rc == 0)
        rc = query_scored_epoch(q, a->job, &last, &scored, why);
    if (rc == 0)
        rc = add_sample(q, a->job, last, dataset, a->sample, out, why);
    if (rc == 0)
        rc = db_i64(&q->difficulty, "SELECT count(*)" TRAJECTORY,
                    DB_ARGS(DB_I(a->job), DB_I(a->sample)), &total, why);
    if (rc == 0)
        rc = db_query(&q->difficulty,
                      newest ? "SELECT e.epoch, " QUERY_MEASURES TRAJECTORY
                               " AND e.epoch >= ?4 ORDER BY e.epoch DESC LIMIT ?3"
                             : "SELECT e.epoch, " QUERY_MEASURES TRAJECTORY
                               " AND e.epoch >= ?4 ORDER BY e.epoch LIMIT ?3",
                      DB_ARGS(DB_I(a->job), DB_I(a->sample), DB_I(limit + 1), DB_I(a->from)), &stmt,
                      why);
    if (rc != 0)
        return rc;
    cJSON *rows = cJSON_AddArrayToObject(out, "rows");
    while (!more && (rc = db_step(&q->difficulty, stmt, why)) > 0) {
        more = count++ == limit;
        if (more)
            break;
        cJSON *row = cJSON_CreateObject();
        query_add_number(row, "epoch", stmt, 0);
        query_add_measures(row, stmt, 1);
        if (newest)
            cJSON_InsertItemInArray(rows, 0, row);
        else
            cJSON_AddItemToArray(rows, row);
    }
    sqlite3_finalize(stmt);
    cJSON_AddNumberToObject(out, "total", (double)total);
    cJSON_AddBoolToObject(out, "more", more);
    return rc < 0 ? rc : 0;
}

int query_trajectory(struct query *q, const struct trajectory_args *a, cJSON **ret,
                     struct errbuf *why)
{
    cJSON *out = cJSON_CreateObject();
    int rc = query_begin(q, &q->difficulty, true, why);

    if (rc == 0)
        rc = trajectory(q, a, out, why);
    return query_end(&q->difficulty, rc, out, ret);
}
