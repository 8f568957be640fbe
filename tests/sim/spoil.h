/* What a worker has computed, and what it does to it before it is sent: bad memory, or a lie. */
#ifndef STEPPE_TESTS_SIM_SPOIL_H
#define STEPPE_TESTS_SIM_SPOIL_H

#include "common/tensor.h"
#include "tests/sim/compute.h"
#include "tests/sim/worker.h"

struct outcome {
    struct computed train;
    struct score *scores; /* NULL: none */
    float *probabilities; /* NULL: none */
};
void spoil_done(struct outcome *o);

/* What a worker with bad memory does to its result: one number is none, or the last row of the
 * first tensor is missing. */
enum damage { DAMAGE_NONE, DAMAGE_NUMBER, DAMAGE_ROW };
enum damage spoil_draw(const struct worker_traits *t);
void spoil_number(struct outcome *o);
void spoil_row(struct tensor *t);
/* A liar's: one number is another. True: it is forged. */
bool spoil_forge(const struct worker_traits *t, struct outcome *o);

#endif
