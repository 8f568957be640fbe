/* How a measure is distributed, epoch by epoch, over bins that are the same for all epochs and
 * known before the first is scored: a client that has an epoch's counts never needs to ask for them
 * again. */
#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "common/clock.h"
#include "server/query/query_internal.h"

/* A long job is read in several questions, so that others have their turn in between. */
#define SLICE_MS 500

static const struct scale {
    double lo, hi; /* edges of the first and the last bin, which also count values beyond them */
    bool logarithmic;
} scales[] = {
    [BY_ADM] = {0, 1, false},           [BY_LOSS] = {1e-4, 100, true},
    [BY_ADV_LOSS] = {1e-4, 100, true},  [BY_GAP] = {1e-4, 100, true},
    [BY_GRAD_NORM] = {1e-4, 100, true}, [BY_EL2N] = {0, M_SQRT2, false},
    [BY_MARGIN] = {-1, 1, false},
};

static int64_t bin_of(const struct scale *scale, double v, int64_t bins)
{
    double at;

    if (v <= scale->lo)
        return 0;
    if (v >= scale->hi)
        return bins - 1;
    if (scale->logarithmic)
        at = log(v / scale->lo) / log(scale->hi / scale->lo);
    else
        at = (v - scale->lo) / (scale->hi - scale->lo);
    int64_t bin = (int64_t)(at * (double)bins);
    return bin < bins ? bin : bins - 1;
}

static void add_row(cJSON *rows, int64_t epoch, const double *counts, int64_t bins)
{
    cJSON *row = cJSON_CreateObject();

    cJSON_AddNumberToObject(row, "epoch", (double)epoch);
    cJSON_AddItemToObject(row, "counts", cJSON_CreateDoubleArray(counts, (int)bins));
    cJSON_AddItemToArray(rows, row);
}

/* One epoch. 0 or -errno. */
static int count_epoch(struct query *q, const struct heatmap_args *a, int64_t epoch, double *counts,
                       struct errbuf *why)
{
    const struct scale *scale = &scales[a->by];
    sqlite3_stmt *stmt;
    char sql[128];

    snprintf(sql, sizeof(sql), "SELECT %s FROM score s WHERE s.job_id = ?1 AND s.epoch = ?2",
             query_by_sql[a->by]);
    int rc = db_query(&q->difficulty, sql, DB_ARGS(DB_I(a->job), DB_I(epoch)), &stmt, why);
    if (rc != 0)
        return rc;
    while ((rc = db_step(&q->difficulty, stmt, why)) > 0)
        if (sqlite3_column_type(stmt, 0) != SQLITE_NULL)
            counts[bin_of(scale, sqlite3_column_double(stmt, 0), a->bins)]++;
    sqlite3_finalize(stmt);
    return rc;
}

/* *io_epoch becomes the first scored epoch from there on. 0 or -ENOENT. */
static int next_epoch(struct query *q, int64_t job, int64_t *io_epoch, struct errbuf *why)
{
    return db_i64(&q->difficulty,
                  "SELECT min(epoch) FROM epoch WHERE job_id = ?1 AND epoch >= ?2"
                  " AND state = 'committed' AND n_scored > 0",
                  DB_ARGS(DB_I(job), DB_I(*io_epoch)), io_epoch, why);
}

static int heatmap(struct query *q, const struct heatmap_args *a, cJSON *out, struct errbuf *why)
{
    const struct scale *scale = &scales[a->by];
    int64_t start_ms = clock_mono_ms(), epoch = a->from;
    int rc = 0;
    cJSON *rows = cJSON_CreateArray();

    cJSON_AddStringToObject(out, "by", query_by_names[a->by]);
    cJSON_AddNumberToObject(out, "lo", scale->lo);
    cJSON_AddNumberToObject(out, "hi", scale->hi);
    cJSON_AddBoolToObject(out, "log", scale->logarithmic);
    cJSON_AddItemToObject(out, "rows", rows);
    bool more = false;
    for (int64_t n = 0; rc == 0; n++, epoch++) {
        double counts[HEATMAP_BINS_MAX] = {0};
        rc = next_epoch(q, a->job, &epoch, why);
        more = rc == 0 && (n == a->limit || (n > 0 && clock_mono_ms() - start_ms > SLICE_MS));
        if (rc != 0 || more)
            break;
        rc = count_epoch(q, a, epoch, counts, why);
        if (rc == 0)
            add_row(rows, epoch, counts, a->bins);
    }
    cJSON_AddBoolToObject(out, "more", more);
    return rc;
}

int query_heatmap(struct query *q, const struct heatmap_args *a, cJSON **ret, struct errbuf *why)
{
    cJSON *out = cJSON_CreateObject();
    int64_t dataset;
    int rc = query_begin(q, &q->difficulty, true, why);

    if (rc == 0)
        rc = query_job(q, a->job, &dataset, why);
    if (rc == 0 && (rc = heatmap(q, a, out, why)) == -ENOENT)
        rc = 0; /* the last epoch is done */
    return query_end(&q->difficulty, rc, out, ret);
}
