#include <string.h>

#include "worker/nn/kernel.h"
#include "worker/nn/layer.h"
#include "worker/nn/vec.h"

/* A residual add that no norm has taken over: y = x + skip, with the ReLU behind it if any. The
 * masked gradient goes to both; skip's share stays in dy. */
KERNEL static void add(real *restrict y, const real *x, const real *skip, bool relu, size_t n)
{
    if (!relu) {
        for (size_t i = 0; i < n; i++)
            y[i] = x[i] + skip[i];
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const real v = x[i] + skip[i];
        y[i] = v < 0 ? 0 : v;
    }
}

static void forward(const struct layer_pass *p)
{
    add(p->y, p->x, p->skip, p->relu, p->n * dims_count(p->layer->out));
}

static void backward(const struct layer_pass *p)
{
    const size_t count = p->n * dims_count(p->layer->out);

    if (p->mask_dy)
        vec_relu_mask(p->dy, p->y, count);
    layer_hand_on(p);
}

const struct layer_ops layer_add = {
    .name = "add",
    .forward = forward,
    .backward = backward,
};
