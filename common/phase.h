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
    PHASES
};

/* Does a result of this phase carry a gradient? */
static inline bool phase_trains(enum phase phase)
{
    return phase <= PHASE_DESCENT;
}

/* Does it carry scores? fused: the job measures its samples while it trains on them. A descent is
 * at theta hat, where nothing is measured. */
static inline bool phase_scores(enum phase phase, bool fused)
{
    return !phase_trains(phase) || (fused && phase != PHASE_DESCENT);
}

#endif
