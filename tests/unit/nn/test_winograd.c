#include "tests/unit/nn/support.h"
#include "worker/nn/winograd.h"

/* As large a part of the largest entry as float32 may be off: sums of up to some thousand terms. */
#define TOLERANCE 1e-5

/* A convolution and its gradients by the definition, in double. */
struct direct {
    double *y, *dx, *df;
};

static struct direct direct_of(const struct winograd *g, const float *x, const float *f,
                               const float *dy)
{
    const size_t pixels = g->n * g->h * g->w;
    struct direct r = {xcalloc(pixels * g->k, sizeof(double)),
                       xcalloc(pixels * g->c, sizeof(double)),
                       xcalloc(9 * g->c * g->k, sizeof(double))};

    for (size_t p = 0; p < pixels; p++) {
        const size_t row = p / g->w % g->h, column = p % g->w;
        for (size_t tap = 0; tap < 9; tap++) {
            const size_t in_row = row + tap / 3 - 1, in_column = column + tap % 3 - 1;
            if (in_row >= g->h || in_column >= g->w)
                continue;
            const size_t in = p + in_row * g->w + in_column - row * g->w - column;
            for (size_t c = 0; c < g->c; c++) {
                for (size_t k = 0; k < g->k; k++) {
                    const size_t at = (tap * g->c + c) * g->k + k;
                    r.y[p * g->k + k] += (double)x[in * g->c + c] * f[at];
                    r.dx[in * g->c + c] += (double)dy[p * g->k + k] * f[at];
                    r.df[at] += (double)x[in * g->c + c] * dy[p * g->k + k];
                }
            }
        }
    }
    return r;
}

static void near_all(const char *what, const struct winograd *g, const double *want,
                     const float *got, size_t n)
{
    double top = 0;

    for (size_t i = 0; i < n; i++)
        top = fabs(want[i]) > top ? fabs(want[i]) : top;
    for (size_t i = 0; i < n; i++)
        if (!(fabs(want[i] - got[i]) <= TOLERANCE * top))
            FAIL("%s, %zu images %zux%zux%zu to %zu: entry %zu is %.9g, wanted %.9g", what, g->n,
                 g->h, g->w, g->c, g->k, i, (double)got[i], want[i]);
}

/* Numbers that nobody may read make what does show. */
static float *scratch_for(size_t c, size_t k)
{
    const size_t n = winograd_scratch(c, k);
    float *a = reals(n);

    for (size_t i = 0; i < n; i++)
        a[i] = NAN;
    return a;
}

static void compare(const struct winograd_ops *ops, size_t n, size_t h, size_t w, size_t c,
                    size_t k)
{
    const size_t xs = n * h * w * c, ys = n * h * w * k, fs = 9 * c * k;
    const struct winograd g = {n, h, w, c, k, scratch_for(c, k)};
    const struct winograd turned = {n, h, w, k, c, scratch_for(k, c)};
    float *x = uniform(1, xs, -0.5, 1), *f = uniform(2, fs, -1, 1), *dy = uniform(3, ys, -1, 1);
    float *bias = uniform(4, k, -1, 1), *y = reals(ys), *dx = uniform(5, xs, -1, 1),
          *df = reals(fs);
    float *before = uniform(5, xs, -1, 1);
    struct direct want = direct_of(&g, x, f, dy);

    ops->convolve(&g, x, f, false, &(struct winograd_out){.y = y});
    near_all("y", &g, want.y, y, ys);
    ops->convolve(&g, x, f, false, &(struct winograd_out){.y = y, .bias = bias, .relu = true});
    for (size_t i = 0; i < ys; i++)
        want.y[i] = fmax(want.y[i] + bias[i % k], 0);
    near_all("y with bias and relu", &g, want.y, y, ys);
    ops->convolve(&turned, dy, f, true, &(struct winograd_out){.y = dx, .add = true});
    for (size_t i = 0; i < xs; i++)
        want.dx[i] += before[i];
    near_all("dx", &g, want.dx, dx, xs);
    ops->gradient(&g, x, dy, df);
    near_all("df", &g, want.df, df, fs);
    free(x), free(f), free(dy), free(bias), free(y), free(dx), free(df), free(before);
    free(want.y), free(want.dx), free(want.df), free(g.scratch), free(turned.scratch);
}

static void compare_shapes(const struct winograd_ops *ops)
{
    static const size_t shapes[][3] = {
        {1, 1, 1}, {3, 1, 1}, {1, 4, 4}, {2, 5, 7}, {3, 8, 8}, {1, 9, 4}, {2, 2, 13}, {70, 4, 4},
    };
    static const size_t channels[][2] = {{1, 1}, {1, 2}, {2, 1}, {3, 2}, {2, 3}, {4, 4}};

    for (size_t i = 0; i < COUNT(shapes); i++)
        for (size_t j = 0; j < COUNT(channels); j++)
            compare(ops, shapes[i][0], shapes[i][1], shapes[i][2], channels[j][0] * ops->lanes,
                    channels[j][1] * ops->lanes);
    compare(ops, 65, 3, 4, 192,
            128); /* the filters' columns in groups, over two batches of tiles */
}

TEST(avx512_equals_the_definition_over_odd_shapes)
{
    if (!__builtin_cpu_supports("avx512f"))
        SKIP("this processor has no AVX-512");
    compare_shapes(&winograd_avx512);
}

TEST(avx2_equals_the_definition_over_odd_shapes)
{
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        SKIP("this processor has no AVX2");
    compare_shapes(&winograd_avx2);
}

static void same_twice(const struct winograd_ops *ops)
{
    enum { N = 9, SIDE = 10, C = 16, K = 32 };
    const struct winograd g = {N, SIDE, SIDE, C, K, scratch_for(C, K)};
    float *x = uniform(1, N * SIDE * SIDE * C, -1, 1), *f = uniform(2, 9 * C * K, -1, 1);
    float *dy = uniform(3, N * SIDE * SIDE * K, -1, 1), *y = reals(N * SIDE * SIDE * K);
    float *y2 = reals(N * SIDE * SIDE * K), *df = reals(9 * C * K), *df2 = reals(9 * C * K);

    ops->convolve(&g, x, f, false, &(struct winograd_out){.y = y});
    ops->gradient(&g, x, dy, df);
    ops->convolve(&g, x, f, false, &(struct winograd_out){.y = y2});
    ops->gradient(&g, x, dy, df2);
    ASSERT_MEM(y, y2, N * SIDE * SIDE * K * sizeof(*y));
    ASSERT_MEM(df, df2, 9 * C * K * sizeof(*df));
    /* A sample's output does not know its neighbours. */
    const struct winograd last = {1, SIDE, SIDE, C, K, g.scratch};
    ops->convolve(&last, x + (N - 1) * SIDE * SIDE * C, f, false, &(struct winograd_out){.y = y2});
    ASSERT_MEM(y + (N - 1) * SIDE * SIDE * K, y2, SIDE * SIDE * K * sizeof(*y));
    free(g.scratch), free(x), free(f), free(dy), free(y), free(y2), free(df), free(df2);
}

TEST(results_are_the_same_twice_and_for_a_sample_alone)
{
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        SKIP("this processor has no AVX2");
    same_twice(&winograd_avx2);
    if (__builtin_cpu_supports("avx512f"))
        same_twice(&winograd_avx512);
}
