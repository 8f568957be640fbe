#include "server/core/stats.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SIGN (UINT64_C(1) << 63)

/* The bits of a double as an integer with the same order. */
static uint64_t key_of(double x)
{
    uint64_t bits;

    memcpy(&bits, &x, sizeof(bits));
    return bits & SIGN ? ~bits : bits | SIGN;
}

/* Radix sort, a byte a pass, lowest first: several times as fast as qsort on the epochs we meet. */
void stats_sort(double *x, double *scratch, size_t n)
{
    size_t counts[sizeof(double)][256] = {{0}};
    double *from = x, *to = scratch;

    for (size_t i = 0; i < n; i++) {
        uint64_t key = key_of(x[i]);
        for (size_t b = 0; b < sizeof(double); b++)
            counts[b][key >> 8 * b & 0xff]++;
    }
    for (size_t b = 0; b < sizeof(double); b++) {
        size_t starts[256], at = 0;
        /* All alike in this byte: nothing to do. */
        if (n == 0 || counts[b][key_of(from[0]) >> 8 * b & 0xff] == n)
            continue;
        for (int v = 0; v < 256; v++) {
            starts[v] = at;
            at += counts[b][v];
        }
        for (size_t i = 0; i < n; i++)
            to[starts[key_of(from[i]) >> 8 * b & 0xff]++] = from[i];
        double *swap = from;
        from = to;
        to = swap;
    }
    if (from != x)
        memcpy(x, from, n * sizeof(*x));
}

double stats_quantile(const double *sorted, size_t n, double p)
{
    double at = p * (double)(n - 1);
    size_t low = (size_t)at;

    if (low + 1 >= n)
        return sorted[n - 1];
    return sorted[low] + (sorted[low + 1] - sorted[low]) * (at - (double)low);
}

double stats_auroc(const struct stats_pair *sorted, size_t n)
{
    double rank_sum = 0;
    size_t positives = 0;

    for (size_t lo = 0, hi; lo < n; lo = hi) {
        size_t tied = 0;
        for (hi = lo; hi < n && sorted[hi].value == sorted[lo].value; hi++)
            tied += sorted[hi].positive;
        /* Ranks count from 1, upwards: n - hi + 1 .. n - lo. */
        rank_sum += (double)tied * ((double)(2 * n - lo - hi) + 1) / 2;
        positives += tied;
    }
    double p = (double)positives, rest = (double)(n - positives);
    if (p == 0 || rest == 0)
        return NAN;
    return (rank_sum - p * (p + 1) / 2) / (p * rest);
}

double stats_correlation(const double *x, const double *y, size_t n)
{
    double mean_x = 0, mean_y = 0, xx = 0, yy = 0, xy = 0;

    for (size_t i = 0; i < n; i++) {
        mean_x += x[i] / (double)n;
        mean_y += y[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        double dx = x[i] - mean_x, dy = y[i] - mean_y;
        xx += dx * dx;
        yy += dy * dy;
        xy += dx * dy;
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : NAN;
}
