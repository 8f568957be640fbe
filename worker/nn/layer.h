/* What every layer kind provides. A layer owns nothing: the net owns the memory and hands out
 * views. What may share its place, and what a kind needs beside it, is in common/layer_memory.h. To
 * add a kind: a file layer_<kind>.c with its struct layer_ops, a row in layer.c and in the tables
 * of layer_memory.c. Flatten has none: NHWC in memory is already the flat order. */
#ifndef STEPPE_WORKER_NN_LAYER_H
#define STEPPE_WORKER_NN_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/layer_memory.h"
#include "common/model.h"
#include "worker/nn/kernels.h"
#include "worker/nn/real.h"

struct net_mode;

/* One layer's view of one pass over n samples. I and O are its input and output entries a sample.
 */
struct layer_pass {
    const struct layer *layer;
    const struct kernels *kernels;
    uint32_t number;             /* of the layer in the model */
    const struct net_mode *mode; /* of the last forward */
    uint32_t n;
    /* A layer may compute the ReLU right behind it as well. Then the layer applies the mask to dy
     * (mask_dy), or the max-pool behind applies it to its own, smaller, dx (mask_dx).
     */
    bool relu, mask_dy, mask_dx;
    bool add_dx; /* dx is added to, not overwritten */
    /* [n, O], added to y before the ReLU; NULL: none. Backward leaves its gradient in dy (an add
     * may also leave it in dx). */
    const real *skip;
    const real *w, *b;                      /* parameters; b is NULL without bias */
    const real *running_mean, *running_var; /* batchnorm: [C] */
    const real *x;                          /* [n, I] */
    real *y;                                /* [n, O]; may be x in layers that work in place */
    void *kept;                             /* what forward keeps for backward, beside x and y */
    real *scratch;                          /* shared by all layers, free between calls */
    real *dy;                               /* [n, O] gradient of y; may be changed */
    real *dx;      /* [n, I]; may be dy in layers with dx_over_dy; NULL: not wanted */
    real *dw, *db; /* overwritten; dw NULL: neither is wanted; db is NULL without bias */
};

struct layer_ops {
    const char *name;
    void (*forward)(const struct layer_pass *p);
    /* Writes y of the last forward again, the same bits; NULL in layers where that is costly. */
    void (*rewrite)(const struct layer_pass *p);
    void (*backward)(const struct layer_pass *p); /* of the last forward */
    /* What the last forward in training measured on the shard: mean[C], unbiased var[C]. NULL in
     * layers without running statistics. */
    void (*statistics)(const struct layer_pass *p, real *mean, real *var);
};

extern const struct layer_ops layer_dense, layer_conv2d, layer_relu, layer_maxpool, layer_groupnorm,
    layer_add, layer_avgpool, layer_batchnorm, layer_dropout;

/* The end of an elementwise layer's backward: writes or adds dy, as it is by then, to dx, unless dx
 * is not wanted or is dy itself. */
void layer_hand_on(const struct layer_pass *p);

/* The operations of a kind; any but LAYER_FLATTEN. */
const struct layer_ops *layer_ops_of(enum layer_kind kind);

#endif
