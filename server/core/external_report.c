/* What a program reports of its samples: the first valid value of a sample and measure counts. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "server/core/external_internal.h"
#include "server/core/probabilities.h"

const char *const external_measure_names[] = {
    [EXTERNAL_LOSS] = "loss",
    [EXTERNAL_ADV_LOSS] = "adv_loss",
    [EXTERNAL_GRAD_NORM] = "grad_norm",
    [EXTERNAL_EL2N] = "el2n",
    [EXTERNAL_MARGIN] = "margin",
    [EXTERNAL_PREDICTED] = "predicted",
    [EXTERNAL_ADV_PREDICTED] = "adv_predicted",
    [EXTERNAL_MEASURES] = NULL,
};

static uint32_t id_at(const struct external_report *r, uint32_t i)
{
    uint32_t v;

    memcpy(&v, (const uint8_t *)r->ids + (size_t)i * sizeof(v), sizeof(v));
    return v;
}

static int32_t class_at(const struct external_report *r, int measure, uint32_t i)
{
    int32_t v;

    memcpy(&v, (const uint8_t *)r->values[measure].at + (size_t)i * sizeof(v), sizeof(v));
    return v;
}

static double real_at(const struct external_report *r, int measure, uint32_t i)
{
    const uint8_t *at = r->values[measure].at;
    double v;
    float f;

    if (r->values[measure].f32) {
        memcpy(&f, at + (size_t)i * sizeof(f), sizeof(f));
        return f;
    }
    memcpy(&v, at + (size_t)i * sizeof(v), sizeof(v));
    return v;
}

static int check_ids(const struct external *e, const struct external_report *r, struct errbuf *why)
{
    const uint32_t samples = r->test ? e->test.samples : e->train.samples;

    if (r->test && samples == 0)
        return err_set(why, -EINVAL, "the dataset has no test samples");
    for (uint32_t i = 0; i < r->count; i++)
        if (id_at(r, i) >= samples)
            return err_set(why, -EINVAL, "ids[%u] is %u; the %ssamples are 0 to %u", i, id_at(r, i),
                           r->test ? "test " : "", samples - 1);
    return 0;
}

static int check_classes(const struct external *e, const struct external_report *r, int measure,
                         struct errbuf *why)
{
    for (uint32_t i = 0; i < r->count; i++) {
        const int32_t v = class_at(r, measure, i);
        if (v < -1 || v >= (int32_t)e->data->classes)
            return err_set(why, -EINVAL,
                           "%s of sample %u is %d, allowed is 0 to %u, or -1 where it is not known",
                           external_measure_names[measure], id_at(r, i), v, e->data->classes - 1);
    }
    return 0;
}

static int check_reals(const struct external_report *r, int measure, struct errbuf *why)
{
    const double least = measure == EXTERNAL_MARGIN ? -INFINITY : 0;

    for (uint32_t i = 0; i < r->count; i++) {
        const double v = real_at(r, measure, i);
        if (!isfinite(v) || v < least)
            return err_set(why, -EINVAL, "%s of sample %u is %g, allowed is a finite number%s",
                           external_measure_names[measure], id_at(r, i), v,
                           measure == EXTERNAL_MARGIN ? "" : ", 0 and up");
    }
    return 0;
}

static double *real_place(struct reported *to, int measure, uint32_t sample)
{
    struct score *s = &to->scores[sample];

    return measure == EXTERNAL_LOSS        ? &s->loss
           : measure == EXTERNAL_ADV_LOSS  ? &s->adv_loss
           : measure == EXTERNAL_GRAD_NORM ? &s->grad_norm
           : measure == EXTERNAL_EL2N      ? &s->el2n
                                           : &to->margin[sample];
}

static const void *row_at(const struct external_report *r, uint32_t i)
{
    return (const uint8_t *)r->probabilities + (size_t)i * r->classes * sizeof(float);
}

static int check_rows(const struct external *e, const struct external_report *r, struct errbuf *why)
{
    int rc = 0;

    if (!e->spec->score_probabilities)
        return err_set(why, -EINVAL,
                       "there are probabilities, but job %lld keeps none: its score.probabilities "
                       "is false",
                       (long long)e->job);
    if (r->test)
        return err_set(why, -EINVAL,
                       "there are probabilities of test samples; those of training samples are "
                       "kept: report them with split train");
    if (r->classes != e->data->classes)
        return err_set(why, -EINVAL, "probabilities has %llu classes, the dataset has %u",
                       (unsigned long long)r->classes, e->data->classes);
    for (uint32_t i = 0; rc == 0 && i < r->count; i++)
        rc = probabilities_check(row_at(r, i), e->data->classes, "sample", id_at(r, i), why);
    return rc;
}

int reported_begin(struct reported *r, uint32_t samples)
{
    r->samples = samples;
    r->scores = alloc_bytes(samples, sizeof(*r->scores));
    r->seen = alloc_bytes(samples, sizeof(*r->seen));
    if (r->scores && r->seen)
        return 0;
    free(r->scores);
    free(r->seen);
    r->scores = NULL;
    r->seen = NULL;
    return -ENOMEM;
}

/* Room for what is reported for the first time. */
static int make_room(const struct external *e, const struct external_report *r, struct reported *to,
                     struct errbuf *why)
{
    if (!to->scores && reported_begin(to, to->samples) < 0)
        return err_set(why, -ENOMEM, "no memory for the scores of %u samples", to->samples);
    if (r->values[EXTERNAL_MARGIN].at && !to->margin) {
        to->margin = alloc_untouched(to->samples, sizeof(*to->margin));
        if (!to->margin)
            return err_set(why, -ENOMEM, "no memory for %u margins", to->samples);
    }
    if (r->probabilities && !to->probabilities) {
        to->probabilities =
            alloc_untouched((size_t)to->samples * e->data->classes, sizeof(*to->probabilities));
        if (!to->probabilities)
            return err_set(why, -ENOMEM, "no memory for the probabilities of %u samples",
                           to->samples);
    }
    return 0;
}

/* Takes the rows that are the first of their sample; how many they are. */
static uint32_t take_rows(struct reported *to, const struct external_report *r)
{
    uint32_t taken = 0;

    for (uint32_t i = 0; i < r->count; i++) {
        const uint32_t sample = id_at(r, i);
        if (to->seen[sample] & SEEN_PROBABILITIES)
            continue;
        to->seen[sample] |= SEEN_PROBABILITIES;
        memcpy(to->probabilities + (size_t)sample * r->classes, row_at(r, i),
               (size_t)r->classes * sizeof(*to->probabilities));
        taken++;
    }
    return taken;
}

/* Takes the i-th value, which is the first. */
static void take(struct reported *to, const struct external_report *r, int measure, uint32_t i,
                 uint32_t sample)
{
    struct score *s = &to->scores[sample];

    if (measure == EXTERNAL_PREDICTED)
        s->predicted = class_at(r, measure, i);
    else if (measure == EXTERNAL_ADV_PREDICTED)
        s->adv_predicted = class_at(r, measure, i);
    else
        *real_place(to, measure, sample) = real_at(r, measure, i);
    s->flags = SCORE_MEASURED;
}

/* Takes the values that are the first of their sample, a sample at a time: its numbers are beside
 * each other, those of the next one are not. How many were taken, and how many dropped. */
static uint64_t take_values(struct reported *to, const struct external_report *r,
                            uint64_t *ret_dropped)
{
    int given[EXTERNAL_MEASURES] = {0}, measures = 0;
    uint64_t taken = 0, dropped = 0;

    for (int m = 0; m < EXTERNAL_MEASURES; m++)
        if (r->values[m].at)
            given[measures++] = m;
    for (uint32_t i = 0; i < r->count; i++) {
        const uint32_t sample = id_at(r, i);
        uint8_t *seen = &to->seen[sample];
        for (int g = 0; g < measures; g++) {
            const int m = given[g];
            if (m >= EXTERNAL_PREDICTED && class_at(r, m, i) < 0)
                continue;
            if (*seen & 1u << m) {
                dropped++;
                continue;
            }
            *seen |= (uint8_t)(1u << m);
            take(to, r, m, i, sample);
            taken++;
        }
    }
    *ret_dropped = dropped;
    return taken;
}

int external_report(struct external *e, const struct external_report *r, uint64_t *ret_counted,
                    uint64_t *ret_dropped, struct errbuf *why)
{
    struct reported *to = r->test ? &e->test : &e->train;
    uint64_t counted, dropped;
    int rc = check_ids(e, r, why);

    for (int m = 0; rc == 0 && m < EXTERNAL_MEASURES; m++)
        if (r->values[m].at)
            rc = m < EXTERNAL_PREDICTED ? check_reals(r, m, why) : check_classes(e, r, m, why);
    if (rc == 0 && r->probabilities)
        rc = check_rows(e, r, why);
    if (rc == 0)
        rc = make_room(e, r, to, why);
    if (rc < 0)
        return rc;
    counted = take_values(to, r, &dropped);
    if (r->probabilities) {
        const uint32_t taken = take_rows(to, r);
        counted += taken;
        dropped += r->count - taken;
    }
    e->dropped += dropped;
    *ret_counted = counted;
    *ret_dropped = dropped;
    return 0;
}

void external_drop(struct external *e, uint64_t values)
{
    e->dropped += values;
}
