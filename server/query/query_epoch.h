/* All scores of one epoch in memory, for questions that SQL answers badly: quantiles by class,
 * ranks of two jobs side by side, sums of several measures. 50 000 samples take some 15 ms. */
#ifndef STEPPE_SERVER_QUERY_QUERY_EPOCH_H
#define STEPPE_SERVER_QUERY_QUERY_EPOCH_H

#include "server/core/sample_history.h"
#include "server/query/query_internal.h"

#define LABEL_UNKNOWN UINT16_MAX /* the dataset is not in the file */

/* In sample order, [count] each. */
struct query_epoch {
    int64_t job, dataset, epoch;
    bool test;          /* samples of the test; the label is all that is known of each */
    double newly_right; /* of the epoch; NAN: not known */
    size_t count;
    uint32_t *samples;
    struct score *scores; /* adv_predicted: of the test only, -1: not known; else 0 */
    double *adm;
    uint16_t *labels, *truth; /* truth: the label if nothing else is known */
    uint8_t *planted;         /* enum planted */
};

/* Loads a committed, scored epoch (-1: the last one) of a job, within a query. class_id -1: of all
 * classes, else of one, which must exist. Released with query_epoch_done, also on failure. */
int query_epoch_load(struct query *q, int64_t job, int64_t epoch, int64_t class_id,
                     struct query_epoch *ret, struct errbuf *why);
/* The same of the test samples, whose scores the job must keep. */
int query_epoch_load_test(struct query *q, int64_t job, int64_t epoch, int64_t class_id,
                          struct query_epoch *ret, struct errbuf *why);
void query_epoch_done(struct query_epoch *x);

/* A whole query: loads the epoch that a names (job, epoch, class_id, test) and fills the reply from
 * it. As query_end. */
typedef int query_fill(struct query *q, const struct query_epoch *x, const struct ask *a,
                       cJSON *out, struct errbuf *why);
int query_over_epoch(struct query *q, const struct ask *a, query_fill *fill, cJSON **ret,
                     struct errbuf *why);

/* A measure of entry i as it is; and its key for ordering: higher is harder. */
double query_measure(const struct query_epoch *x, int by, size_t i);
double query_hardness(const struct query_epoch *x, int by, size_t i);

/* The history of each sample of x up to the epoch of x: ret[x->count], owned by the caller (free).
 * From sample_state when x holds the last epoch; else from the scores of all earlier epochs, which
 * takes longer. */
int query_epoch_histories(struct query *q, const struct query_epoch *x, struct sample_history **ret,
                          struct errbuf *why);

/* How many rows of a ranked list lie before the end of the page that is asked for. */
size_t query_last(const struct ask *a);
/* The entries of x in descending order of value[count], equal values in sample order, those that
 * are NAN last: at least the first `wanted`, and all that equal the last of them. *ret[*ret_count]
 * is owned by the caller (free), also on failure. */
int query_order(const double *value, size_t count, size_t wanted, uint32_t **ret, size_t *ret_count,
                struct errbuf *why);

/* Percentile in (0, 1) of each value among all; equal values share their mean. rank[count].
 */
int query_percentiles(const double *value, size_t count, double *rank, struct errbuf *why);

/* A new row {sample, label, label_name, truth?, planted?, uri?} of entry i, appended to rows. */
cJSON *query_epoch_row(struct query *q, const struct query_epoch *x, size_t i, cJSON *rows);
/* The name of a class, or of a domain, under `key`; left out when it has none. */
void query_add_class_name(struct query *q, int64_t dataset, int64_t class_id, const char *key,
                          cJSON *row);
void query_add_domain_name(struct query *q, int64_t dataset, int64_t domain_id, const char *key,
                           cJSON *row);

#endif
