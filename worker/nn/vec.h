/* Loops over flat memory. Elementwise, or sums over a fixed number of lanes: the same bits on every
 * instruction set. */
#ifndef STEPPE_WORKER_NN_VEC_H
#define STEPPE_WORKER_NN_VEC_H

#include <stddef.h>
#include <stdint.h>

#include "worker/nn/real.h"

/* y[rows, k]: each row becomes b[k]; 0 when b is NULL. */
void vec_fill_rows(real *restrict y, const real *restrict b, size_t rows, size_t k);
/* sum[k] += column sums of a[rows, k]. */
void vec_add_rows(real *restrict sum, const real *restrict a, size_t rows, size_t k);

/* y[rows, k] = a[rows, k] with column j times factor[j]. */
void vec_scale_rows(real *restrict y, const real *restrict a, const real *restrict factor,
                    size_t rows, size_t k);

/* y = max(y, 0); NaN stays, so that a diverged model shows. */
void vec_relu(real *y, size_t n);
/* dy = 0 where y, the output of a ReLU, is not positive. */
void vec_relu_mask(real *restrict dy, const real *restrict y, size_t n);

/* y[rows, c] = (x - mean[c]) / std[c]; c <= CHANNELS_MAX. */
void vec_normalise(real *restrict y, const real *restrict x, const float *mean, const float *std,
                   size_t rows, size_t c);
/* dx[rows, c] = dy / std[c]; c <= CHANNELS_MAX. */
void vec_denormalise(real *restrict dx, const real *restrict dy, const float *std, size_t rows,
                     size_t c);
/* x = pixel / 255, rounded once. */
void vec_from_bytes(real *restrict x, const uint8_t *restrict pixel, size_t n);

/* sum += a. */
void vec_add(real *restrict sum, const real *restrict a, size_t n);
/* sum a^2 in double: 16 lanes, entry i in lane i % 16, lanes added pairwise. */
double vec_square_sum(const real *a, size_t n);

#endif
