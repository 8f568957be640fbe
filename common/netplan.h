/* How a model's layers become stages over values, and where the values lie. A value is one
 * activation: number 0 is the image, 1 + i what layer i writes. A stage is a layer that computes;
 * the others are done by an earlier stage (a ReLU by the layer before it, an add by the norm before
 * it) or do nothing (flatten). Walking backward, the first stage that has a part of a value's
 * gradient begins it, later ones add theirs (always in that order), and it ends with the stage that
 * wrote the value.
 *
 * Values and gradients lie in blocks, which live as long as a stage reads them. What a norm wrote
 * ends with its last forward reader and is written again (layer_traits.rewrites) before the first
 * backward stage that reads it: that costs one walk and saves half of the memory.
 *
 * A folded plan is for scoring in evaluation, where a BatchNorm is a constant factor and shift for
 * each channel: the convolution before it includes them in its own filters, and only the add behind
 * the norm is left, or nothing. Only the gradient of the image can follow.
 *
 * Ticks: i is the forward of stage i, L (layers) between the passes, 2L - i the backward of stage
 * i, 2L + 1 the end. */
#ifndef STEPPE_COMMON_NETPLAN_H
#define STEPPE_COMMON_NETPLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "common/lifetime.h"
#include "common/model.h"

#define NO_VALUE (-1)
#define NO_BLOCK (-1)
#define NO_STAGE (-1)

/* What a backward computes: also gradients of parameters, which need more of the values, or only
 * that of the image. */
enum { FOR_PARAMS, FOR_IMAGE, PURPOSES };

struct stage_plan {
    bool runs;                   /* the layer computes; if not, nothing below counts */
    bool relu, mask_dy, mask_dx; /* see struct layer_pass of the engine */
    int x, y;                    /* values; equal when the layer works in place */
    int skip;                    /* the value that is added to y, or NO_VALUE */
    int dy, dx;                  /* blocks of the gradients of y and x; may be equal */
    bool add_dx;                 /* x already has a part of its gradient */
    /* Block that the gradient of y, masked, is added to after the layer's backward; NO_BLOCK when
     * there is no skip or its gradient simply takes over dy's block. */
    int add_skip;
    int fold;  /* conv2d: the BatchNorm whose factors its filters take; NO_STAGE: none */
    bool adds; /* batchnorm: only the add behind it remains */
    /* y is written again before the backward of this stage; NO_STAGE: never. */
    int rewritten_for[PURPOSES];
    bool trainable;                   /* it or a layer before it has parameters */
    bool x_trainable, skip_trainable; /* some layer before this value has parameters */
};

/* Blocks of a value, forward and backward: the same unless it is written again; NO_BLOCK where
 * nothing reads it. */
struct value_plan {
    int forward, backward;
};

struct netplan {
    struct stage_plan *stages; /* one a layer */
    struct value_plan *values; /* one a layer and the image */
    struct block *blocks;
    int count, block_count;
    int image_gradient, logits_gradient; /* blocks */
};

/* 0 or -ENOMEM. Free with netplan_done. */
int netplan_make(const struct model *m, bool folded, struct netplan *ret);
/* What stage i, which runs, computes: the kind of its layer, or only the add that remains of it. */
enum layer_kind netplan_kind(const struct netplan *p, const struct model *m, int i);
/* Places the blocks of shards of up to `batch` samples, entries of real_bytes. Returns the total
 * size. */
size_t netplan_place(struct netplan *p, uint32_t batch, size_t real_bytes);
/* Is there a convolution that folds? */
bool netplan_folds(const struct netplan *p);
void netplan_done(struct netplan *p); /* a zeroed struct is fine */

#endif
