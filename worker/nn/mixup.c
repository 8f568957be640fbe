#include "worker/nn/mixup.h"

#include <math.h>
#include <string.h>

/* Below it one image is taken whole, all the same; logarithms stay finite. */
#define ALPHA_LEAST 1e-6

/* By log1p of a positive number. */
static double ln(double x)
{
    return x >= 1 ? log1p(x - 1) : -log1p((1 - x) / x);
}

/* (0, 1] */
static double unit_above_0(struct rng *rng)
{
    return 1 - rng_unit(rng);
}

/* Standard normal, by Marsaglia's polar method. */
static double normal(struct rng *rng)
{
    double u, square;

    do {
        const double v = rng_range(rng, -1, 1);
        u = rng_range(rng, -1, 1);
        square = u * u + v * v;
    } while (square >= 1 || square == 0);
    return u * sqrt(-2 * ln(square) / square);
}

/* The logarithm of a draw from Gamma(a). */
static double ln_gamma_draw(struct rng *rng, double a)
{
    const double d = (a < 1 ? a + 1 : a) - 1.0 / 3, c = 1 / sqrt(9 * d);
    double v, x, bound;

    do {
        do {
            x = normal(rng);
            v = 1 + c * x;
        } while (v <= 0);
        v = v * v * v;
        bound = x * x / 2 + d - d * v + d * ln(v);
    } while (ln(unit_above_0(rng)) >= bound);
    const double whole = ln(d) + ln(v);

    return a < 1 ? whole + ln(unit_above_0(rng)) / a : whole;
}

double mixup_beta(struct rng *rng, double alpha)
{
    const double a = fmax(alpha, ALPHA_LEAST);
    const double x = ln_gamma_draw(rng, a), y = ln_gamma_draw(rng, a);
    const double smaller = exp(-fabs(x - y)); /* over the larger */

    return (x < y ? smaller : 1) / (1 + smaller);
}

double mixup_draw(double alpha, uint64_t seed, uint64_t step, uint32_t slot, uint32_t *partner,
                  uint32_t n)
{
    struct rng rng = rng_at(seed, RNG_MIXUP, (uint32_t)step, slot);
    const double lambda = mixup_beta(&rng, alpha);

    for (uint32_t i = 0; i < n; i++)
        partner[i] = i;
    rng_shuffle(&rng, partner, n);
    return lambda;
}

void mixup_images(real *restrict x, const uint32_t *partner, double lambda, uint32_t n,
                  size_t pixels, real *restrict scratch)
{
    const real own = (real)lambda, other = (real)(1 - lambda);

    memcpy(scratch, x, n * pixels * sizeof(*x));
    for (size_t i = 0; i < n; i++) {
        const real *a = scratch + i * pixels, *b = scratch + partner[i] * pixels;
        for (size_t k = 0; k < pixels; k++)
            x[i * pixels + k] = own * a[k] + other * b[k];
    }
}
