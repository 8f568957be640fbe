/* What a simulated worker computes, and how it says so. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "proto/result.h"
#include "tests/sim/scenario.h"
#include "tests/sim/worker_internal.h"
#include "tests/sim/world.h"

#define OTHER_DATA 1000000 /* a class that no worker has */

/* What is computed from other data than the job's has other bits. */
static uint32_t computes_as(const struct worker *w)
{
    return cache_held_is_right(&w->data) ? w->traits.class : OTHER_DATA;
}

/* Of so many samples, that begin with those of its task. */
static struct result_shape shape_of(const struct worker *w, uint32_t samples)
{
    const struct task *t = &w->task;
    const int known = worker_job_index(w, t->job);

    assert(known >= 0);
    return result_shape((enum phase)t->phase, w->jobs[known].source_train, w->floats, samples,
                        w->jobs[known].probabilities ? SCENARIO_CLASSES : 0);
}

static struct outcome compute(const struct worker *w, const struct result_shape *shape)
{
    const struct task *t = &w->task;
    const uint32_t as = computes_as(w);
    struct outcome o = {.scores = NULL};

    if (shape->sums) {
        struct computed_node node = {{(uint32_t)t->lo, (uint32_t)t->hi},
                                     (uint32_t)t->shard,
                                     (uint32_t)t->count,
                                     t->ids,
                                     t->weights};
        float *v = NULL;
        const int job = worker_job_index(w, t->job);
        if (t->phase == PHASE_TRAIN && w->jobs[job].online)
            node.weights = v = compute_weights(w->theta, w->floats, &node, &w->jobs[job].order,
                                               w->jobs[job].seed, as);
        compute_train(t->phase == PHASE_PRODUCT ? w->vector : w->theta, w->floats, &node, t->step,
                      as, &o.train);
        free(v);
        if (!shape->floats) {
            free(o.train.grad);
            o.train.grad = NULL;
        }
    }
    if (shape->samples)
        o.scores = xcalloc(shape->samples, sizeof(*o.scores));
    if (shape->classes)
        o.probabilities =
            xcalloc((size_t)shape->samples * shape->classes, sizeof(*o.probabilities));
    for (uint32_t i = 0; i < shape->samples; i++) {
        uint32_t id = t->ids ? t->ids[i] : (uint32_t)t->first + i;
        o.scores[i] =
            compute_score(w->theta, w->floats, id, t->phase == PHASE_TEST, as, SCENARIO_CLASSES);
        if (shape->classes)
            compute_probabilities(w->theta, w->floats, id, as, SCENARIO_CLASSES,
                                  o.probabilities + (size_t)i * shape->classes);
    }
    return o;
}

void worker_make_result(struct worker *w)
{
    const struct task *t = &w->task;
    const struct result_shape shape = shape_of(w, (uint32_t)t->count);
    const enum damage damage = spoil_draw(&w->traits);

    worker_forget_sum(w);
    w->sum.end = (uint32_t)t->hi;
    w->sum.count = (uint32_t)t->count;
    w->sum.damage = damage;
    w->sum.outcome = compute(w, &shape);
    w->sum.forged = spoil_forge(&w->traits, &w->sum.outcome);
    if (damage == DAMAGE_NUMBER)
        spoil_number(&w->sum.outcome);
    w->sum.made = true;
    if (t->token[0] && shape.floats)
        worker_offer(w);
    else
        worker_send_result(w);
}

void worker_send_result(struct worker *w)
{
    const struct task *t = &w->task;
    const struct joint *s = &w->sum;
    const struct outcome *o = &s->outcome;
    const struct result_shape shape = shape_of(w, s->count);
    const struct result result = {o->train.grad, o->train.sums, o->scores, o->probabilities};
    const int64_t hi = s->to ? t->hi : s->end;
    struct tensor tensors[RESULT_PARTS];
    struct result_room room = {.rows = NULL};
    cJSON *fields = cJSON_CreateObject();
    struct errbuf why;
    char what[200];
    int count = 0;

    if (s->to) {
        cJSON_AddNumberToObject(fields, "to", s->to);
    } else {
        result_room(&room, shape.samples, &why);
        count = result_pack(&shape, &result, &room, tensors);
        if (s->damage == DAMAGE_ROW)
            spoil_row(&tensors[0]);
    }
    worker_add_key(t, fields);
    cJSON_ReplaceItemInObject(fields, "hi", cJSON_CreateNumber((double)hi));
    worker_add_have(w, fields);
    snprintf(what, sizeof(what),
             "job=%" PRId64 " inc=%" PRId64 " step=%" PRId64 " phase=%" PRId64 " turn=%" PRId64
             " lo=%" PRId64 " hi=%" PRId64 " class=%u bad=%d forged=%d to=%u",
             t->job, t->incarnation, t->step, t->phase, t->turn, t->lo, hi, w->traits.class,
             s->damage != DAMAGE_NONE, s->forged, s->to);
    w->owes = true;
    net_ask(&w->client, "task.result", fields, tensors, count, what);
    result_room_done(&room);
}
