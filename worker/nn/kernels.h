/* The kernels of convolutions and the sets they come in. A set is for one kind of CPU; it is chosen
 * once, in main(), and handed down to the layers. Its name is part of the numerics class: two sets
 * round differently. To add a kernel: a row in the table of its file. */
#ifndef STEPPE_WORKER_NN_KERNELS_H
#define STEPPE_WORKER_NN_KERNELS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "common/layer_memory.h"
#include "worker/nn/real.h"

/* x is h x w pixels of c channels, y oh x ow pixels of `out` channels. */
struct conv_shape {
    size_t h, w, c, oh, ow, out;
    size_t kernel, stride, padding;
};

/* One call on n images, NHWC; w and dw are [kernel, kernel, c, out]. An operation looks only at the
 * members it names. */
struct conv_call {
    struct conv_shape shape;
    size_t n;
    const real *x, *w, *b, *dy;
    real *y, *dx, *dw;
    bool relu;  /* y is clamped at 0 */
    bool add;   /* the gradient is added to y, dx or dw instead of overwriting it */
    bool again; /* w and what the same operation's last call left in scratch are unchanged */
    real *scratch;
};

enum conv_op {
    CONV_FORWARD,         /* y = relu?(conv(x, w) + b?); b may be NULL */
    CONV_DATA_GRADIENT,   /* dx from dy and w */
    CONV_WEIGHT_GRADIENT, /* dw from x and dy */
    CONV_OPS
};

struct kernel {
    enum conv_op op;
    const char *name;
    bool (*takes)(const struct conv_shape *s);
    size_t (*scratch)(const struct conv_shape *s); /* reals it needs */
    void (*run)(const struct conv_call *call);
    bool whole; /* a call is costly: one for all images, not one for each cacheful */
};

/* A dense layer on n samples: x [n, in], w and dw [in, out], y and dy [n, out]. */
struct dense_call {
    size_t n, in, out;
    const real *x, *w, *b, *dy;
    real *y, *dx, *dw;
    bool relu, add; /* as above */
    real *scratch;  /* dense_scratch() reals */
};

struct dense_kernels {
    void (*forward)(const struct dense_call *d);         /* y = relu?(x w + b?); b may be NULL */
    void (*weight_gradient)(const struct dense_call *d); /* dw = x^T dy */
    void (*data_gradient)(const struct dense_call *d);   /* dx (+)= dy w^T */
};

struct kernels {
    const char *name;
    bool (*supported)(void);           /* by this CPU */
    const struct kernel *tables[4];    /* the first row that takes a shape wins */
    const struct dense_kernels *dense; /* NULL: matrix products are used */
};

/* The set called name ("reference", "avx2", "avx512"); NULL or "": the best one this CPU runs. 0,
 * or -EINVAL: no such set, or this CPU cannot run it. */
int kernels_choose(const char *name, const struct kernels **ret, struct errbuf *why);
const struct kernels *kernels_best(void);
/* All sets, from the plainest to the best; NULL behind the last. */
const struct kernels *kernels_at(size_t index);

/* The set's kernel for an operation on a shape; NULL: it has none, and a matrix product is used. */
const struct kernel *kernels_find(const struct kernels *set, enum conv_op op,
                                  const struct conv_shape *s);
/* Reals of scratch that any set's kernels need for a shape: no more than layer_space_of counts. */
size_t kernels_scratch(const struct conv_shape *s);

/* Tables, one a file, each ended by a row without a name. A table is empty when the build cannot
 * make its instruction set. */
extern const struct kernel conv_reference[], conv_avx2[], conv_avx512[];
extern const struct dense_kernels dense_avx2, dense_avx512;

#endif
