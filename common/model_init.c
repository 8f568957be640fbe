#include <math.h>
#include <string.h>

#include "common/model.h"
#include "common/rng.h"

void model_init(const struct model *m, uint64_t seed, float *theta)
{
    memset(theta, 0, m->floats * sizeof(*theta));
    for (int i = 0; i < m->param_count; i++) {
        const struct param *p = &m->params[i];
        struct rng r = rng_at(seed, RNG_INIT, (uint32_t)i, 0);
        double bound = p->fan_in ? 1 / sqrt(p->fan_in) : 0;
        for (size_t j = 0; j < p->count; j++)
            theta[p->offset + j] = p->fan_in ? (float)rng_range(&r, -bound, bound) : p->start;
    }
}
