/* The vector of the instruction set that a file is compiled for (its target pragma comes first),
 * and the few operations that kernels need. fma rounds once; nothing is reordered. */
#ifndef STEPPE_WORKER_NN_SIMD_H
#define STEPPE_WORKER_NN_SIMD_H

#include <immintrin.h>

#define SIMD_INLINE static inline __attribute__((always_inline))

#ifdef __AVX512F__
#define VEC_LANES 16
typedef __m512 vec;
#define SIMD_OP(name) _mm512_##name##_ps
#else
#define VEC_LANES 8
typedef __m256 vec;
#define SIMD_OP(name) _mm256_##name##_ps
#endif

SIMD_INLINE vec vec_load(const float *p)
{
    return SIMD_OP(loadu)(p);
}
SIMD_INLINE void vec_store(float *p, vec a)
{
    SIMD_OP(storeu)(p, a);
}
SIMD_INLINE vec vec_set(float a)
{
    return SIMD_OP(set1)(a);
}
SIMD_INLINE vec vec_zero(void)
{
    return SIMD_OP(setzero)();
}
SIMD_INLINE vec vec_add(vec a, vec b)
{
    return SIMD_OP(add)(a, b);
}
SIMD_INLINE vec vec_sub(vec a, vec b)
{
    return SIMD_OP(sub)(a, b);
}
SIMD_INLINE vec vec_mul(vec a, vec b)
{
    return SIMD_OP(mul)(a, b);
}
/* a*b + c */
SIMD_INLINE vec vec_fma(vec a, vec b, vec c)
{
    return SIMD_OP(fmadd)(a, b, c);
}
/* c - a*b */
SIMD_INLINE vec vec_fnma(vec a, vec b, vec c)
{
    return SIMD_OP(fnmadd)(a, b, c);
}
/* max(a, 0); NaN stays, so that a diverged model shows: the second operand is what is returned. */
SIMD_INLINE vec vec_clamp(vec a)
{
    return SIMD_OP(max)(vec_zero(), a);
}

#endif
