#include "common/difficulty.h"

#include <math.h>
#include <stdlib.h>

#include "common/rng.h"

static const enum difficulty_need needs[] = {
    [MEASURE_ADM] = NEED_TWIN,           [MEASURE_LOSS] = NEED_LOSS,
    [MEASURE_GRAD_NORM] = NEED_GRADIENT, [MEASURE_EL2N] = NEED_LOSS,
    [MEASURE_MARGIN] = NEED_LOSS,        [MEASURE_FORGETTING] = NEED_LOSS,
    [MEASURE_RANDOM] = NEED_NOTHING,     [MEASURE_NONE] = NEED_NOTHING,
    [MEASURE_GIVEN] = NEED_NOTHING,
};

enum difficulty_need difficulty_need(enum measure measure)
{
    return needs[measure];
}

/* ln of the smallest positive double, which threads that flush denormals cannot ask log for. */
#define LN_TRUE_MIN (-0x1.74385446d71c3p+9)

/* ln of a loss that may have underflowed to 0. */
static double ln_loss(double loss)
{
    return loss > 0 ? log(loss) : LN_TRUE_MIN;
}

double difficulty_key(enum measure measure, enum normaliser normaliser, uint64_t seed,
                      const struct score *s, uint32_t sample)
{
    struct rng rng;

    switch (measure) {
    case MEASURE_ADM:
        if (normaliser == NORM_SAMPLE && !isnan(s->adv_loss - s->loss))
            return ln_loss(s->adv_loss) - ln_loss(s->loss);
        return s->adv_loss - s->loss;
    case MEASURE_LOSS:
        return s->loss;
    case MEASURE_GRAD_NORM:
        return s->grad_norm;
    case MEASURE_EL2N:
        return s->el2n;
    case MEASURE_MARGIN:
        return -score_margin(s->loss, s->el2n);
    case MEASURE_RANDOM:
        rng = rng_at(seed, RNG_RANDOM_SCORE, sample, 0);
        return rng_unit(&rng);
    case MEASURE_FORGETTING:
    case MEASURE_NONE:
    case MEASURE_GIVEN:
        break;
    }
    return 0;
}

uint64_t difficulty_tie(uint64_t seed, uint32_t sample)
{
    struct rng rng = rng_at(seed, RNG_TIE, sample, 0);

    return rng_u64(&rng);
}

static int ranked_compare(const void *pa, const void *pb)
{
    const struct ranked *a = pa, *b = pb;

    if (isnan(a->key) != isnan(b->key))
        return isnan(a->key) ? 1 : -1;
    if (a->key < b->key || a->key > b->key)
        return a->key < b->key ? -1 : 1;
    if (a->tie != b->tie)
        return a->tie < b->tie ? -1 : 1;
    if (a->sample != b->sample)
        return a->sample < b->sample ? -1 : 1;
    return (a->position > b->position) - (a->position < b->position);
}

void difficulty_sort(struct ranked *rows, uint32_t n)
{
    qsort(rows, n, sizeof(*rows), ranked_compare);
}

void difficulty_weigh(const struct shard_order *order, uint64_t seed, const struct score *s,
                      const uint32_t *ids, const float *places, uint32_t n, struct ranked *rows,
                      float *weights)
{
    for (uint32_t i = 0; i < n; i++) {
        const double key = difficulty_key(order->measure, order->normaliser, seed, &s[i], ids[i]);

        rows[i] = (struct ranked){.key = order->hard_first ? -key : key,
                                  .tie = difficulty_tie(seed, ids[i]),
                                  .sample = ids[i],
                                  .position = i};
    }
    difficulty_sort(rows, n);
    for (uint32_t k = 0; k < n; k++)
        weights[rows[k].position] = places[k];
}
