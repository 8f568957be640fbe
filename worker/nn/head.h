/* Softmax cross-entropy with relative precision at both ends (deploy/docs/MATH.md): in double from
 * the logits; a confident sample has a loss of 1e-20 and a gradient to match, not 0. */
#ifndef STEPPE_WORKER_NN_HEAD_H
#define STEPPE_WORKER_NN_HEAD_H

#include <stdint.h>

#include "worker/nn/real.h"

struct head {
    double loss;       /* (z_k - z_y) + log1p(sum_{j != k} e_j), nats */
    double wrong;      /* R/S = 1 - p_y, summed without y */
    double el2n;       /* sqrt(sum delta^2) */
    int32_t predicted; /* argmax, lowest index on ties */
};

/* z[classes] logits, label < classes. delta[classes] (NULL: not wanted) = d loss / d z: e_j/S for
 * j != y, -R/S for y, never p_y - 1. */
void head_sample(const real *z, uint32_t classes, uint32_t label, struct head *ret, double *delta);
/* p[classes] = e_j/S, rounded to float: 1 in sum but for that. */
void head_probabilities(const real *z, uint32_t classes, float *p);
/* Turns the loss of head_sample into that of a target smoothed by a = smoothing in [0, 1):
 * (1 - a)*loss_y + a/classes * sum_j loss_j = loss + a/classes * sum_j (z_y - z_j), and changes
 * delta [classes] accordingly: a/classes less for every class, a more for y. wrong, el2n and
 * predicted stay those of the sample. */
void head_smooth(const real *z, uint32_t classes, uint32_t label, double smoothing, struct head *io,
                 double *delta);
/* floor(log2(R/S)), 0 when R is 0 or not a number: delta times 2^-exponent has its largest entry in
 * [1, 2), which float32 carries through a backward pass without denormals. */
int head_exponent(const struct head *h);

#endif
