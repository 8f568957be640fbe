/* A model planned for shards of up to batch_max samples: one arena holds activations, gradients and
 * scratch, laid out once; forward and backward allocate nothing. Used by one thread at a time.
 * NHWC. Results for n samples are a pure function of (theta, x, n): tile sizes are constants.
 * Samples do not mix, unless a BatchNorm is trained: a sample's logits and its row of dx depend on
 * theta, its own pixels, n and its place among the n, bit for bit, and on no other sample; for
 * another n or place they agree to rounding (matrix products of other heights). */
#ifndef STEPPE_WORKER_NN_NET_H
#define STEPPE_WORKER_NN_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "common/model.h"
#include "worker/nn/kernels.h"
#include "worker/nn/profile.h"
#include "worker/nn/real.h"

struct net;

/* m is borrowed for the life of the net. NULL when memory is out. It maps what common/footprint.c
 * counts. */
struct net *net_create(const struct model *m, const struct kernels *kernels, uint32_t batch_max);
void net_free(struct net *net); /* NULL is fine */
/* Books the time of every layer from now on; NULL: none. Borrowed. */
void net_profile(struct net *net, struct profile *profile);

/* How a forward is done. A zeroed one is evaluation: BatchNorms use their running statistics,
 * nothing is dropped. */
struct net_mode {
    bool train; /* BatchNorms use the mean and variance of the n samples; dropout is on */
    /* Of training, the key of the dropout masks; slot: place in the batch of the first sample. */
    uint64_t seed, step;
    uint32_t slot;
    const uint32_t *places; /* [n]: sample i is that of slot + places[i]; NULL: of slot + i */
    /* In evaluation: convolutions include the BatchNorms behind them, which is quicker and rounds
     * differently. Only the gradient of x can follow. */
    bool fold;
};

/* x [n, h, w, c] in [0, 1]; normalised inside. Returns logits [n, classes], valid until the next
 * forward. x is borrowed until its backward is done. 1 <= n <= batch_max. theta [floats]; training
 * reads only the trained part. */
const real *net_forward(struct net *net, const struct net_mode *mode, const real *theta,
                        const real *x, uint32_t n);
/* After a forward in training: writes what the BatchNorms measured, mean and unbiased variance
 * (padding 0), into the running part of dtheta [floats], which lies behind the trained part. */
void net_statistics(const struct net *net, real *dtheta);
/* Backward of the last forward (same theta, its mode). dlogits [n, classes]. The trained part of
 * dtheta [floats] is overwritten with the gradient summed over samples (padding 0), the part behind
 * it is left as it is; NULL: data gradient only. dx [n, h, w, c] is
 * overwritten with the gradient of x in pixel space, NULL: not wanted. */
void net_backward(struct net *net, const real *theta, const real *dlogits, real *dtheta, real *dx);

/* FTZ and DAZ on, for the calling thread: part of the numerics class. Every compute thread starts
 * with it. */
void net_thread_init(void);

#endif
