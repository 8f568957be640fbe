#include <math.h>
#include <string.h>

#include "common/rng.h"
#include "common/surrogate.h"
#include "tests/harness.h"

#define N 96

struct pair {
    float g[N], p[N], ret[N];
};

static struct pair pair_of(double scale_g, double scale_p)
{
    struct rng r = rng_at(7, RNG_TEST, 0, 0);
    struct pair v;

    for (int i = 0; i < N; i++) {
        v.g[i] = (float)(scale_g * rng_range(&r, -1, 1));
        v.p[i] = (float)(scale_p * rng_range(&r, -1, 2));
    }
    return v;
}

/* The formula of the paper, with the two parts of g by name. */
static void wanted(const struct pair *v, double alpha, double out[N])
{
    double product = 0, square = 0;

    for (int i = 0; i < N; i++) {
        product += (double)v->g[i] * (double)v->p[i];
        square += (double)v->p[i] * (double)v->p[i];
    }
    for (int i = 0; i < N; i++) {
        const double parallel = square > 0 ? product / square * (double)v->p[i] : 0;
        const double orthogonal = (double)v->g[i] - parallel;
        out[i] = (double)v->p[i] - alpha * orthogonal;
    }
}

TEST(it_goes_down_the_second_gradient_and_up_what_is_orthogonal_to_it)
{
    static const double scales[][2] = {{1, 1}, {1e-20, 1e-18}, {1e12, 1e10}, {1e10, 1e-10}};
    static const double alphas[] = {0.1, 1, 20};

    for (size_t s = 0; s < sizeof(scales) / sizeof(scales[0]); s++)
        for (size_t a = 0; a < sizeof(alphas) / sizeof(alphas[0]); a++) {
            struct pair v = pair_of(scales[s][0], scales[s][1]);
            double want[N], along = 0, moved = 0, length = 0, largest = 0;

            wanted(&v, alphas[a], want);
            surrogate(N, alphas[a], v.g, v.p, v.ret);
            for (int i = 0; i < N; i++)
                largest = fmax(largest, fabs(want[i]));
            for (int i = 0; i < N; i++) {
                const double change = (double)v.ret[i] - (double)v.p[i];
                ASSERT_NEAR(want[i], v.ret[i], 1e-6 * largest);
                along += change * (double)v.p[i];
                moved += change * change;
                length += (double)v.p[i] * (double)v.p[i];
            }
            ASSERT(moved > 0);
            ASSERT(fabs(along) < 1e-5 * (length + sqrt(moved * length)));
        }
}

TEST(without_alpha_it_is_the_second_gradient)
{
    struct pair v = pair_of(1, 3);

    surrogate(N, 0, v.g, v.p, v.ret);
    ASSERT_MEM(v.p, v.ret, sizeof(v.p));
}

TEST(where_there_is_no_second_gradient_all_of_the_first_is_orthogonal)
{
    struct pair v = pair_of(1, 0);

    surrogate(N, 0.5, v.g, v.p, v.ret);
    for (int i = 0; i < N; i++)
        ASSERT(v.ret[i] == -0.5f * v.g[i]);
}

TEST(it_may_be_written_over_either)
{
    struct pair v = pair_of(1, 1), a = v, b = v;

    surrogate(N, 0.3, v.g, v.p, v.ret);
    surrogate(N, 0.3, a.g, a.p, a.g);
    surrogate(N, 0.3, b.g, b.p, b.p);
    ASSERT_MEM(v.ret, a.g, sizeof(v.ret));
    ASSERT_MEM(v.ret, b.p, sizeof(v.ret));
}

/* Both are sums; by what they are divided later does not matter. */
TEST(its_length_follows_that_of_the_two)
{
    struct pair v = pair_of(1, 1), twice = v;

    for (int i = 0; i < N; i++) {
        twice.g[i] *= 2;
        twice.p[i] *= 2;
    }
    surrogate(N, 0.7, v.g, v.p, v.ret);
    surrogate(N, 0.7, twice.g, twice.p, twice.ret);
    for (int i = 0; i < N; i++)
        ASSERT(twice.ret[i] == 2 * v.ret[i]);
}
