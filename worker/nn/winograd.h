/* 3x3 convolutions with stride 1 and padding 1 as products over tiles, F(4x4, 3x3) of Winograd's
 * minimal filtering (Lavin & Gray 2015, arXiv 1509.09308). For a tile of 4x4 outputs, d the 6x6
 * inputs they read, g a 3x3 filter:
 *   y  = A^T [(G g G^T) . (B^T d B)] A               36 products instead of 144
 *   dg = G^T [sum over tiles (B^T d B) . (A dy A^T)] G
 * where . is taken entry by entry, so that over C channels in and K out each of the 36 entries is a
 * matrix product [tiles, C] [C, K]. The gradient of the input is the convolution of dy with the
 * filters turned by 180 degrees.
 * The points of the transforms are 0, +-3/4, +-3/2 and infinity: exact in binary, and of all small
 * fractions tried the ones with the smallest error, twice that of the direct sum instead of six
 * times with the usual 0, +-1, +-2. */
#ifndef STEPPE_WORKER_NN_WINOGRAD_H
#define STEPPE_WORKER_NN_WINOGRAD_H

#include <stdbool.h>
#include <stddef.h>

#define WINOGRAD_LANES_MAX 16

/* One convolution: x [n, h, w, c], filters [3, 3, c, k], y [n, h, w, k]. c and k are multiples of
 * the lanes of the instruction set. */
struct winograd {
    size_t n, h, w, c, k;
    float *scratch; /* winograd_scratch floats, 64-byte aligned */
};

/* Floats of scratch. */
size_t winograd_scratch(size_t c, size_t k);

/* What is written: y (+)= convolution + bias, clamped at 0. */
struct winograd_out {
    float *y;          /* [n, h, w, k] */
    const float *bias; /* [k] or NULL */
    bool relu;
    bool add; /* to what is in y; then neither bias nor relu */
};

/* The operations of one instruction set. Results are a pure function of the arguments. */
struct winograd_ops {
    size_t lanes;
    /* turned: filters are [3, 3, k, c], turned by 180 degrees and transposed: the gradient of the
     * input of a convolution from k to c channels. */
    void (*convolve)(const struct winograd *g, const float *x, const float *filters, bool turned,
                     const struct winograd_out *out);
    /* filters[3, 3, c, k] = gradient of the filters, from x and dy [n, h, w, k]. */
    void (*gradient)(const struct winograd *g, const float *x, const float *dy, float *filters);
};

extern const struct winograd_ops winograd_avx512, winograd_avx2;

#endif
