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

#include "worker/nn/kernels.h"

/* Rows for all operations on shapes whose channels, in and out, fill the set's vectors. The same
 * bits from both sets. Empty where the build cannot make them. */
extern const struct kernel winograd_avx512[], winograd_avx2[];

#endif
