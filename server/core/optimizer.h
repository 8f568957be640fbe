/* SGD over the flat vector, as torch.optim.SGD writes it. Pure. */
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

/* Learning rate at 0-based step of total: warm-up rises linearly, lr*(step+1)/W over the first
 * W = floor(warmup*total+1/2) steps; then constant, or cosine,
 * lr/2*(1+cos(pi*(step-W)/(total-W))). */
double optimizer_lr(const struct optimizer_spec *spec, uint64_t step, uint64_t total);

/* One update: g = grad_sum / weight_sum (+ weight_decay*theta where decay); velocity =
 * momentum*velocity + g; d = nesterov ? g + momentum*velocity : velocity; next = theta - lr*d. All
 * float32, one rounding an operation, entry by entry; the scalars are rounded to float first.
 * weight_sum > 0. The vectors must not overlap. With momentum 0 the velocity is left untouched and
 * may be NULL. What lies outside the segments is neither read nor written. */
void optimizer_step(const struct optimizer_spec *spec, double lr, double weight_sum,
                    const struct segment *segments, int segment_count, const float *grad_sum,
                    const float *theta, float *velocity, float *next);

#endif
