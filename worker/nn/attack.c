#include "worker/nn/attack.h"

#include <tgmath.h>

#include "common/rng.h"
#include "worker/nn/kernel.h"
#include "worker/nn/vec.h"

KERNEL bool attack_fgsm(const real *restrict x, const real *restrict g, double eps, size_t n,
                        real *restrict twin)
{
    const real e = (real)eps;
    uint32_t any = 0;

    for (size_t i = 0; i < n; i++) {
        const int32_t sign = (g[i] > 0) - (g[i] < 0);
        real t = x[i] + e * (real)sign;
        t = t < 0 ? 0 : t;
        t = t > 1 ? 1 : t;
        twin[i] = t;
        any |= g[i] != 0;
    }
    return any != 0;
}

bool attack_l2(const real *restrict x, const real *restrict g, double eps, size_t n,
               real *restrict twin)
{
    const double norm = sqrt(vec_square_sum(g, n)), c = norm > 0 ? eps / norm : 0;

    for (size_t i = 0; i < n; i++) {
        const double d = c * (double)g[i];
        real t = (real)((double)x[i] + d);
        if (fabs((double)t - (double)x[i]) > fabs(d))
            t = nextafter(t, x[i]);
        t = t < 0 ? 0 : t;
        twin[i] = t > 1 ? 1 : t;
    }
    return norm > 0;
}

void attack_start(const real *restrict x, double eps, uint64_t seed, uint64_t step, uint32_t slot,
                  size_t n, real *restrict twin)
{
    struct rng r = rng_at(seed, RNG_ATTACK, (uint32_t)step, slot);

    for (size_t i = 0; i < n; i++) {
        real t = x[i] + (real)(eps * rng_range(&r, -1, 1));
        t = t < 0 ? 0 : t;
        twin[i] = t > 1 ? 1 : t;
    }
}

KERNEL void attack_move(const real *restrict x, const real *restrict g, double alpha, double eps,
                        size_t n, real *restrict twin)
{
    const real a = (real)alpha, e = (real)eps;

    for (size_t i = 0; i < n; i++) {
        const int32_t sign = (g[i] > 0) - (g[i] < 0);
        const real lo = x[i] - e < 0 ? 0 : x[i] - e, hi = x[i] + e > 1 ? 1 : x[i] + e;
        real t = twin[i] + a * (real)sign;
        t = t < lo ? lo : t;
        twin[i] = t > hi ? hi : t;
    }
}
