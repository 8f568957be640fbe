#include "worker/nn/layer.h"

#include <assert.h>
#include <string.h>

#include "worker/nn/vec.h"

static const struct layer_ops *const table[LAYER_KINDS] = {
    [LAYER_DENSE] = &layer_dense,         [LAYER_CONV2D] = &layer_conv2d,
    [LAYER_RELU] = &layer_relu,           [LAYER_MAXPOOL] = &layer_maxpool,
    [LAYER_GROUPNORM] = &layer_groupnorm, [LAYER_ADD] = &layer_add,
    [LAYER_AVGPOOL] = &layer_avgpool,     [LAYER_GLOBALPOOL] = &layer_avgpool,
    [LAYER_BATCHNORM] = &layer_batchnorm, [LAYER_DROPOUT] = &layer_dropout,
};

const struct layer_ops *layer_ops_of(enum layer_kind kind)
{
    assert(kind < LAYER_KINDS && table[kind]);
    return table[kind];
}

void layer_hand_on(const struct layer_pass *p)
{
    const size_t count = p->n * dims_count(p->layer->out);

    if (!p->dx || p->dx == p->dy)
        return;
    if (p->add_dx)
        vec_add(p->dx, p->dy, count);
    else
        memcpy(p->dx, p->dy, count * sizeof(*p->dx));
}
