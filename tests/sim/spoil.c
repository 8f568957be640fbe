#include "tests/sim/spoil.h"

#include <math.h>
#include <stdlib.h>

#include "tests/sim/scenario.h"
#include "tests/sim/world.h"

void spoil_done(struct outcome *o)
{
    free(o->train.grad);
    free(o->scores);
    free(o->probabilities);
}

enum damage spoil_draw(const struct worker_traits *t)
{
    if (world_now_us() >= scenario_get()->calm_us || !world_chance(t->bad_permille))
        return DAMAGE_NONE;
    return world_chance(500) ? DAMAGE_ROW : DAMAGE_NUMBER;
}

void spoil_number(struct outcome *o)
{
    if (o->train.grad)
        o->train.grad[0] = NAN;
    else if (!o->scores)
        o->train.sums[SUM_LOSS] = NAN;
    else if (o->probabilities)
        o->probabilities[0] = NAN;
    else
        o->scores[0].loss = NAN;
}

bool spoil_forge(const struct worker_traits *t, struct outcome *o)
{
    if (!world_chance(t->forge_permille))
        return false;
    if (o->train.grad)
        o->train.grad[0] += 1;
    else if (o->probabilities) {
        const float first = o->probabilities[0]; /* they still add up to 1 */
        o->probabilities[0] = o->probabilities[1];
        o->probabilities[1] = first;
    } else if (o->scores)
        o->scores[0].loss += 1;
    else
        o->train.sums[SUM_LOSS] += 1;
    return true;
}

void spoil_row(struct tensor *t)
{
    const uint64_t sides[2] = {t->shape[0] - 1, t->shape[1]};

    *t = tensor_make(t->name, t->dtype, t->dims, sides, t->data);
}
