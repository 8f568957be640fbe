#include "tests/unit/nn/support.h"
#include "worker/nn/gemm.h"

/* Strides wider than the rows, so that a mixed-up one shows; what lies between must stay. */
#define SLACK 3

static void compare(bool ta, bool tb, int m, int n, int k, real beta)
{
    const int lda = (ta ? m : k) + SLACK, ldb = (tb ? k : n) + SLACK, ldc = n + SLACK;
    const size_t c_count = (size_t)m * (size_t)ldc;
    real *a = uniform(1, (size_t)(ta ? k : m) * (size_t)lda, -1, 1);
    real *b = uniform(2, (size_t)(tb ? n : k) * (size_t)ldb, -1, 1);
    real *c = uniform(3, c_count, -1, 1), *ref = uniform(3, c_count, -1, 1);

    gemm(ta, tb, m, n, k, a, lda, b, ldb, beta, c, ldc);
    gemm_ref(ta, tb, m, n, k, a, lda, b, ldb, beta, ref, ldc);
    for (size_t i = 0; i < c_count; i++)
        if (!(fabs((double)c[i] - (double)ref[i]) <= 1e-6 * (k + 1)))
            FAIL("%c%c m=%d n=%d k=%d beta=%g: entry %zu is %.9g, wanted %.9g", "NT"[ta], "NT"[tb],
                 m, n, k, (double)beta, i, (double)c[i], (double)ref[i]);
    free(a), free(b), free(c), free(ref);
}

TEST(equals_the_reference_over_odd_sizes_and_all_transposes)
{
    static const int sizes[][3] = {
        {1, 1, 1},   {1, 7, 5},    {3, 1, 9},    {5, 3, 1},    {2, 2, 2},   {7, 10, 33},
        {16, 9, 17}, {17, 16, 48}, {33, 65, 31}, {64, 10, 96}, {48, 64, 9}, {130, 37, 71},
    };

    gemm_init();
    for (size_t i = 0; i < COUNT(sizes); i++)
        for (int op = 0; op < 4; op++)
            for (int beta = 0; beta <= 1; beta++)
                compare(op & 1, op & 2, sizes[i][0], sizes[i][1], sizes[i][2], (real)beta);
}

TEST(what_lies_in_c_does_not_matter_when_beta_is_0)
{
    const real a = 2, b = 3;
    real c = (real)NAN, ref = (real)NAN;

    gemm(false, false, 1, 1, 1, &a, 1, &b, 1, 0, &c, 1);
    gemm_ref(false, false, 1, 1, 1, &a, 1, &b, 1, 0, &ref, 1);
    ASSERT_NEAR(6, c, 0);
    ASSERT_NEAR(6, ref, 0);
}

TEST(same_product_twice_gives_the_same_bits)
{
    enum { M = 67, N = 45, K = 129 };
    real *a = uniform(1, M * K, -1, 1), *b = uniform(2, K * N, -1, 1);
    real *c = reals(M * N), *again = reals(M * N);

    gemm(false, false, M, N, K, a, K, b, N, 0, c, N);
    gemm(false, false, M, N, K, a, K, b, N, 0, again, N);
    ASSERT_MEM(c, again, M * N * sizeof(real));
    free(a), free(b), free(c), free(again);
}

TEST(core_has_a_name)
{
    ASSERT(gemm_core()[0] != '\0');
}
