#include <stdlib.h>

#include "common/rng.h"
#include "server/core/stats.h"
#include "tests/harness.h"

#define N 1000

static int ascending(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

TEST(sorting_agrees_with_the_library)
{
    static double x[N], y[N], scratch[N];
    struct rng r = rng_at(1, RNG_TEST, 0, 0);

    for (size_t n = 0; n <= N; n += n < 5 ? 1 : 199) {
        for (size_t i = 0; i < n; i++)
            x[i] = (rng_unit(&r) - 0.5) * pow(10, rng_range(&r, -300, 300));
        if (n > 4) {
            x[0] = x[1]; /* a tie */
            x[2] = 0;
            x[3] = 5e-324;
        }
        memcpy(y, x, sizeof(y));
        qsort(y, n, sizeof(*y), ascending);
        stats_sort(x, scratch, n);
        ASSERT_MEM(y, x, n * sizeof(*x));
    }
}

TEST(equal_values_stay_as_they_are)
{
    double x[] = {2, 2, 2}, scratch[3];

    stats_sort(x, scratch, 3);
    ASSERT_NEAR(2, x[0], 0);
    ASSERT_NEAR(2, x[2], 0);
}

TEST(quantiles_lie_between_the_closest_ranks)
{
    const double x[] = {1, 2, 4, 8};

    ASSERT_NEAR(1, stats_quantile(x, 4, 0), 0);
    ASSERT_NEAR(1.5, stats_quantile(x, 4, 0.5 / 3), 1e-12);
    ASSERT_NEAR(3, stats_quantile(x, 4, 0.5), 0);
    ASSERT_NEAR(8, stats_quantile(x, 4, 1), 0);
    ASSERT_NEAR(1, stats_quantile(x, 1, 0.9), 0);
}

static int largest_first(const void *a, const void *b)
{
    const struct stats_pair *x = a, *y = b;

    return (x->value < y->value) - (x->value > y->value);
}

/* Against the definition: the share of (positive, negative) pairs in the right order. */
TEST(auroc_is_the_share_of_pairs_in_the_right_order)
{
    struct stats_pair pairs[200];
    struct rng r = rng_at(2, RNG_TEST, 0, 0);
    double right = 0, all = 0;

    for (int i = 0; i < 200; i++)
        pairs[i] = (struct stats_pair){(double)rng_below(&r, 20), rng_below(&r, 3) == 0};
    for (int i = 0; i < 200; i++)
        for (int k = 0; k < 200; k++) {
            if (!pairs[i].positive || pairs[k].positive)
                continue;
            all++;
            right += pairs[i].value > pairs[k].value    ? 1
                     : pairs[i].value == pairs[k].value ? 0.5
                                                        : 0;
        }
    qsort(pairs, 200, sizeof(pairs[0]), largest_first);
    ASSERT_NEAR(right / all, stats_auroc(pairs, 200), 1e-12);
}

TEST(auroc_needs_both_kinds)
{
    struct stats_pair pairs[] = {{2, true}, {1, true}};

    ASSERT(isnan(stats_auroc(pairs, 2)));
    pairs[0].positive = pairs[1].positive = false;
    ASSERT(isnan(stats_auroc(pairs, 2)));
    ASSERT(isnan(stats_auroc(pairs, 0)));
    pairs[0].positive = true;
    ASSERT_NEAR(1, stats_auroc(pairs, 2), 0);
}
