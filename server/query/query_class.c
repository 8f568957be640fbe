/* The classes of a job: how hard they are, how often right, and what is predicted instead. Likewise
 * its domains. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "server/core/stats.h"
#include "server/query/query_epoch.h"

const char *const query_group_names[] = {
    [BY_ADM] = "adm",       [BY_LOSS] = "loss",           [BY_ADV_LOSS] = "adv_loss",
    [BY_GAP] = "gap",       [BY_GRAD_NORM] = "grad_norm", [BY_EL2N] = "el2n",
    [BY_MARGIN] = "margin", [BY_ACCURACY] = "accuracy",   NULL,
};

#define GROUPS_MAX CLASSES_MAX
_Static_assert(DOMAINS_MAX <= GROUPS_MAX, "groups are classes or domains");

/* How samples are grouped: each has the number of its group; UINT16_MAX: none. */
struct groups {
    const uint16_t *of; /* [count of the epoch] */
    const char *key;    /* of the number in a row */
    void (*add_name)(struct query *q, int64_t dataset, int64_t group, const char *key, cJSON *row);
    bool mistakes; /* a row says what its samples are taken for */
};

struct group_sums {
    int64_t samples, known, right, adv_right, attacked;
    double measure, loss, adm;
    double hardness; /* mean of the key of `by` */
};

/* By group: its sums, what orders it, and its samples that have the measure, which are
 * of[starts[k]] up to of[starts[k + 1]]. */
struct grouped {
    struct group_sums *sums; /* [GROUPS_MAX], as are the next two */
    double *hardness;        /* NAN: it has no samples */
    uint32_t *mistaken;      /* scratch, 0: how often each class is predicted */
    size_t *starts;          /* [GROUPS_MAX + 1] */
    uint32_t *of;
    double *values; /* scratch for two of each of these */
};

static void grouped_done(struct grouped *d)
{
    free(d->sums);
    free(d->hardness);
    free(d->mistaken);
    free(d->starts);
    free(d->of);
    free(d->values);
}

static int grouped_alloc(struct grouped *d, size_t count, struct errbuf *why)
{
    *d = (struct grouped){
        .sums = xcalloc(GROUPS_MAX, sizeof(*d->sums)),
        .hardness = xcalloc(GROUPS_MAX, sizeof(*d->hardness)),
        .mistaken = xcalloc(GROUPS_MAX, sizeof(*d->mistaken)),
        .starts = xcalloc(GROUPS_MAX + 1, sizeof(*d->starts)),
        .of = alloc_bytes(count, sizeof(*d->of)),
        .values = alloc_bytes(count, 2 * sizeof(*d->values)),
    };
    return d->of && d->values ? 0 : err_set(why, -ENOMEM, "out of memory for %zu scores", count);
}

/* Whose mean and quantiles a row has. */
static int measure_of(int by)
{
    return by == BY_ACCURACY ? BY_LOSS : by;
}

static bool is_grouped(const struct query_epoch *x, const struct groups *g, int by, size_t i)
{
    return g->of[i] < GROUPS_MAX && !isnan(query_measure(x, measure_of(by), i));
}

static void sum_groups(const struct query_epoch *x, const struct groups *g, int by,
                       struct grouped *d)
{
    for (size_t i = 0; i < x->count; i++) {
        if (!is_grouped(x, g, by, i))
            continue;
        struct group_sums *c = &d->sums[g->of[i]];
        c->samples++;
        c->known += x->scores[i].predicted >= 0;
        c->right += x->scores[i].predicted == x->labels[i];
        c->attacked += x->test && x->scores[i].adv_predicted >= 0;
        c->adv_right += x->scores[i].adv_predicted == x->labels[i];
        c->measure += query_measure(x, measure_of(by), i);
        c->hardness +=
            by == BY_ACCURACY ? x->scores[i].predicted != x->labels[i] : query_hardness(x, by, i);
        c->loss += x->scores[i].loss;
        c->adm += x->adm[i];
    }
    for (int k = 0; k < GROUPS_MAX; k++) {
        const size_t n = (size_t)d->sums[k].samples;
        d->starts[k + 1] = d->starts[k] + n;
        d->hardness[k] = n ? d->sums[k].hardness / (double)n : NAN;
    }
}

/* Each sample goes to its group, in sample order. */
static void sort_samples(const struct query_epoch *x, const struct groups *g, int by,
                         struct grouped *d)
{
    for (size_t i = 0; i < x->count; i++)
        if (is_grouped(x, g, by, i))
            d->of[d->starts[g->of[i]]++] = (uint32_t)i;
    for (int k = GROUPS_MAX; k > 0; k--) /* each start is the end of its group by now */
        d->starts[k] = d->starts[k - 1];
    d->starts[0] = 0;
}

static void add_figures(const struct query_epoch *x, int by, const struct grouped *d, uint16_t k,
                        cJSON *row)
{
    const struct group_sums *c = &d->sums[k];
    const size_t n = (size_t)c->samples;

    for (size_t i = 0; i < n; i++)
        d->values[i] = query_measure(x, measure_of(by), d->of[d->starts[k] + i]);
    cJSON_AddNumberToObject(row, "samples", (double)n);
    cJSON_AddNumberToObject(row, "accuracy", (double)c->right / (double)c->known);
    if (c->attacked)
        cJSON_AddNumberToObject(row, "adv_accuracy", (double)c->adv_right / (double)c->attacked);
    cJSON_AddNumberToObject(row, "mean", c->measure / (double)n);
    stats_sort(d->values, d->values + n, n);
    cJSON_AddNumberToObject(row, "p50", stats_quantile(d->values, n, 0.5));
    cJSON_AddNumberToObject(row, "p90", stats_quantile(d->values, n, 0.9));
    cJSON_AddNumberToObject(row, "loss_mean", c->loss / (double)n);
    cJSON_AddNumberToObject(row, "adm_mean", c->adm / (double)n);
}

/* The class that is most often predicted for the wrong samples of class k; the lowest on ties. */
static void add_mistakes(struct query *q, const struct query_epoch *x, const struct grouped *d,
                         uint16_t k, cJSON *row)
{
    uint32_t times = 0;
    int32_t most = -1;

    for (size_t i = d->starts[k]; i < d->starts[k + 1]; i++) {
        const int32_t taken = x->scores[d->of[i]].predicted;
        if (taken == k || taken < 0 || taken >= CLASSES_MAX)
            continue;
        const uint32_t now = ++d->mistaken[taken];
        if (now > times || (now == times && taken < most)) {
            times = now;
            most = taken;
        }
    }
    for (size_t i = d->starts[k]; i < d->starts[k + 1]; i++) {
        const int32_t taken = x->scores[d->of[i]].predicted;
        if (taken >= 0 && taken < CLASSES_MAX)
            d->mistaken[taken] = 0;
    }
    if (most >= 0) {
        cJSON_AddNumberToObject(row, "mistaken_for", most);
        query_add_class_name(q, x->dataset, most, "mistaken_name", row);
    }
    cJSON_AddNumberToObject(row, "mistaken", times);
}

static int add_rows(struct query *q, const struct query_epoch *x, const struct groups *g,
                    const struct ask *a, cJSON *out, struct errbuf *why)
{
    cJSON *rows = cJSON_AddArrayToObject(out, "rows");
    size_t total = 0, at = 0, end = 0, n;
    uint32_t *order = NULL;
    struct grouped d;
    int rc = grouped_alloc(&d, x->count, why);

    if (rc == 0)
        sum_groups(x, g, a->by, &d);
    for (int k = 0; k < GROUPS_MAX; k++)
        total += d.sums[k].samples > 0;
    if (rc == 0 && total == 0)
        rc = query_lacks(x->job, x->epoch, query_by_names[measure_of(a->by)], why);
    if (rc == 0)
        rc = query_order(d.hardness, GROUPS_MAX, query_last(a), &order, &n, why);
    if (rc == 0) {
        sort_samples(x, g, a->by, &d);
        end = query_page(a->first, a->limit, total, &at, out);
    }
    for (; rc == 0 && at < end; at++) {
        const uint16_t k = (uint16_t)order[at];
        cJSON *row = cJSON_CreateObject();
        cJSON_AddItemToArray(rows, row);
        cJSON_AddNumberToObject(row, g->key, k);
        g->add_name(q, x->dataset, k, "name", row);
        add_figures(x, a->by, &d, k, row);
        if (g->mistakes)
            add_mistakes(q, x, &d, k, row);
    }
    free(order);
    grouped_done(&d);
    return rc;
}

static int add_groups(struct query *q, const struct query_epoch *x, const struct groups *g,
                      const struct ask *a, cJSON *out, struct errbuf *why)
{
    cJSON_AddNumberToObject(out, "epoch", (double)x->epoch);
    cJSON_AddStringToObject(out, "by", query_group_names[a->by]);
    return add_rows(q, x, g, a, out, why);
}

static int classes(struct query *q, const struct query_epoch *x, const struct ask *a, cJSON *out,
                   struct errbuf *why)
{
    const struct groups g = {x->labels, "class", query_add_class_name, true};

    if (x->dataset == 0)
        return err_set(why, -ENOENT, "the classes of job %lld are not in difficulty.db",
                       (long long)a->job);
    return add_groups(q, x, &g, a, out, why);
}

/* Of the test samples there may be only how many of each group are right. */
static int ask_groups(struct query *q, const struct ask *a, query_fill *fill, const char *kind,
                      cJSON **ret, struct errbuf *why)
{
    bool kept = true;
    int rc = a->test ? query_keeps_tests(q, a->job, &kept, why) : 0;

    if (rc < 0)
        return rc;
    return kept ? query_over_epoch(q, a, fill, ret, why)
                : query_tested_groups(q, a, kind, ret, why);
}

int query_classes(struct query *q, const struct ask *a, cJSON **ret, struct errbuf *why)
{
    return ask_groups(q, a, classes, "class", ret, why);
}

/* The domain of each sample of the epoch; *ret[x->count] is the caller's. */
static int load_domains(struct query *q, const struct query_epoch *x, uint16_t **ret,
                        struct errbuf *why)
{
    uint16_t *domains = alloc_bytes(x->count, sizeof(*domains));
    sqlite3_stmt *stmt = NULL;
    size_t i = 0, found = 0;
    int rc;

    if (!domains)
        return err_set(why, -ENOMEM, "out of memory for %zu domains", x->count);
    bool training = true;
    rc = x->test ? query_tests_training(q, x->job, &training, why) : 0;
    if (rc == 0 && !training)
        rc = err_set(why, -ENOENT,
                     "the test samples of job %lld have no domains; those of test_domains have",
                     (long long)x->job);
    if (rc < 0) {
        free(domains);
        return rc;
    }
    memset(domains, 0xff, x->count * sizeof(*domains));
    query_allow(q, (int64_t)x->count);
    rc = db_query(&q->difficulty,
                  "SELECT sample_id, domain_id FROM sample WHERE dataset_id = ?1"
                  " AND domain_id IS NOT NULL ORDER BY sample_id",
                  DB_ARGS(DB_I(x->dataset)), &stmt, why);
    while (rc == 0 && (rc = db_step(&q->difficulty, stmt, why)) > 0) {
        int64_t sample = sqlite3_column_int64(stmt, 0), domain = sqlite3_column_int64(stmt, 1);
        while (i < x->count && x->samples[i] < sample)
            i++;
        if (i < x->count && x->samples[i] == sample && domain >= 0 && domain < DOMAINS_MAX)
            domains[i] = (uint16_t)domain;
        found++;
        rc = 0;
    }
    sqlite3_finalize(stmt);
    if (rc == 0 && !found)
        rc = err_set(
            why, -ENOENT,
            "the dataset of job %lld has no domains; pictures in DOMAIN/CLASS/FILE have them",
            (long long)x->job);
    if (rc == 0)
        *ret = domains;
    else
        free(domains);
    return rc;
}

static int domains(struct query *q, const struct query_epoch *x, const struct ask *a, cJSON *out,
                   struct errbuf *why)
{
    uint16_t *of = NULL;
    int rc = load_domains(q, x, &of, why);
    const struct groups g = {of, "domain", query_add_domain_name, false};

    if (rc == 0)
        rc = add_groups(q, x, &g, a, out, why);
    free(of);
    return rc;
}

int query_domains(struct query *q, const struct ask *a, cJSON **ret, struct errbuf *why)
{
    return ask_groups(q, a, domains, "domain", ret, why);
}
