/* Curvature of the loss in evaluation mode: products of its Hessian with a vector, by the
 * R-operator (Pearlmutter, Fast Exact Multiplication by the Hessian, 1994). R(f)(theta) is the
 * derivative of f(theta + r v) by r at 0. Run over the forward and the backward pass it gives
 * R(gradient) = H v, exact to rounding, for some 2.5 times the cost of a gradient.
 *
 * Convolutions and dense layers are bilinear, f(x, w), so their tangents are made with the same
 * kernels: R(y) = f(Rx, w) + f(x, Rw), and alike on the way back. ReLUs and max-pools are linear
 * where they are differentiable: the second derivative of their corners counts as 0. BatchNorms use
 * their running statistics, constants; nothing is dropped. One thread at a time uses it; it
 * allocates nothing after its creation. */
#ifndef STEPPE_WORKER_NN_CURVE_H
#define STEPPE_WORKER_NN_CURVE_H

#include <stddef.h>
#include <stdint.h>

#include "common/model.h"
#include "worker/nn/kernels.h"
#include "worker/nn/real.h"

struct curve;

/* m is borrowed. NULL when memory is out. Values, tangents and gradients of all layers are kept;
 * common/footprint.c counts what is mapped. */
struct curve *curve_create(const struct model *m, const struct kernels *kernels,
                           uint32_t batch_max);
void curve_free(struct curve *c); /* NULL is fine */

/* hv[floats] = the sum over n samples of H_i v, H_i the Hessian of the softmax cross-entropy of
 * sample i by the trained part of theta[floats]; padding and what lies behind the trained part are
 * 0. Of v[floats] the trained part is read, its padding must be 0. x [n, h, w, c] in [0, 1].
 * 1 <= n <= batch_max. A pure function of all this and the kernel set. */
void curve_product(struct curve *c, const real *theta, const real *v, const real *x,
                   const uint16_t *labels, uint32_t n, real *hv);

#endif
