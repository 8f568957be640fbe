/* Adversarial twins in pixel space. */
#ifndef STEPPE_WORKER_NN_ATTACK_H
#define STEPPE_WORKER_NN_ATTACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/nn/real.h"

/* One sample: x[n] in [0, 1], g[n] the gradient of its loss up to a positive factor, twin[n].
 * FGSM (Goodfellow et al. 2015): twin = clip(x + eps*sign(g), 0, 1), sign(0) = 0. False when g is
 * all zero: the twin is x. */
bool attack_fgsm(const real *restrict x, const real *restrict g, double eps, size_t n,
                 real *restrict twin);
/* L2: twin = clip(x + eps*g/||g||_2, 0, 1); ||g||^2 as vec_square_sum, the sum in double, rounded
 * towards x, so that ||twin - x||_2 <= eps but for the rounding of the norm. False as above. */
bool attack_l2(const real *restrict x, const real *restrict g, double eps, size_t n,
               real *restrict twin);

/* PGD (Madry et al. 2018), a start and then moves; the last iterate is the twin.
 * A start anywhere in the ball: twin = clip(x + eps*u, 0, 1), u uniform in [-1, 1), drawn from
 * (seed, RNG_ATTACK, step, slot). */
void attack_start(const real *restrict x, double eps, uint64_t seed, uint64_t step, uint32_t slot,
                  size_t n, real *restrict twin);
/* twin += alpha*sign(g), projected on [x - eps, x + eps] and [0, 1]; g is the gradient at twin. */
void attack_move(const real *restrict x, const real *restrict g, double alpha, double eps, size_t n,
                 real *restrict twin);

#endif
