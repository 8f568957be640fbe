/* Convolution, NHWC, as matrix products over tiles of output pixels: the tile's windows are copied
 * into the rows of a matrix (im2col), col [rows, K], K = kernel*kernel*C_in, and
 *   y  = col w + b       forward
 *   dw = sum col^T dy    backward, tiles added in order
 *   dx = col2im(dy w^T)  backward
 * with w [K, C_out] as stored. Output pixels are numbered through the shard, so a tile may span
 * images. The number of rows depends on the layer's shape only: it decides how dw is summed, hence
 * the bits. */
#include <string.h>

#include "worker/nn/gemm.h"
#include "worker/nn/kernel.h"
#include "worker/nn/layer.h"
#include "worker/nn/vec.h"

/* Products up to this many multiply-adds skip packing on OpenBLAS's AVX-512 kernels, which is worth
 * up to a half; below TILE_ROWS_MIN rows the call itself costs more than that. */
#define SMALL_PRODUCT 1000000
#define TILE_ROWS_MIN 48
#define TILE_ROWS_MAX 1024
/* Reals in col where the small product is out of reach: half of a small second-level cache. */
#define TILE_REALS 32768

struct conv {
    size_t h, w, c, oh, ow, out; /* in: h, w, c; y: oh, ow, out */
    size_t kernel, stride, padding;
    size_t depth; /* K */
    size_t rows;  /* of a tile */
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
    size_t rows = SMALL_PRODUCT / (g.depth * g.out);
    if (rows < TILE_ROWS_MIN)
        rows = TILE_REALS / g.depth;
    g.rows = rows > TILE_ROWS_MAX   ? TILE_ROWS_MAX
             : rows < TILE_ROWS_MIN ? TILE_ROWS_MIN
                                    : rows / 16 * 16;
    return g;
}

static void plan(const struct layer *l, uint32_t batch, struct layer_space *ret)
{
    const struct conv g = conv_of(l);

    (void)batch;
    *ret = (struct layer_space){.scratch = g.rows * g.depth};
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

/* The part of a window's row of `kernel` pixels, starting at padded column `at`, that lies inside
 * the image: *skip pixels to its left, returns how many lie inside. */
static inline size_t clip_row(const struct conv *g, size_t at, size_t *skip)
{
    const size_t end = at + g->kernel < g->padding + g->w ? at + g->kernel : g->padding + g->w;

    *skip = at < g->padding ? g->padding - at : 0;
    return end - at - *skip;
}

/* Copies are short: constant-size moves, not calls. */
static inline void copy(real *restrict to, const real *restrict from, size_t n)
{
    size_t i = 0;

    for (; i + 16 <= n; i += 16)
        memcpy(to + i, from + i, 16 * sizeof(*to));
    for (; i + 4 <= n; i += 4)
        memcpy(to + i, from + i, 4 * sizeof(*to));
    for (; i < n; i++)
        to[i] = from[i];
}

static inline void clear(real *to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = 0;
}

/* One run's windows, row ky of each: col points at column ky*kernel*c of its first window. */
static inline void gather_row(const struct conv *g, real *restrict col, const real *restrict x,
                              const struct run *r, size_t ky)
{
    const size_t iy = r->oy * g->stride + ky, width = g->kernel * g->c;
    const bool inside = iy >= g->padding && iy - g->padding < g->h;
    const real *row = inside ? x + (r->image * g->h + iy - g->padding) * g->w * g->c : NULL;

    for (size_t i = 0; i < r->count; i++, col += g->depth) {
        const size_t at = (r->ox + i) * g->stride;
        if (!row) {
            clear(col, width);
        } else if (at >= g->padding && at + g->kernel <= g->padding + g->w) {
            copy(col, row + (at - g->padding) * g->c, width);
        } else {
            size_t skip, n = clip_row(g, at, &skip);
            clear(col, width);
            copy(col + skip * g->c, row + (at + skip - g->padding) * g->c, n * g->c);
        }
    }
}

/* col [end - begin, K] = the windows of output pixels begin to end. */
KERNEL static void im2col(const struct conv *g, real *restrict col, const real *restrict x,
                          size_t begin, size_t end)
{
    while (begin < end) {
        const struct run r = run_at(g, begin, end);
        for (size_t ky = 0; ky < g->kernel; ky++)
            gather_row(g, col + ky * g->kernel * g->c, x, &r, ky);
        begin += r.count;
        col += r.count * g->depth;
    }
}

static inline void add(real *restrict to, const real *restrict from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] += from[i];
}

static inline void scatter_row(const struct conv *g, real *restrict dx, const real *restrict col,
                               const struct run *r, size_t ky)
{
    const size_t iy = r->oy * g->stride + ky;

    if (iy < g->padding || iy - g->padding >= g->h)
        return;
    real *row = dx + (r->image * g->h + iy - g->padding) * g->w * g->c;
    for (size_t i = 0; i < r->count; i++, col += g->depth) {
        size_t skip, at = (r->ox + i) * g->stride, n = clip_row(g, at, &skip);
        add(row + (at + skip - g->padding) * g->c, col + skip * g->c, n * g->c);
    }
}

/* Adds every entry of col to the pixel of dx it was copied from. */
KERNEL static void col2im(const struct conv *g, real *restrict dx, const real *restrict col,
                          size_t begin, size_t end)
{
    while (begin < end) {
        const struct run r = run_at(g, begin, end);
        for (size_t ky = 0; ky < g->kernel; ky++)
            scatter_row(g, dx, col + ky * g->kernel * g->c, &r, ky);
        begin += r.count;
        col += r.count * g->depth;
    }
}

static void forward(const struct layer_pass *p)
{
    const struct conv g = conv_of(p->layer);
    const int out = (int)g.out, depth = (int)g.depth;
    const size_t pixels = p->n * g.oh * g.ow;

    for (size_t at = 0; at < pixels; at += g.rows) {
        const size_t rows = pixels - at < g.rows ? pixels - at : g.rows;
        real *y = p->y + at * g.out;
        im2col(&g, p->scratch, p->x, at, at + rows);
        vec_fill_rows(y, p->b, rows, g.out);
        gemm(false, false, (int)rows, out, depth, p->scratch, depth, p->w, out, 1, y, out);
        if (p->relu)
            vec_relu(y, rows * g.out);
    }
}

static void backward(const struct layer_pass *p)
{
    const struct conv g = conv_of(p->layer);
    const int out = (int)g.out, depth = (int)g.depth;
    const size_t pixels = p->n * g.oh * g.ow;

    if (p->db)
        memset(p->db, 0, g.out * sizeof(*p->db));
    if (p->dx)
        memset(p->dx, 0, p->n * g.h * g.w * g.c * sizeof(*p->dx));
    for (size_t at = 0; at < pixels; at += g.rows) {
        const size_t rows = pixels - at < g.rows ? pixels - at : g.rows;
        real *dy = p->dy + at * g.out;
        if (p->mask_dy)
            vec_relu_mask(dy, p->y + at * g.out, rows * g.out);
        if (p->db)
            vec_add_rows(p->db, dy, rows, g.out);
        if (p->dw) {
            im2col(&g, p->scratch, p->x, at, at + rows);
            gemm(true, false, depth, out, (int)rows, p->scratch, depth, dy, out, at > 0, p->dw,
                 out);
        }
        if (p->dx) {
            gemm(false, true, (int)rows, depth, out, dy, out, p->w, out, 0, p->scratch, depth);
            col2im(&g, p->dx, p->scratch, at, at + rows);
        }
    }
}

const struct layer_ops layer_conv2d = {
    .name = "conv2d",
    .plan = plan,
    .forward = forward,
    .backward = backward,
};
