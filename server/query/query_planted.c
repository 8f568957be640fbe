/* How well each measure finds samples that were planted in a dataset or are known to be wrong: the
 * AUROC of the samples of one kind against all other scored samples, and their share among the
 * first as many. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/dataset.h"
#include "server/core/stats.h"
#include "server/query/query_suspect.h"

enum kind { KIND_FLIPPED, KIND_HARD };

static bool is_kind(const struct query_epoch *x, enum kind kind, size_t i)
{
    return kind == KIND_HARD ? x->planted[i] == PLANTED_HARD : x->truth[i] != x->labels[i];
}

static const char *const names[][3] = {
    [KIND_FLIPPED] = {"flipped", "auroc_flipped", "precision_flipped"},
    [KIND_HARD] = {"hard", "auroc_hard", "precision_hard"},
};

#define KINDS (KIND_HARD + 1)

/* What is looked for, how many of them there are, and where it is said how well each measure finds
 * them: {measure: number, ..}. Without areas there is nothing to find, or nothing else. */
struct search {
    size_t wanted[KINDS];
    cJSON *areas[KINDS], *precisions[KINDS];
};

/* The share of the kind among the first `wanted` in the order of the measure. */
static double precision(const struct stats_pair *sorted, size_t wanted)
{
    size_t found = 0;

    for (size_t i = 0; i < wanted; i++)
        found += sorted[i].positive;
    return (double)found / (double)wanted;
}

static bool all_known(const double *value, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (isnan(value[i]))
            return false;
    return true;
}

/* One measure, which all samples have. */
static int add_measure(const struct query_epoch *x, const struct search *s, int by,
                       const double *value, struct stats_pair *pairs, struct errbuf *why)
{
    uint32_t *order;
    size_t n;
    int rc = query_order(value, x->count, x->count, &order, &n, why);

    if (rc != 0)
        return rc;
    for (enum kind kind = KIND_FLIPPED; kind < KINDS; kind++) {
        if (!s->areas[kind])
            continue;
        for (size_t i = 0; i < n; i++)
            pairs[i] = (struct stats_pair){value[order[i]], is_kind(x, kind, order[i])};
        cJSON_AddNumberToObject(s->areas[kind], suspect_by_names[by], stats_auroc(pairs, n));
        cJSON_AddNumberToObject(s->precisions[kind], suspect_by_names[by],
                                precision(pairs, s->wanted[kind]));
    }
    free(order);
    return 0;
}

static int add_measures(const struct query_epoch *x, const struct sample_history *h,
                        const struct search *s, struct errbuf *why)
{
    double *value = alloc_bytes(x->count, sizeof(*value));
    struct stats_pair *pairs = alloc_bytes(x->count, sizeof(*pairs));
    int rc = value && pairs ? 0 : err_set(why, -ENOMEM, "out of memory for %zu scores", x->count);

    for (int by = 0; rc == 0 && by < SUSPECT_COUNT; by++) {
        for (size_t i = 0; i < x->count; i++)
            value[i] = suspect_order(x, h, by, i);
        if (all_known(value, x->count))
            rc = add_measure(x, s, by, value, pairs, why);
    }
    free(value);
    free(pairs);
    return rc;
}

static int planted(struct query *q, const struct query_epoch *x, const struct ask *a, cJSON *out,
                   struct errbuf *why)
{
    struct sample_history *h = NULL;
    struct search s = {.wanted = {0}};
    bool any = false;

    (void)a;
    cJSON_AddNumberToObject(out, "epoch", (double)x->epoch);
    for (enum kind kind = KIND_FLIPPED; kind < KINDS; kind++) {
        for (size_t i = 0; i < x->count; i++)
            s.wanted[kind] += is_kind(x, kind, i);
        cJSON_AddNumberToObject(out, names[kind][0], (double)s.wanted[kind]);
        if (s.wanted[kind] == 0 || s.wanted[kind] == x->count)
            continue;
        s.areas[kind] = cJSON_AddObjectToObject(out, names[kind][1]);
        s.precisions[kind] = cJSON_AddObjectToObject(out, names[kind][2]);
        any = true;
    }
    if (!any)
        return 0;
    int rc = query_epoch_histories(q, x, &h, why);
    if (rc == 0)
        rc = add_measures(x, h, &s, why);
    free(h);
    return rc;
}

int query_planted(struct query *q, int64_t job, int64_t epoch, cJSON **ret, struct errbuf *why)
{
    const struct ask all = {.job = job, .epoch = epoch, .class_id = -1};

    return query_over_epoch(q, &all, planted, ret, why);
}
