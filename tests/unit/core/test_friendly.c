#include <math.h>
#include <string.h>

#include "common/rng.h"
#include "server/core/friendly.h"
#include "tests/harness.h"

#define N 48
#define STEPS 5

/* The paper in double over several steps: m_t = lambda m_(t-1) + (1 - lambda) g_t,
 * d_t = g_t - sigma m_t. */
TEST(the_direction_leaves_out_the_moving_mean_of_the_gradients)
{
    static const double cases[][2] = {{0.9, 1}, {0.6, 0.5}, {0, 0.25}, {0.95, 0}};

    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        const double lambda = cases[c][0], sigma = cases[c][1];
        struct rng r = rng_at(3, RNG_TEST, 0, 0);
        float mean[N] = {0}, next[N], direction[N], sum[N];
        double m[N] = {0};

        for (int step = 0; step < STEPS; step++) {
            const double weight = 7.5 + step;
            for (int i = 0; i < N; i++)
                sum[i] = (float)rng_range(&r, -1, 2);
            friendly(N, lambda, sigma, weight, sum, mean, next, direction);
            for (int i = 0; i < N; i++) {
                const double g = (double)sum[i] / weight;
                m[i] = lambda * m[i] + (1 - lambda) * g;
                ASSERT_NEAR(m[i], next[i], 1e-6);
                ASSERT_NEAR(g - sigma * m[i], direction[i], 1e-6);
            }
            memcpy(mean, next, sizeof(mean));
        }
    }
}

TEST(in_the_first_step_the_direction_is_that_of_the_gradient)
{
    float mean[N] = {0}, next[N], direction[N], sum[N];

    for (int i = 0; i < N; i++)
        sum[i] = (float)(i - 20);
    friendly(N, 0.75, 1, 2, sum, mean, next, direction);
    for (int i = 0; i < N; i++)
        ASSERT(direction[i] == 0.75f * (sum[i] / 2));
}

TEST(a_gradient_that_never_changes_leaves_less_and_less_of_itself)
{
    float mean[N] = {0}, next[N], direction[N], sum[N];

    for (int i = 0; i < N; i++)
        sum[i] = (float)(1 + i);
    for (int step = 1; step <= 20; step++) {
        friendly(N, 0.5, 1, 1, sum, mean, next, direction);
        memcpy(mean, next, sizeof(mean));
        for (int i = 0; i < N; i++)
            ASSERT_NEAR(ldexp(1 + i, -step), direction[i], 1e-5);
    }
}
