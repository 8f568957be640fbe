/* Dataset cartography (arXiv 2009.10795): where each sample lies between sure and unsure, steady
 * and wavering, over the epochs that scored it. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "server/query/query_epoch.h"

#define BINS (MAP_CONFIDENCE_BINS * MAP_VARIABILITY_BINS)
#define VARIABILITY_MAX 0.5 /* of anything within 0 to 1 */

const char *const map_by_names[] = {
    [MAP_AMBIGUOUS] = "ambiguous",
    [MAP_HARD] = "hard",
    [MAP_EASY] = "easy",
    [MAP_FORGOTTEN] = "forgotten",
    NULL,
};

static double map_order(const struct sample_history *h, int by)
{
    switch ((enum map_by)by) {
    case MAP_AMBIGUOUS:
        return sample_history_variability(h);
    case MAP_HARD:
        return -h->confidence;
    case MAP_EASY:
        return h->confidence;
    case MAP_FORGOTTEN:
        return h->forgotten;
    }
    return 0;
}

static int bin_of(double value, double max, int bins)
{
    int bin = (int)(value / max * bins);

    return bin < 0 ? 0 : bin >= bins ? bins - 1 : bin;
}

static void add_grid(const struct sample_history *h, size_t count, cJSON *out)
{
    double counts[BINS] = {0}, right[BINS] = {0};

    for (size_t i = 0; i < count; i++) {
        if (h[i].seen == 0) /* no loss of it was reported */
            continue;
        int row = bin_of(h[i].confidence, 1, MAP_CONFIDENCE_BINS);
        int column =
            bin_of(sample_history_variability(&h[i]), VARIABILITY_MAX, MAP_VARIABILITY_BINS);
        counts[row * MAP_VARIABILITY_BINS + column]++;
        right[row * MAP_VARIABILITY_BINS + column] += (double)h[i].right / h[i].seen;
    }
    for (int i = 0; i < BINS; i++)
        right[i] = counts[i] > 0 ? right[i] / counts[i] : 0;
    cJSON_AddNumberToObject(out, "confidence_bins", MAP_CONFIDENCE_BINS);
    cJSON_AddNumberToObject(out, "variability_bins", MAP_VARIABILITY_BINS);
    cJSON_AddNumberToObject(out, "variability_max", VARIABILITY_MAX);
    cJSON_AddItemToObject(out, "counts", cJSON_CreateDoubleArray(counts, BINS));
    cJSON_AddItemToObject(out, "correctness", cJSON_CreateDoubleArray(right, BINS));
}

static void add_place(struct query *q, const struct query_epoch *x, const struct sample_history *h,
                      size_t i, cJSON *rows)
{
    cJSON *row = query_epoch_row(q, x, i, rows);

    cJSON_AddNumberToObject(row, "confidence", h[i].confidence);
    cJSON_AddNumberToObject(row, "variability", sample_history_variability(&h[i]));
    cJSON_AddNumberToObject(row, "correctness", (double)h[i].right / h[i].seen);
    cJSON_AddNumberToObject(row, "forgotten", h[i].forgotten);
    cJSON_AddNumberToObject(row, "seen", h[i].seen);
}

static int map(struct query *q, const struct query_epoch *x, const struct ask *a, cJSON *out,
               struct errbuf *why)
{
    struct sample_history *h = NULL;
    double *value = alloc_bytes(x->count, sizeof(*value));
    uint32_t *order = NULL, epochs = 0;
    size_t n;
    int rc = value ? 0 : err_set(why, -ENOMEM, "out of memory for %zu samples", x->count);

    if (rc == 0)
        rc = query_epoch_histories(q, x, &h, why);
    for (size_t i = 0; rc == 0 && i < x->count; i++) {
        value[i] = map_order(&h[i], a->by);
        epochs = h[i].seen > epochs ? h[i].seen : epochs;
    }
    if (rc == 0)
        rc = query_order(value, x->count, query_last(a), &order, &n, why);
    if (rc == 0) {
        cJSON_AddNumberToObject(out, "epoch", (double)x->epoch);
        cJSON_AddNumberToObject(out, "epochs", epochs);
        cJSON_AddStringToObject(out, "by", map_by_names[a->by]);
        cJSON_AddNumberToObject(out, "samples", (double)x->count);
        add_grid(h, x->count, out);
        cJSON *rows = cJSON_AddArrayToObject(out, "rows");
        size_t at, end = query_page(a->first, a->limit, x->count, &at, out);
        for (size_t i = at; i < end; i++)
            add_place(q, x, h, order[i], rows);
    }
    free(order);
    free(h);
    free(value);
    return rc;
}

int query_map(struct query *q, const struct ask *a, cJSON **ret, struct errbuf *why)
{
    return query_over_epoch(q, a, map, ret, why);
}
