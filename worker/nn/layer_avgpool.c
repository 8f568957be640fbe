/* Average pooling, NHWC: windows of size x size, rows and columns that do not fill a window
 * dropped; a global pool has one window, the image. A window is summed row by row, each row on its
 * own first, so that the float sums stay short. */
#include <string.h>

#include "worker/nn/kernel.h"
#include "worker/nn/layer.h"

struct pool {
    size_t h, w, c, oh, ow; /* in: h, w, c */
    size_t kh, kw, stride;
};

static struct pool pool_of(const struct layer *l)
{
    const bool global = l->kind == LAYER_GLOBALPOOL;

    return (struct pool){
        .h = l->in.h,
        .w = l->in.w,
        .c = l->in.c,
        .oh = l->out.h,
        .ow = l->out.w,
        .kh = global ? l->in.h : l->kernel,
        .kw = global ? l->in.w : l->kernel,
        .stride = l->stride,
    };
}

/* y[c] = the mean over a window of kh rows of kw pixels; row[c] is scratch. */
static inline void window_mean(real *restrict y, const real *restrict x, real *restrict row,
                               const struct pool *g)
{
    const size_t c = g->c;
    const real share = (real)1 / (real)(g->kh * g->kw);

    memset(y, 0, c * sizeof(*y));
    for (size_t ky = 0; ky < g->kh; ky++, x += g->w * c) {
        memcpy(row, x, c * sizeof(*row));
        for (size_t kx = 1; kx < g->kw; kx++)
            for (size_t j = 0; j < c; j++)
                row[j] += x[kx * c + j];
        for (size_t j = 0; j < c; j++)
            y[j] += row[j];
    }
    for (size_t j = 0; j < c; j++)
        y[j] *= share;
}

/* dx += dy[c] / (kh kw) everywhere in a window. */
static inline void window_spread(real *restrict dx, const real *restrict dy, const struct pool *g)
{
    const size_t c = g->c;
    const real share = (real)1 / (real)(g->kh * g->kw);

    for (size_t ky = 0; ky < g->kh; ky++, dx += g->w * c)
        for (size_t kx = 0; kx < g->kw; kx++)
            for (size_t j = 0; j < c; j++)
                dx[kx * c + j] += dy[j] * share;
}

KERNEL static void pool_forward(real *restrict y, const real *restrict x, real *restrict row,
                                const struct pool *g, size_t n)
{
    for (size_t i = 0; i < n; i++, x += g->h * g->w * g->c)
        for (size_t oy = 0; oy < g->oh; oy++)
            for (size_t ox = 0; ox < g->ow; ox++, y += g->c)
                window_mean(y, x + (oy * g->w + ox) * g->stride * g->c, row, g);
}

KERNEL static void pool_backward(real *restrict dx, const real *restrict dy, const struct pool *g,
                                 size_t n)
{
    for (size_t i = 0; i < n; i++, dx += g->h * g->w * g->c)
        for (size_t oy = 0; oy < g->oh; oy++)
            for (size_t ox = 0; ox < g->ow; ox++, dy += g->c)
                window_spread(dx + (oy * g->w + ox) * g->stride * g->c, dy, g);
}

static void forward(const struct layer_pass *p)
{
    const struct pool g = pool_of(p->layer);

    pool_forward(p->y, p->x, p->scratch, &g, p->n);
}

static void backward(const struct layer_pass *p)
{
    const struct pool g = pool_of(p->layer);

    if (!p->dx)
        return;
    if (!p->add_dx)
        memset(p->dx, 0, p->n * dims_count(p->layer->in) * sizeof(*p->dx));
    pool_backward(p->dx, p->dy, &g, p->n);
}

const struct layer_ops layer_avgpool = {
    .name = "avgpool",
    .forward = forward,
    .backward = backward,
};
