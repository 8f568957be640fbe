/* The dense layer of the avx2 set: 12 sums of 8 floats. */
#include "worker/nn/kernels.h"

#if defined(__x86_64__) && !defined(STEPPE_REAL_DOUBLE)
#pragma GCC target("avx2,fma")
#include "worker/nn/simd.h"

#define TILE_ROWS 6

#include "worker/nn/dense_direct.inc"

const struct dense_kernels dense_avx2 = {dense_forward, dense_weight_gradient, dense_data_gradient};
#else
const struct dense_kernels dense_avx2 = {0};
#endif
