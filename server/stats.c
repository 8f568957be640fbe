#include "server/stats.h"

#include <math.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

void stats_sort(double *x, size_t n)
{
    qsort(x, n, sizeof(*x), by_value);
}

double stats_quantile(const double *sorted, size_t n, double p)
{
    double at = p * (double)(n - 1);
    size_t low = (size_t)at;

    if (low + 1 >= n)
        return sorted[n - 1];
    return sorted[low] + (sorted[low + 1] - sorted[low]) * (at - (double)low);
}

static int by_pair_value(const void *a, const void *b)
{
    const struct stats_pair *x = a, *y = b;

    return (x->value > y->value) - (x->value < y->value);
}

double stats_auroc(struct stats_pair *pairs, size_t n)
{
    double rank_sum = 0;
    size_t positives = 0;

    qsort(pairs, n, sizeof(*pairs), by_pair_value);
    for (size_t lo = 0, hi; lo < n; lo = hi) {
        size_t tied = 0;
        for (hi = lo; hi < n && pairs[hi].value == pairs[lo].value; hi++)
            tied += pairs[hi].positive;
        /* Ranks count from 1: lo + 1 .. hi. */
        rank_sum += (double)tied * ((double)(lo + hi) + 1) / 2;
        positives += tied;
    }
    double p = (double)positives, rest = (double)(n - positives);
    if (p == 0 || rest == 0)
        return NAN;
    return (rank_sum - p * (p + 1) / 2) / (p * rest);
}
