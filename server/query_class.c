/* The classes of a job: how hard, how right, and what each is taken for. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "server/query_epoch.h"
#include "server/stats.h"

struct class_sums {
    int64_t samples, right;
    double measure, loss, adm;
    double hardness; /* mean of what `by` orders by */
};

static void add_figures(cJSON *row, const struct class_sums *c, double *values, double *scratch)
{
    size_t n = (size_t)c->samples;

    cJSON_AddNumberToObject(row, "samples", (double)n);
    cJSON_AddNumberToObject(row, "accuracy", (double)c->right / (double)n);
    cJSON_AddNumberToObject(row, "mean", c->measure / (double)n);
    stats_sort(values, scratch, n);
    cJSON_AddNumberToObject(row, "p50", stats_quantile(values, n, 0.5));
    cJSON_AddNumberToObject(row, "p90", stats_quantile(values, n, 0.9));
    cJSON_AddNumberToObject(row, "loss_mean", c->loss / (double)n);
    cJSON_AddNumberToObject(row, "adm_mean", c->adm / (double)n);
}

/* What the wrong samples of class k are taken for most often; the lowest class on ties. */
static void add_mistakes(struct query *q, const struct query_epoch *x, uint16_t k, cJSON *row)
{
    int64_t counts[CLASSES_MAX] = {0};
    int most = -1;

    for (size_t i = 0; i < x->count; i++)
        if (x->labels[i] == k && x->scores[i].predicted != k && x->scores[i].predicted >= 0 &&
            x->scores[i].predicted < CLASSES_MAX)
            counts[x->scores[i].predicted]++;
    for (int c = 0; c < CLASSES_MAX; c++)
        if (counts[c] > (most < 0 ? 0 : counts[most]))
            most = c;
    if (most >= 0) {
        cJSON_AddNumberToObject(row, "mistaken_for", most);
        query_add_class_name(q, x->dataset, most, "mistaken_name", row);
    }
    cJSON_AddNumberToObject(row, "mistaken", most < 0 ? 0 : (double)counts[most]);
}

static void sum_classes(const struct query_epoch *x, int by, struct class_sums *sums)
{
    for (size_t i = 0; i < x->count; i++) {
        if (x->labels[i] >= CLASSES_MAX)
            continue;
        struct class_sums *c = &sums[x->labels[i]];
        c->samples++;
        c->right += x->scores[i].predicted == x->labels[i];
        c->measure += query_measure(x, by, i);
        c->hardness += query_hardness(x, by, i);
        c->loss += x->scores[i].loss;
        c->adm += x->adm[i];
    }
    for (int k = 0; k < CLASSES_MAX; k++)
        if (sums[k].samples)
            sums[k].hardness /= (double)sums[k].samples;
}

static int add_rows(struct query *q, const struct query_epoch *x, const struct ask *a, cJSON *rows,
                    struct errbuf *why)
{
    struct class_sums *sums = xcalloc(CLASSES_MAX, sizeof(*sums));
    double *values = alloc_bytes(x->count, 2 * sizeof(*values)), hardness[CLASSES_MAX];
    uint32_t *order = NULL;
    int rc = values ? 0 : err_set(why, -ENOMEM, "out of memory for %zu scores", x->count);

    sum_classes(x, a->by, sums);
    for (int k = 0; k < CLASSES_MAX; k++)
        hardness[k] = sums[k].hardness;
    if (rc == 0)
        rc = query_order(hardness, CLASSES_MAX, &order, why);
    int64_t left = query_limit(a->limit);
    for (int at = 0; rc == 0 && at < CLASSES_MAX && left > 0; at++) {
        uint16_t k = (uint16_t)order[at];
        size_t n = 0;
        if (!sums[k].samples)
            continue;
        for (size_t i = 0; i < x->count; i++)
            if (x->labels[i] == k)
                values[n++] = query_measure(x, a->by, i);
        cJSON *row = cJSON_CreateObject();
        cJSON_AddItemToArray(rows, row);
        cJSON_AddNumberToObject(row, "class", k);
        query_add_class_name(q, x->dataset, k, "name", row);
        add_figures(row, &sums[k], values, values + x->count);
        add_mistakes(q, x, k, row);
        left--;
    }
    free(order);
    free(values);
    free(sums);
    return rc;
}

static int classes(struct query *q, const struct query_epoch *x, const struct ask *a, cJSON *out,
                   struct errbuf *why)
{
    if (x->dataset == 0)
        return err_set(why, -ENOENT, "the classes of job %lld are not in difficulty.db",
                       (long long)a->job);
    cJSON_AddNumberToObject(out, "epoch", (double)x->epoch);
    cJSON_AddStringToObject(out, "by", query_by_names[a->by]);
    return add_rows(q, x, a, cJSON_AddArrayToObject(out, "rows"), why);
}

int query_classes(struct query *q, const struct ask *a, cJSON **ret, struct errbuf *why)
{
    return query_over_epoch(q, a, classes, ret, why);
}
