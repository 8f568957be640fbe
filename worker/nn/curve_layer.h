/* The tangents of the layer kinds, for curve.c. */
#ifndef STEPPE_WORKER_NN_CURVE_LAYER_H
#define STEPPE_WORKER_NN_CURVE_LAYER_H

#include "worker/nn/layer.h"

/* A layer's view of one pass over n samples, with tangents. */
struct curve_pass {
    struct layer_pass plain; /* x, y, w, b, running statistics, kept and scratch are set; add_dx */
    const real *rx;          /* [n, I]; NULL: the input is the image, whose tangent is 0 */
    const real *rw, *rb;     /* of the parameters; rb is NULL without bias */
    const real *rskip;       /* add: of the other summand */
    real *ry;                /* [n, O] */
    real *spare;             /* [n, O], free between calls */
    real *spare_w;           /* as many as w has, free between calls */
    real *rdy;               /* [n, O] tangent of dy */
    real *rdx;               /* [n, I], added to as dx is; NULL with dx */
    real *rdw, *rdb;         /* overwritten: what the layer adds to H v; NULL where w and b are */
};

struct curve_ops {
    void (*forward)(const struct curve_pass *p);  /* y and ry */
    void (*backward)(const struct curve_pass *p); /* dx, rdx, rdw, rdb */
};

/* NULL for kinds that only hand on their input in evaluation mode: flatten and dropout. */
const struct curve_ops *curve_ops_of(enum layer_kind kind);

#endif
