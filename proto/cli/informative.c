#include "proto/cli/informative.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/score.h"

const char *const informative_measure_names[INFORMATIVE_MEASURES] = {
    [INFORMATIVE_LOSS] = "loss",
    [INFORMATIVE_GRAD_NORM] = "grad_norm",
    [INFORMATIVE_EL2N] = "el2n",
    [INFORMATIVE_ADM_POPULATION] = "adm_population",
    [INFORMATIVE_ADM_SAMPLE] = "adm_sample",
};

void informative_adm(const double *loss, const double *adv_loss, const int32_t *flags, size_t count,
                     double *ret_population, double *ret_sample)
{
    double sum = 0;
    size_t directed = 0;

    for (size_t i = 0; i < count; i++)
        if (isfinite(adv_loss[i]) && !((uint32_t)flags[i] & SCORE_NO_DIRECTION)) {
            sum += fmax(adv_loss[i] - loss[i], 0);
            directed++;
        }
    const double mean = directed ? sum / (double)directed : 0;
    for (size_t i = 0; i < count; i++) {
        if (isnan(adv_loss[i])) {
            ret_population[i] = ret_sample[i] = NAN;
            continue;
        }
        const double gap = fmax(adv_loss[i] - loss[i], 0);
        ret_population[i] = gap > 0 ? gap / (gap + mean) : 0;
        ret_sample[i] = gap > 0 ? gap / adv_loss[i] : 0;
    }
}

struct entry {
    double value;
    size_t at;
};

static int by_value(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    return x->value < y->value ? -1 : x->value > y->value;
}

/* The measured entries of a column in rising order, to be freed; NULL: no memory. */
static struct entry *sorted(const double *column, size_t count, size_t *ret_n)
{
    struct entry *list = alloc_bytes(count + 1, sizeof(*list));
    size_t n = 0;

    if (!list)
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (!isnan(column[i]))
            list[n++] = (struct entry){column[i], i};
    qsort(list, n, sizeof(*list), by_value);
    *ret_n = n;
    return list;
}

/* Where the values equal to list[first] end; as_float: equal once rounded to float32. */
static size_t run_end(const struct entry *list, size_t n, size_t first, int as_float)
{
    size_t end = first + 1;

    while (end < n && (as_float ? (float)list[end].value == (float)list[first].value
                                : list[end].value == list[first].value))
        end++;
    return end;
}

static double quantile(const struct entry *list, size_t n, double share)
{
    return list[(size_t)(share * (double)(n - 1) + 0.5)].value;
}

int informative_scale(const double *column, size_t count, struct informative_scale *ret)
{
    size_t n, tied = 0;
    struct entry *list = sorted(column, count, &n);

    if (!list)
        return -ENOMEM;
    *ret = (struct informative_scale){NAN, NAN, NAN, NAN, NAN};
    for (size_t first = 0, end; first < n; first = end) {
        end = run_end(list, n, first, 1);
        tied += end - first > 1 ? end - first : 0;
    }
    if (n > 0) {
        ret->p10 = quantile(list, n, 0.1);
        ret->median = quantile(list, n, 0.5);
        ret->p90 = quantile(list, n, 0.9);
        ret->tied = (double)tied / (double)n;
        if (ret->median > 0)
            ret->spread = (ret->p90 - ret->p10) / ret->median;
    }
    free(list);
    return 0;
}

/* Replaces the numbers of a column by their ranks from 1, equal ones sharing the mean. */
static int to_ranks(double *column, size_t count)
{
    size_t n;
    struct entry *list = sorted(column, count, &n);

    if (!list)
        return -ENOMEM;
    for (size_t first = 0, end; first < n; first = end) {
        end = run_end(list, n, first, 0);
        for (size_t i = first; i < end; i++)
            column[list[i].at] = (double)(first + 1 + end) / 2;
    }
    free(list);
    return 0;
}

static double pearson(const double *a, const double *b, size_t n)
{
    const double mean = (double)(n + 1) / 2; /* of ranks */
    double ab = 0, aa = 0, bb = 0;

    for (size_t i = 0; i < n; i++) {
        ab += (a[i] - mean) * (b[i] - mean);
        aa += (a[i] - mean) * (a[i] - mean);
        bb += (b[i] - mean) * (b[i] - mean);
    }
    return n >= 3 && aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : NAN;
}

int informative_agreement(const double *a, const double *b, size_t count, double *ret)
{
    double *x = alloc_bytes(count + 1, sizeof(*x)), *y = alloc_bytes(count + 1, sizeof(*y));
    size_t n = 0;
    int rc = x && y ? 0 : -ENOMEM;

    for (size_t i = 0; rc == 0 && i < count; i++)
        if (!isnan(a[i]) && !isnan(b[i])) {
            x[n] = a[i];
            y[n++] = b[i];
        }
    if (rc == 0)
        rc = to_ranks(x, n);
    if (rc == 0)
        rc = to_ranks(y, n);
    if (rc == 0)
        *ret = pearson(x, y, n);
    free(x);
    free(y);
    return rc;
}

int informative_auroc(const double *column, const uint8_t *positive, size_t count, double *ret)
{
    double *ranks = alloc_bytes(count + 1, sizeof(*ranks)), sum = 0;
    size_t n = 0, hits = 0;

    if (!ranks)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        ranks[i] = column[i];
    int rc = to_ranks(ranks, count);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (isnan(column[i]))
            continue;
        n++;
        if (positive[i]) {
            hits++;
            sum += ranks[i];
        }
    }
    const double p = (double)hits, rest = (double)(n - hits);
    if (rc == 0)
        *ret = hits > 0 && hits < n ? (sum - p * (p + 1) / 2) / (p * rest) : NAN;
    free(ranks);
    return rc;
}
