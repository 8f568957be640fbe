/* How flat the training loss is around theta: one measurement, as a sequence of rounds that the
 * workers compute. Pure.
 *
 * The loss is L(theta) = the mean softmax cross-entropy of the measured samples, in evaluation mode
 * (running statistics, nothing dropped, not augmented, labels not smoothed), without weight decay.
 *   slope        one round: L(theta) and its gradient g
 *   trace        spec->probes products: tr H = the mean of z' H z over vectors z of random signs
 *                (Hutchinson 1990), with the standard error of that mean
 *   eigenvalues  at most spec->iterations products: the FLATNESS_TOP largest of H (lanczos.h)
 *   sharpness    max of L(theta + e) - L(theta) over three e of length rho: along g (Foret et al.
 *                2021, equation 2: the maximum to first order), along the first eigenvector and
 *                against it. A lower bound of the maximum over the ball
 *   lines        L(theta + t d) for FLATNESS_POINTS even t in [-1, 1]: d is the first eigenvector,
 *                of length 1, or random and filter-normalised: each filter of d as long as that of
 *                theta, biases and norms 0 (Li et al. 2018, section 4)
 * Everything random is a function of the job's seed, not of the epoch: epochs are compared along
 * the same directions. */
#ifndef STEPPE_SERVER_CORE_FLATNESS_H
#define STEPPE_SERVER_CORE_FLATNESS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/jobspec.h"
#include "common/model.h"
#include "common/phase.h"
#include "common/sums.h"
#include "server/core/flatness_record.h"

/* What b of RNG_FLATNESS counts, by a. */
enum flatness_draw {
    FLATNESS_DRAW_SAMPLES,
    FLATNESS_DRAW_PROBE,
    FLATNESS_DRAW_START,
    FLATNESS_DRAW_LINE
};

/* Is it due when epoch e closes? At every spec->every-th from 0 on, and at the last. */
bool flatness_due(const struct flatness_spec *spec, int64_t epoch, int64_t epochs);
/* How many of so many samples are measured. */
uint32_t flatness_count(const struct flatness_spec *spec, uint32_t samples);
/* Which: of ids[count], ascending, keeps flatness_count, ascending. */
void flatness_choose(const struct flatness_spec *spec, uint64_t seed, uint32_t *ids,
                     uint32_t count);
/* Vectors of floats that a measurement holds at most. */
size_t flatness_vectors(const struct flatness_spec *spec);
/* Forward passes of one sample that a measurement costs at most, a gradient counting three. */
double flatness_cost(const struct flatness_spec *spec);
/* The same of one round. */
double flatness_round_cost(enum phase phase);

struct flatness;

/* Over so many samples. spec and m are borrowed. NULL when memory is out. */
struct flatness *flatness_create(const struct flatness_spec *spec, const struct model *m,
                                 uint64_t seed, uint32_t samples);
void flatness_free(struct flatness *f); /* NULL is fine */

/* The next round: its phase. PHASE_PRODUCT: flatness_vector is what the Hessian is multiplied by;
 * PHASE_LOSS: moved[floats] was written, theta + t d. False: the measurement is complete. */
bool flatness_next(struct flatness *f, const float *theta, float *moved, enum phase *ret);
const float *flatness_vector(const struct flatness *f);
/* Rounds opened, 1 in the first. */
uint32_t flatness_turn(const struct flatness *f);
/* How many rounds it has: at most, until the eigenvalues are known. */
uint32_t flatness_turns(const struct flatness *f);
/* What of flatness_cost is left, at most: the open round and those behind it. */
double flatness_left(const struct flatness *f);
/* Takes what came back from the round: the sum over the samples of the gradient or product, NULL
 * for PHASE_LOSS, and the sums. 0 or -ENOMEM. */
int flatness_take(struct flatness *f, const float *theta, const float *vector,
                  const double sums[SUM_COUNT]);
/* Valid when flatness_next has said false. */
struct flatness_record flatness_result(const struct flatness *f);

#endif
