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

/* The share of the kind among the first `wanted` in the order of the measure. */
static double precision(const struct query_epoch *x, enum kind kind, const uint32_t *order,
                        size_t wanted)
{
    size_t found = 0;

    for (size_t i = 0; i < wanted; i++)
        found += is_kind(x, kind, order[i]);
    return (double)found / (double)wanted;
}

static bool all_known(const double *value, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (isnan(value[i]))
            return false;
    return true;
}

/* auroc_<name> and precision_<name>: {measure: number, ..}; left out when there is nothing to find
 * or nothing else, and of a measure that not all samples have. */
static int add_kind(const struct query_epoch *x, const struct sample_history *h, enum kind kind,
                    size_t wanted, cJSON *areas, cJSON *precisions, struct errbuf *why)
{
    double *value = alloc_bytes(x->count, sizeof(*value));
    struct stats_pair *pairs = alloc_bytes(x->count, sizeof(*pairs));
    int rc = value && pairs ? 0 : err_set(why, -ENOMEM, "out of memory for %zu scores", x->count);

    for (int by = 0; rc == 0 && by < SUSPECT_COUNT; by++) {
        uint32_t *order;
        for (size_t i = 0; i < x->count; i++) {
            value[i] = suspect_order(x, h, by, i);
            pairs[i] = (struct stats_pair){value[i], is_kind(x, kind, i)};
        }
        if (!all_known(value, x->count))
            continue;
        rc = query_order(value, x->count, &order, why);
        if (rc != 0)
            break;
        cJSON_AddNumberToObject(areas, suspect_by_names[by], stats_auroc(pairs, x->count));
        cJSON_AddNumberToObject(precisions, suspect_by_names[by],
                                precision(x, kind, order, wanted));
        free(order);
    }
    free(value);
    free(pairs);
    return rc;
}

static int planted(struct query *q, const struct query_epoch *x, const struct ask *a, cJSON *out,
                   struct errbuf *why)
{
    static const char *const names[][3] = {
        [KIND_FLIPPED] = {"flipped", "auroc_flipped", "precision_flipped"},
        [KIND_HARD] = {"hard", "auroc_hard", "precision_hard"},
    };
    struct sample_history *h = NULL;
    int rc = query_epoch_histories(q, x, &h, why);

    (void)a;
    if (rc == 0)
        cJSON_AddNumberToObject(out, "epoch", (double)x->epoch);
    for (enum kind kind = KIND_FLIPPED; rc == 0 && kind <= KIND_HARD; kind++) {
        size_t wanted = 0;
        for (size_t i = 0; i < x->count; i++)
            wanted += is_kind(x, kind, i);
        cJSON_AddNumberToObject(out, names[kind][0], (double)wanted);
        if (wanted > 0 && wanted < x->count)
            rc = add_kind(x, h, kind, wanted, cJSON_AddObjectToObject(out, names[kind][1]),
                          cJSON_AddObjectToObject(out, names[kind][2]), why);
    }
    free(h);
    return rc;
}

int query_planted(struct query *q, int64_t job, int64_t epoch, cJSON **ret, struct errbuf *why)
{
    const struct ask all = {.job = job, .epoch = epoch, .class_id = -1};

    return query_over_epoch(q, &all, planted, ret, why);
}
