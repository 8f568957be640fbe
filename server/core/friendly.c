#include "server/core/friendly.h"

#include "common/clone.h"
#include "common/floats.h"

KERNEL void friendly(size_t n, double lambda, double sigma, double weight,
                     const float *restrict grad_sum, const float *restrict mean,
                     float *restrict next, float *restrict direction)
{
    const float keep = (float)lambda, take = (float)(1 - lambda), less = (float)sigma;
    const float divisor = (float)weight;
    const unsigned mode = floats_flush();

    for (size_t i = 0; i < n; i++) {
        const float g = grad_sum[i] / divisor;
        next[i] = keep * mean[i] + take * g;
        direction[i] = g - less * next[i];
    }
    floats_restore(mode);
}
