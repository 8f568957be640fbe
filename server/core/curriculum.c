/* What scores mean and when they are taken: the measure's order key, percentile ranks, pacing. The
 * schedule that follows from them is in schedule.c. */
#include "server/core/curriculum.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/difficulty.h"
#include "server/core/radix.h"
#include "server/core/split.h"

/* full_at * epochs is a decimal that double misses by a few units in the last place (0.55 * 100);
 * the share must still arrive at the epoch a person computes. */
#define PROGRESS_SLACK 1e-9
#define EVERY_AFTER_FINAL 5

/* A training program of its own need not report all measures. */
static bool has_gap(const struct score *s)
{
    return !isnan(s->adv_loss - s->loss);
}

static double gap_plus(const struct score *s)
{
    return fmax(s->adv_loss - s->loss, 0);
}

double score_mean_gap(const struct score *s, uint32_t n)
{
    double sum = 0;
    uint32_t measured = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (!(s[i].flags & SCORE_MEASURED) || s[i].flags & SCORE_NO_DIRECTION || !has_gap(&s[i]))
            continue;
        sum += gap_plus(&s[i]);
        measured++;
    }
    return measured ? sum / measured : 0;
}

double score_adm(const struct score *s, int normaliser, double mean_gap)
{
    if (!has_gap(s))
        return NAN;
    double gap = gap_plus(s);
    double divisor = normaliser == NORM_SAMPLE ? s->adv_loss : gap + mean_gap;

    return gap == 0 ? 0 : gap / divisor;
}

double *scores_adm(const struct score *s, uint32_t n, int normaliser, double mean_gap)
{
    double *adm = alloc_bytes(n, sizeof(*adm));

    for (uint32_t i = 0; adm && i < n; i++)
        adm[i] = score_adm(&s[i], normaliser, mean_gap);
    return adm;
}

void lapses_add(struct lapses *l, const struct score *s, const uint16_t *labels, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!(s[i].flags & SCORE_MEASURED) || s[i].predicted < 0)
            continue;
        bool right = s[i].predicted == labels[i];
        l[i].seen++;
        l[i].forgotten += l[i].right && !right;
        l[i].right = right;
    }
}

/* A sample that was never right counts as forgotten at every measurement: more than any that was
 * right once. */
static double lapses_key(const struct lapses *l)
{
    assert(l);
    return l->right || l->forgotten ? l->forgotten : l->seen;
}

double curriculum_key(const struct jobspec *spec, const struct score *s, const struct lapses *l,
                      uint32_t sample)
{
    const struct curriculum_spec *c = &spec->curriculum;

    if (c->measure == MEASURE_FORGETTING)
        return lapses_key(l);
    return difficulty_key((enum measure)c->measure, (enum normaliser)spec->normaliser, spec->seed,
                          s, sample);
}

static void take_rank(double *held, double beta, double r)
{
    *held = *held < 0 ? r : beta * *held + (1 - beta) * r;
}

/* Has the sample a key now? *ret is that key. */
static bool has_key(const struct jobspec *spec, const struct score *s, const struct lapses *l,
                    uint32_t i, const double *rank, double *ret)
{
    if (!(s[i].flags & SCORE_MEASURED) || rank[i] == CURRICULUM_EXCLUDED || (l && !l[i].seen))
        return false;
    *ret = curriculum_key(spec, &s[i], l ? &l[i] : NULL, i);
    return !isnan(*ret);
}

static void take_losses(const struct jobspec *spec, const struct score *s, uint32_t n, double *rank)
{
    double key;

    for (uint32_t i = 0; i < n; i++)
        if (has_key(spec, s, NULL, i, rank, &key))
            take_rank(&rank[i], spec->curriculum.smoothing, key);
}

/* Sorts the keys; a sample keeps the share beta of its old rank. */
static void take_ranks(struct radix *o, double beta, double *rank)
{
    radix_sort(o);
    for (uint32_t first = 0, end; first < o->count; first = end) {
        end = radix_run(o, first);
        /* (average of first .. end-1, plus 1/2) / count, in one rounding */
        double r = ((double)first + end) / (2.0 * o->count);
        for (uint32_t i = first; i < end; i++)
            take_rank(&rank[o->ids[i]], beta, r);
    }
}

int curriculum_begin(const double *order, const uint32_t *excluded, uint32_t excluded_count,
                     const uint8_t *use, uint32_t n, double *rank)
{
    struct radix o;

    for (uint32_t i = 0; i < n; i++)
        rank[i] = use && use[i] != USE_TRAIN ? CURRICULUM_EXCLUDED : CURRICULUM_UNRANKED;
    for (uint32_t i = 0; i < excluded_count; i++)
        rank[excluded[i]] = CURRICULUM_EXCLUDED;
    if (!order)
        return 0;
    if (radix_begin(&o, n, NULL) < 0)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++)
        if (!isnan(order[i]) && rank[i] != CURRICULUM_EXCLUDED)
            radix_add(&o, radix_key(order[i]), i);
    take_ranks(&o, 0, rank);
    radix_done(&o);
    return 0;
}

int curriculum_rank(const struct jobspec *spec, const struct score *s, const struct lapses *l,
                    uint32_t n, void *room, double *rank)
{
    struct radix o;
    double key;

    if (spec->curriculum.measure == MEASURE_GIVEN)
        return 0;
    if (jobspec_self_paced(spec)) {
        take_losses(spec, s, n, rank);
        return 0;
    }
    if (radix_begin(&o, n, room) < 0)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++)
        if (has_key(spec, s, l, i, rank, &key))
            radix_add(&o, radix_key(key), i);
    take_ranks(&o, spec->curriculum.smoothing, rank);
    radix_done(&o);
    return 0;
}

/* x of the pacing functions, exactly 1 from the epoch on at which the share is final; below 0 in
 * warm-up. */
static double progress(const struct jobspec *spec, int64_t epoch)
{
    const struct curriculum_spec *c = &spec->curriculum;
    double from = (double)c->warmup, to = c->full_at * (double)spec->epochs;
    double x;

    if ((double)epoch < from)
        return -1;
    x = to > from ? ((double)epoch - from) / (to - from) : 1;
    return x > 1 - PROGRESS_SLACK ? 1 : x;
}

/* f(x), 0 <= x < 1; all are 1 at 1. */
static double pace(int pacing, double x)
{
    switch ((enum pacing)pacing) {
    case PACING_LINEAR:
        return x;
    case PACING_QUAD:
        return x * x;
    case PACING_ROOT:
        return sqrt(x);
    case PACING_STEP:
        return 0;
    case PACING_EXP:
        return expm1(10 * x) / expm1(10);
    case PACING_LOG:
        return fmin(fmax(1 + 0.1 * log(x + exp(-10)), 0), 1);
    }
    return 1;
}

double curriculum_share(const struct jobspec *spec, int64_t epoch)
{
    const struct curriculum_spec *c = &spec->curriculum;
    double x = progress(spec, epoch);

    if (c->measure == MEASURE_NONE || x < 0)
        return 1;
    if (x == 1)
        return c->final;
    return c->initial + (c->final - c->initial) * pace(c->pacing, x);
}

bool curriculum_share_final(const struct jobspec *spec, int64_t epoch)
{
    return progress(spec, epoch) == 1;
}

bool curriculum_sweep_due(const struct jobspec *spec, int64_t epoch)
{
    int64_t every = spec->score_every;

    if (epoch == jobspec_epochs(spec) - 1)
        return true;
    if (spec->score_source == SOURCE_TRAIN &&
        (jobspec_online(spec) || curriculum_share(spec, epoch) >= 1))
        return false;
    if (every == 0) {
        bool dense = spec->score_source == SOURCE_SWEEP && !jobspec_online(spec) &&
                     !curriculum_share_final(spec, epoch);
        every = dense ? 1 : EVERY_AFTER_FINAL;
    }
    return epoch % every == 0;
}
