#include <string.h>

#include "worker/nn/gemm.h"
#include "worker/nn/layer.h"
#include "worker/nn/vec.h"

static void plan(const struct layer *l, uint32_t batch, struct layer_space *ret)
{
    (void)l, (void)batch;
    *ret = (struct layer_space){0};
}

/* y [n, O] = x [n, I] w [I, O] + b [O]. The bias is what the product is added to. */
static void forward(const struct layer_pass *p)
{
    const int in = (int)p->layer->in.c, out = (int)p->layer->out.c;

    vec_fill_rows(p->y, p->b, p->n, (size_t)out);
    gemm(false, false, (int)p->n, out, in, p->x, in, p->w, out, 1, p->y, out);
    if (p->relu)
        vec_relu(p->y, (size_t)p->n * (size_t)out);
}

/* dw = x^T dy; db = column sums of dy; dx (+)= dy w^T. */
static void backward(const struct layer_pass *p)
{
    const int in = (int)p->layer->in.c, out = (int)p->layer->out.c, n = (int)p->n;

    if (p->mask_dy)
        vec_relu_mask(p->dy, p->y, (size_t)p->n * (size_t)out);
    if (p->db) {
        memset(p->db, 0, (size_t)out * sizeof(*p->db));
        vec_add_rows(p->db, p->dy, p->n, (size_t)out);
    }
    if (p->dw)
        gemm(true, false, in, out, n, p->x, in, p->dy, out, 0, p->dw, out);
    if (p->dx)
        gemm(false, true, n, in, out, p->dy, out, p->w, out, p->add_dx, p->dx, in);
}

const struct layer_ops layer_dense = {
    .name = "dense",
    .takes_relu = true,
    .leaves_mask = true,
    .plan = plan,
    .forward = forward,
    .backward = backward,
};
