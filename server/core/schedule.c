/* From ranks to the samples of an epoch. Every sample gets a place in the order of its class (of
 * one class that holds all, without balance); mode and share decide how many of the first are
 * taken; their places decide their weights. Places, not ranks, give the weights, so all measures
 * use the same weights. In a self-paced mode ranks are losses, and they give the weights. */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/difficulty.h"
#include "common/rng.h"
#include "server/core/apportion.h"
#include "server/core/curriculum.h"
#include "server/core/radix.h"
#include "server/core/self_paced.h"

#define RAMP 0.25          /* weights fall from 1 to the least over this share */
#define WEIGHT_MIN 0x1p-10 /* a scheduled sample never weighs 0 */
#define RANK_UNMEASURED 0.5
#define LOSS_UNKNOWN 1.0 /* of all samples, while none is measured */

struct lineup {
    struct radix order; /* by group, then in the order of the curriculum; a key is that of a rank */
    uint32_t *sizes;    /* samples of each group */
    uint32_t *quotas;   /* scheduled at least, of each group */
    uint32_t groups;
};

/* Lower comes first. unmeasured: of a sample that has no rank. */
static double place_rank(const struct jobspec *spec, const double *rank, double unmeasured,
                         uint32_t id)
{
    double r;

    /* The random control knows all its scores from the start; ranks only among measured samples
     * would not keep its sets nested. */
    if (spec->curriculum.measure == MEASURE_RANDOM)
        r = curriculum_key(spec, NULL, NULL, id);
    else
        r = rank[id] < 0 ? unmeasured : rank[id];
    return spec->curriculum.order == ORDER_HARD_FIRST ? -r : r;
}

/* Is the sample left out, whatever it is worth? */
static bool is_excluded(const double *rank, uint32_t id)
{
    return rank && rank[id] == CURRICULUM_EXCLUDED;
}

static void lineup_done(struct lineup *l)
{
    radix_done(&l->order);
    free(l->sizes);
    free(l->quotas);
}

/* Mean of the losses that are known, in sample order. */
static double mean_loss(const double *rank, uint32_t n)
{
    double sum = 0;
    uint32_t known = 0;

    for (uint32_t i = 0; i < n; i++)
        if (rank[i] >= 0) {
            sum += rank[i];
            known++;
        }
    return known > 0 ? sum / known : LOSS_UNKNOWN;
}

/* Sorts those from `first` to `end`, which have the same rank, by their ties, then by sample. */
static void sort_ties(struct radix *o, uint64_t seed, uint32_t first, uint32_t end)
{
    const uint64_t rank = o->keys[first];

    for (uint32_t i = first; i < end; i++)
        o->keys[i] = difficulty_tie(seed, o->ids[i]);
    radix_sort_part(o, first, end);
    for (uint32_t i = first + 1; i < end; i++)
        for (uint32_t k = i; k > first && o->keys[k] == o->keys[k - 1] && o->ids[k] < o->ids[k - 1];
             k--) {
            const uint32_t id = o->ids[k];
            o->ids[k] = o->ids[k - 1];
            o->ids[k - 1] = id;
        }
    for (uint32_t i = first; i < end; i++)
        o->keys[i] = rank;
}

/* Few of very many samples have the rank of another: only those need their ties. */
static void sort_places(struct radix *o, uint64_t seed)
{
    radix_sort(o);
    for (uint32_t first = 0, end; first < o->count; first = end) {
        end = radix_run(o, first);
        if (end - first > 1)
            sort_ties(o, seed, first, end);
    }
}

/* Lowers the losses by what diversity gives them. */
static int diversify(struct radix *o, const struct jobspec *spec, const uint16_t *labels,
                     uint32_t classes, double gamma)
{
    uint32_t *sizes = alloc_bytes(classes, sizeof(*sizes));

    if (!sizes)
        return -ENOMEM;
    sort_places(o, spec->seed);
    radix_group(o, labels, classes, sizes);
    for (uint32_t c = 0, at = 0; c < classes; c++)
        for (uint32_t r = 1; r <= sizes[c]; r++, at++)
            o->keys[at] = radix_key(radix_value(o->keys[at]) - self_paced_bonus(gamma, r));
    free(sizes);
    return 0;
}

/* By class, where each has a group of its own. */
static void group(struct lineup *l, bool balanced, const uint16_t *labels)
{
    if (balanced)
        radix_group(&l->order, labels, l->groups, l->sizes);
    else
        l->sizes[0] = l->order.count;
}

static int line_up(struct lineup *l, const struct jobspec *spec, const double *rank,
                   const uint16_t *labels, uint32_t classes, uint32_t n)
{
    bool balanced = spec->curriculum.balance == BALANCE_CLASS;
    const double unmeasured = jobspec_self_paced(spec) ? mean_loss(rank, n) : RANK_UNMEASURED;
    int rc = 0;

    l->groups = balanced ? classes : 1;
    l->sizes = alloc_bytes(l->groups, sizeof(*l->sizes));
    l->quotas = alloc_bytes(l->groups, sizeof(*l->quotas));
    if (!l->sizes || !l->quotas)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++)
        if (!is_excluded(rank, i))
            radix_add(&l->order, radix_key(place_rank(spec, rank, unmeasured, i)), i);
    if (spec->curriculum.mode == MODE_SPL_HARD && spec->curriculum.diversity > 0)
        rc = diversify(&l->order, spec, labels, classes, spec->curriculum.diversity * unmeasured);
    if (rc < 0)
        return rc;
    sort_places(&l->order, spec->seed);
    group(l, balanced, labels);
    return 0;
}

/* Samples that are scheduled at least. */
static uint32_t count_least(const struct jobspec *spec, double share, uint32_t n)
{
    double least = (double)spec->batch;

    if (spec->curriculum.mode == MODE_WEIGHT)
        return n;
    if (spec->curriculum.mode == MODE_SELECT || jobspec_self_paced(spec))
        least = fmax(least, floor(share * n + 0.5));
    return least < n ? (uint32_t)least : n;
}

/* Weight before scaling at u, the place as a share of the group. */
static double weight_at(double share, double u)
{
    return fmax(WEIGHT_MIN, fmin(1 + (share - u) / RAMP, 1));
}

/* Fills weights[n] by sample; 0: not scheduled. */
static void weigh(const struct lineup *l, int mode, double share, double *weights)
{
    const uint32_t *ids = l->order.ids;

    for (uint32_t g = 0; g < l->groups; ids += l->sizes[g++])
        for (uint32_t i = 0; i < l->sizes[g]; i++) {
            double u = (i + 0.5) / l->sizes[g];
            if (i < l->quotas[g] || (mode == MODE_BOTH && u < share + RAMP))
                weights[ids[i]] = mode == MODE_SELECT ? 1 : weight_at(share, u);
        }
}

/* The same, by the losses below each group's threshold. */
static void weigh_losses(const struct lineup *l, enum curriculum_mode mode, double *weights)
{
    uint32_t first = 0;

    for (uint32_t g = 0; g < l->groups; first += l->sizes[g++]) {
        const uint64_t *keys = l->order.keys + first;
        const uint32_t *ids = l->order.ids + first;
        if (l->sizes[g] == 0)
            continue;
        const double largest = radix_value(keys[l->sizes[g] - 1]);
        const double threshold =
            l->quotas[g] < l->sizes[g] ? radix_value(keys[l->quotas[g]]) : largest;
        for (uint32_t i = 0; i < l->quotas[g]; i++)
            weights[ids[i]] =
                fmax(WEIGHT_MIN, self_paced_weight(mode, radix_value(keys[i]), threshold, largest));
    }
}

/* Makes the schedule of the samples with weights > 0. */
static int collect(const double *weights, uint32_t n, double share, struct schedule *ret)
{
    struct schedule s = {.share = share};
    double sum = 0;

    for (uint32_t i = 0; i < n; i++) {
        sum += weights[i];
        s.count += weights[i] > 0;
    }
    s.ids = alloc_bytes(s.count, sizeof(*s.ids));
    s.weights = alloc_bytes(s.count, sizeof(*s.weights));
    if (!s.ids || !s.weights) {
        schedule_done(&s);
        return -ENOMEM;
    }
    double mean = sum / s.count;
    for (uint32_t i = 0, at = 0; i < n; i++) {
        if (weights[i] > 0) {
            s.ids[at] = i;
            s.weights[at++] = (float)(weights[i] / mean);
        }
    }
    *ret = s;
    return 0;
}

/* Weights of classes times those of the curriculum; a class without samples has none. */
static int weigh_classes(const struct class_weights *w, const double *rank, const uint16_t *labels,
                         uint32_t classes, uint32_t n, double *weights)
{
    double *of = alloc_bytes(classes, sizeof(*of));

    if (!of)
        return -ENOMEM;
    for (uint32_t i = 0; w->kind == CLASSES_BALANCED && i < n; i++)
        of[labels[i]] += !is_excluded(rank, i);
    for (uint32_t c = 0; c < classes; c++)
        of[c] = w->kind == CLASSES_LISTED ? w->at[c] : of[c] > 0 ? n / of[c] : 0;
    for (uint32_t i = 0; i < n; i++)
        weights[i] *= of[labels[i]];
    free(of);
    return 0;
}

/* weights[n] by sample, all 0, where sorting leaves room. */
static double *take_weights(const struct radix *o, uint32_t n)
{
    return memset(o->spare_keys, 0, n * sizeof(double));
}

static int weigh_places(struct lineup *l, const struct jobspec *spec, const double *rank,
                        const uint16_t *labels, uint32_t classes, uint32_t n, double share,
                        double **ret)
{
    int rc = line_up(l, spec, rank, labels, classes, n);

    if (rc == 0)
        rc = apportion(count_least(spec, share, l->order.count), l->sizes, l->groups, l->quotas);
    if (rc < 0)
        return rc;
    *ret = take_weights(&l->order, n);
    if (jobspec_self_paced(spec))
        weigh_losses(l, (enum curriculum_mode)spec->curriculum.mode, *ret);
    else
        weigh(l, spec->curriculum.mode, share, *ret);
    return 0;
}

/* No order is needed. */
static double *weigh_alike(const struct lineup *l, const double *rank, uint32_t n)
{
    double *weights = take_weights(&l->order, n);

    for (uint32_t i = 0; i < n; i++)
        weights[i] = is_excluded(rank, i) ? 0 : 1;
    return weights;
}

int schedule_make(const struct jobspec *spec, const double *rank, const uint16_t *labels,
                  uint32_t classes, uint32_t n, int64_t epoch, void *room, struct schedule *ret)
{
    assert(n >= 1);
    const double share = curriculum_share(spec, epoch);
    struct lineup lineup = {0};
    double *weights = NULL;
    int rc = radix_begin(&lineup.order, n, room);

    if (rc == 0 && (jobspec_online(spec) || share >= 1)) /* in every mode */
        weights = weigh_alike(&lineup, rank, n);
    else if (rc == 0)
        rc = weigh_places(&lineup, spec, rank, labels, classes, n, share, &weights);
    if (rc == 0 && spec->class_weights.kind != CLASSES_ALIKE)
        rc = weigh_classes(&spec->class_weights, rank, labels, classes, n, weights);
    if (rc == 0)
        rc = collect(weights, n, share, ret);
    lineup_done(&lineup);
    return rc;
}

/* Of place i of m, before scaling; 0: not trained on. */
static double place_weight(int mode, double share, uint32_t i, uint32_t m)
{
    const double u = (i + 0.5) / m;

    if (mode == MODE_SELECT)
        return i == 0 || i < floor(share * m + 0.5) ? 1 : 0;
    return mode == MODE_WEIGHT || i == 0 || u < share + RAMP ? weight_at(share, u) : 0;
}

void schedule_places(const struct jobspec *spec, double share, uint32_t m, float *weights)
{
    double sum = 0;
    uint32_t count = 0;

    for (uint32_t i = 0; i < m; i++) {
        const double v = place_weight(spec->curriculum.mode, share, i, m);
        sum += v;
        count += v > 0;
    }
    for (uint32_t i = 0; i < m; i++)
        weights[i] = (float)(place_weight(spec->curriculum.mode, share, i, m) / (sum / count));
}

double schedule_trained(const struct jobspec *spec, int64_t epoch)
{
    const double share = curriculum_share(spec, epoch);

    return spec->curriculum.mode == MODE_WEIGHT ? 1
           : spec->curriculum.mode == MODE_BOTH ? fmin(share + RAMP, 1)
                                                : share;
}

void schedule_done(struct schedule *s)
{
    free(s->ids);
    free(s->weights);
    *s = (struct schedule){0};
}
