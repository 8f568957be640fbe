/* Two epochs side by side: of one job (what rose and fell in between), or of two jobs on the same
 * dataset (do they find the same samples hard). */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "server/core/stats.h"
#include "server/query/query_epoch.h"

/* Places of the samples that both epochs measured. */
struct pairs {
    uint32_t *a, *b;
    size_t count;
};

static void pairs_done(struct pairs *p)
{
    free(p->a);
    free(p->b);
}

static int pairs_make(const struct query_epoch *x, const struct query_epoch *y, int by,
                      struct pairs *ret, struct errbuf *why)
{
    struct pairs p = {alloc_bytes(x->count, sizeof(*p.a)), alloc_bytes(x->count, sizeof(*p.b)), 0};

    *ret = p;
    if (!p.a || !p.b)
        return err_set(why, -ENOMEM, "out of memory for %zu samples", x->count);
    for (size_t i = 0, k = 0; i < x->count && k < y->count;)
        if (x->samples[i] < y->samples[k]) {
            i++;
        } else if (x->samples[i] > y->samples[k]) {
            k++;
        } else {
            p.a[p.count] = (uint32_t)i;
            p.b[p.count] = (uint32_t)k;
            p.count += !isnan(query_measure(x, by, i++) + query_measure(y, by, k++));
        }
    ret->count = p.count;
    return 0;
}

/* The first committed, scored epoch. */
static int first_epoch(struct query *q, int64_t job, int64_t *ret, struct errbuf *why)
{
    int rc = db_i64(&q->difficulty,
                    "SELECT min(epoch) FROM epoch WHERE job_id = ?1 AND state = 'committed'"
                    " AND n_scored > 0",
                    DB_ARGS(DB_I(job)), ret, why);

    return rc != -ENOENT
               ? rc
               : err_set(why, rc, "job %lld has no scores yet; they come at the end of an epoch",
                         (long long)job);
}

static void add_riser(struct query *q, const struct query_epoch *before,
                      const struct query_epoch *after, const struct ask *a, uint32_t i, uint32_t k,
                      cJSON *rows)
{
    cJSON *row = query_epoch_row(q, after, k, rows);

    cJSON_AddNumberToObject(row, "before", query_measure(before, a->by, i));
    cJSON_AddNumberToObject(row, "after", query_measure(after, a->by, k));
    cJSON_AddNumberToObject(row, "rise",
                            query_hardness(after, a->by, k) - query_hardness(before, a->by, i));
    query_add_predicted(row, "predicted_before", before->scores[i].predicted);
    query_add_predicted(row, "predicted", after->scores[k].predicted);
    if (after->scores[k].predicted >= 0)
        cJSON_AddBoolToObject(row, "correct", after->scores[k].predicted == after->labels[k]);
}

static int add_risers(struct query *q, const struct query_epoch *before,
                      const struct query_epoch *after, const struct ask *a, cJSON *out,
                      struct errbuf *why)
{
    struct pairs p;
    uint32_t *order = NULL;
    size_t n;
    double *rise = NULL;
    int rc = pairs_make(before, after, a->by, &p, why);

    if (rc == 0 && !(rise = alloc_bytes(p.count + 1, sizeof(*rise))))
        rc = err_set(why, -ENOMEM, "out of memory for %zu samples", p.count);
    for (size_t i = 0; rc == 0 && i < p.count; i++) {
        rise[i] = query_hardness(after, a->by, p.b[i]) - query_hardness(before, a->by, p.a[i]);
        if (a->reverse)
            rise[i] = -rise[i];
    }
    if (rc == 0)
        rc = query_order(rise, p.count, query_last(a), &order, &n, why);
    if (rc == 0) {
        cJSON_AddNumberToObject(out, "from", (double)before->epoch);
        cJSON_AddNumberToObject(out, "epoch", (double)after->epoch);
        cJSON_AddStringToObject(out, "by", query_by_names[a->by]);
        cJSON_AddNumberToObject(out, "samples", (double)p.count);
        cJSON *rows = cJSON_AddArrayToObject(out, "rows");
        size_t at, end = query_page(a->first, a->limit, p.count, &at, out);
        for (size_t i = at; i < end; i++)
            add_riser(q, before, after, a, p.a[order[i]], p.b[order[i]], rows);
    }
    free(order);
    free(rise);
    pairs_done(&p);
    return rc;
}

int query_risers(struct query *q, const struct ask *a, cJSON **ret, struct errbuf *why)
{
    cJSON *out = cJSON_CreateObject();
    struct query_epoch before = {0}, after = {0};
    int64_t from = a->from, dataset;
    int rc = query_begin(q, &q->difficulty, true, why);

    if (rc == 0)
        rc = query_job(q, a->job, &dataset, why);
    if (rc == 0 && from < 0)
        rc = first_epoch(q, a->job, &from, why);
    if (rc == 0)
        rc = query_epoch_load(q, a->job, a->epoch, a->class_id, &after, why);
    if (rc == 0 && from >= after.epoch)
        rc = err_set(why, -EINVAL,
                     "from is epoch %lld and the other %lld; from must be an earlier one",
                     (long long)from + 1, (long long)after.epoch + 1);
    if (rc == 0)
        rc = query_epoch_load(q, a->job, from, a->class_id, &before, why);
    if (rc == 0)
        rc = add_risers(q, &before, &after, a, out, why);
    query_epoch_done(&before);
    query_epoch_done(&after);
    return query_end(&q->difficulty, rc, out, ret);
}

/* Hardness of the pairs in both, and its percentiles. */
struct comparison {
    const struct query_epoch *x, *y;
    struct pairs pairs;
    double *a, *b, *rank_a, *rank_b, *apart; /* [pairs.count] */
};

static void comparison_done(struct comparison *c)
{
    pairs_done(&c->pairs);
    free(c->a);
}

static int comparison_make(struct comparison *c, int by, struct errbuf *why)
{
    int rc = pairs_make(c->x, c->y, by, &c->pairs, why);
    size_t n = c->pairs.count;

    if (rc == 0 && !(c->a = alloc_bytes(n + 1, 5 * sizeof(*c->a))))
        rc = err_set(why, -ENOMEM, "out of memory for %zu samples", n);
    if (rc != 0)
        return rc;
    c->b = c->a + n;
    c->rank_a = c->b + n;
    c->rank_b = c->rank_a + n;
    c->apart = c->rank_b + n;
    for (size_t i = 0; i < n; i++) {
        c->a[i] = query_hardness(c->x, by, c->pairs.a[i]);
        c->b[i] = query_hardness(c->y, by, c->pairs.b[i]);
    }
    rc = query_percentiles(c->a, n, c->rank_a, why);
    if (rc == 0)
        rc = query_percentiles(c->b, n, c->rank_b, why);
    for (size_t i = 0; rc == 0 && i < n; i++)
        c->apart[i] = fabs(c->rank_a[i] - c->rank_b[i]);
    return rc;
}

static void add_summary(const struct comparison *c, int by, cJSON *out)
{
    size_t n = c->pairs.count, agree = 0;
    double a = 0, b = 0, sign = by == BY_MARGIN ? -1 : 1;
    double rho = stats_correlation(c->rank_a, c->rank_b, n);

    for (size_t i = 0; i < n; i++) {
        a += sign * c->a[i];
        b += sign * c->b[i];
        agree += c->x->scores[c->pairs.a[i]].predicted == c->y->scores[c->pairs.b[i]].predicted;
    }
    cJSON_AddNumberToObject(out, "samples", (double)n);
    if (!isnan(rho))
        cJSON_AddNumberToObject(out, "spearman", rho);
    if (n == 0)
        return;
    cJSON_AddNumberToObject(out, "mean", a / (double)n);
    cJSON_AddNumberToObject(out, "other_mean", b / (double)n);
    cJSON_AddNumberToObject(out, "agree", (double)agree / (double)n);
}

static void add_difference(struct query *q, const struct comparison *c, int by, uint32_t i,
                           cJSON *rows)
{
    uint32_t at = c->pairs.a[i], other = c->pairs.b[i];
    cJSON *row = query_epoch_row(q, c->x, at, rows);

    cJSON_AddNumberToObject(row, "value", query_measure(c->x, by, at));
    cJSON_AddNumberToObject(row, "other_value", query_measure(c->y, by, other));
    cJSON_AddNumberToObject(row, "rank", c->rank_a[i]);
    cJSON_AddNumberToObject(row, "other_rank", c->rank_b[i]);
    query_add_predicted(row, "predicted", c->x->scores[at].predicted);
    query_add_predicted(row, "other_predicted", c->y->scores[other].predicted);
}

static int compare(struct query *q, const struct query_epoch *x, const struct query_epoch *y,
                   const struct ask *a, cJSON *out, struct errbuf *why)
{
    struct comparison c = {.x = x, .y = y};
    uint32_t *order = NULL;
    size_t n;
    int rc = comparison_make(&c, a->by, why);

    if (rc == 0)
        rc = query_order(c.apart, c.pairs.count, query_last(a), &order, &n, why);
    if (rc == 0) {
        cJSON_AddNumberToObject(out, "epoch", (double)x->epoch);
        cJSON_AddNumberToObject(out, "other_epoch", (double)y->epoch);
        cJSON_AddStringToObject(out, "by", query_by_names[a->by]);
        add_summary(&c, a->by, out);
        cJSON *rows = cJSON_AddArrayToObject(out, "rows");
        size_t at, end = query_page(a->first, a->limit, c.pairs.count, &at, out);
        for (size_t i = at; i < end; i++)
            add_difference(q, &c, a->by, order[i], rows);
    }
    free(order);
    comparison_done(&c);
    return rc;
}

int query_compare(struct query *q, const struct ask *a, cJSON **ret, struct errbuf *why)
{
    cJSON *out = cJSON_CreateObject();
    struct query_epoch x = {0}, y = {0};
    int rc = query_begin(q, &q->difficulty, true, why);

    if (rc == 0)
        rc = query_epoch_load(q, a->job, a->epoch, a->class_id, &x, why);
    if (rc == 0)
        rc = query_epoch_load(q, a->other, a->other_epoch, a->class_id, &y, why);
    if (rc == 0 && x.dataset != y.dataset)
        rc = err_set(why, -EINVAL,
                     "job %lld and job %lld have different datasets, so their samples differ",
                     (long long)a->job, (long long)a->other);
    if (rc == 0)
        rc = compare(q, &x, &y, a, out, why);
    query_epoch_done(&x);
    query_epoch_done(&y);
    return query_end(&q->difficulty, rc, out, ret);
}
