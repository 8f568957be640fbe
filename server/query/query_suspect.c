/* Which labels are likely wrong. `make evidence` shows how good each measure is at this. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "server/query/query_suspect.h"
#include "server/query/query_trust.h"

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
        return isnan(s->adv_loss - s->loss) ? NAN
               : s->adv_loss > s->loss      ? (s->adv_loss - s->loss) / s->adv_loss
                                            : 0;
    case SUSPECT_GRAD_NORM:
        return s->grad_norm;
    case SUSPECT_COUNT:
        break;
    }
    return 0;
}

/* Is a low value suspicious? */
static bool falls(int by)
{
    return by == SUSPECT_MARGIN || by == SUSPECT_MARGIN_MEAN || by == SUSPECT_CONFIDENCE;
}

double suspect_order(const struct query_epoch *x, const struct sample_history *h, int by, size_t i)
{
    double value = suspect_value(x, h, by, i);

    return falls(by) ? -value : value;
}

/* What is ranked: scores of one epoch of a job, or of the folds that several jobs left out. */
struct pool {
    struct query_epoch x; /* of all classes */
    struct sample_history *h;
    double *value; /* what they are ordered by */
    bool unseen;   /* by the models that scored them */
    size_t scored; /* with those that are left out of the list */
};

static void pool_done(struct pool *p)
{
    query_epoch_done(&p->x);
    free(p->h);
    free(p->value);
}

/* Entry `from` of b becomes entry `to` of a, which has room. */
static void pool_copy(struct pool *a, size_t to, const struct pool *b, size_t from)
{
    a->x.samples[to] = b->x.samples[from];
    a->x.scores[to] = b->x.scores[from];
    a->x.adm[to] = b->x.adm[from];
    a->x.labels[to] = b->x.labels[from];
    a->x.truth[to] = b->x.truth[from];
    a->x.planted[to] = b->x.planted[from];
    a->h[to] = b->h[from];
    a->value[to] = b->value[from];
}

/* Keeps the entries of a class (-1: all), and of them those that were left out if `unseen`. */
static void pool_filter(struct pool *p, int64_t class_id, bool unseen)
{
    size_t kept = 0;

    for (size_t i = 0; i < p->x.count; i++)
        if ((class_id < 0 || p->x.labels[i] == class_id) &&
            (!unseen || (p->x.scores[i].flags & SCORE_LEFT_OUT)))
            pool_copy(p, kept++, p, i);
    p->x.count = kept;
}

/* What the job or the epoch's revision leaves out has no label that matters. */
static int drop_left_out(struct query *q, const struct ask *a, struct pool *p, struct errbuf *why)
{
    struct overlay o = {0};
    int64_t revision;
    size_t kept = 0;
    uint32_t at = 0, own = 0;
    int rc = query_epoch_revision(q, p->x.job, p->x.epoch, &revision, why);

    if (rc == 0)
        rc = query_revision_rows(q, p->x.dataset, revision, &o, why);
    for (size_t i = 0; rc == 0 && i < p->x.count; i++) {
        const uint32_t sample = p->x.samples[i];
        while (at < o.count && o.rows[at].sample < sample) /* all three are by sample */
            at++;
        while (own < a->excluded_count && a->excluded[own] < sample)
            own++;
        if ((own == a->excluded_count || a->excluded[own] != sample) &&
            (at == o.count || o.rows[at].sample != sample || o.rows[at].label != OVERLAY_EXCLUDED))
            pool_copy(p, kept++, p, i);
    }
    if (rc == 0)
        p->x.count = kept;
    overlay_done(&o);
    return rc;
}

/* Within a query; released with pool_done, also on failure. */
static int pool_load(struct query *q, const struct ask *a, int64_t job, struct pool *ret,
                     struct errbuf *why)
{
    *ret = (struct pool){0};
    int rc = query_epoch_load(q, job, a->epoch, -1, &ret->x, why);
    if (rc == 0)
        rc = query_epoch_histories(q, &ret->x, &ret->h, why);
    if (rc == 0) {
        ret->value = alloc_bytes(ret->x.count, sizeof(*ret->value));
        if (!ret->value)
            rc = err_set(why, -ENOMEM, "out of memory for %zu samples", ret->x.count);
    }
    for (size_t i = 0; rc == 0 && i < ret->x.count; i++)
        ret->value[i] = suspect_order(&ret->x, ret->h, a->by, i);
    for (size_t i = 0; rc == 0 && i < ret->x.count; i++)
        ret->scored += !a->fold_count || (ret->x.scores[i].flags & SCORE_LEFT_OUT);
    return rc == 0 ? drop_left_out(q, a, ret, why) : rc;
}

static int pool_grow(struct pool *p, size_t room, struct errbuf *why)
{
    const struct {
        void **at;
        size_t bytes;
    } arrays[] = {
        {(void **)&p->x.samples, sizeof(*p->x.samples)},
        {(void **)&p->x.scores, sizeof(*p->x.scores)},
        {(void **)&p->x.adm, sizeof(*p->x.adm)},
        {(void **)&p->x.labels, sizeof(*p->x.labels)},
        {(void **)&p->x.truth, sizeof(*p->x.truth)},
        {(void **)&p->x.planted, sizeof(*p->x.planted)},
        {(void **)&p->h, sizeof(*p->h)},
        {(void **)&p->value, sizeof(*p->value)},
    };

    for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++) {
        void *larger = realloc(*arrays[i].at, room * arrays[i].bytes);
        if (!larger)
            return err_set(why, -ENOMEM, "out of memory for %zu samples", room);
        *arrays[i].at = larger;
    }
    return 0;
}

/* The left-out samples of all folds; in p what its own job says of epoch and dataset. */
static int pool_folds(struct query *q, const struct ask *a, struct pool *p, struct errbuf *why)
{
    int64_t epoch = 0;
    int rc = 0;

    *p = (struct pool){.x = {.job = a->job, .newly_right = NAN}, .unseen = true};
    for (int i = 0; rc == 0 && i < a->fold_count; i++) {
        struct pool one;
        rc = pool_load(q, a, a->folds[i], &one, why);
        if (rc == 0) {
            pool_filter(&one, -1, true);
            rc = pool_grow(p, p->x.count + one.x.count + 1, why);
        }
        for (size_t k = 0; rc == 0 && k < one.x.count; k++)
            pool_copy(p, p->x.count++, &one, k);
        p->scored += one.scored;
        epoch = one.x.epoch > epoch ? one.x.epoch : epoch;
        p->x.dataset = one.x.dataset;
        pool_done(&one);
    }
    p->x.epoch = epoch;
    if (rc == 0 && p->x.count == 0)
        rc = err_set(why, -ENOENT, "the jobs of the folds have no scores of what they left out");
    return rc;
}

/* Samples of validation and test have no scores. */
static int held_out(struct query *q, const struct pool *p, int64_t *ret, struct errbuf *why)
{
    int64_t samples = 0;
    int rc = db_i64(&q->difficulty, "SELECT n_samples FROM dataset WHERE dataset_id = ?1",
                    DB_ARGS(DB_I(p->x.dataset)), &samples, why);

    *ret = samples > (int64_t)p->scored ? samples - (int64_t)p->scored : 0;
    return rc == -ENOENT ? 0 : rc;
}

/* Are the probabilities known by which labels are judged? A training program need not report them.
 */
static bool has_probabilities(const struct query_epoch *x)
{
    for (size_t i = 0; i < x->count; i++)
        if (x->scores[i].predicted < 0 || isnan(x->scores[i].loss + x->scores[i].el2n))
            return false;
    return true;
}

static int add_worth(struct query *q, const struct pool *p, cJSON *out, struct errbuf *why)
{
    struct unseen_accuracy other;
    int64_t held = 0;
    if (!has_probabilities(&p->x))
        return 0;
    int rc = p->unseen ? 0 : query_unseen_accuracy(q, &p->x, &other, why);
    if (rc == 0)
        rc = held_out(q, p, &held, why);
    if (rc == 0)
        rc = query_add_worth(q, &p->x, p->unseen ? NULL : &other, out, why);
    cJSON *worth = cJSON_GetObjectItemCaseSensitive(out, "worth");
    if (rc == 0 && worth && held > 0)
        cJSON_AddNumberToObject(worth, "held_out", (double)held);
    return rc;
}

/* Only its class stays, which must exist. */
static int keep_class(struct query *q, const struct ask *a, struct pool *p, struct errbuf *why)
{
    int rc = query_class(q, a->job, p->x.dataset, a->class_id, why);

    if (rc < 0)
        return rc;
    pool_filter(p, a->class_id, false);
    return p->x.count > 0
               ? 0
               : err_set(why, -ENOENT, "epoch %lld of job %lld scored no sample of class %lld",
                         (long long)p->x.epoch + 1, (long long)a->job, (long long)a->class_id);
}

static void add_suspect(struct query *q, const struct pool *p, int by, size_t i, cJSON *rows)
{
    const struct score *s = &p->x.scores[i];
    const struct sample_history *h = &p->h[i];
    cJSON *row = query_epoch_row(q, &p->x, i, rows);

    query_add_predicted(row, "predicted", s->predicted);
    query_add_class_name(q, p->x.dataset, s->predicted, "predicted_name", row);
    cJSON_AddNumberToObject(row, "value", falls(by) ? -p->value[i] : p->value[i]);
    cJSON_AddNumberToObject(row, "loss", s->loss);
    cJSON_AddNumberToObject(row, "loss_mean", h->loss_mean);
    cJSON_AddNumberToObject(row, "margin_mean", h->margin_mean);
    cJSON_AddNumberToObject(row, "confidence", h->confidence);
    cJSON_AddNumberToObject(row, "seen", h->seen);
    cJSON_AddNumberToObject(row, "right", h->right);
    cJSON_AddNumberToObject(row, "forgotten", h->forgotten);
}

static int add_suspects(struct query *q, const struct pool *p, const struct ask *a, cJSON *out,
                        struct errbuf *why)
{
    uint32_t *order = NULL;
    size_t n;
    int rc = query_order(p->value, p->x.count, query_last(a), &order, &n, why);

    if (rc < 0) {
        free(order);
        return rc;
    }
    cJSON_AddNumberToObject(out, "epoch", (double)p->x.epoch);
    cJSON_AddStringToObject(out, "by", suspect_by_names[a->by]);
    cJSON_AddNumberToObject(out, "samples", (double)p->x.count);
    if (!isnan(p->x.newly_right))
        cJSON_AddNumberToObject(out, "newly_right", p->x.newly_right);
    cJSON *rows = cJSON_AddArrayToObject(out, "rows");
    size_t at, end = query_page(a->first, a->limit, p->x.count, &at, out);
    for (size_t i = at; i < end; i++)
        add_suspect(q, p, a->by, order[i], rows);
    free(order);
    return 0;
}

int query_suspects(struct query *q, const struct ask *a, cJSON **ret, struct errbuf *why)
{
    cJSON *out = cJSON_CreateObject();
    struct pool p = {0};
    int rc = query_begin(q, &q->difficulty, true, why);

    if (rc == 0)
        rc = a->fold_count ? pool_folds(q, a, &p, why) : pool_load(q, a, a->job, &p, why);
    if (rc == 0)
        rc = add_worth(q, &p, out, why);
    if (rc == 0 && a->class_id >= 0)
        rc = keep_class(q, a, &p, why);
    if (rc == 0)
        rc = add_suspects(q, &p, a, out, why);
    pool_done(&p);
    return query_end(&q->difficulty, rc, out, ret);
}
