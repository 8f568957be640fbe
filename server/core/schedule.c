/* From ranks to the samples of an epoch. Every sample gets a place in the order of its class (of
 * one class that holds all, without balance); mode and share decide how many of the first are
 * taken; their places decide their weights. Places, not ranks, give the weights, so all measures
 * use the same weights. In a self-paced mode ranks are losses, and they give the weights. */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/difficulty.h"
#include "common/rng.h"
#include "server/core/curriculum.h"
#include "server/core/self_paced.h"

#define RAMP 0.25          /* weights fall from 1 to the least over this share */
#define WEIGHT_MIN 0x1p-10 /* a scheduled sample never weighs 0 */
#define RANK_UNMEASURED 0.5
#define LOSS_UNKNOWN 1.0 /* of all samples, while none is measured */

struct place {
    double rank; /* lower comes first */
    uint64_t tie;
    uint32_t id;
    uint32_t group;
};

struct lineup {
    struct place *places;   /* by group, then in the order of the curriculum */
    uint32_t *sizes;        /* samples of each group */
    uint32_t *quotas;       /* scheduled at least, of each group */
    uint32_t groups, count; /* of places */
};

static int place_compare(const void *pa, const void *pb)
{
    const struct place *a = pa, *b = pb;

    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    if (a->tie != b->tie)
        return a->tie < b->tie ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

/* unmeasured: the rank of a sample that has none. */
static struct place place_of(const struct jobspec *spec, const double *rank, double unmeasured,
                             uint32_t id)
{
    struct place p = {.id = id, .tie = difficulty_tie(spec->seed, id)};

    /* The random control knows all its scores from the start; ranks only among measured samples
     * would not keep its sets nested. */
    if (spec->curriculum.measure == MEASURE_RANDOM)
        p.rank = curriculum_key(spec, NULL, NULL, id);
    else
        p.rank = rank[id] < 0 ? unmeasured : rank[id];
    if (spec->curriculum.order == ORDER_HARD_FIRST)
        p.rank = -p.rank;
    return p;
}

/* Is the sample left out, whatever it is worth? */
static bool is_excluded(const double *rank, uint32_t id)
{
    return rank && rank[id] == CURRICULUM_EXCLUDED;
}

static void lineup_done(struct lineup *l)
{
    free(l->places);
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

/* Lowers the losses by what diversity gives them; the places are of one group before and after. */
static void diversify(struct lineup *l, const uint16_t *labels, double gamma)
{
    for (uint32_t i = 0; i < l->count; i++)
        l->places[i].group = labels[l->places[i].id];
    qsort(l->places, l->count, sizeof(*l->places), place_compare);
    for (uint32_t i = 0, r = 0; i < l->count; i++) {
        r = i > 0 && l->places[i].group == l->places[i - 1].group ? r + 1 : 1;
        l->places[i].rank -= self_paced_bonus(gamma, r);
    }
    for (uint32_t i = 0; i < l->count; i++)
        l->places[i].group = 0;
}

static int lineup_init(struct lineup *l, const struct jobspec *spec, const double *rank,
                       const uint16_t *labels, uint32_t classes, uint32_t n)
{
    bool balanced = spec->curriculum.balance == BALANCE_CLASS;
    const double unmeasured = jobspec_self_paced(spec) ? mean_loss(rank, n) : RANK_UNMEASURED;

    l->groups = balanced ? classes : 1;
    l->places = alloc_bytes(n, sizeof(*l->places));
    l->sizes = alloc_bytes(l->groups, sizeof(*l->sizes));
    l->quotas = alloc_bytes(l->groups, sizeof(*l->quotas));
    if (!l->places || !l->sizes || !l->quotas) {
        lineup_done(l);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (is_excluded(rank, i))
            continue;
        struct place *p = &l->places[l->count++];
        *p = place_of(spec, rank, unmeasured, i);
        p->group = balanced ? labels[i] : 0;
        assert(p->group < l->groups);
        l->sizes[p->group]++;
    }
    if (spec->curriculum.mode == MODE_SPL_HARD && spec->curriculum.diversity > 0)
        diversify(l, labels, spec->curriculum.diversity * unmeasured);
    qsort(l->places, l->count, sizeof(*l->places), place_compare);
    return 0;
}

/* Splits `total` of all samples over the groups by largest remainder of total * size / n, ties to
 * the lower group. Exact: both factors are at most 2^26. A group without a remainder gets nothing
 * on top, so no quota exceeds its size. */
static void split(struct lineup *l, uint32_t total)
{
    uint32_t left = total, n = l->count;

    for (uint32_t g = 0; g < l->groups; g++) {
        l->quotas[g] = (uint32_t)((uint64_t)total * l->sizes[g] / n);
        left -= l->quotas[g];
    }
    for (; left > 0; left--) {
        uint64_t most = 0;
        uint32_t winner = 0;
        for (uint32_t g = 0; g < l->groups; g++) {
            uint64_t exact = (uint64_t)total * l->sizes[g], got = (uint64_t)l->quotas[g] * n;
            if (exact > got && exact - got > most) {
                most = exact - got;
                winner = g;
            }
        }
        l->quotas[winner]++;
    }
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
    const struct place *p = l->places;

    for (uint32_t g = 0; g < l->groups; g++)
        for (uint32_t i = 0; i < l->sizes[g]; i++, p++) {
            double u = (i + 0.5) / l->sizes[g];
            if (i < l->quotas[g] || (mode == MODE_BOTH && u < share + RAMP))
                weights[p->id] = mode == MODE_SELECT ? 1 : weight_at(share, u);
        }
}

/* The same, by the losses below each group's threshold. */
static void weigh_losses(const struct lineup *l, enum curriculum_mode mode, double *weights)
{
    const struct place *p = l->places;

    for (uint32_t g = 0; g < l->groups; p += l->sizes[g++]) {
        if (l->sizes[g] == 0)
            continue;
        const double largest = p[l->sizes[g] - 1].rank;
        const double threshold = l->quotas[g] < l->sizes[g] ? p[l->quotas[g]].rank : largest;
        for (uint32_t i = 0; i < l->quotas[g]; i++)
            weights[p[i].id] =
                fmax(WEIGHT_MIN, self_paced_weight(mode, p[i].rank, threshold, largest));
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

int schedule_make(const struct jobspec *spec, const double *rank, const uint16_t *labels,
                  uint32_t classes, uint32_t n, int64_t epoch, struct schedule *ret)
{
    assert(n >= 1);
    double share = curriculum_share(spec, epoch);
    double *weights = alloc_bytes(n, sizeof(*weights));
    struct lineup lineup = {0};
    int rc = -ENOMEM;

    if (!weights)
        goto out;
    if (jobspec_online(spec) ||
        share >= 1) { /* every mode schedules everything with weight 1: no order is needed */
        for (uint32_t i = 0; i < n; i++)
            weights[i] = is_excluded(rank, i) ? 0 : 1;
    } else {
        rc = lineup_init(&lineup, spec, rank, labels, classes, n);
        if (rc != 0)
            goto out;
        split(&lineup, count_least(spec, share, lineup.count));
        if (jobspec_self_paced(spec))
            weigh_losses(&lineup, (enum curriculum_mode)spec->curriculum.mode, weights);
        else
            weigh(&lineup, spec->curriculum.mode, share, weights);
        lineup_done(&lineup);
    }
    if (spec->class_weights.kind != CLASSES_ALIKE)
        rc = weigh_classes(&spec->class_weights, rank, labels, classes, n, weights);
    else
        rc = 0;
    if (rc == 0)
        rc = collect(weights, n, share, ret);
out:
    free(weights);
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
