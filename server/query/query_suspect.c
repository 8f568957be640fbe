/* Which labels are likely wrong. `make evidence` shows how good each measure is at this. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "server/query/query_suspect.h"

const char *const suspect_by_names[] = {
    [SUSPECT_DEFAULT] = "suspicion",
    [SUSPECT_LOSS] = "loss",
    [SUSPECT_LOSS_MEAN] = "loss_mean",
    [SUSPECT_EL2N] = "el2n",
    [SUSPECT_MARGIN] = "margin",
    [SUSPECT_MARGIN_MEAN] = "margin_mean",
    [SUSPECT_CONFIDENCE] = "confidence",
    [SUSPECT_FORGETTING] = "forgetting",
    [SUSPECT_ADM] = "adm",
    [SUSPECT_ADM_SAMPLE] = "adm_sample",
    [SUSPECT_GRAD_NORM] = "grad_norm",
    NULL,
};

/* A sample that was never right counts as forgotten in every epoch: more than any that was right
 * once. */
static double forgetting(const struct sample_history *h)
{
    return h->right == 0 ? h->seen : h->forgotten;
}

double suspect_value(const struct query_epoch *x, const struct sample_history *h, int by, size_t i)
{
    const struct score *s = &x->scores[i];

    switch ((enum suspect_by)by) {
    case SUSPECT_DEFAULT:
        return suspicion(score_margin(s->loss, s->el2n), h[i].margin_mean, x->newly_right);
    case SUSPECT_LOSS:
        return s->loss;
    case SUSPECT_LOSS_MEAN:
        return h[i].loss_mean;
    case SUSPECT_EL2N:
        return s->el2n;
    case SUSPECT_MARGIN:
        return score_margin(s->loss, s->el2n);
    case SUSPECT_MARGIN_MEAN:
        return h[i].margin_mean;
    case SUSPECT_CONFIDENCE:
        return h[i].confidence;
    case SUSPECT_FORGETTING:
        return forgetting(&h[i]);
    case SUSPECT_ADM:
        return x->adm[i];
    case SUSPECT_ADM_SAMPLE:
        return s->adv_loss > s->loss ? (s->adv_loss - s->loss) / s->adv_loss : 0;
    case SUSPECT_GRAD_NORM:
        return s->grad_norm;
    case SUSPECT_COUNT:
        break;
    }
    return 0;
}

double suspect_order(const struct query_epoch *x, const struct sample_history *h, int by, size_t i)
{
    bool falls = by == SUSPECT_MARGIN || by == SUSPECT_MARGIN_MEAN || by == SUSPECT_CONFIDENCE;
    double value = suspect_value(x, h, by, i);

    return falls ? -value : value;
}

static void add_suspect(struct query *q, const struct query_epoch *x,
                        const struct sample_history *all, int by, size_t i, cJSON *rows)
{
    const struct sample_history *h = &all[i];
    cJSON *row = query_epoch_row(q, x, i, rows);

    cJSON_AddNumberToObject(row, "predicted", x->scores[i].predicted);
    query_add_class_name(q, x->dataset, x->scores[i].predicted, "predicted_name", row);
    cJSON_AddNumberToObject(row, "value", suspect_value(x, all, by, i));
    cJSON_AddNumberToObject(row, "loss", x->scores[i].loss);
    cJSON_AddNumberToObject(row, "loss_mean", h->loss_mean);
    cJSON_AddNumberToObject(row, "margin_mean", h->margin_mean);
    cJSON_AddNumberToObject(row, "confidence", h->confidence);
    cJSON_AddNumberToObject(row, "seen", h->seen);
    cJSON_AddNumberToObject(row, "right", h->right);
    cJSON_AddNumberToObject(row, "forgotten", h->forgotten);
}

static int suspects(struct query *q, const struct query_epoch *x, const struct ask *a, cJSON *out,
                    struct errbuf *why)
{
    struct sample_history *h = NULL;
    double *value = alloc_bytes(x->count, sizeof(*value));
    uint32_t *order = NULL;
    int rc = value ? 0 : err_set(why, -ENOMEM, "out of memory for %zu samples", x->count);

    if (rc == 0)
        rc = query_epoch_histories(q, x, &h, why);
    for (size_t i = 0; rc == 0 && i < x->count; i++)
        value[i] = suspect_order(x, h, a->by, i);
    if (rc == 0)
        rc = query_order(value, x->count, &order, why);
    if (rc == 0) {
        cJSON_AddNumberToObject(out, "epoch", (double)x->epoch);
        cJSON_AddStringToObject(out, "by", suspect_by_names[a->by]);
        cJSON_AddNumberToObject(out, "samples", (double)x->count);
        if (!isnan(x->newly_right))
            cJSON_AddNumberToObject(out, "newly_right", x->newly_right);
        cJSON *rows = cJSON_AddArrayToObject(out, "rows");
        size_t at, end = query_page(a->first, a->limit, x->count, &at, out);
        for (size_t i = at; i < end; i++)
            add_suspect(q, x, h, a->by, order[i], rows);
    }
    free(order);
    free(h);
    free(value);
    return rc;
}

int query_suspects(struct query *q, const struct ask *a, cJSON **ret, struct errbuf *why)
{
    return query_over_epoch(q, a, suspects, ret, why);
}
