/* Inverted dropout: in training an entry is 0 with chance `rate` and else divided by 1 - rate, in
 * evaluation it stays. Whether entry e of a sample is kept is a function of (seed, RNG_DROPOUT,
 * step, slot of the sample in the batch, number of the layer, e) and of nothing else, so that all
 * passes of a step drop the same.
 *
 * In place when nothing else reads its input. A ReLU may then take its mask from what is left of
 * its output: a dropped entry has no gradient either. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "common/rng.h"
#include "worker/nn/kernel.h"
#include "worker/nn/net.h"
#include "worker/nn/vec.h"

#include "worker/nn/layer.h"

/* A draw's block counter holds the number of the layer and, below it, that of four entries. */
#define ENTRY_BITS 24
#define LAYER_SHIFT (ENTRY_BITS - 2)

static_assert((uint64_t)LAYERS_MAX << LAYER_SHIFT <= UINT32_MAX, "layer and entry share 32 bits");

/* kept[count] = 1 where the entry stays. */
static void draw_sample(const struct layer_pass *p, size_t sample, uint8_t *kept, size_t count)
{
    const uint32_t dropped = (uint32_t)floor(ldexp(p->layer->rate, 32));
    const uint32_t place = p->mode->places ? p->mode->places[sample] : (uint32_t)sample;
    struct rng r =
        rng_at(p->mode->seed, RNG_DROPOUT, (uint32_t)p->mode->step, p->mode->slot + place);

    assert(count <= (size_t)1 << ENTRY_BITS);
    r.counter[0] = p->number << LAYER_SHIFT;
    for (size_t i = 0; i < count; i++)
        kept[i] = rng_u32(&r) >= dropped;
}

/* y = x scale where kept, else 0; y may be x. */
KERNEL static void drop(real *y, const real *x, const uint8_t *restrict kept, real scale, size_t n)
{
#pragma GCC ivdep
    for (size_t i = 0; i < n; i++)
        y[i] = kept[i] ? x[i] * scale : 0;
}

static real scale_of(const struct layer *l)
{
    return (real)(1 / (1 - l->rate));
}

static void forward(const struct layer_pass *p)
{
    const size_t entries = dims_count(p->layer->out), count = p->n * entries;
    uint8_t *kept = p->kept;

    if (!p->mode->train) {
        if (p->y != p->x)
            memcpy(p->y, p->x, count * sizeof(*p->y));
        return;
    }
    for (size_t i = 0; i < p->n; i++)
        draw_sample(p, i, kept + i * entries, entries);
    drop(p->y, p->x, kept, scale_of(p->layer), count);
}

static void backward(const struct layer_pass *p)
{
    const size_t count = p->n * dims_count(p->layer->out);

    if (p->mode->train)
        drop(p->dy, p->dy, p->kept, scale_of(p->layer), count);
    layer_hand_on(p);
}

const struct layer_ops layer_dropout = {
    .name = "dropout",
    .forward = forward,
    .backward = backward,
};
