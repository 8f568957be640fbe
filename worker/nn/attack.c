#include "worker/nn/attack.h"

#include "worker/nn/kernel.h"

KERNEL bool attack_fgsm(const real *restrict x, const real *restrict g, double eps, size_t n,
                        real *restrict twin)
{
    const real e = (real)eps;
    int any = 0;

    for (size_t i = 0; i < n; i++) {
        const real up = g[i] > 0 ? e : 0, down = g[i] < 0 ? e : 0;
        real t = x[i] + (up - down);
        t = t < 0 ? 0 : t;
        twin[i] = t > 1 ? 1 : t;
        any |= g[i] != 0;
    }
    return any;
}
