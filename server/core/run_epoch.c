/* The end of an epoch: its numbers and scores leave the run for the store, its ranks stay. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "server/core/run_internal.h"

/* Mean rise of the loss over the steps of the closed epoch that had an ascent; the others add 0.
 * NAN: there was none. */
static double sharpness(const struct run *r)
{
    const struct run_cursor *c = &r->cursor;
    uint64_t k = (uint64_t)r->spec->sam_interval, first = c->step - r->epoch_steps;
    uint64_t ascents = (c->step + k - 1) / k - (first + k - 1) / k;

    return ascents == 0 ? NAN
                        : (c->sums[SUM_LOSS_HAT] - c->sums[SUM_LOSS]) / c->sums[SUM_WEIGHT] *
                              ((double)r->epoch_steps / (double)ascents);
}

/* The scores of the epoch leave the run for its ranks and for the store. */
static int close_scores(struct run *r, struct run_epoch *e)
{
    const uint32_t n = r->data->samples;
    struct score *fresh = NULL;
    const double mean_gap = score_mean_gap(r->scores, n);
    double *adm = scores_adm(r->scores, n, r->spec->normaliser, mean_gap);

    if (r->lapses)
        lapses_add(r->lapses, r->scores, run_labels(r), n);
    int rc = adm ? curriculum_rank(r->spec, r->scores, r->lapses, n, r->room, r->rank) : -ENOMEM;
    if (rc == 0 && run_train_source(r)) {
        fresh = alloc_bytes(n, sizeof(*fresh));
        rc = fresh ? 0 : -ENOMEM;
    }
    if (rc < 0) {
        free(adm);
        return rc;
    }
    e->record.mean_gap = mean_gap;
    e->scores = r->scores;
    e->adm = adm;
    e->probabilities = r->probabilities;
    r->probabilities = NULL;
    r->scores = fresh;
    r->lent = !fresh;
    r->swept = false;
    return 0;
}

/* Nothing is cleared: every sweep writes to the same samples, whatever the revision. */
bool run_take_back(struct run *r, struct score *scores)
{
    if (!r->lent || r->scores)
        return false;
    r->scores = scores;
    r->lent = false;
    return true;
}

bool run_is_closing(const struct run *r)
{
    return !phase_trains(r->phase) || r->cursor.step_in_epoch + 1 >= r->epoch_steps;
}

/* Those of the test samples, which the round that closes the epoch has measured. */
static int close_test_scores(const struct run *r, struct run_epoch *e)
{
    uint32_t n = r->slot_count;
    struct score *scores = alloc_bytes(n, sizeof(*scores));
    double *adm = scores_adm(r->slots, n, r->spec->normaliser, e->record.mean_gap);
    bool held = r->phase == PHASE_HELD_TEST;
    uint32_t *ids = held ? alloc_bytes(n, sizeof(*ids)) : NULL;

    if (!scores || !adm || (held && !ids)) {
        free(scores);
        free(adm);
        free(ids);
        return -ENOMEM;
    }
    memcpy(scores, r->slots, n * sizeof(*scores));
    if (held)
        memcpy(ids, r->ids, n * sizeof(*ids));
    e->tested = n;
    e->test_scores = scores;
    e->test_adm = adm;
    e->test_ids = ids;
    return 0;
}

void run_epoch_done(struct run_epoch *e)
{
    free(e->scores);
    free(e->adm);
    free(e->probabilities);
    free(e->test_scores);
    free(e->test_adm);
    free(e->test_ids);
    free(e->flatness);
    free(e->by_class);
    free(e->by_domain);
    free(e->labels);
}

/* Those of its revision, which the store needs beside the scores. */
static int close_labels(const struct run *r, struct run_epoch *e)
{
    const uint32_t n = r->data->samples;

    if (!r->relabelled)
        return 0;
    e->labels = alloc_bytes(n, sizeof(*e->labels));
    if (!e->labels)
        return -ENOMEM;
    memcpy(e->labels, r->revised, n * sizeof(*e->labels));
    return 0;
}

static bool has_scores(const struct run *r)
{
    bool some = r->swept;

    for (uint32_t i = 0; run_train_source(r) && i < r->data->samples && !some; i++)
        some = r->scores[i].flags & SCORE_MEASURED;
    return some;
}

int run_close_epoch(struct run *r, int64_t now_ms, struct run_epoch *ret)
{
    struct run_cursor *c = &r->cursor;
    const struct measured *test = &r->test, *validation = &r->validation;
    bool trained = r->epoch_steps > 0;
    int rc;

    *ret = (struct run_epoch){
        .record = {.job = r->job,
                   .epoch = c->epoch,
                   .revision = r->revision,
                   .share = trained ? r->schedule.share : NAN,
                   .scheduled = trained ? r->schedule.count : 0,
                   .lr = trained ? c->lr : NAN,
                   .train_loss = c->sums[SUM_LOSS] / c->sums[SUM_WEIGHT],
                   .train_accuracy = c->sums[SUM_CORRECT] / c->sums[SUM_SAMPLES],
                   .sharpness = sharpness(r),
                   .test_loss = test->loss,
                   .test_accuracy = test->accuracy,
                   .adv_accuracy = test->adv_accuracy,
                   .validation_loss = validation->loss,
                   .validation_accuracy = validation->accuracy,
                   .validation_adv_accuracy = validation->adv_accuracy,
                   .mean_gap = NAN,
                   .seconds = c->seconds + (double)(now_ms - r->epoch_start_ms) / 1e3},
        .by_class = r->by_class,
        .by_domain = r->by_domain,
    };
    r->by_class = r->by_domain = NULL;
    rc = close_labels(r, ret);
    if (rc == 0 && has_scores(r))
        rc = close_scores(r, ret);
    if (rc == 0 && r->tests > 0 && r->spec->score_splits == SPLITS_BOTH &&
        curriculum_sweep_due(r->spec, c->epoch))
        rc = close_test_scores(r, ret);
    if (rc < 0) {
        run_epoch_done(ret);
        return rc;
    }
    run_choose(r);
    ret->flatness = r->flat;
    r->flat = NULL;
    *c = (struct run_cursor){.epoch = c->epoch + 1, .step = c->step, .lr = c->lr};
    return 0;
}
