/* Dense layers: by the kernel set, or as matrix products where it has no kernels for them. */
#include <string.h>

#include "worker/nn/gemm.h"
#include "worker/nn/layer.h"
#include "worker/nn/vec.h"

static struct dense_call call_of(const struct layer_pass *p)
{
    return (struct dense_call){.n = p->n,
                               .in = p->layer->in.c,
                               .out = p->layer->out.c,
                               .x = p->x,
                               .w = p->w,
                               .b = p->b,
                               .dy = p->dy,
                               .y = p->y,
                               .dx = p->dx,
                               .dw = p->dw,
                               .relu = p->relu,
                               .add = p->add_dx,
                               .scratch = p->scratch};
}

/* y [n, O] = x [n, I] w [I, O] + b [O]. The product is added to the bias. */
static void forward(const struct layer_pass *p)
{
    const struct dense_call d = call_of(p);
    const int in = (int)d.in, out = (int)d.out;

    if (p->kernels->dense) {
        p->kernels->dense->forward(&d);
        return;
    }
    vec_fill_rows(p->y, p->b, p->n, d.out);
    gemm(false, false, (int)p->n, out, in, p->x, in, p->w, out, 1, p->y, out);
    if (p->relu)
        vec_relu(p->y, d.n * d.out);
}

/* dw = x^T dy; db = column sums of dy; dx (+)= dy w^T. */
static void backward(const struct layer_pass *p)
{
    const struct dense_call d = call_of(p);
    const struct dense_kernels *k = p->kernels->dense;
    const int in = (int)d.in, out = (int)d.out, n = (int)p->n;

    if (p->mask_dy)
        vec_relu_mask(p->dy, p->y, d.n * d.out);
    if (p->db) {
        memset(p->db, 0, d.out * sizeof(*p->db));
        vec_add_rows(p->db, p->dy, p->n, d.out);
    }
    if (p->dw && k)
        k->weight_gradient(&d);
    else if (p->dw)
        gemm(true, false, in, out, n, p->x, in, p->dy, out, 0, p->dw, out);
    if (p->dx && k)
        k->data_gradient(&d);
    else if (p->dx)
        gemm(false, true, n, in, out, p->dy, out, p->w, out, p->add_dx, p->dx, in);
}

const struct layer_ops layer_dense = {
    .name = "dense",
    .forward = forward,
    .backward = backward,
};
