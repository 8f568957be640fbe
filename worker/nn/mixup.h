/* Mixup of training images (Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018,
 * arXiv 1710.09412, equation 1): within a shard each image is mixed with that of a partner,
 *   x = lambda x_i + (1 - lambda) x_j,  lambda ~ Beta(alpha, alpha),
 * and so is the loss, lambda loss(x, y_i) + (1 - lambda) loss(x, y_j). One lambda a shard, as the
 * paper's code has one a batch; the partners are a random permutation of the shard. What is drawn
 * is a function of (seed, RNG_MIXUP, step, first slot of the shard): the same in every pass of a
 * step, whoever computes it. */
#ifndef STEPPE_WORKER_NN_MIXUP_H
#define STEPPE_WORKER_NN_MIXUP_H

#include <stddef.h>
#include <stdint.h>

#include "common/rng.h"
#include "worker/nn/real.h"

/* Fills partner[n] with a permutation of 0 .. n-1; returns lambda. alpha > 0. */
double mixup_draw(double alpha, uint64_t seed, uint64_t step, uint32_t slot, uint32_t *partner,
                  uint32_t n);
/* A draw from Beta(alpha, alpha), in [0, 1]: X / (X + Y) with X and Y from Gamma(alpha) (Marsaglia
 * and Tsang 2000; below 1 from Gamma(alpha + 1) times U^(1/alpha)), whose logarithms are kept, so
 * that a small alpha does not underflow. Of libm it uses exp and log1p, which are in the canary of
 * a numerics class, and sqrt, which is exact. */
double mixup_beta(struct rng *rng, double alpha);
/* x[n, pixels] becomes the mixed images; scratch[n, pixels] is overwritten. */
void mixup_images(real *restrict x, const uint32_t *partner, double lambda, uint32_t n,
                  size_t pixels, real *restrict scratch);

#endif
