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
