/* Adversarial twins in pixel space. */
#ifndef STEPPE_WORKER_NN_ATTACK_H
#define STEPPE_WORKER_NN_ATTACK_H

#include <stdbool.h>
#include <stddef.h>

#include "worker/nn/real.h"

/* FGSM (Goodfellow et al. 2015): twin[n] = clip(x + eps*sign(g), 0, 1), sign(0) = 0; x[n] in [0, 1]
 * is one sample, g[n] the gradient of its loss. False when g is all zero: the twin is x. */
bool attack_fgsm(const real *restrict x, const real *restrict g, double eps, size_t n,
                 real *restrict twin);

#endif
