/* What BatchNorm and GroupNorm have in common: walks over an activation, NHWC, with factors per
 * channel. Both compute y = (x - mean) scale + shift (+ skip, ReLU), and backward
 *   dx (+)= d scale - ((x - mean) slope + offset),
 * where d is dy, or 0 where the ReLU's output is 0. They differ in the entries over which the
 * statistics are taken.
 *
 * Rows of few channels are short for a vector: `fold` pixels of a sample are taken as one row of
 * `lanes` = fold*C entries. Sums run per lane over blocks of rows in float, over blocks and lanes
 * of a channel in double: a fixed order that depends on the shape and the number of rows only. */
#ifndef STEPPE_WORKER_NN_NORM_H
#define STEPPE_WORKER_NN_NORM_H

#include "worker/nn/layer.h"

#define NORM_EPSILON 1e-5

/* All of it is scratch. Factors are set for the first c lanes and repeated by norm_spread. */
struct norm {
    size_t c, lanes, rows;                       /* of one sample: rows * lanes = h*w*c */
    double *sum_a, *sum_b;                       /* [c] what norm_moments and norm_sums return */
    real *mean, *scale, *shift, *slope, *offset; /* [lanes] */
    real *lane_a, *lane_b;                       /* [lanes] sums of a block */
};

/* Lays it out in the scratch that layer_space_of counts. */
struct norm norm_of(const struct layer_pass *p);
void norm_spread(const struct norm *g, real *factor);

/* Per channel over the rows: sum_a = the mean, sum_b = sum (x - mean)^2, in one walk: each block
 * around the mean of those before it (the first around its first pixel), joined as Chan, Golub and
 * LeVeque do (1979), so that a mean far from 0 costs no digits. Uses mean. */
void norm_moments(const struct norm *g, const real *x, size_t rows);
/* y of `rows` rows that begin at entry `at`; uses mean, scale and shift. */
void norm_write(const struct norm *g, const struct layer_pass *p, size_t at, size_t rows);
/* Per channel over the rows: sum_a = sum d, sum_b = sum d (x - mean). dy becomes d when there is a
 * skip, whose gradient it is; without one d follows from x. Uses mean, scale and shift. */
void norm_sums(const struct norm *g, const struct layer_pass *p, size_t at, size_t rows);
/* dx; behind norm_sums. Uses all five factors. */
void norm_gradient(const struct norm *g, const struct layer_pass *p, size_t at, size_t rows);
/* Both at once for constant statistics: dx (+)= d scale, of `rows` rows from the first on; no sums.
 * Uses mean, scale and shift. */
void norm_scale_gradient(const struct norm *g, const struct layer_pass *p, size_t rows);

#endif
