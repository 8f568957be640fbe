/* The dense layer of the avx2 set: 12 sums of 8 floats. */
#include "worker/nn/kernels.h"

#if defined(__x86_64__) && !defined(STEPPE_REAL_DOUBLE)
#include <immintrin.h>

#pragma GCC target("avx2,fma")

#define LANES 8
#define TILE_ROWS 6

typedef __m256 lanes;

static inline lanes lanes_load(const float *from)
{
    return _mm256_loadu_ps(from);
}

static inline void lanes_store(float *to, lanes v)
{
    _mm256_storeu_ps(to, v);
}

static inline lanes lanes_all(float v)
{
    return _mm256_set1_ps(v);
}

static inline lanes lanes_fma(lanes a, lanes b, lanes sum)
{
    return _mm256_fmadd_ps(a, b, sum);
}

/* As vec_relu: not a number stays. */
static inline lanes lanes_clamp(lanes v)
{
    return _mm256_max_ps(_mm256_setzero_ps(), v);
}

#include "worker/nn/dense_direct.h"

const struct dense_kernels dense_avx2 = {dense_forward, dense_weight_gradient, dense_data_gradient};
#else
const struct dense_kernels dense_avx2 = {0};
#endif
