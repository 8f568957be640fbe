/* Convolution, NHWC. The kernel set computes the shapes for which it has kernels (kernels.h).
 * Others, and operations that the set leaves out, are matrix products over tiles of output pixels.
 * A tile's windows are copied into the rows of a matrix (im2col), col [rows, K], K =
 * kernel*kernel*C_in; with w [K, C_out] as stored:
 *   y  = col w + b           forward
 *   dw = sum col^T dy        backward, tiles added in order
 *   dx = col2im(dy w^T)      backward
 * For a 1x1 kernel with stride 1 the windows are the pixels: col is x itself, and dx takes the
 * product. Output pixels are numbered through the shard, so a tile may span images. The number of
 * rows depends on the layer's shape only: it decides how dw is summed, hence the bits. */
#include <string.h>

#include "worker/nn/gemm.h"
#include "worker/nn/kernel.h"
#include "worker/nn/kernels.h"
#include "worker/nn/layer.h"
#include "worker/nn/vec.h"

/* Reals of dy that are masked and summed at a time: they and their y stay in a second-level
 * cache. */
#define SETTLED_REALS 32768

struct conv {
    size_t h, w, c, oh, ow, out; /* in: h, w, c; y: oh, ow, out */
    size_t kernel, stride, padding;
    size_t depth;   /* K */
    size_t rows;    /* of a tile */
    bool pointwise; /* 1x1, stride 1: the windows are the pixels */
};

/* A run of output pixels in one row of one image. */
struct run {
    size_t image, oy, ox, count;
};

static struct conv conv_of(const struct layer *l)
{
    struct conv g = {
        .h = l->in.h,
        .w = l->in.w,
        .c = l->in.c,
        .oh = l->out.h,
        .ow = l->out.w,
        .out = l->out.c,
        .kernel = l->kernel,
        .stride = l->stride,
        .padding = l->padding,
        .depth = (size_t)l->kernel * l->kernel * l->in.c,
    };
    g.pointwise = g.kernel == 1 && g.stride == 1 && g.padding == 0;
    g.rows = layer_tile_rows(l);
    return g;
}

static struct conv_shape shape_of(const struct layer *l)
{
    return (struct conv_shape){l->in.h,  l->in.w,   l->in.c,   l->out.h,  l->out.w,
                               l->out.c, l->kernel, l->stride, l->padding};
}

/* The run that starts at output pixel p of the shard and ends before `end`. */
static struct run run_at(const struct conv *g, size_t p, size_t end)
{
    const size_t in_image = p % (g->oh * g->ow);
    struct run r = {
        .image = p / (g->oh * g->ow),
        .oy = in_image / g->ow,
        .ox = in_image % g->ow,
    };
    r.count = g->ow - r.ox;
    if (r.count > end - p)
        r.count = end - p;
    return r;
}

/* Windows [left, right) of a run lie inside the row of pixels they read; the others hang over one
 * of its ends. */
struct fit {
    size_t left, right;
};

static inline struct fit fit_of(const struct conv *g, const struct run *r)
{
    struct fit f = {.left = 0, .right = r->count};

    while (f.left < r->count && (r->ox + f.left) * g->stride < g->padding)
        f.left++;
    while (f.right > f.left && (r->ox + f.right - 1) * g->stride + g->kernel > g->padding + g->w)
        f.right--;
    return f;
}

/* Offset in x (or dx) of the row of pixels that row ky of the run's windows reads; false when that
 * row lies in the padding. */
static inline bool row_at(const struct conv *g, const struct run *r, size_t ky, size_t *ret)
{
    const size_t iy = r->oy * g->stride + ky;

    if (iy < g->padding || iy - g->padding >= g->h)
        return false;
    *ret = (r->image * g->h + iy - g->padding) * g->w * g->c;
    return true;
}

/* Of the kernel's pixels in a row that begins at padded column `at`: *skip lie left of the image,
 * then as many as are returned lie inside. */
static inline size_t clip(const struct conv *g, size_t at, size_t *skip)
{
    const size_t end = at + g->kernel < g->padding + g->w ? at + g->kernel : g->padding + g->w;

    *skip = at < g->padding ? g->padding - at : 0;
    return end - at - *skip;
}

/* `windows` pieces of n reals, from[i*step ..] to to[i*depth ..]; short ones: moves of constant
 * size, not calls. */
static inline __attribute__((always_inline)) void copy_pieces(real *restrict to, size_t depth,
                                                              const real *restrict from,
                                                              size_t step, size_t windows, size_t n)
{
    for (size_t w = 0; w < windows; w++, to += depth, from += step) {
        size_t i = 0;
        for (; i + 16 <= n; i += 16)
            memcpy(to + i, from + i, 16 * sizeof(*to));
        for (; i + 4 <= n; i += 4)
            memcpy(to + i, from + i, 4 * sizeof(*to));
        for (; i < n; i++)
            to[i] = from[i];
    }
}

/* The widths of 3x3 windows over 1 and 3 channels, the usual first layers, are known to the
 * compiler. */
static inline void gather_pieces(real *restrict to, size_t depth, const real *restrict from,
                                 size_t step, size_t windows, size_t n)
{
    if (n == 3)
        copy_pieces(to, depth, from, step, windows, 3);
    else if (n == 9)
        copy_pieces(to, depth, from, step, windows, 9);
    else
        copy_pieces(to, depth, from, step, windows, n);
}

/* Row ky of a run's windows; col points at column ky*kernel*c of the first one's row. */
static inline void gather_row(const struct conv *g, real *restrict col, const real *restrict x,
                              const struct run *r, const struct fit *f, size_t ky)
{
    const size_t width = g->kernel * g->c;
    size_t row, skip;

    if (!row_at(g, r, ky, &row)) {
        for (size_t i = 0; i < r->count; i++)
            memset(col + i * g->depth, 0, width * sizeof(*col));
        return;
    }
    for (size_t i = 0; i < r->count; i++) {
        const size_t at = (r->ox + i) * g->stride;
        real *to = col + i * g->depth;
        if (i == f->left && i < f->right) {
            gather_pieces(to, g->depth, x + row + (at - g->padding) * g->c, g->stride * g->c,
                          f->right - i, width);
            i = f->right - 1;
            continue;
        }
        const size_t n = clip(g, at, &skip);
        memset(to, 0, width * sizeof(*to));
        copy_pieces(to + skip * g->c, 0, x + row + (at + skip - g->padding) * g->c, 0, 1, n * g->c);
    }
}

/* col [end - begin, K] = the windows of output pixels begin to end. */
KERNEL static void im2col(const struct conv *g, real *restrict col, const real *restrict x,
                          size_t begin, size_t end)
{
    while (begin < end) {
        const struct run r = run_at(g, begin, end);
        const struct fit f = fit_of(g, &r);
        for (size_t ky = 0; ky < g->kernel; ky++)
            gather_row(g, col + ky * g->kernel * g->c, x, &r, &f, ky);
        begin += r.count;
        col += r.count * g->depth;
    }
}

/* to[i*step ..] += from[i*depth ..]. Narrow pieces overlap their neighbours closely: entry by entry
 * over all windows, so that one addition need not wait for the one before. */
static inline void add_pieces(real *restrict to, size_t step, const real *restrict from,
                              size_t depth, size_t windows, size_t n)
{
    if (n < 16) {
        for (size_t i = 0; i < n; i++)
            for (size_t w = 0; w < windows; w++)
                to[w * step + i] += from[w * depth + i];
        return;
    }
    for (size_t w = 0; w < windows; w++, to += step, from += depth)
        for (size_t i = 0; i < n; i++)
            to[i] += from[i];
}

static inline void scatter_row(const struct conv *g, real *restrict dx, const real *restrict col,
                               const struct run *r, const struct fit *f, size_t ky)
{
    size_t row, skip;

    if (!row_at(g, r, ky, &row))
        return;
    for (size_t i = 0; i < r->count; i++) {
        const size_t at = (r->ox + i) * g->stride;
        const real *from = col + i * g->depth;
        if (i == f->left && i < f->right) {
            add_pieces(dx + row + (at - g->padding) * g->c, g->stride * g->c, from, g->depth,
                       f->right - i, g->kernel * g->c);
            i = f->right - 1;
            continue;
        }
        const size_t n = clip(g, at, &skip);
        add_pieces(dx + row + (at + skip - g->padding) * g->c, 0, from + skip * g->c, 0, 1,
                   n * g->c);
    }
}

/* Adds every entry of col to the pixel of dx it was copied from. */
KERNEL static void col2im(const struct conv *g, real *restrict dx, const real *restrict col,
                          size_t begin, size_t end)
{
    while (begin < end) {
        const struct run r = run_at(g, begin, end);
        const struct fit f = fit_of(g, &r);
        for (size_t ky = 0; ky < g->kernel; ky++)
            scatter_row(g, dx, col + ky * g->kernel * g->c, &r, &f, ky);
        begin += r.count;
        col += r.count * g->depth;
    }
}

/* The windows of `rows` output pixels as a matrix, in scratch when they do not lie in x. */
static const real *windows_at(const struct conv *g, const struct layer_pass *p, size_t at,
                              size_t rows)
{
    if (g->pointwise)
        return p->x + at * g->depth;
    im2col(g, p->scratch, p->x, at, at + rows);
    return p->scratch;
}

static void data_gradient(const struct conv *g, const struct layer_pass *p, const real *dy,
                          size_t at, size_t rows)
{
    const int out = (int)g->out, depth = (int)g->depth;

    if (g->pointwise) {
        gemm(false, true, (int)rows, depth, out, dy, out, p->w, out, 1, p->dx + at * g->depth,
             depth);
        return;
    }
    gemm(false, true, (int)rows, depth, out, dy, out, p->w, out, 0, p->scratch, depth);
    col2im(g, p->dx, p->scratch, at, at + rows);
}

static void forward_products(const struct conv *g, const struct layer_pass *p)
{
    const int out = (int)g->out, depth = (int)g->depth;
    const size_t pixels = p->n * g->oh * g->ow;

    for (size_t at = 0; at < pixels; at += g->rows) {
        const size_t rows = pixels - at < g->rows ? pixels - at : g->rows;
        real *y = p->y + at * g->out;
        const real *col = windows_at(g, p, at, rows);
        vec_fill_rows(y, p->b, rows, g->out);
        gemm(false, false, (int)rows, out, depth, col, depth, p->w, out, 1, y, out);
        if (p->relu)
            vec_relu(y, rows * g->out);
    }
}

static void forward(const struct layer_pass *p)
{
    const struct conv_shape shape = shape_of(p->layer);
    const struct kernel *k = kernels_find(p->kernels, CONV_FORWARD, &shape);

    if (!k) {
        const struct conv g = conv_of(p->layer);
        forward_products(&g, p);
        return;
    }
    const struct conv_call call = {.shape = shape,
                                   .n = p->n,
                                   .x = p->x,
                                   .w = p->w,
                                   .b = p->b,
                                   .y = p->y,
                                   .relu = p->relu,
                                   .scratch = p->scratch};
    k->run(&call);
}

/* What every gradient needs first: masks dy for `rows` pixels from `at` on, and sums it. */
static void settle(const struct layer_pass *p, size_t at, size_t rows)
{
    const size_t out = p->layer->out.c;
    real *dy = p->dy + at * out;

    if (p->mask_dy)
        vec_relu_mask(dy, p->y + at * out, rows * out);
    if (p->db)
        vec_add_rows(p->db, dy, rows, out);
}

/* The wanted gradients by products; settles dy on the way when `fresh`. */
static void backward_products(const struct conv *g, const struct layer_pass *p, bool dw, bool dx,
                              bool fresh)
{
    const int out = (int)g->out, depth = (int)g->depth;
    const size_t pixels = p->n * g->oh * g->ow;

    if (dx && !p->add_dx)
        memset(p->dx, 0, p->n * g->h * g->w * g->c * sizeof(*p->dx));
    for (size_t at = 0; at < pixels && (dw || dx); at += g->rows) {
        const size_t rows = pixels - at < g->rows ? pixels - at : g->rows;
        const real *dy = p->dy + at * g->out;
        if (fresh)
            settle(p, at, rows);
        if (dw) {
            const real *col = windows_at(g, p, at, rows);
            gemm(true, false, depth, out, (int)rows, col, depth, dy, out, at > 0, p->dw, out);
        }
        if (dx)
            data_gradient(g, p, dy, at, rows);
    }
}

/* The gradients that have kernels (NULL: not that one). When dy needs to be settled, it settles as
 * many images at a time as the caches hold until the kernels read them. */
static void backward_kernels(const struct conv *g, const struct layer_pass *p,
                             const struct kernel *dw, const struct kernel *dx)
{
    const size_t pixels = g->oh * g->ow, some = SETTLED_REALS / (pixels * g->out) + 1;
    const bool whole = (dw && dw->whole) || (dx && dx->whole) || (!p->mask_dy && !p->db);
    const size_t group = whole ? p->n : some;
    struct conv_call call = {
        .shape = shape_of(p->layer), .w = p->w, .dw = p->dw, .scratch = p->scratch};

    for (size_t i = 0; i < p->n; i += group) {
        call.n = p->n - i < group ? p->n - i : group;
        settle(p, i * pixels, call.n * pixels);
        call.x = p->x + i * g->h * g->w * g->c;
        call.dy = p->dy + i * pixels * g->out;
        call.add = i > 0;
        if (dw)
            dw->run(&call);
        call.dx = p->dx ? p->dx + i * g->h * g->w * g->c : NULL;
        call.add = p->add_dx;
        call.again = i > 0;
        if (dx)
            dx->run(&call);
    }
}

static void backward(const struct layer_pass *p)
{
    const struct conv g = conv_of(p->layer);
    const struct conv_shape shape = shape_of(p->layer);
    const struct kernel *dw = NULL, *dx = NULL;

    if (p->dw)
        dw = kernels_find(p->kernels, CONV_WEIGHT_GRADIENT, &shape);
    if (p->dx)
        dx = kernels_find(p->kernels, CONV_DATA_GRADIENT, &shape);
    if (p->db)
        memset(p->db, 0, g.out * sizeof(*p->db));
    if (dw || dx)
        backward_kernels(&g, p, dw, dx);
    backward_products(&g, p, p->dw && !dw, p->dx && !dx, !dw && !dx);
}

const struct layer_ops layer_conv2d = {
    .name = "conv2d",
    .forward = forward,
    .backward = backward,
};
