/* The history of one sample over the scored epochs of a job: a fold over its measurements in order
 * of epochs. The store keeps it in table sample_state, the queries compute it for earlier epochs.
 * Pure.
 */
#ifndef STEPPE_SERVER_CORE_SAMPLE_HISTORY_H
#define STEPPE_SERVER_CORE_SAMPLE_HISTORY_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/bounds.h"
#include "common/score.h"

struct sample_history {
    double adm_ema, loss_mean, margin_mean;
    /* Of p = exp(-loss), the probability of the label (dataset cartography, arXiv 2009.10795): its
     * mean, and the sum of squared deviations from it. */
    double confidence, confidence_m2;
    /* Counts of epochs; there is one of these for each of very many samples. */
    uint64_t seen : 17, right : 17, forgotten : 17;
    uint64_t correct : 1; /* at last_epoch */
    uint64_t hard : 17, class_id : 16;
    int64_t last_epoch : 18; /* -1: never measured */
};
static_assert(EPOCHS_MAX < 1 << 17 && CLASSES_MAX <= 1 << 16, "they fit");
static_assert(sizeof(struct sample_history) == 56, "and no more");

#define SAMPLE_UNMEASURED ((struct sample_history){.last_epoch = -1})

/* adm, el2n NAN, right -1: not known. */
struct measurement {
    double adm, loss, el2n;
    int right; /* 1: correct, 0: not */
    bool hard;
};

/* Of the samples that were never right before, the share that is right now. It goes to 0 when a
 * model has learnt what it can, and stays high while it memorises. Called for each sample before
 * its measurement is taken in. */
struct newly_right {
    uint64_t never_before, now;
};
void newly_right_count(struct newly_right *m, const struct sample_history *before, int right);
double newly_right_share(const struct newly_right *m); /* NAN: all were right once */

/* Suspicion that a label is wrong (definition.suspicion): the negative margin of the last sweep if
 * the model has settled and wrong labels stay unlearnt, else its mean over the epochs, which still
 * shows what is memorised by now. */
double suspicion(double margin, double margin_mean, double newly_right);

/* Adds one measurement; epochs of a sample come in ascending order. One without a loss adds
 * nothing; without an adm the average of those before stays; once an el2n was missing the mean of
 * the margin is not known (NAN). */
void sample_history_add(struct sample_history *x, int64_t epoch, const struct measurement *m);
/* Standard deviation of the confidence over the epochs (divided by n), at least one of them. */
double sample_history_variability(const struct sample_history *x);
/* Is this adm among the hardest tenth of its epoch? */
bool sample_history_is_hard(double adm, double adm_p90);

#endif
