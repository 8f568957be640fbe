/* How hard a sample is by a measure, and the order of the few samples of a shard. The server orders
 * whole training sets by these keys, a worker the samples of a step (curriculum.scope). Pure. */
#ifndef STEPPE_COMMON_DIFFICULTY_H
#define STEPPE_COMMON_DIFFICULTY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/jobspec.h"
#include "common/score.h"

/* What must be known of a sample before its key is: each needs what those before it need. */
enum difficulty_need {
    NEED_NOTHING,  /* random, none, given */
    NEED_LOSS,     /* a forward: loss, el2n, margin, forgetting */
    NEED_GRADIENT, /* a backward to x: grad_norm */
    NEED_TWIN,     /* the forward of its twin: adm */
};
enum difficulty_need difficulty_need(enum measure measure);

/* The key by which a measure orders what one score says: adm population -> raw gap, adm sample ->
 * ln adv_loss - ln loss (finite: an exact 0 loss counts as the smallest positive double), loss,
 * grad_norm, el2n, margin -> -score_margin; random -> Philox(seed, RNG_RANDOM_SCORE, sample), for
 * which s may be NULL; the others -> 0. Larger is harder. */
double difficulty_key(enum measure measure, enum normaliser normaliser, uint64_t seed,
                      const struct score *s, uint32_t sample);

/* What decides between equal keys, Philox(seed, RNG_TIE, sample): never the number of the sample,
 * since folders are sorted by class. */
uint64_t difficulty_tie(uint64_t seed, uint32_t sample);

/* A sample in the order of its shard. */
struct ranked {
    double key; /* lower comes first; NaN comes last */
    uint64_t tie;
    uint32_t sample, position; /* position: in the shard */
};
/* Sorts by key, then tie, then sample, then position. */
void difficulty_sort(struct ranked *rows, uint32_t n);

/* By what the samples of a shard are ordered. */
struct shard_order {
    enum measure measure;
    enum normaliser normaliser;
    bool hard_first;
};
/* The weights of the n samples ids[] of a shard from those of its places: weights[i] = places[k],
 * where sample i is the k-th in the order of the measure, from the easiest on, or with hard_first
 * from the hardest on, which reverses the keys and not the ties. rows[n] is room. s[n] is read as
 * difficulty_need says. */
void difficulty_weigh(const struct shard_order *order, uint64_t seed, const struct score *s,
                      const uint32_t *ids, const float *places, uint32_t n, struct ranked *rows,
                      float *weights);

#endif
