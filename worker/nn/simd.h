/* The vector of the instruction set that a file is compiled for (its target pragma comes first),
 * and the few operations that kernels need. fma rounds once; nothing is reordered. */
#ifndef STEPPE_WORKER_NN_SIMD_H
#define STEPPE_WORKER_NN_SIMD_H

#include <immintrin.h>

#define SIMD_INLINE static inline __attribute__((always_inline))

#ifdef __AVX512F__
#define LANES 16
typedef __m512 lanes;
#define SIMD_OP(name) _mm512_##name##_ps
#else
#define LANES 8
typedef __m256 lanes;
#define SIMD_OP(name) _mm256_##name##_ps
#endif

SIMD_INLINE lanes lanes_zero(void)
{
    return SIMD_OP(setzero)();
}

SIMD_INLINE lanes lanes_load(const float *from)
{
    return SIMD_OP(loadu)(from);
}

SIMD_INLINE void lanes_store(float *to, lanes v)
{
    SIMD_OP(storeu)(to, v);
}

SIMD_INLINE lanes lanes_all(float v)
{
    return SIMD_OP(set1)(v);
}

SIMD_INLINE lanes lanes_add(lanes a, lanes b)
{
    return SIMD_OP(add)(a, b);
}

SIMD_INLINE lanes lanes_sub(lanes a, lanes b)
{
    return SIMD_OP(sub)(a, b);
}

SIMD_INLINE lanes lanes_mul(lanes a, lanes b)
{
    return SIMD_OP(mul)(a, b);
}

/* a*b + sum */
SIMD_INLINE lanes lanes_fma(lanes a, lanes b, lanes sum)
{
    return SIMD_OP(fmadd)(a, b, sum);
}

/* sum - a*b */
SIMD_INLINE lanes lanes_fnma(lanes a, lanes b, lanes sum)
{
    return SIMD_OP(fnmadd)(a, b, sum);
}

/* max(v, 0), as vec_relu: not a number stays. */
SIMD_INLINE lanes lanes_clamp(lanes v)
{
    return SIMD_OP(max)(lanes_zero(), v);
}

/* The sum of all lanes: halves added to halves. */
SIMD_INLINE float lanes_sum(lanes v)
{
#ifdef __AVX512F__
    const __m256 a = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
#else
    const __m256 a = v;
#endif
    const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));

    return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}

#endif
