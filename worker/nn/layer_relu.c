#include "worker/nn/layer.h"
#include "worker/nn/vec.h"

/* A ReLU that no dense or conv2d layer has taken over. In place: no kind of layer needs the value
 * before the ReLU in its backward pass. */
static void plan(const struct layer *l, uint32_t batch, struct layer_space *ret)
{
    (void)l, (void)batch;
    *ret = (struct layer_space){0};
}

static void forward(const struct layer_pass *p)
{
    vec_relu(p->y, p->n * dims_count(p->layer->out));
}

static void backward(const struct layer_pass *p)
{
    vec_relu_mask(p->dy, p->y, p->n * dims_count(p->layer->out));
}

const struct layer_ops layer_relu = {
    .name = "relu",
    .in_place = true,
    .plan = plan,
    .forward = forward,
    .backward = backward,
};
