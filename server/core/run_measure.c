/* The rounds that measure: the sweep over what is trained on and the fold that is left out, the
 * validation, the test. Other held-out samples (core/split.h) are measured by their own round only:
 * sweeps, ranks and the mean gap do not know them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"

#include "server/core/run_internal.h"

/* The samples a sweep has to measure: all that are not held out, or with the train source those not
 * yet measured. */
static bool is_swept(const struct run *r, uint32_t sample)
{
    return (!r->use || r->use[sample] == USE_TRAIN || r->use[sample] == USE_FOLD) &&
           (!run_train_source(r) || !(r->scores[sample].flags & SCORE_MEASURED));
}

static bool has_use(const struct run *r, uint32_t sample, enum use use)
{
    return r->use && r->use[sample] == use;
}

static bool is_measured(const struct run *r, uint32_t sample, enum phase phase)
{
    return phase == PHASE_SWEEP        ? is_swept(r, sample)
           : phase == PHASE_VALIDATION ? has_use(r, sample, USE_VALIDATION)
                                       : has_use(r, sample, USE_TEST);
}

uint32_t run_list(struct run *r, enum phase phase)
{
    uint32_t count = 0;

    if (phase == PHASE_TEST)
        return r->held[USE_TEST] > 0 ? 0 : r->tests;
    if (phase == PHASE_SWEEP && !curriculum_sweep_due(r->spec, r->cursor.epoch))
        return 0;
    for (uint32_t i = 0; i < r->data->samples; i++)
        if (is_measured(r, i, phase))
            r->ids[count++] = i;
    r->id_count = count;
    return count;
}

/* The label of the sample at a position of the round. */
static int32_t label_at(const struct run *r, uint32_t i)
{
    return r->phase == PHASE_TEST ? r->data->test_labels[i] : run_labels(r)[r->ids[i]];
}

static struct measured measure(const struct run *r)
{
    double loss = 0;
    uint32_t right = 0, adv_right = 0, n = r->slot_count;

    for (uint32_t i = 0; i < n; i++) {
        loss += r->slots[i].loss;
        right += r->slots[i].predicted == label_at(r, i);
        adv_right += r->slots[i].adv_predicted == label_at(r, i);
    }
    return (struct measured){loss / n, (double)right / n, (double)adv_right / n};
}

/* Counts the round by group: of[i] is that of the i-th sample of the round or, with ids, of a
 * training image. */
static struct test_group *count_groups(const struct run *r, const uint16_t *of, const uint32_t *ids,
                                       uint32_t groups)
{
    struct test_group *g = alloc_bytes(groups, sizeof(*g));

    for (uint32_t i = 0; g && i < r->slot_count; i++) {
        struct test_group *mine = &g[of[ids ? ids[i] : i]];
        mine->samples++;
        mine->right += r->slots[i].predicted == label_at(r, i);
        mine->adv_right += r->slots[i].adv_predicted == label_at(r, i);
    }
    return g;
}

static int take_test(struct run *r)
{
    const struct dataset *d = r->data;
    const bool held = r->phase == PHASE_HELD_TEST;

    free(r->by_class);
    free(r->by_domain);
    r->by_domain = NULL;
    r->test = measure(r);
    r->by_class = held ? count_groups(r, run_labels(r), r->ids, d->classes)
                       : count_groups(r, d->test_labels, NULL, d->classes);
    if (held && d->domains)
        r->by_domain = count_groups(r, d->domains, r->ids, d->domain_count);
    return r->by_class && (r->by_domain || !held || !d->domains) ? 0 : -ENOMEM;
}

void run_take_swept(struct run *r, uint32_t first, const struct score *s, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t sample = r->ids[first + i];
        r->scores[sample] = s[i];
        if (has_use(r, sample, USE_FOLD))
            r->scores[sample].flags |= SCORE_LEFT_OUT;
    }
}

int run_take_measured(struct run *r)
{
    if (r->phase == PHASE_VALIDATION)
        r->validation = measure(r);
    else if (r->phase != PHASE_SWEEP)
        return take_test(r);
    else
        r->swept = true;
    return 0;
}

void run_choose(struct run *r)
{
    if (!r->chosen_theta || !(r->validation.accuracy > r->chosen.accuracy))
        return;
    r->chosen = (struct run_chosen){(double)r->cursor.epoch, r->validation.accuracy};
    memcpy(r->chosen_theta, r->theta, r->model->floats * sizeof(*r->theta));
}

double run_measured_left(const struct run *r)
{
    double samples = 0;

    for (int64_t e = r->cursor.epoch; e < r->epochs; e++) {
        if (curriculum_sweep_due(r->spec, e) && !run_train_source(r))
            samples += (double)r->held[USE_TRAIN] + r->held[USE_FOLD];
        samples += (double)r->held[USE_VALIDATION] + r->tests;
    }
    return samples;
}
