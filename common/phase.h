/* The phases of a round, as they stand in a result's key. */
#ifndef STEPPE_COMMON_PHASE_H
#define STEPPE_COMMON_PHASE_H

#include <stdbool.h>

enum phase {
    PHASE_TRAIN = 0,
    PHASE_ASCENT = 1,
    PHASE_DESCENT = 2,
    PHASE_SWEEP = 3,
    PHASE_TEST = 4,       /* of the dataset's test images */
    PHASE_VALIDATION = 5, /* of training images that a job keeps out of training */
    PHASE_HELD_TEST = 6,  /* the test, of training images of other domains */
    /* Flatness (server/core/flatness.h), over its samples and in evaluation mode: */
    PHASE_SLOPE = 7,   /* the gradient of the loss at theta */
    PHASE_PRODUCT = 8, /* the Hessian at theta times a vector */
    PHASE_LOSS = 9,    /* the loss at a moved theta */
    PHASES
};

/* Is it a part of a training step? */
static inline bool phase_trains(enum phase phase)
{
    return phase <= PHASE_DESCENT;
}

/* Does it measure flatness? */
static inline bool phase_measures(enum phase phase)
{
    return phase >= PHASE_SLOPE && phase <= PHASE_LOSS;
}

/* Does a result of this phase carry a vector as long as theta: a gradient or a product? */
static inline bool phase_vector(enum phase phase)
{
    return phase_trains(phase) || phase == PHASE_SLOPE || phase == PHASE_PRODUCT;
}

/* Does it carry sums (common/sums.h)? */
static inline bool phase_sums(enum phase phase)
{
    return phase_trains(phase) || phase_measures(phase);
}

/* Is the vector that it is computed at not theta of the step, but one that the server has moved? */
static inline bool phase_moved(enum phase phase)
{
    return phase == PHASE_DESCENT || phase == PHASE_LOSS;
}

/* Does it carry scores? fused: the job measures its samples while it trains on them. A descent is
 * at theta hat, where nothing is measured. */
static inline bool phase_scores(enum phase phase, bool fused)
{
    return !phase_sums(phase) || (fused && phase_trains(phase) && phase != PHASE_DESCENT);
}

#endif
