/* What the scored epochs of a job say about one sample: the fold over its measurements in order of
 * epochs. The store keeps it in table sample_state, the queries compute it for earlier epochs.
 * Pure.
 */
#ifndef STEPPE_SERVER_SAMPLE_HISTORY_H
#define STEPPE_SERVER_SAMPLE_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/score.h"

struct sample_history {
    double adm_ema, loss_mean, margin_mean;
    /* Of p = exp(-loss), the probability of the label (dataset cartography, arXiv 2009.10795): its
     * mean, and the sum of squared deviations from it. */
    double confidence, confidence_m2;
    int32_t last_epoch; /* -1: never measured */
    uint32_t seen, right, forgotten, hard;
    uint16_t class_id;
    bool correct; /* at last_epoch */
};

#define SAMPLE_UNMEASURED ((struct sample_history){.last_epoch = -1})

struct measurement {
    double adm, loss, el2n;
    bool correct, hard;
};

/* The share of samples that are right now among those that were mostly wrong before: how far a
 * model has memorised what it did not learn. Called for each sample before its measurement is taken
 * in. */
struct memorised {
    uint64_t wrong_before, right_now;
};
void memorised_count(struct memorised *m, const struct sample_history *before, bool correct);
double memorised_share(const struct memorised *m); /* NAN: none was mostly wrong */

/* Suspicion that a label is wrong (definition.suspicion): the loss of the last sweep, which is best
 * while wrong labels stay unlearnt, going over to its mean over the epochs as they are memorised.
 */
double suspicion(double loss, double loss_mean, double memorised);

/* Takes one measurement in; epochs of a sample come in ascending order. */
void sample_history_add(struct sample_history *x, int64_t epoch, const struct measurement *m);
/* Standard deviation of the confidence over the epochs (divided by n), at least one of them. */
double sample_history_variability(const struct sample_history *x);
/* Is this adm among the hardest tenth of its epoch? */
bool sample_history_is_hard(double adm, double adm_p90);

#endif
