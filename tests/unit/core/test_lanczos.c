#include <errno.h>
#include <math.h>
#include <string.h>

#include "common/rng.h"
#include "server/core/lanczos.h"
#include "tests/harness.h"

#define N 60

/* Symmetric, of random entries. */
static void random_matrix(double *a, int n, uint32_t key)
{
    struct rng r = rng_at(3, RNG_TEST, key, 0);

    for (int i = 0; i < n; i++)
        for (int j = i; j < n; j++)
            a[i * n + j] = a[j * n + i] = rng_range(&r, -1, 1);
}

static void times(const double *a, int n, const float *x, float *y)
{
    for (int i = 0; i < n; i++) {
        double sum = 0;
        for (int j = 0; j < n; j++)
            sum += a[i * n + j] * (double)x[j];
        y[i] = (float)sum;
    }
}

static int run(struct lanczos *l, const double *a, int n, int wanted, double tolerance)
{
    float start[N], product[N];

    for (int i = 0; i < n; i++)
        start[i] = i % 3 ? 1 : -1;
    ASSERT_EQ(0, lanczos_begin(l, start));
    do {
        times(a, n, lanczos_vector(l), product);
        ASSERT_EQ(0, lanczos_add(l, product, 2));
    } while (!lanczos_done(l, wanted, tolerance));
    return lanczos_steps(l);
}

TEST(jacobi_diagonalises)
{
    double a[N * N], copy[N * N], values[N], v[N * N];

    random_matrix(a, N, 1);
    memcpy(copy, a, sizeof(a));
    lanczos_jacobi(copy, N, values, v);
    for (int k = 0; k < N; k++) {
        ASSERT(k == 0 || values[k] <= values[k - 1]);
        for (int i = 0; i < N; i++) {
            double sum = 0;
            for (int j = 0; j < N; j++)
                sum += a[i * N + j] * v[j * N + k];
            ASSERT(fabs(sum - values[k] * v[i * N + k]) < 1e-12);
        }
    }
}

TEST(the_largest_values_are_those_of_the_dense_matrix_and_residuals_bound_the_error)
{
    double a[N * N], copy[N * N], want[N], v[N * N], got[5], residual[5];
    struct lanczos *l = lanczos_create(N, 50);

    random_matrix(a, N, 2);
    memcpy(copy, a, sizeof(a));
    lanczos_jacobi(copy, N, want, v);
    const int steps = run(l, a, N, 5, 1e-4);
    ASSERT(steps > 5 && steps < 50);
    ASSERT_EQ(5, lanczos_values(l, 5, got, residual));
    for (int i = 0; i < 5; i++) {
        ASSERT(fabs(got[i] - 2 * want[i]) < 1e-3 * want[0]);
        ASSERT(fabs(got[i] - 2 * want[i]) <= residual[i] + 1e-5);
        ASSERT(residual[i] <= 1e-4 * 3 * want[0]);
    }
    float top[N];
    double along = 0;
    lanczos_top(l, top);
    for (int i = 0; i < N; i++)
        along += (double)top[i] * v[i * N];
    ASSERT(fabs(fabs(along) - 1) < 1e-4);
    lanczos_free(l);
}

TEST(the_residual_is_what_it_says)
{
    double a[N * N], got[1], residual[1], sum = 0;
    float top[N], product[N];
    struct lanczos *l = lanczos_create(N, 8);

    random_matrix(a, N, 3);
    ASSERT_EQ(8, run(l, a, N, 5, 1e-9));
    lanczos_values(l, 1, got, residual);
    lanczos_top(l, top);
    times(a, N, top, product);
    for (int i = 0; i < N; i++)
        sum += pow(2 * (double)product[i] - got[0] * (double)top[i], 2);
    ASSERT(fabs(sqrt(sum) - residual[0]) < 1e-4);
    ASSERT(residual[0] > 1e-3);
    lanczos_free(l);
}

/* The same value three times is one dimension for the iteration. */
TEST(an_exhausted_space_ends_it_with_fewer_values)
{
    double a[N * N] = {0}, got[5], residual[5];
    struct lanczos *l = lanczos_create(N, 50);

    for (int i = 0; i < N; i++)
        a[i * N + i] = i < 3 ? 7 : i < 30 ? 1 : -2;
    ASSERT_EQ(3, run(l, a, N, 5, 1e-6));
    ASSERT_EQ(3, lanczos_values(l, 5, got, residual));
    const double want[] = {14, 2, -4};
    for (int i = 0; i < 3; i++) {
        ASSERT(fabs(got[i] - want[i]) < 1e-5);
        ASSERT(residual[i] == 0);
    }
    lanczos_free(l);
}

TEST(a_start_of_zeros_is_refused)
{
    struct lanczos *l = lanczos_create(4, 5);
    const float zero[4] = {0};

    ASSERT_EQ(-EINVAL, lanczos_begin(l, zero));
    lanczos_free(l);
}

/* diag(1, 2, 4) from (1, 1, 1), two products, by hand: T is 7/3, 59/21 with sqrt(14)/3 beside them,
 * and what is left has length sqrt(27)/7. The last entries of T's eigenvectors have the squares
 * (sqrt(711) +- 5) / (2 sqrt(711)). */
TEST(every_value_has_the_residual_of_its_own_vector)
{
    const double root = sqrt(711), left = sqrt(27) / 7;
    float start[16] = {1, 1, 1}, product[16] = {0};
    double got[2], residual[2];
    struct lanczos *l = lanczos_create(16, 2);

    ASSERT_EQ(0, lanczos_begin(l, start));
    while (lanczos_steps(l) == 0 || !lanczos_done(l, 5, 1e-9)) {
        for (int i = 0; i < 3; i++)
            product[i] = (float)(1 << i) * lanczos_vector(l)[i];
        ASSERT_EQ(0, lanczos_add(l, product, 1));
    }
    ASSERT_EQ(2, lanczos_values(l, 5, got, residual));
    ASSERT_NEAR(18.0 / 7 + root / 21, got[0], 1e-6);
    ASSERT_NEAR(18.0 / 7 - root / 21, got[1], 1e-6);
    ASSERT_NEAR(left * sqrt((root + 5) / (2 * root)), residual[0], 1e-6);
    ASSERT_NEAR(left * sqrt((root - 5) / (2 * root)), residual[1], 1e-6);
    lanczos_free(l);
}

/* What the products have in common is a thousand times what they differ by: one pass leaves a
 * thousand roundings of it. */
TEST(each_vector_is_orthogonal_to_all_before)
{
    float basis[20][N], start[N], product[N];
    struct lanczos *l = lanczos_create(N, 20);

    for (int i = 0; i < N; i++)
        start[i] = i % 3 ? 1 : -1;
    ASSERT_EQ(0, lanczos_begin(l, start));
    for (int k = 0; k < 20; k++) {
        memcpy(basis[k], lanczos_vector(l), sizeof(basis[k]));
        for (int j = 0; j < k; j++) {
            double along = 0;
            for (int i = 0; i < N; i++)
                along += (double)basis[j][i] * (double)basis[k][i];
            ASSERT_NEAR(0, along, 1e-6);
        }
        for (int i = 0; i < N; i++)
            product[i] = (1000 + (float)i / N) * basis[k][i];
        ASSERT_EQ(0, lanczos_add(l, product, 1));
    }
    lanczos_free(l);
}

static int steps_of(const double *a, double tolerance)
{
    struct lanczos *l = lanczos_create(N, 50);
    const int steps = run(l, a, N, 5, tolerance);

    lanczos_free(l);
    return steps;
}

TEST(the_tolerance_is_relative_to_the_largest_magnitude_of_either_sign)
{
    double a[N * N], large[N * N], below[N * N] = {0};

    random_matrix(a, N, 2);
    for (int i = 0; i < N * N; i++)
        large[i] = 1024 * a[i];
    ASSERT_EQ(steps_of(a, 1e-4), steps_of(large, 1e-4));
    for (int i = 0; i < N; i++)
        below[i * N + i] = i == 7 ? -1000 : (double)i / N;
    ASSERT(steps_of(below, 1e-3) <= 6);
}
