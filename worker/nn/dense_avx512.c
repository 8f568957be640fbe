/* The dense layer of the avx512 set: 16 sums of 16 floats. */
#include "worker/nn/kernels.h"

#if defined(__x86_64__) && !defined(STEPPE_REAL_DOUBLE)
#include <immintrin.h>

#pragma GCC target("avx2,fma,avx512f,avx512dq")

#define LANES 16
#define TILE_ROWS 8

typedef __m512 lanes;

static inline lanes lanes_load(const float *from)
{
    return _mm512_loadu_ps(from);
}

static inline void lanes_store(float *to, lanes v)
{
    _mm512_storeu_ps(to, v);
}

static inline lanes lanes_all(float v)
{
    return _mm512_set1_ps(v);
}

static inline lanes lanes_fma(lanes a, lanes b, lanes sum)
{
    return _mm512_fmadd_ps(a, b, sum);
}

/* As vec_relu: not a number stays. */
static inline lanes lanes_clamp(lanes v)
{
    return _mm512_max_ps(_mm512_setzero_ps(), v);
}

#include "worker/nn/dense_direct.h"

const struct dense_kernels dense_avx512 = {dense_forward, dense_weight_gradient,
                                           dense_data_gradient};
#else
const struct dense_kernels dense_avx512 = {0};
#endif
