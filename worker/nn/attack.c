#include "worker/nn/attack.h"

#include <stdint.h>

#include "worker/nn/kernel.h"

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
