/* The convolutions of the avx2 set: 16 registers of 8 floats. */
#include "worker/nn/kernels.h"

#if defined(__x86_64__) && !defined(STEPPE_REAL_DOUBLE)
#pragma GCC target("avx2,fma")
#include "worker/nn/simd.h"

#define VECTORS_MAX 1
#define WIDTH_MAX 12
/* Output rows this short: two images at a time, or there are too few sums to fill the pipeline. */
#define PAIR_WIDTH 4

/* Map, images, vectors, width: images * width (UP: twice) sums in 12 registers. */
/* clang-format off */
#define BLOCKS(X) \
    X(SAME, 1, 1, 12) X(SAME, 1, 1, 10) X(SAME, 1, 1, 8) X(SAME, 1, 1, 7) X(SAME, 1, 1, 4) \
    X(SAME, 1, 1, 2) X(SAME, 1, 1, 1) X(SAME, 2, 1, 4) X(SAME, 2, 1, 2) X(SAME, 2, 1, 1) \
    X(DOWN, 1, 1, 8) X(DOWN, 1, 1, 7) X(DOWN, 1, 1, 4) X(DOWN, 1, 1, 2) X(DOWN, 1, 1, 1) \
    X(DOWN, 2, 1, 4) X(DOWN, 2, 1, 2) X(DOWN, 2, 1, 1) \
    X(UP, 1, 1, 4) X(UP, 1, 1, 2) X(UP, 1, 1, 1) X(UP, 2, 1, 2) X(UP, 2, 1, 1)
/* clang-format on */

#include "worker/nn/conv_direct.inc"

/* Input channels and vectors: 3 * channels sums in 12 registers. */
#define STRIPS(X) X(4, 1) X(3, 1) X(2, 1) X(1, 1)

#include "worker/nn/conv_weights.inc"

/* Widths; from 9 on only where they divide the row. */
#define NARROWS(X) X(8) X(4) X(2) X(1)

#include "worker/nn/conv_narrow.inc"

const struct kernel conv_avx2[] = {
    {CONV_FORWARD, "3x3 avx2", fills_y, packed_scratch, forward, false},
    {CONV_DATA_GRADIENT, "3x3 avx2", fills_x, packed_scratch, data_gradient, false},
    {CONV_DATA_GRADIENT, "3x3 avx2, few channels", fills_dy, packed_scratch, narrow_gradient,
     false},
    {CONV_WEIGHT_GRADIENT, "3x3 avx2", fills_y, NULL, weight_gradient, false},
    {0},
};
#else
const struct kernel conv_avx2[] = {{0}};
#endif
