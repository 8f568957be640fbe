/* The rounds of a measurement of flatness, between the last update of an epoch and its test. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "server/core/run_internal.h"

static int open_next(struct run *r, bool *ret_over)
{
    enum phase phase;

    *ret_over = !flatness_next(r->flatness, r->theta, r->next, &phase);
    return *ret_over ? 0 : run_open_round(r, phase, r->id_count);
}

int run_flatness_open(struct run *r)
{
    const struct flatness_spec *spec = &r->spec->flatness;
    uint32_t count = 0;
    bool over;

    for (uint32_t i = 0; i < r->data->samples; i++)
        if (r->rank[i] != CURRICULUM_EXCLUDED && (!r->use || r->use[i] == USE_TRAIN))
            r->ids[count++] = i;
    flatness_choose(spec, r->spec->seed, r->ids, count);
    r->id_count = flatness_count(spec, count);
    r->flatness = flatness_create(spec, r->model, r->spec->seed, r->id_count);
    return r->flatness ? open_next(r, &over) : -ENOMEM;
}

int run_flatness_take(struct run *r)
{
    const bool vector = phase_vector(r->phase);
    const double *sums;
    const float *sum = vector ? run_gradient(r, &sums) : reduce_result(r->tally, &sums);

    return flatness_take(r->flatness, r->theta, vector ? sum : NULL, sums);
}

int run_flatness_go_on(struct run *r, bool *ret_over)
{
    int rc = open_next(r, ret_over);

    if (rc < 0 || !*ret_over)
        return rc;
    r->flat = xcalloc(1, sizeof(*r->flat));
    *r->flat = flatness_result(r->flatness);
    flatness_free(r->flatness);
    r->flatness = NULL;
    return 0;
}

double run_flatness_left(const struct run *r, int64_t epoch)
{
    const struct flatness_spec *spec = &r->spec->flatness;
    const bool open = epoch == r->cursor.epoch;

    if (!flatness_due(spec, epoch, r->epochs) || (open && r->flat))
        return 0;
    return open && r->flatness ? flatness_left(r->flatness) * r->id_count
                               : flatness_cost(spec) * flatness_count(spec, r->data->samples);
}

const float *run_vector(const struct run *r)
{
    return r->phase == PHASE_PRODUCT ? flatness_vector(r->flatness) : NULL;
}

uint32_t run_turn(const struct run *r)
{
    return r->flatness ? flatness_turn(r->flatness) : 0;
}
