/* Max-pooling, NHWC: windows of size x size, rows and columns that do not fill a window dropped.
 * Forward keeps, for each output entry, the number of the window's place that won: the first
 * maximum in row order. Backward visits every place of every window, the gradient for the winner
 * and 0 for the others, so that it vectorises over channels; windows of 2 x 2 that cover the input,
 * the common case, need no clearing pass. */
#include <string.h>

#include "worker/nn/kernel.h"
#include "worker/nn/layer.h"

struct pool {
    size_t h, w, c, oh, ow, size, stride;
    bool add_dx;
    bool relu_below; /* backward: x is a ReLU's output, let nothing pass where it is 0 */
};

static struct pool pool_of(const struct layer_pass *p)
{
    const struct layer *l = p->layer;

    return (struct pool){
        .h = l->in.h,
        .w = l->in.w,
        .c = l->in.c,
        .oh = l->out.h,
        .ow = l->out.w,
        .size = l->kernel,
        .stride = l->stride,
        .add_dx = p->add_dx,
        .relu_below = p->mask_dx,
    };
}

/* A new maximum, or NaN: a diverged model must show. */
static inline bool beats(real v, real best)
{
    return v > best || v != v;
}

/* One window of 2 x 2: y[c], kept[c] from the two input rows at x, row apart. */
static inline void window_2x2(real *restrict y, int32_t *restrict kept, const real *restrict x,
                              size_t row, size_t c)
{
    for (size_t j = 0; j < c; j++) {
        real best = x[j];
        int32_t at = 0;
        const real v1 = x[c + j], v2 = x[row + j], v3 = x[row + c + j];
        at = beats(v1, best) ? 1 : at;
        best = beats(v1, best) ? v1 : best;
        at = beats(v2, best) ? 2 : at;
        best = beats(v2, best) ? v2 : best;
        at = beats(v3, best) ? 3 : at;
        best = beats(v3, best) ? v3 : best;
        y[j] = best;
        kept[j] = at;
    }
}

static inline void window_any(real *restrict y, int32_t *restrict kept, const real *restrict x,
                              size_t row, size_t c, size_t size)
{
    for (size_t j = 0; j < c; j++) {
        y[j] = x[j];
        kept[j] = 0;
    }
    for (size_t place = 1; place < size * size; place++) {
        const real *v = x + place / size * row + place % size * c;
        for (size_t j = 0; j < c; j++) {
            const bool take = beats(v[j], y[j]);
            y[j] = take ? v[j] : y[j];
            kept[j] = take ? (int32_t)place : kept[j];
        }
    }
}

/* y [n, oh, ow, c] from x [n, h, w, c]. */
KERNEL static void pool_forward(real *restrict y, int32_t *restrict kept, const real *restrict x,
                                const struct pool *g, size_t n)
{
    const size_t row = g->w * g->c;

    for (size_t i = 0; i < n; i++, x += g->h * row) {
        for (size_t oy = 0; oy < g->oh; oy++) {
            for (size_t ox = 0; ox < g->ow; ox++, y += g->c, kept += g->c) {
                const real *from = x + oy * g->stride * row + ox * g->stride * g->c;
                if (g->size == 2)
                    window_2x2(y, kept, from, row, g->c);
                else
                    window_any(y, kept, from, row, g->c, g->size);
            }
        }
    }
}

/* Backward of one window of 2 x 2 that overlaps no other. */
static inline void spread_2x2(real *restrict dx, const real *restrict dy, const real *restrict y,
                              const int32_t *restrict kept, const struct pool *g)
{
    const size_t c = g->c, row = g->w * c;
    const bool all = !g->relu_below;
    real *restrict d0 = dx, *restrict d1 = dx + c, *restrict d2 = dx + row, *restrict d3 = d2 + c;

    for (size_t j = 0; j < c; j++) {
        const real d = real_keep(dy[j], all | (y[j] > 0));
        d0[j] = real_keep(d, kept[j] == 0);
        d1[j] = real_keep(d, kept[j] == 1);
        d2[j] = real_keep(d, kept[j] == 2);
        d3[j] = real_keep(d, kept[j] == 3);
    }
}

/* Backward of any window, added to dx. */
static inline void spread_any(real *restrict dx, const real *restrict dy, const real *restrict y,
                              const int32_t *restrict kept, const struct pool *g)
{
    const size_t c = g->c, row = g->w * c;
    const bool all = !g->relu_below;

    for (size_t place = 0; place < g->size * g->size; place++) {
        real *restrict d = dx + place / g->size * row + place % g->size * c;
        const int32_t at = (int32_t)place;
        for (size_t j = 0; j < c; j++) {
            d[j] += real_keep(dy[j], (kept[j] == at) & (all | (y[j] > 0)));
        }
    }
}

/* dx [n, h, w, c] from dy [n, oh, ow, c]. Windows of 2 x 2 that are apart write their own part of
 * dx, unless dx is added to; the others find dx cleared. */
KERNEL static void pool_backward(real *restrict dx, const real *restrict dy, const real *restrict y,
                                 const int32_t *restrict kept, const struct pool *g, size_t n)
{
    const size_t row = g->w * g->c;
    const bool apart = g->size == 2 && g->stride >= 2 && !g->add_dx;

    for (size_t i = 0; i < n; i++, dx += g->h * row) {
        for (size_t oy = 0; oy < g->oh; oy++) {
            real *to = dx + oy * g->stride * row;
            for (size_t ox = 0; ox < g->ow; ox++, to += g->stride * g->c) {
                if (apart)
                    spread_2x2(to, dy, y, kept, g);
                else
                    spread_any(to, dy, y, kept, g);
                dy += g->c;
                y += g->c;
                kept += g->c;
            }
        }
    }
}

static void forward(const struct layer_pass *p)
{
    const struct pool g = pool_of(p);

    pool_forward(p->y, p->kept, p->x, &g, p->n);
}

static void backward(const struct layer_pass *p)
{
    const struct pool g = pool_of(p);
    const bool covered = g.size == 2 && g.stride == 2 && g.h % 2 == 0 && g.w % 2 == 0;

    if (!p->dx)
        return;
    if (!covered && !p->add_dx)
        memset(p->dx, 0, p->n * dims_count(p->layer->in) * sizeof(*p->dx));
    pool_backward(p->dx, p->dy, p->y, p->kept, &g, p->n);
}

const struct layer_ops layer_maxpool = {
    .name = "maxpool",
    .forward = forward,
    .backward = backward,
};
