/* How a model's layers become stages over values. A value is one activation in memory: number 0 is
 * the image, 1 + i what layer i writes. A stage is a layer that computes; the others are done by an
 * earlier stage (a ReLU by the layer before it, an add by the norm before it) or do nothing
 * (flatten). Gradients of values live in slots: a slot is taken by the first stage, walking
 * backward, that has a part of the value's gradient, later ones add theirs (always in that order),
 * and it is free again behind the stage that wrote the value. */
#ifndef STEPPE_WORKER_NN_PLAN_H
#define STEPPE_WORKER_NN_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "common/model.h"

#define NO_VALUE (-1)
#define NO_SLOT (-1)

struct stage_plan {
    bool runs;                   /* the layer computes; nothing below counts when not */
    bool relu, mask_dy, mask_dx; /* see struct layer_pass */
    int x, y;                    /* values; equal when the layer works in place */
    int skip;                    /* the value that is added to y, or NO_VALUE */
    int dy, dx;                  /* slots of the gradients of y and x; may be equal */
    bool add_dx;                 /* x has a part of its gradient already */
    /* Slot that the gradient of y, masked, is added to after the layer's backward; NO_SLOT when
     * there is no skip or its gradient simply takes over dy's slot. */
    int add_skip;
    bool trainable;                   /* it or a layer before it has parameters */
    bool x_trainable, skip_trainable; /* some layer before these values has */
};

struct plan {
    struct stage_plan *stages; /* one a layer */
    bool *stored;              /* [1 + layers] values that have memory of their own */
    size_t *slot_entries;      /* entries a sample */
    int count, slot_count;
    int image_slot, logits_slot;
};

/* 0 or -ENOMEM. Free with plan_done. */
int plan_make(const struct model *m, struct plan *ret);
void plan_done(struct plan *p); /* a zeroed struct is fine */

#endif
