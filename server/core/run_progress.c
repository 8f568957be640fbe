/* What a run has done and has still to do, for people. */
#include <math.h>

#include "server/core/run_internal.h"

/* Cost of one sample in forward passes: a backward counts two, one of x alone counts one.
 * COST_SHARED is what a score needs of x itself, which a step that measures does anyway. */
enum { COST_SGD = 3, COST_SCORE = 3, COST_SHARED = 2, COST_MOVE = 2 };

static double score_cost(const struct jobspec *spec)
{
    return spec->attack == ATTACK_PGD
               ? COST_SCORE + COST_MOVE * (double)(spec->attack_steps - !spec->random_start)
               : COST_SCORE;
}

/* Of a sample in a step of the epoch, on average over the steps (worker/step.h). */
static double train_cost(const struct run *r, int64_t epoch)
{
    const struct jobspec *spec = r->spec;
    const bool norms = r->model->floats > r->model->trained;
    double cost = COST_SGD;

    if (jobspec_online(spec) && !norms)
        cost *= schedule_trained(spec, epoch);
    if (spec->rho > 0)
        cost += COST_SGD / (double)spec->sam_interval;
    if (run_train_source(r))
        cost += score_cost(spec) - (norms || spec->label_smoothing > 0 ? 0 : COST_SHARED);
    return cost;
}

double run_round_cost(const struct run *r)
{
    if (phase_measures(r->phase))
        return flatness_round_cost(r->phase) * r->slot_count;
    return (phase_trains(r->phase) ? train_cost(r, r->cursor.epoch) : score_cost(r->spec)) *
           r->slot_count;
}

/* Work of the whole job in forward passes of one sample, from the open round on. */
static double work_left(const struct run *r)
{
    double train = 0, flat = 0;

    for (int64_t e = r->cursor.epoch; e < r->epochs; e++) {
        const uint64_t over = e == r->cursor.epoch ? r->cursor.step_in_epoch : 0;
        train += (double)(r->epoch_steps - over) * (double)r->spec->batch * train_cost(r, e);
        flat += run_flatness_left(r, e);
    }
    return train + run_measured_left(r) * score_cost(r->spec) + flat;
}

struct run_progress run_progress(const struct run *r)
{
    const struct run_cursor *c = &r->cursor;
    struct run_progress p = {
        .epoch = c->epoch,
        .step = c->step,
        .steps = r->steps,
        .loss = c->sums[SUM_WEIGHT] > 0 ? c->sums[SUM_LOSS] / c->sums[SUM_WEIGHT] : NAN,
        .accuracy = r->test.accuracy,
        .validation_accuracy = r->validation.accuracy,
    };
    double ms = (double)(r->start_ms - r->train_start_ms) + r->work_ms; /* to the last update */

    if (r->flatness) {
        p.turn = flatness_turn(r->flatness);
        p.turns = flatness_turns(r->flatness);
    }
    if (phase_trains(r->phase) && ms > 0)
        p.images_per_s =
            (double)(c->step_in_epoch - r->train_start_step) * (double)r->spec->batch * 1e3 / ms;
    if (r->work_done > 0)
        p.eta_s = work_left(r) * r->work_ms / r->work_done / 1e3;
    return p;
}
