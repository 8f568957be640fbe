/* The ascent by the gradient of a whole batch. What a descent round needs besides theta hat stays
 * beside the state until the update: a checkpoint between the two rounds has the state as it was
 * before the step. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/ascent.h"
#include "common/surrogate.h"
#include "server/core/friendly.h"
#include "server/core/run_internal.h"

static bool in_rounds(const struct jobspec *spec)
{
    return spec->sam_scope == SCOPE_BATCH && spec->rho > 0;
}

static bool keeps_gradient(const struct jobspec *spec)
{
    return in_rounds(spec) && spec->sam == SAM_SURROGATE;
}

static bool keeps_mean(const struct jobspec *spec)
{
    return in_rounds(spec) && spec->sam == SAM_FRIENDLY;
}

const char *const *run_vectors(const struct jobspec *spec)
{
    static const char *const names[][2][2][RUN_VECTORS_MAX + 1] = {
        [OPTIMIZER_SGD] = {{{"velocity", NULL}, {"velocity", "average", NULL}},
                           {{"velocity", "ascent_mean", NULL},
                            {"velocity", "ascent_mean", "average", NULL}}},
        [OPTIMIZER_ADAMW] = {{{"m", "v", NULL}, {"m", "v", "average", NULL}},
                             {{"m", "v", "ascent_mean", NULL},
                              {"m", "v", "ascent_mean", "average", NULL}}},
    };

    return names[spec->optimizer.kind][keeps_mean(spec)][run_averages(spec)];
}

size_t run_ascent_vectors(const struct jobspec *spec)
{
    return keeps_gradient(spec) + keeps_mean(spec);
}

int run_ascent_create(struct run *r)
{
    const size_t floats = r->model->floats;
    const char *const *names = optimizer_vectors(&r->spec->optimizer);

    if (keeps_gradient(r->spec)) {
        r->up = alloc_bytes(floats, sizeof(float));
        return r->up ? 0 : -ENOMEM;
    }
    if (keeps_mean(r->spec)) {
        r->mean = r->vectors;
        for (; *names; names++)
            r->mean++;
        r->mean_next = alloc_bytes(floats, sizeof(float));
        return r->mean_next ? 0 : -ENOMEM;
    }
    return 0;
}

void run_ascent_free(struct run *r)
{
    free(r->up);
    free(r->mean_next);
}

bool run_ascends(const struct run *r)
{
    return in_rounds(r->spec) && r->cursor.step % (uint64_t)r->spec->sam_interval == 0;
}

void run_average_statistics(struct run *r, const float *grad)
{
    const size_t at = r->model->trained;

    optimizer_running(grad + at, run_shards(r), r->theta + at, r->next + at, r->model->floats - at);
}

void run_ascend(struct run *r)
{
    const struct jobspec *s = r->spec;
    const double *sums;
    const float *grad = run_gradient(r, &sums), *along = grad;
    double weight = sums[SUM_WEIGHT];

    if (r->up)
        memcpy(r->up, grad, r->model->trained * sizeof(*grad));
    if (r->mean) {
        friendly(r->model->trained, s->sam_lambda, s->sam_sigma, weight, grad, *r->mean,
                 r->mean_next, r->next);
        along = r->next;
        weight = 1;
    }
    ascent(r->model, (enum sam_kind)s->sam, s->rho, weight, along, r->theta, r->next);
    run_average_statistics(r, grad);
    memcpy(r->ascent_sums, sums, sizeof(r->ascent_sums));
}

const float *run_descend(struct run *r, const float *grad)
{
    if (r->mean) {
        float *spare = *r->mean;

        *r->mean = r->mean_next;
        r->mean_next = spare;
    }
    if (!r->up)
        return grad;
    surrogate(r->model->trained, r->spec->sam_alpha, r->up, grad, r->up);
    return r->up;
}
