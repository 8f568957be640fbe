/* Order statistics over arrays of doubles. Pure; NaN must have been refused before. */
#ifndef STEPPE_SERVER_CORE_STATS_H
#define STEPPE_SERVER_CORE_STATS_H

#include <stdbool.h>
#include <stddef.h>

/* Ascending; -0.0 comes before 0.0. scratch[n] is overwritten. */
void stats_sort(double *x, double *scratch, size_t n);
/* The p-quantile, p in [0, 1], of n >= 1 ascending values: linear between the closest ranks, at
 * position p (n - 1) (numpy's default). */
double stats_quantile(const double *sorted, size_t n, double p);

struct stats_pair {
    double value;
    bool positive;
};
/* Area under the ROC curve of "larger value, more likely positive", by the sum of the ranks of the
 * positives, ties with their mean rank (Mann-Whitney U / (P N)). The largest value comes first. NAN
 * when there is no positive or no negative. */
double stats_auroc(const struct stats_pair *sorted, size_t n);

/* Pearson's correlation; of ranks it is Spearman's. NAN when one of them is constant or n is 0. */
double stats_correlation(const double *x, const double *y, size_t n);

#endif
