/* Studies: figures of the last epochs of their jobs, put together by arm, column and seed; and
 * their curves. Only jobs that are done count in means: a job on its way has other epochs behind
 * it. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/text.h"
#include "server/core/spread.h"
#include "server/query/query_internal.h"

/* A measurement of flatness is a row of its own beside that of its epoch. */
#define OF_FLATNESS(column)                                                                        \
    "(SELECT f." column " FROM flatness f WHERE f.job_id = epoch.job_id AND f.epoch = "            \
    "epoch.epoch)"

/* What is compared; a row here is all that a figure needs. */
static const struct study_metric {
    const char *name, *sql; /* in replies; of a row of epoch */
    bool higher_is_better, by_ascent;
} metrics[] = {
    {"test_accuracy", "test_accuracy", true, false},
    {"adv_accuracy", "adv_accuracy", true, false},
    {"validation_accuracy", "validation_accuracy", true, false},
    {"sharpness", "sharpness", false, true},
    {"lambda1", OF_FLATNESS("lambda1"), false, false},
    {"trace", OF_FLATNESS("trace"), false, false},
    {"test_loss", "test_loss", false, false},
};
#define METRICS (sizeof(metrics) / sizeof(metrics[0]))

/* What a curve may show. */
const char *const query_curve_names[] = {"test_accuracy", "adv_accuracy", "validation_accuracy",
                                         "sharpness",     "lambda1",      "trace",
                                         "test_loss",     "train_loss",   NULL};

/* Of what curves show; what is not compared is a column of epoch. */
static struct study_metric metric_of(const char *name)
{
    for (size_t m = 0; m < METRICS; m++)
        if (strcmp(metrics[m].name, name) == 0)
            return metrics[m];
    return (struct study_metric){.name = name, .sql = name};
}

/* Of one job; NAN: none. */
struct figures {
    int64_t epochs; /* committed */
    double at[METRICS];
};

/* Without an ascent the rise is 0, which says nothing of how flat it is there. */
static double figure(sqlite3_stmt *stmt, int column, bool by_ascent)
{
    double v = db_real(stmt, column);

    return v == 0 && by_ascent ? NAN : v;
}

/* Of the last committed epoch that has them; of a job that keeps its best epoch, of that one. */
static int read_figures(struct query *q, const struct study_job *j, struct figures *ret,
                        struct errbuf *why)
{
    char sql[1024] = "SELECT (SELECT max(l.epoch) + 1 FROM epoch l WHERE l.job_id = ?1"
                     " AND l.state = 'committed')";
    sqlite3_stmt *stmt;
    bool all = false;

    for (size_t m = 0, used; m < METRICS; m++) {
        used = strlen(sql);
        snprintf(sql + used, sizeof(sql) - used, ", %s", metrics[m].sql);
    }
    size_t used = strlen(sql);
    snprintf(sql + used, sizeof(sql) - used,
             " FROM epoch WHERE job_id = ?1 AND state = 'committed' ORDER BY %s",
             j->best ? "validation_accuracy DESC, epoch LIMIT 1" : "epoch DESC");
    int rc = db_query(&q->difficulty, sql, DB_ARGS(DB_I(j->job)), &stmt, why);

    *ret = (struct figures){.epochs = 0};
    for (size_t m = 0; m < METRICS; m++)
        ret->at[m] = NAN;
    if (rc != 0)
        return rc;
    while (!all && (rc = db_step(&q->difficulty, stmt, why)) > 0) {
        ret->epochs = sqlite3_column_int64(stmt, 0);
        all = true;
        for (size_t m = 0; m < METRICS; m++) {
            if (isnan(ret->at[m]))
                ret->at[m] = figure(stmt, (int)m + 1, metrics[m].by_ascent);
            all = all && !isnan(ret->at[m]);
        }
    }
    sqlite3_finalize(stmt);
    return rc < 0 ? rc : 0;
}

static void add_finite(cJSON *row, const char *name, double v)
{
    if (isfinite(v))
        cJSON_AddNumberToObject(row, name, v);
}

/* The values of one figure over the seeds of a cell, and of the control where that has the seed;
 * only of jobs that are done. */
struct pairs {
    double x[STUDY_JOBS_MAX], control[STUDY_JOBS_MAX];
    int count;
    bool pending; /* a seed of which one of the two is not done, but may be */
};

static bool may_be_done(const struct study_job *j)
{
    return j->state == JOB_DONE || !job_state_final(j->state);
}

static void take_pairs(const struct study *s, const struct figures *f, int first, int last,
                       size_t metric, struct pairs *ret)
{
    ret->count = 0;
    ret->pending = false;
    for (int i = first; i < last; i++, ret->count++) {
        const struct study_job *j = &s->jobs[i], *c = study_find(s, s->control, j->data, j->seed);
        ret->pending |=
            c && may_be_done(j) && may_be_done(c) && (j->state != JOB_DONE || c->state != JOB_DONE);
        ret->x[ret->count] = j->state == JOB_DONE ? f[i].at[metric] : NAN;
        ret->control[ret->count] = c && c->state == JOB_DONE ? f[c - s->jobs].at[metric] : NAN;
    }
}

static cJSON *metric_json(const struct pairs *p, bool is_control)
{
    struct spread s = spread_of(p->x, p->count);
    struct difference d = spread_difference(p->x, p->control, p->count);
    cJSON *out = cJSON_CreateObject();

    cJSON_AddNumberToObject(out, "count", s.count);
    add_finite(out, "mean", s.mean);
    add_finite(out, "sd", s.sd);
    if (is_control)
        return out;
    cJSON_AddNumberToObject(out, "pairs", d.count);
    add_finite(out, "difference", d.mean);
    add_finite(out, "low", d.low);
    add_finite(out, "high", d.high);
    const bool not_yet = d.outcome == OUTCOME_NO_PAIR && p->pending;
    cJSON_AddStringToObject(out, "verdict", outcome_names[not_yet ? OUTCOME_NOT_YET : d.outcome]);
    return out;
}

static void add_jobs(const struct study *s, const struct figures *f, int first, int last,
                     cJSON *row)
{
    cJSON *jobs = cJSON_AddArrayToObject(row, "jobs");

    for (int i = first; i < last; i++) {
        cJSON *job = cJSON_CreateObject();
        cJSON_AddNumberToObject(job, "job", (double)s->jobs[i].job);
        cJSON_AddNumberToObject(job, "seed", (double)s->jobs[i].seed);
        cJSON_AddStringToObject(job, "state", job_state_names[s->jobs[i].state]);
        cJSON_AddNumberToObject(job, "epoch", (double)f[i].epochs);
        for (size_t m = 0; m < METRICS; m++)
            add_finite(job, metrics[m].name, f[i].at[m]);
        cJSON_AddItemToArray(jobs, job);
    }
}

/* Did halving stop the arm? */
static bool is_stopped(const struct study *s, int first, int last)
{
    for (int i = first; i < last; i++)
        if (s->jobs[i].stopped)
            return true;
    return false;
}

/* The jobs [first, last) are those of one arm and column. */
static void add_cell(const struct study *s, const struct figures *f, int first, int last,
                     struct pairs *pairs, cJSON *rows)
{
    const struct study_job *j = &s->jobs[first];
    cJSON *row = cJSON_CreateObject(), *figures;
    int done = 0;

    for (int i = first; i < last; i++)
        done += s->jobs[i].state == JOB_DONE;
    cJSON_AddStringToObject(row, "arm", s->arms[j->arm]);
    cJSON_AddStringToObject(row, "dataset", s->data[j->data]);
    cJSON_AddBoolToObject(row, "control", j->arm == s->control);
    cJSON_AddNumberToObject(row, "done", done);
    if (is_stopped(s, first, last))
        cJSON_AddTrueToObject(row, "stopped");
    figures = cJSON_AddObjectToObject(row, "metrics");
    for (size_t m = 0; m < METRICS; m++) {
        take_pairs(s, f, first, last, m, pairs);
        cJSON_AddItemToObject(figures, metrics[m].name, metric_json(pairs, j->arm == s->control));
    }
    add_jobs(s, f, first, last, row);
    cJSON_AddItemToArray(rows, row);
}

/* Where the cell that begins at job i ends. */
static int cell_end(const struct study *s, int i)
{
    int end = i + 1;

    while (end < s->job_count && s->jobs[end].arm == s->jobs[i].arm &&
           s->jobs[end].data == s->jobs[i].data)
        end++;
    return end;
}

/* --- means over the domains that are left out one after the other --- */

/* The name of a column without the test_domains that it is of; owned. NULL: it is of none. */
static char *name_of_rest(const struct study *s, int data)
{
    const char *described = NULL;
    char *part = NULL, *rest = NULL, *at = NULL;
    const cJSON *domain;

    for (int i = 0; i < s->job_count && !described; i++)
        described = s->jobs[i].data == data ? s->jobs[i].described : NULL;
    cJSON *spec = cJSON_Parse(described ? described : "");
    cJSON_ArrayForEach(domain, cJSON_GetObjectItemCaseSensitive(spec, "test_domains"))
    {
        char *longer = xasprintf("%s%s%s", part ? part : " test_domains=", part ? "+" : "",
                                 cJSON_IsString(domain) ? domain->valuestring : "");
        free(part);
        part = longer;
    }
    cJSON_Delete(spec);
    if (part) {
        text_make_printable(part);
        at = strstr(s->data[data], part);
    }
    if (at)
        rest = xasprintf("%.*s%s", (int)(at - s->data[data]), s->data[data], at + strlen(part));
    free(part);
    return rest;
}

/* Columns that differ in their test_domains only. */
struct left_out {
    int count, columns[STUDY_JOBS_MAX];
};

/* Of one seed of an arm: the mean over the columns, NAN while one is missing. *ret_possible: there
 * is one, or may be. */
static double mean_of_seed(const struct study *s, const struct figures *f, int arm, uint64_t seed,
                           const struct left_out *l, size_t metric, bool *ret_possible)
{
    double sum = 0;

    *ret_possible = true;
    for (int i = 0; i < l->count; i++) {
        const struct study_job *j = study_find(s, arm, l->columns[i], seed);
        *ret_possible &= j && may_be_done(j);
        sum += j && j->state == JOB_DONE ? f[j - s->jobs].at[metric] : NAN;
    }
    return sum / l->count;
}

/* [first, last): the arm's jobs of the first of the columns. */
static void take_mean_pairs(const struct study *s, const struct figures *f, int first, int last,
                            const struct left_out *l, size_t metric, struct pairs *ret)
{
    ret->count = 0;
    ret->pending = false;
    for (int i = first; i < last; i++, ret->count++) {
        const struct study_job *j = &s->jobs[i];
        bool may, control_may;
        double *x = &ret->x[ret->count], *control = &ret->control[ret->count];
        *x = mean_of_seed(s, f, j->arm, j->seed, l, metric, &may);
        *control = mean_of_seed(s, f, s->control, j->seed, l, metric, &control_may);
        ret->pending |= may && control_may && isnan(*x - *control);
    }
}

static void add_mean(const struct study *s, const struct figures *f, int first, int last,
                     const struct left_out *l, const char *name, struct pairs *pairs, cJSON *means)
{
    const int arm = s->jobs[first].arm;
    cJSON *row = cJSON_CreateObject(), *datasets = cJSON_CreateArray(), *figures;
    bool stopped = false;

    for (int k = 0; k < l->count; k++) {
        cJSON_AddItemToArray(datasets, cJSON_CreateString(s->data[l->columns[k]]));
        for (int i = 0; i < s->job_count; i++)
            stopped |=
                s->jobs[i].arm == arm && s->jobs[i].data == l->columns[k] && s->jobs[i].stopped;
    }
    cJSON_AddStringToObject(row, "arm", s->arms[arm]);
    cJSON_AddStringToObject(row, "dataset", name);
    cJSON_AddNumberToObject(row, "columns", l->count);
    cJSON_AddItemToObject(row, "datasets", datasets);
    cJSON_AddNumberToObject(row, "seeds", last - first);
    cJSON_AddBoolToObject(row, "control", arm == s->control);
    if (stopped)
        cJSON_AddTrueToObject(row, "stopped");
    figures = cJSON_AddObjectToObject(row, "metrics");
    for (size_t m = 0; m < METRICS; m++) {
        take_mean_pairs(s, f, first, last, l, m, pairs);
        cJSON_AddItemToObject(figures, metrics[m].name, metric_json(pairs, arm == s->control));
    }
    cJSON_AddItemToArray(means, row);
}

/* Adds `means`, if there are any. */
static void add_means(const struct study *s, const struct figures *f, struct pairs *pairs,
                      cJSON *out)
{
    char **rests = xcalloc((size_t)s->data_count + 1, sizeof(*rests));
    struct left_out *l = xmalloc(sizeof(*l));
    cJSON *means = cJSON_CreateArray();

    for (int c = 0; c < s->data_count; c++)
        rests[c] = name_of_rest(s, c);
    for (int c = 0; c < s->data_count; c++) {
        l->count = 0;
        for (int d = 0; rests[c] && d < s->data_count; d++)
            if (rests[d] && strcmp(rests[c], rests[d]) == 0)
                l->columns[l->count++] = d;
        if (l->count < 2 || l->columns[0] != c)
            continue;
        char *name = xasprintf("%s, mean of %d", rests[c], l->count);
        for (int i = 0; i < s->job_count; i = cell_end(s, i))
            if (s->jobs[i].data == c)
                add_mean(s, f, i, cell_end(s, i), l, name, pairs, means);
        free(name);
    }
    for (int c = 0; c < s->data_count; c++)
        free(rests[c]);
    free(rests);
    free(l);
    if (means->child)
        cJSON_AddItemToObject(out, "means", means);
    else
        cJSON_Delete(means);
}

static void fill(const struct study *s, const struct figures *f, cJSON *out)
{
    struct pairs *pairs = xmalloc(sizeof(*pairs));
    cJSON *list = cJSON_AddArrayToObject(out, "metrics"), *rows;

    for (size_t m = 0; m < METRICS; m++) {
        cJSON *metric = cJSON_CreateObject();
        cJSON_AddStringToObject(metric, "name", metrics[m].name);
        cJSON_AddStringToObject(metric, "better", metrics[m].higher_is_better ? "higher" : "lower");
        cJSON_AddItemToArray(list, metric);
    }
    cJSON_AddNumberToObject(out, "confidence", SPREAD_CONFIDENCE);
    rows = cJSON_AddArrayToObject(out, "rows");
    for (int i = 0; i < s->job_count; i = cell_end(s, i))
        add_cell(s, f, i, cell_end(s, i), pairs, rows);
    add_means(s, f, pairs, out);
    free(pairs);
}

int query_study(struct query *q, const struct study *s, cJSON **ret, struct errbuf *why)
{
    struct figures *f = xcalloc((size_t)s->job_count + 1, sizeof(*f));
    cJSON *out = cJSON_CreateObject();
    int rc = query_begin(q, &q->difficulty, true, why);

    for (int i = 0; rc == 0 && i < s->job_count; i++)
        rc = read_figures(q, &s->jobs[i], &f[i], why);
    if (rc == 0)
        fill(s, f, out);
    free(f);
    return query_end(&q->difficulty, rc, out, ret);
}

int query_study_validation(struct query *q, const struct study *s, int64_t epoch, double *ret,
                           struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int rc = query_begin(q, &q->difficulty, false, why);

    for (int i = 0; rc == 0 && i < s->job_count; i++) {
        rc = db_query(&q->difficulty,
                      "SELECT validation_accuracy FROM epoch WHERE job_id = ?1 AND epoch = ?2"
                      " AND state = 'committed'",
                      DB_ARGS(DB_I(s->jobs[i].job), DB_I(epoch)), &stmt, why);
        if (rc != 0)
            break;
        rc = db_step(&q->difficulty, stmt, why);
        ret[i] = rc > 0 ? db_real(stmt, 0) : NAN;
        rc = rc > 0 ? 0 : rc;
        sqlite3_finalize(stmt);
    }
    return query_end(&q->difficulty, rc, NULL, NULL);
}

/* --- curves --- */

/* One figure of the committed epochs of a cell's jobs, by epoch and job: [epochs * jobs]; NAN: not
 * there. */
struct curve {
    int64_t epochs;
    int jobs;
    double *at;
};

static int read_curve(struct query *q, const struct study *s, int first, int last, int by,
                      struct curve *c, struct errbuf *why)
{
    const struct study_metric metric = metric_of(query_curve_names[by]);
    char sql[320];
    sqlite3_stmt *stmt;
    int rc = 0;

    c->jobs = last - first;
    for (int i = first; rc == 0 && i < last; i++) {
        int64_t epochs = 0;
        rc = db_i64(&q->difficulty,
                    "SELECT max(epoch) + 1 FROM epoch WHERE job_id = ?1 AND state = 'committed'",
                    DB_ARGS(DB_I(s->jobs[i].job)), &epochs, why);
        c->epochs = epochs > c->epochs ? epochs : c->epochs;
        rc = rc == -ENOENT ? 0 : rc;
    }
    size_t count = (size_t)c->epochs * (size_t)c->jobs;
    c->at = alloc_bytes(count + 1, sizeof(*c->at));
    if (rc == 0 && !c->at)
        rc = err_set(why, -ENOMEM, "no memory for a curve of %lld epochs", (long long)c->epochs);
    for (size_t i = 0; rc == 0 && i < count; i++)
        c->at[i] = NAN;
    snprintf(sql, sizeof(sql),
             "SELECT epoch, %s FROM epoch WHERE job_id = ?1 AND state = 'committed' AND epoch < ?2",
             metric.sql);
    for (int i = first; rc == 0 && i < last; i++) {
        rc = db_query(&q->difficulty, sql, DB_ARGS(DB_I(s->jobs[i].job), DB_I(c->epochs)), &stmt,
                      why);
        if (rc != 0)
            break;
        while ((rc = db_step(&q->difficulty, stmt, why)) > 0)
            c->at[sqlite3_column_int64(stmt, 0) * c->jobs + i - first] =
                figure(stmt, 1, metric.by_ascent);
        sqlite3_finalize(stmt);
    }
    return rc;
}

/* Every `stride`-th epoch and the last one; epochs without a value are left out. */
static void add_curve(const struct study *s, int first, const struct curve *c, int64_t stride,
                      cJSON *curves)
{
    cJSON *out = cJSON_CreateObject();
    cJSON *epoch, *count, *mean, *sd;

    cJSON_AddStringToObject(out, "arm", s->arms[s->jobs[first].arm]);
    cJSON_AddStringToObject(out, "dataset", s->data[s->jobs[first].data]);
    cJSON_AddBoolToObject(out, "control", s->jobs[first].arm == s->control);
    epoch = cJSON_AddArrayToObject(out, "epoch");
    count = cJSON_AddArrayToObject(out, "count");
    mean = cJSON_AddArrayToObject(out, "mean");
    sd = cJSON_AddArrayToObject(out, "sd");
    for (int64_t e = 0; e < c->epochs; e++) {
        struct spread v = spread_of(c->at + e * c->jobs, c->jobs);
        if (((e + 1) % stride != 0 && e + 1 != c->epochs) || v.count == 0)
            continue;
        cJSON_AddItemToArray(epoch, cJSON_CreateNumber((double)e));
        cJSON_AddItemToArray(count, cJSON_CreateNumber(v.count));
        cJSON_AddItemToArray(mean, cJSON_CreateNumber(v.mean));
        cJSON_AddItemToArray(sd, cJSON_CreateNumber(v.count > 1 ? v.sd : 0));
    }
    cJSON_AddItemToArray(curves, out);
}

static bool is_wanted(const struct study *s, int first, const char *data)
{
    return !data || strcmp(s->data[s->jobs[first].data], data) == 0;
}

static int curves(struct query *q, const struct study *s, int by, const char *data, cJSON *out,
                  struct errbuf *why)
{
    cJSON *list = cJSON_AddArrayToObject(out, "curves");
    int cells = 0, rc = 0;

    for (int i = 0; i < s->job_count; i = cell_end(s, i))
        cells += is_wanted(s, i, data);
    const int64_t most =
        cells > CURVE_POINTS_MAX / CURVE_EPOCHS_MAX ? CURVE_POINTS_MAX / cells : CURVE_EPOCHS_MAX;
    for (int i = 0; rc == 0 && i < s->job_count; i = cell_end(s, i)) {
        struct curve c = {.epochs = 0};
        if (!is_wanted(s, i, data))
            continue;
        rc = read_curve(q, s, i, cell_end(s, i), by, &c, why);
        if (rc == 0)
            add_curve(s, i, &c, c.epochs / most + 1, list);
        free(c.at);
    }
    return rc;
}

int query_study_curves(struct query *q, const struct study *s, int by, const char *data,
                       cJSON **ret, struct errbuf *why)
{
    cJSON *out = cJSON_CreateObject();
    int rc = query_begin(q, &q->difficulty, true, why);

    cJSON_AddStringToObject(out, "by", query_curve_names[by]);
    if (rc == 0)
        rc = curves(q, s, by, data, out, why);
    return query_end(&q->difficulty, rc, out, ret);
}
