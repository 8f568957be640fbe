#include "common/surrogate.h"

#include "common/clone.h"
#include "common/floats.h"

#define LANES FLOATS_LANES

KERNEL static void add_products(double *restrict lane, const float *restrict a,
                                const float *restrict b, size_t n)
{
    for (size_t i = 0; i < n; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            lane[j] += (double)a[i + j] * (double)b[i + j];
}

/* ret may be p or g. */
KERNEL static void combine(float *ret, double of_p, const float *p, double of_g, const float *g,
                           size_t n)
{
    for (size_t i = 0; i < n; i += LANES)
#pragma GCC ivdep
        for (size_t j = 0; j < LANES; j++)
            ret[i + j] = (float)(of_p * (double)p[i + j] - of_g * (double)g[i + j]);
}

void surrogate(size_t n, double alpha, const float *at_theta, const float *at_hat, float *ret)
{
    const unsigned mode = floats_flush();
    double product[LANES] = {0}, square[LANES] = {0};

    add_products(product, at_theta, at_hat, n);
    floats_add_squares(square, at_hat, n);
    const double along = floats_sum_lanes(product), length = floats_sum_lanes(square);
    combine(ret, 1 + alpha * (length > 0 ? along / length : 0), at_hat, alpha, at_theta, n);
    floats_restore(mode);
}
