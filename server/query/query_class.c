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
    void (*add_more)(struct query *q, const struct query_epoch *x, uint16_t group, cJSON *row);
};

struct group_sums {
    int64_t samples, known, right, adv_right, attacked;
    double measure, loss, adm;
    double hardness; /* mean of the key of `by` */
};

static void add_figures(cJSON *row, const struct group_sums *c, double *values, double *scratch)
{
    size_t n = (size_t)c->samples;

    cJSON_AddNumberToObject(row, "samples", (double)n);
    cJSON_AddNumberToObject(row, "accuracy", (double)c->right / (double)c->known);
    if (c->attacked)
        cJSON_AddNumberToObject(row, "adv_accuracy", (double)c->adv_right / (double)c->attacked);
    cJSON_AddNumberToObject(row, "mean", c->measure / (double)n);
    stats_sort(values, scratch, n);
    cJSON_AddNumberToObject(row, "p50", stats_quantile(values, n, 0.5));
    cJSON_AddNumberToObject(row, "p90", stats_quantile(values, n, 0.9));
    cJSON_AddNumberToObject(row, "loss_mean", c->loss / (double)n);
    cJSON_AddNumberToObject(row, "adm_mean", c->adm / (double)n);
}

/* The class that is most often predicted for the wrong samples of class k; the lowest on ties. */
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

/* Whose mean and quantiles a row has. */
static int measure_of(int by)
{
    return by == BY_ACCURACY ? BY_LOSS : by;
}

static void sum_groups(const struct query_epoch *x, const struct groups *g, int by,
                       struct group_sums *sums)
{
    for (size_t i = 0; i < x->count; i++) {
        if (g->of[i] >= GROUPS_MAX || isnan(query_measure(x, measure_of(by), i)))
            continue;
        struct group_sums *c = &sums[g->of[i]];
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
    for (int k = 0; k < GROUPS_MAX; k++)
        if (sums[k].samples)
            sums[k].hardness /= (double)sums[k].samples;
}

static int add_rows(struct query *q, const struct query_epoch *x, const struct groups *g,
                    const struct ask *a, cJSON *out, struct errbuf *why)
{
    cJSON *rows = cJSON_AddArrayToObject(out, "rows");
    size_t total = 0, place = 0, from = 0, end = 0;
    struct group_sums *sums = xcalloc(GROUPS_MAX, sizeof(*sums));
    double *values = alloc_bytes(x->count, 2 * sizeof(*values)), hardness[GROUPS_MAX];
    uint32_t *order = NULL;
    int rc = values ? 0 : err_set(why, -ENOMEM, "out of memory for %zu scores", x->count);

    sum_groups(x, g, a->by, sums);
    for (int k = 0; k < GROUPS_MAX; k++)
        hardness[k] = sums[k].hardness;
    if (rc == 0)
        rc = query_order(hardness, GROUPS_MAX, &order, why);
    for (int k = 0; k < GROUPS_MAX; k++)
        total += sums[k].samples > 0;
    if (rc == 0 && total == 0)
        rc = query_lacks(x->job, x->epoch, query_by_names[measure_of(a->by)], why);
    if (rc == 0)
        end = query_page(a->first, a->limit, total, &from, out);
    for (int at = 0; rc == 0 && at < GROUPS_MAX && place < end; at++) {
        uint16_t k = (uint16_t)order[at];
        size_t n = 0;
        if (!sums[k].samples || place++ < from)
            continue;
        for (size_t i = 0; i < x->count; i++)
            if (g->of[i] == k && !isnan(query_measure(x, measure_of(a->by), i)))
                values[n++] = query_measure(x, measure_of(a->by), i);
        cJSON *row = cJSON_CreateObject();
        cJSON_AddItemToArray(rows, row);
        cJSON_AddNumberToObject(row, g->key, k);
        g->add_name(q, x->dataset, k, "name", row);
        add_figures(row, &sums[k], values, values + x->count);
        if (g->add_more)
            g->add_more(q, x, k, row);
    }
    free(order);
    free(values);
    free(sums);
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
    const struct groups g = {x->labels, "class", query_add_class_name, add_mistakes};

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
    const struct groups g = {of, "domain", query_add_domain_name, NULL};

    if (rc == 0)
        rc = add_groups(q, x, &g, a, out, why);
    free(of);
    return rc;
}

int query_domains(struct query *q, const struct ask *a, cJSON **ret, struct errbuf *why)
{
    return ask_groups(q, a, domains, "domain", ret, why);
}
