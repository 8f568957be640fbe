/* The update of a step over the flat vector: trained parameters by SGD or AdamW, as torch.optim
 * defines them; running statistics by a moving average. Pure. */
#ifndef STEPPE_SERVER_CORE_OPTIMIZER_H
#define STEPPE_SERVER_CORE_OPTIMIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/jobspec.h"

/* A run of floats with or without weight decay. */
struct segment {
    size_t offset, count;
    bool decay;
};

#define OPTIMIZER_VECTORS_MAX 2

/* Names of the vectors that are the rule's state, in the order in which optimizer_step takes them,
 * NULL-terminated: sgd "velocity"; adamw "m", "v". Each is as long as theta and begins as 0. */
const char *const *optimizer_vectors(const struct optimizer_spec *spec);

/* Learning rate at 0-based step of total: warm-up rises linearly, lr*(step+1)/W over the first
 * W = floor(warmup*total+1/2) steps; then constant, or cosine,
 * lr/2*(1+cos(pi*(step-W)/(total-W))), or step: lr*gamma*gamma.. , a gamma for each milestone s
 * with step >= floor(s*total+1/2). */
double optimizer_lr(const struct optimizer_spec *spec, uint64_t step, uint64_t total);

/* The divisor that makes grad_sum the step's gradient: weight_sum; or, where the L2 norm
 * ||grad_sum||/weight_sum is above clip, ||grad_sum||/clip, which makes the norm clip
 * (torch.nn.utils.clip_grad_norm_ without its 1e-6). ||grad_sum||^2 in double over the segments in
 * order, entry i of a segment in lane i % 16, lanes added pairwise at the end. clip 0: no limit, no
 * pass over the gradient. weight_sum > 0. */
double optimizer_divisor(const struct optimizer_spec *spec, double weight_sum,
                         const struct segment *segments, int segment_count, const float *grad_sum);

/* One update, the step-th (0-based). g = grad_sum / divisor, then
 *   sgd:   g += weight_decay*theta where decay; velocity = momentum*velocity + g;
 *          d = nesterov ? g + momentum*velocity : velocity; next = theta - lr*d
 *   adamw: m = beta1*m + (1 - beta1)*g; v = beta2*v + ((1 - beta2)*g)*g;
 *          d = m / (sqrt(v)/sqrt(1 - beta2^t) + epsilon), t = step + 1;
 *          next = theta*(1 - lr*weight_decay) where decay, else theta; next -= lr/(1 - beta1^t)*d
 * All float32, one rounding an operation, entry by entry; what has no entry (1 - beta1,
 * sqrt(1 - beta2^t) ..) is computed in double and rounded to float once. beta^t is multiplied out
 * by squaring, so that it is the same on every machine.
 * divisor > 0. next may be theta. state: the rule's vectors; they and the others must not overlap.
 * sgd with momentum 0 leaves its velocity untouched, which may be NULL. Nothing outside the
 * segments is read or written. */
void optimizer_step(const struct optimizer_spec *spec, double lr, uint64_t step, double divisor,
                    const struct segment *segments, int segment_count, const float *grad_sum,
                    const float *theta, float *const *state, float *next);

/* The running statistics of BatchNorms, once a step, as torch.nn.BatchNorm2d with momentum 0.1:
 * next = 0.9*running + 0.1*(sum / shards), where sum[n] adds up the statistics of `shards` shards.
 * All float32, one rounding an operation. shards >= 1; next may be running. */
void optimizer_running(const float *sum, double shards, const float *running, float *next,
                       size_t n);

#endif
