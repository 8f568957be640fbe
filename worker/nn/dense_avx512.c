/* The dense layer of the avx512 set: 16 sums of 16 floats. */
#include "worker/nn/kernels.h"

#if defined(__x86_64__) && !defined(STEPPE_REAL_DOUBLE)
#pragma GCC target("avx2,fma,avx512f,avx512dq")
#include "worker/nn/simd.h"

#define TILE_ROWS 8

#include "worker/nn/dense_direct.inc"

const struct dense_kernels dense_avx512 = {dense_forward, dense_weight_gradient,
                                           dense_data_gradient};
#else
const struct dense_kernels dense_avx512 = {0};
#endif
