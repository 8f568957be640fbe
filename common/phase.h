/* The phases of a round, as a result's key has them. */
#ifndef STEPPE_COMMON_PHASE_H
#define STEPPE_COMMON_PHASE_H

#include <stdbool.h>

enum phase {
    PHASE_TRAIN = 0,
    PHASE_ASCENT = 1,
    PHASE_DESCENT = 2,
    PHASE_SWEEP = 3,
    PHASE_TEST = 4,
    PHASES
};

/* Does a result of this phase carry a gradient? */
static inline bool phase_trains(enum phase phase)
{
    return phase <= PHASE_DESCENT;
}

#endif
