/* The atom of the system: one shard's SAM ascent and descent, fused adversarial scores, or a sweep
 * (deploy/docs/MATH.md). Pure functions of (theta, samples, weights, spec). One struct step a
 * compute thread. */
#ifndef STEPPE_WORKER_STEP_H
#define STEPPE_WORKER_STEP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/difficulty.h"
#include "common/jobspec.h"
#include "common/model.h"
#include "common/score.h"
#include "common/sums.h"
#include "worker/nn/augment.h"
#include "worker/nn/kernels.h"
#include "worker/nn/profile.h"
#include "worker/nn/real.h"

/* A zeroed one: one forward, one backward; FGSM with epsilon 0. */
struct step_spec {
    double rho;        /* 0: no ascent */
    enum sam_kind sam; /* of the ascent */
    double sam_alpha;  /* of gsam */
    double mixup;      /* alpha of worker/nn/mixup.h; 0: none, and 0 when fused or online */
    double smoothing;  /* of the labels in the training loss, [0, 1); 0 when fused, not online */
    bool fused;        /* measure scores inside the training step */
    /* The weights of a shard are those of its places in this order (curriculum.scope step). */
    bool online;
    struct shard_order order;
    enum attack attack;
    double epsilon, alpha;  /* of the attack, pixel space; alpha: a move of PGD */
    uint32_t moves;         /* of PGD, at least 1 */
    bool random_start;      /* of PGD; keyed (seed, RNG_ATTACK, step, slot) */
    struct augment augment; /* of training images; never in step_score */
    uint64_t seed, step;
    uint32_t slot; /* position in the batch, sweep or test of the first sample */
};

/* A view of one split of a dataset. */
struct samples {
    const uint8_t *images; /* [count, h, w, c] */
    const uint16_t *labels;
    uint32_t count;
};

struct step;

/* m is borrowed. shard_max: most samples of one call. splits: there may be ascents of gsam, which
 * need room for a second gradient. NULL when memory is out. common/footprint.c counts what is
 * mapped.
 */
struct step *step_create(const struct model *m, const struct kernels *kernels, uint32_t shard_max,
                         bool splits);
void step_free(struct step *s);
/* From now on books the time of layers and parts; NULL: none. Borrowed. */
void step_profile(struct step *s, struct profile *profile);

/* Trains on the n samples ids[] (each < set->count) with weights v at theta[m->floats]. v > 0; of
 * places (online) the first is above 0, the others 0 and above:
 *   theta hat = theta, moved by common/ascent.h with the gradient of sum v_i loss_i(theta) over the
 *               samples of this call; rho 0: theta itself;
 *   grad[m->floats] = sum v_i grad loss_i(theta hat), overwritten; for gsam what
 *                     common/surrogate.h makes of it and of that at theta; behind the trained part
 *                     lie the batch statistics of the pass at theta.
 * All passes are in training mode: a BatchNorm normalises by the samples of each pass, dropout
 * drops the same in all of them. theta is never written. With mixup the images of the call are
 * mixed once for all passes, and loss_i and its gradient are lambda v_i loss(x_i, y_i) + (1 -
 * lambda) v_j loss(x_i, y_j),  x_i mixed, j the partner of i, so that a label counts with the
 * weight of its own sample; a prediction is right by lambda for y_i and by 1 - lambda for y_j.
 * Sample i is augmented as drawn for slot spec->slot + i, once for all passes. fused: scores[n] of
 * the training images get loss, adv_loss (of the twin at theta; its first move is by the ascent
 * pass's own gradient of x), grad_norm, el2n, predicted; otherwise scores may be NULL and is not
 * touched. rho 0, neither fused nor online: one forward, one backward.
 *
 * online: v_i is weights[k], where sample i is the k-th in spec->order by what is measured at
 * theta, of the training images (difficulty_weigh; no more is measured than the order needs,
 * nothing where all weights are alike). The ascent follows the gradient of all n samples alike,
 * since the order is known only after it; sums[SUM_WEIGHT] = V, loss and grad are those of v_i;
 * samples with v_i = 0 are left out of the descent, except with BatchNorms, whose statistics are
 * those of the whole shard. With BatchNorms or smoothing, what is measured, scores too, is measured
 * apart, as step_score does it, by passes in evaluation mode. */
void step_train(struct step *s, const struct step_spec *spec, const real *theta,
                const struct samples *set, const uint32_t *ids, const float *weights, uint32_t n,
                real *grad, double sums[SUM_COUNT], struct score *scores);

/* Scores the n samples ids[] of set at theta, in evaluation mode. delta is divided by
 * 2^floor(log2(R/S)) before the backward and the norm multiplied back in double. Twin: as
 * worker/nn/attack.h says; an all-zero gradient at x keeps x and sets SCORE_NO_DIRECTION.
 * probabilities (NULL: not wanted): [n, classes], of the samples as they are. */
void step_score(struct step *s, const struct step_spec *spec, const real *theta,
                const struct samples *set, const uint32_t *ids, uint32_t n, struct score *scores,
                float *probabilities);

/* The logits [n, classes] of n images [n, h, w, c] that have no labels, in evaluation mode as
 * step_score has it. twins (NULL: not wanted) [n]: the class of each image's adversarial twin,
 * which an attack on the predicted class makes as step_score does on the label. */
void step_predict(struct step *s, const struct step_spec *spec, const real *theta,
                  const uint8_t *images, uint32_t n, float *logits, int32_t *twins);

/* Flatness, at theta and in evaluation mode, of the n samples ids[] of set as they are. Sums: the
 * weight and the number of samples are n, the losses those at theta, capped at FLAT_LOSS_MAX each,
 * which a sample without a finite loss has too; the number of correct ones. */
#define FLAT_LOSS_MAX 1e30
/* grad[m->floats] = sum grad loss_i(theta), 0 behind the trained part. */
void step_slope(struct step *s, const real *theta, const struct samples *set, const uint32_t *ids,
                uint32_t n, real *grad, double sums[SUM_COUNT]);
/* The sums only. */
void step_loss(struct step *s, const real *theta, const struct samples *set, const uint32_t *ids,
               uint32_t n, double sums[SUM_COUNT]);
/* product[m->floats] = sum H_i v (worker/nn/curve.h), H_i the Hessian of loss_i(theta); losses and
 * correct are 0. The first call maps its memory (common/footprint.c). 0 or -ENOMEM. */
int step_product(struct step *s, const real *theta, const real *v, const struct samples *set,
                 const uint32_t *ids, uint32_t n, real *product, double sums[SUM_COUNT]);

#endif
