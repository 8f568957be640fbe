#include <string.h>

#include "worker/nn/layer.h"
#include "worker/nn/vec.h"

/* A ReLU that no layer has taken over. In place when nothing else reads its input: the layer that
 * wrote the input does not need it in its backward pass. */
static void forward(const struct layer_pass *p)
{
    const size_t count = p->n * dims_count(p->layer->out);

    if (p->y != p->x)
        memcpy(p->y, p->x, count * sizeof(*p->y));
    vec_relu(p->y, count);
}

static void backward(const struct layer_pass *p)
{
    const size_t count = p->n * dims_count(p->layer->out);

    vec_relu_mask(p->dy, p->y, count);
    layer_hand_on(p);
}

const struct layer_ops layer_relu = {
    .name = "relu",
    .forward = forward,
    .backward = backward,
};
