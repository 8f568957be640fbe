/* The curriculum (deploy/docs/MATH.md): from scores to the schedule of an epoch. Pure: the schedule
 * is a function of (job, ranks, labels, epoch) and of nothing else. */
#ifndef STEPPE_SERVER_CORE_CURRICULUM_H
#define STEPPE_SERVER_CORE_CURRICULUM_H

#include <stdbool.h>
#include <stdint.h>

#include "common/jobspec.h"
#include "common/score.h"

/* A score may lack measures where a program reports what it has: they are NAN, and a class that is
 * not known is -1. Such a sample is left out of what needs them.
 *
 * Mean of gap+ = max(adv_loss - loss, 0) over all measured samples with a direction, in sample
 * order, in double (0 when there is none). */
double score_mean_gap(const struct score *s, uint32_t n);
/* ADM of one sample: population gap+/(gap+ + mean_gap), sample gap+/adv_loss; 0/0 := 0; NAN
 * without one of the losses. */
double score_adm(const struct score *s, int normaliser, double mean_gap);
/* The ADM of n samples; owned by the caller, NULL: memory is out. */
double *scores_adm(const struct score *s, uint32_t n, int normaliser, double mean_gap);
/* How a sample was learnt over the epochs that measured it: what measure forgetting orders by. */
struct lapses {
    uint32_t seen;      /* measurements */
    uint32_t forgotten; /* times it was right at one and wrong at the next */
    uint32_t right;     /* 1: at the last one */
};
/* Adds the samples of one epoch whose class was predicted; epochs come in ascending order. */
void lapses_add(struct lapses *l, const struct score *s, const uint16_t *labels, uint32_t n);

/* The key by which a measure orders: as difficulty_key; forgetting -> times forgotten, and for a
 * sample that was never right `seen`. Only forgetting reads l. Larger is harder. */
double curriculum_key(const struct jobspec *spec, const struct score *s, const struct lapses *l,
                      uint32_t sample);

/* Does a job of this measure keep lapses? */
static inline bool curriculum_counts_lapses(const struct jobspec *spec)
{
    return spec->curriculum.measure == MEASURE_FORGETTING;
}

/* Ranks: each sample's percentile in [0, 1) among what was measured, smoothed over epochs.
 * CURRICULUM_UNRANKED (-1) until the first measurement; such samples count as 0.5 in the order.
 * Of a self-paced mode: the loss itself, smoothed in the same way; unranked samples count as the
 * mean of the others, and where there is none, as 1. */
#define CURRICULUM_UNRANKED (-1.0)
/* Instead of a rank: the sample is left out here and in every schedule. */
#define CURRICULUM_EXCLUDED (-2.0)
/* The ranks with which a job begins: excluded for ids (ascending) and for samples whose use[n] is
 * not USE_TRAIN (NULL: all are); by order[n] for MEASURE_GIVEN,
 * whose ranks stay (higher is harder, NAN: not given; NULL: another measure); else unranked. 0 or
 * -ENOMEM. */
int curriculum_begin(const double *order, const uint32_t *excluded, uint32_t excluded_count,
                     const uint8_t *use, uint32_t n, double *rank);
/* Takes the samples of one epoch that have the measure (SCORE_MEASURED) into rank[n]: r = (average
 * position of equal keys + 1/2) / measured, or of a self-paced mode the key itself; rank = r the
 * first time, else beta*old + (1-beta)*r. Unmeasured samples keep theirs; with MEASURE_GIVEN all
 * do. l[n] already includes the epoch; NULL unless the measure is forgetting. room: radix_bytes(n)
 * to sort in (radix.h), NULL: none, it makes its own. 0 or -ENOMEM. */
int curriculum_rank(const struct jobspec *spec, const struct score *s, const struct lapses *l,
                    uint32_t n, void *room, double *rank);

/* Share p of the training set at epoch 0-based e (pacing in MATH.md); 1 in warm-up and, at every
 * epoch, for measure none. */
double curriculum_share(const struct jobspec *spec, int64_t epoch);
/* Has the share reached its final value at this epoch (x >= 1)? Same for every measure. */
bool curriculum_share_final(const struct jobspec *spec, int64_t epoch);
/* Is a sweep due at the end of this epoch? Sweep source: score_every, or 1 until the share is final
 * (not with a curriculum inside the step, which needs no sweep) and then 5, and always the last
 * epoch. Train source: every score_every (default 5) epochs while samples are left out, that is
 * while p < 1 and the curriculum is not inside the step, and the last epoch. "Every k" means epochs
 * 0, k, 2k ...: the first sweep comes early enough for the first epochs after warm-up to have an
 * order. */
bool curriculum_sweep_due(const struct jobspec *spec, int64_t epoch);

struct schedule {
    uint32_t *ids; /* scheduled samples, ascending */
    /* One each, times that of its class (class_weights), mean 1 (in double, in id order) before
     * rounding to float. */
    float *weights;
    uint32_t count;
    double share; /* p; with a curriculum inside the step, of each shard */
};

/* The scheduled set of an epoch and its weights (MATH.md), of n samples, at least a batch. Ties by
 * Philox(seed, RNG_TIE, sample), then by sample; hard_first reverses the ranks, not the ties. With
 * balance class, places and shares are taken within each class, by largest remainder of
 * count * class size / n with ties to the lower class; without it, labels may be NULL.
 *   select: max(batch, floor(p n + 1/2)) samples;
 *   weight: all, at u = (place + 1/2) / (class size);
 *   both:   u < p + 0.25, and of each class no fewer than its share of one batch;
 *   spl_..: as many as select, weighing by self_paced_weight, no less than 2^-10. The threshold is
 *           the first loss that is left out, or the largest; with balance class, of each class.
 *           diversity: in the order of loss - self_paced_bonus, gamma being diversity times the
 *           mean of the losses that are known; labels are read then.
 * Samples of rank CURRICULUM_EXCLUDED do not exist here: n below counts the others. rank[n] may be
 * NULL for measure none, which schedules everything with weight 1, and for random, whose order is
 * its own fixed key of every sample, measured or not. With a curriculum inside the step, all
 * samples with weight 1. class_weights balanced: 1 / (samples of the class that are not excluded);
 * then labels are read. room: as in curriculum_rank. 0 or -ENOMEM. */
int schedule_make(const struct jobspec *spec, const double *rank, const uint16_t *labels,
                  uint32_t classes, uint32_t n, int64_t epoch, void *room, struct schedule *ret);
void schedule_done(struct schedule *s);
/* With a curriculum inside the step: the weights of the m places of every shard, the first in the
 * order first, at u = (place + 1/2) / m. 0: not trained on; mean 1 over the others.
 *   select: 1 for the first max(1, floor(p m + 1/2)), else 0;
 *   weight: v(u) for all;
 *   both:   v(u) where u < p + 0.25 and for the first, else 0. */
void schedule_places(const struct jobspec *spec, double share, uint32_t m, float *weights);
/* The share of a shard that has a weight above 0 in that epoch, but for rounding. */
double schedule_trained(const struct jobspec *spec, int64_t epoch);

/* The stream of permutations of the schedule, cut into batches. With sampling balanced the classes
 * that the schedule has, G of them, take turns: place t is of the round r = floor(t / G), which has
 * each class once, in an order drawn by (seed, epoch, r), and of its class it is the sample at r
 * mod n_c in the floor(r / n_c)-th permutation of the n_c scheduled ones. So all classes are drawn
 * as often, but for one, and within a class all samples, but for one. */
struct stream_group {
    uint32_t first, count; /* of its places in order */
    int64_t pass;          /* of the permutation that is held, -1: none */
};
struct stream {
    const struct schedule *schedule; /* borrowed */
    uint64_t seed;
    int64_t epoch;
    int64_t pass;    /* of the permutation that is held, -1: none */
    uint32_t *order; /* indices into schedule->ids */
    /* With sampling balanced, else NULL. */
    struct stream_group *groups; /* [group_count], by class */
    uint32_t group_count;
    uint32_t *places; /* indices into schedule->ids, by group */
    uint32_t *turn;   /* the order of the groups in the round that is held */
    int64_t round;    /* -1: none */
};
/* labels: of all samples, each below classes, for sampling balanced; NULL: even. 0 or -ENOMEM. */
int stream_init(struct stream *s, const struct schedule *schedule, uint64_t seed, int64_t epoch,
                const uint16_t *labels, uint32_t classes);
void stream_done(struct stream *s);
/* Does the batch of this step need another permutation of all than is held? */
bool stream_turns(const struct stream *s, uint32_t step, uint32_t batch);
/* ids[batch], weights[batch] of step `step` (0-based) of the epoch. Any step may be asked for;
 * going forward is cheap. */
void stream_batch(struct stream *s, uint32_t step, uint32_t batch, uint32_t *ids, float *weights);

#endif
