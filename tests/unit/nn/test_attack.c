#include "tests/unit/nn/support.h"
#include "worker/nn/attack.h"

TEST(twin_is_within_epsilon_and_within_the_pixel_range)
{
    static const double epsilons[] = {0, 1.0 / 255, 8.0 / 255, 0.3, 1};
    enum { N = 10000 };
    real *x = uniform(1, N, 0, 1), *g = uniform(2, N, -1, 1), *twin = reals(N);

    for (size_t e = 0; e < COUNT(epsilons); e++) {
        double far = 0;
        ASSERT(attack_fgsm(x, g, epsilons[e], N, twin));
        for (int i = 0; i < N; i++) {
            ASSERT(twin[i] >= 0 && twin[i] <= 1);
            ASSERT(((double)twin[i] - (double)x[i]) * (double)g[i] >= 0);
            far = fmax(far, fabs((double)twin[i] - (double)x[i]));
        }
        ASSERT(far <= epsilons[e] + 1e-7);
        ASSERT(far >= 0.9 * epsilons[e]);
    }
    free(x), free(g), free(twin);
}

TEST(sign_of_zero_is_zero)
{
    const real x[5] = {0.5, 0.5, 0.5, 0, 1}, g[5] = {0, (real)-0.0, 1e-30, -1, 1};
    real twin[5];

    ASSERT(attack_fgsm(x, g, 0.25, 5, twin));
    ASSERT(twin[0] == x[0] && twin[1] == x[1]);
    ASSERT_NEAR(0.75, twin[2], 0);
    ASSERT(twin[3] == 0 && twin[4] == 1);
}

TEST(all_zero_gradient_keeps_x_and_says_so)
{
    real *x = uniform(1, 100, 0, 1), *g = reals(100), *twin = reals(100);

    g[50] = (real)-0.0;
    ASSERT(!attack_fgsm(x, g, 0.1, 100, twin));
    ASSERT_MEM(x, twin, 100 * sizeof(real));
    free(x), free(g), free(twin);
}

static double distance_2(const real *a, const real *b, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += pow((double)a[i] - (double)b[i], 2);
    return sqrt(sum);
}

TEST(l2_twin_is_within_epsilon_and_within_the_pixel_range)
{
    static const double epsilons[] = {0, 1e-4, 1.0 / 255, 8.0 / 255, 0.5, 1};
    enum { N = 3072 };
    real *g = uniform(2, N, -1, 1), *twin = reals(N);

    for (uint32_t trial = 0; trial < 20; trial++) {
        real *x = uniform(10 + trial, N, 0, 1);
        for (size_t e = 0; e < COUNT(epsilons); e++) {
            ASSERT(attack_l2(x, g, epsilons[e], N, twin));
            for (int i = 0; i < N; i++) {
                ASSERT(twin[i] >= 0 && twin[i] <= 1);
                ASSERT(((double)twin[i] - (double)x[i]) * (double)g[i] >= 0);
            }
            const double far = distance_2(twin, x, N);
            ASSERT(far <= epsilons[e] * (1 + 1e-6));
            ASSERT(far >= 0.9 * epsilons[e]);
        }
        free(x);
    }
    free(g), free(twin);
}

TEST(l2_has_no_scale_and_all_zero_keeps_x)
{
    enum { N = 100 };
    real *x = uniform(1, N, 0.2, 0.8), *g = uniform(2, N, -1, 1), *twin = reals(N),
         *tiny = reals(N);

    for (int i = 0; i < N; i++)
        tiny[i] = (real)ldexp((double)g[i], -100);
    ASSERT(attack_l2(x, g, 0.25, N, twin));
    real *again = reals(N);
    ASSERT(attack_l2(x, tiny, 0.25, N, again));
    ASSERT_MEM(twin, again, N * sizeof(real));
    ASSERT_NEAR(0.25, distance_2(twin, x, N), 1e-6);
    memset(g, 0, N * sizeof(real));
    ASSERT(!attack_l2(x, g, 0.25, N, twin));
    ASSERT_MEM(x, twin, N * sizeof(real));
    free(x), free(g), free(twin), free(tiny), free(again);
}

TEST(moves_stay_within_epsilon_and_within_the_pixel_range)
{
    static const double epsilons[] = {0, 1.0 / 255, 8.0 / 255, 0.3, 1};
    enum { N = 5000 };
    real *x = uniform(1, N, 0, 1), *twin = reals(N);

    for (size_t e = 0; e < COUNT(epsilons); e++) {
        const double eps = epsilons[e];
        attack_start(x, eps, 5, 6, 7, N, twin);
        for (uint32_t move = 0; move < 12; move++) {
            double far = 0;
            for (int i = 0; i < N; i++) {
                ASSERT(twin[i] >= 0 && twin[i] <= 1);
                far = fmax(far, fabs((double)twin[i] - (double)x[i]));
            }
            ASSERT(far <= eps + 1e-7);
            ASSERT(far >= 0.9 * eps);
            real *g = uniform(20 + move, N, -1, 1);
            attack_move(x, g, eps / 4, eps, N, twin);
            free(g);
        }
    }
    free(x), free(twin);
}

TEST(a_move_goes_by_alpha_and_sign_of_zero_is_zero)
{
    const real x[4] = {0.5, 0.5, 0.5, 0.95f}, g[4] = {3, (real)-1e-30, 0, 1};
    real twin[4] = {0.5, 0.5, 0.5, 0.95f};

    attack_move(x, g, 0.0625, 0.125, 4, twin);
    ASSERT(twin[0] == (real)0.5625 && twin[1] == (real)0.4375 && twin[2] == (real)0.5);
    ASSERT(twin[3] == 1);
    for (int i = 0; i < 5; i++)
        attack_move(x, g, 0.0625, 0.125, 4, twin);
    ASSERT(twin[0] == (real)0.625 && twin[1] == (real)0.375 && twin[2] == (real)0.5);
}

TEST(a_start_is_a_function_of_its_keys_and_fills_the_ball)
{
    enum { N = 2000 };
    real *x = uniform(1, N, 0.4, 0.6), *a = reals(N), *b = reals(N);
    double sum = 0;

    attack_start(x, 0.25, 1, 2, 3, N, a);
    attack_start(x, 0.25, 1, 2, 3, N, b);
    ASSERT_MEM(a, b, N * sizeof(real));
    for (uint32_t key = 0; key < 3; key++) {
        attack_start(x, 0.25, 1 + (key == 0), 2 + (key == 1), 3 + (key == 2), N, b);
        ASSERT(distance_2(a, b, N) > 1);
    }
    for (int i = 0; i < N; i++)
        sum += (double)a[i] - (double)x[i];
    ASSERT_NEAR(0, sum / N, 0.02);
    ASSERT_NEAR(0.25 / sqrt(3), distance_2(a, x, N) / sqrt(N), 0.01);
    attack_start(x, 0, 1, 2, 3, N, a);
    ASSERT_MEM(x, a, N * sizeof(real));
    free(x), free(a), free(b);
}
