/* 3x3 convolutions with padding 1 over NHWC, for the file of an instruction set: it includes this
 * after it has defined `lanes` (a vector of LANES floats), the functions over it, and BLOCKS, the
 * blocks it has registers for.
 *
 * A block is some output pixels of a row times some vectors of output channels, held in registers
 * while input channels and kernel rows go by: every input value is broadcast once and meets the
 * taps of one kernel row, up to three. Pixels of the padding are neither read nor multiplied.
 * Three maps from input to output pixels make all of it:
 *   SAME  stride 1; also the data gradient, with the kernel turned around
 *   DOWN  stride 2
 *   UP    the data gradient of stride 2: an input pixel gives tap 1 to the even output pixel above
 *         it, tap 2 to the odd one right of that and tap 0 to the one left of it, in both
 * directions Input channels are summed in chunks; the chunks' weights are packed so that a block
 * reads them in order, and stay in the first-level cache for all images. */
#include <string.h>

#include "worker/nn/kernels.h"

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 36")

/* Floats of a chunk's weights: kernel rows, input channels, taps, output channels; 36 KiB. */
#define PACKED 9216
/* Floats of the images that are worked on together, input and output; 512 KiB. */
#define GROUP 131072

enum map { SAME, DOWN, UP };

struct block {
    const float *x[3]; /* the input rows it reads, at its first pixel */
    const float *w[3]; /* packed weights of the kernel row that reads each */
    size_t rows, depth;
    size_t x_step, x_image; /* floats from pixel to pixel, from image to image */
    float *y;
    size_t y_step, y_image;
    size_t stored;  /* UP: output pixels; the last may hang over the image */
    const float *b; /* NULL: none */
    bool resume;    /* y holds the sum so far; b does not count */
    bool relu;
};

typedef void (*block_fn)(const struct block *);

struct kind {
    enum map map;
    int images, vectors, width;
    block_fn edge[4]; /* + 1: the row's left end; + 2: its right end, where that needs care */
};

/* Input pixels that `width` output pixels read (UP: that are read by 2 width). */
INLINE int span(enum map map, int width)
{
    return map == SAME ? width + 2 : map == DOWN ? 2 * width + 1 : width + 1;
}

/* The output pixel that input pixel q of the span reaches through tap s; -1: none. */
INLINE int reach(enum map map, int width, int q, int s)
{
    if (map == UP)
        return (s == 0 ? q > 0 : q < width) ? 2 * q + s - 1 : -1;
    const int o = map == DOWN ? (q - s) / 2 : q - s;
    return q < s || (map == DOWN && (q - s) % 2) || o >= width ? -1 : o;
}

INLINE void block_begin(const struct block *a, lanes *acc, int images, int outs, int vectors)
{
    UNROLL
    for (int i = 0; i < images * outs; i++) {
        const float *y = a->y + (size_t)(i / outs) * a->y_image + (size_t)(i % outs) * a->y_step;
        UNROLL
        for (int j = 0; j < vectors; j++) {
            lanes *to = &acc[i * vectors + j];
            if (a->resume)
                *to = (size_t)(i % outs) < a->stored ? lanes_load(y + j * LANES) : lanes_zero();
            else
                *to = a->b ? lanes_load(a->b + j * LANES) : lanes_zero();
        }
    }
}

INLINE void block_end(const struct block *a, const lanes *acc, int images, int outs, int vectors)
{
    UNROLL
    for (int i = 0; i < images * outs; i++) {
        float *y = a->y + (size_t)(i / outs) * a->y_image + (size_t)(i % outs) * a->y_step;
        if ((size_t)(i % outs) >= a->stored)
            continue;
        UNROLL
        for (int j = 0; j < vectors; j++) {
            const lanes v = acc[i * vectors + j];
            lanes_store(y + j * LANES, a->relu ? lanes_clamp(v) : v);
        }
    }
}

INLINE void block_run(const struct block *a, enum map map, int images, int vectors, int width,
                      int edge)
{
    const int outs = map == UP ? 2 * width : width;
    const int first = map != UP && (edge & 1) ? 1 : 0;
    const int end = span(map, width) - (edge & 2 ? 1 : 0);
    lanes acc[16];

    block_begin(a, acc, images, outs, vectors);
    for (size_t r = 0; r < a->rows; r++) {
        const float *w = a->w[r], *x = a->x[r];
        for (size_t c = 0; c < a->depth; c++, w += 3 * vectors * LANES) {
            lanes taps[6];
            UNROLL
            for (int j = 0; j < 3 * vectors; j++)
                taps[j] = lanes_load(w + j * LANES);
            UNROLL
            for (int i = 0; i < images; i++) {
                UNROLL
                for (int q = first; q < end; q++) {
                    const long at = map == UP ? q : q - 1;
                    const lanes v =
                        lanes_all(x[(long)c + i * (long)a->x_image + at * (long)a->x_step]);
                    UNROLL
                    for (int s = 0; s < 3; s++) {
                        const int o = reach(map, width, q, s);
                        UNROLL
                        for (int j = 0; j < vectors && o >= 0; j++) {
                            lanes *to = &acc[(i * outs + o) * vectors + j];
                            *to = lanes_fma(v, taps[s * vectors + j], *to);
                        }
                    }
                }
            }
        }
    }
    block_end(a, acc, images, outs, vectors);
}

#define BLOCK_FN(map, images, vectors, width, edge)                                                \
    static void block_##map##_##images##_##vectors##_##width##_##edge(const struct block *a)       \
    {                                                                                              \
        block_run(a, map, images, vectors, width, edge);                                           \
    }
#define BLOCK_FNS(map, images, vectors, width)                                                     \
    BLOCK_FN(map, images, vectors, width, 0)                                                       \
    BLOCK_FN(map, images, vectors, width, 1)                                                       \
    BLOCK_FN(map, images, vectors, width, 2)                                                       \
    BLOCK_FN(map, images, vectors, width, 3)
#define BLOCK_ROW(map, images, vectors, width)                                                     \
    {map,                                                                                          \
     images,                                                                                       \
     vectors,                                                                                      \
     width,                                                                                        \
     {block_##map##_##images##_##vectors##_##width##_0,                                            \
      block_##map##_##images##_##vectors##_##width##_1,                                            \
      block_##map##_##images##_##vectors##_##width##_2,                                            \
      block_##map##_##images##_##vectors##_##width##_3}},

BLOCKS(BLOCK_FNS)
static const struct kind kinds[] = {BLOCKS(BLOCK_ROW)};

/* The kinds that cut a row, by the pixels that are left of it. */
struct cutter {
    const struct kind *by_left[WIDTH_MAX + 1];
    size_t most;
};

/* A convolution as the blocks see it: a gradient's input is dy, its output dx. */
struct field {
    enum map map;
    size_t n, ih, iw, depth, oh, ow, outs;
    size_t across; /* pixels of a row that blocks are cut from: UP: iw, else ow */
    const float *x;
    float *y;
    const float *w, *b;
    bool add, relu, is_packed;
    float *packed;
    void (*pack)(const struct field *f, size_t out, size_t outs, size_t at, size_t depth,
                 float *to);
    struct cutter cut[2][2]; /* by images and vectors, less 1 */
};

/* The widest block that divides the row evenly is better than a wider one and a rest. */
static struct cutter cutter_of(const struct field *f, int images, int vectors)
{
    struct cutter c = {.most = 0};

    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        const struct kind *kind = &kinds[k];
        const size_t width = (size_t)kind->width;
        if (kind->map != f->map || kind->images != images || kind->vectors != vectors)
            continue;
        for (size_t left = width; left <= WIDTH_MAX; left++)
            if (!c.by_left[left] || (size_t)c.by_left[left]->width < width)
                c.by_left[left] = kind;
        const bool even = width >= 4 && f->across % width == 0;
        const bool best_even = c.most >= 4 && f->across % c.most == 0;
        if ((even && !best_even) || (even == best_even && width > c.most))
            c.most = width;
    }
    return c;
}

/* Which kernel rows reach output row oy, and from which input rows; packed_row: floats of a kernel
 * row's weights. */
static void block_rows(const struct field *f, struct block *b, const float *x, const float *packed,
                       size_t packed_row, size_t oy)
{
    b->rows = 0;
    for (size_t r = 0; r < 3; r++) {
        /* Input rows are counted from 1 here, so that the padding above is row 0. */
        size_t iy = f->map == DOWN ? 2 * oy + r : oy + r;
        if (f->map == UP) {
            if ((oy + 1 + r) % 2 != 0 || oy + 1 < r)
                continue;
            iy = (oy + 1 - r) / 2 + 1;
        }
        if (iy < 1 || iy > f->ih)
            continue;
        b->x[b->rows] = x + (iy - 1) * f->iw * f->depth;
        b->w[b->rows++] = packed + r * packed_row;
    }
}

/* Output row oy of one or two images, from the block's x (first row, first channel of the chunk)
 * and y (the row). */
static void convolve_row(const struct field *f, const struct cutter *cut, struct block *b)
{
    const bool frayed = f->map != DOWN || f->iw % 2;
    const size_t in = f->map == DOWN ? 2 : 1, out = f->map == UP ? 2 : 1;

    for (size_t at = 0; at < f->across;) {
        const size_t left = f->across - at;
        const struct kind *k = cut->by_left[left < cut->most ? left : cut->most];
        const size_t width = (size_t)k->width;
        struct block part = *b;
        for (size_t r = 0; r < b->rows; r++)
            part.x[r] = b->x[r] + at * in * f->depth;
        part.y = b->y + at * out * f->outs;
        part.stored = f->ow - at * out;
        k->edge[(at == 0 ? 1 : 0) + (frayed && width == left ? 2 : 0)](&part);
        at += width;
    }
}

/* Output channels from `out` on, of which there are `vectors` vectors, and input channels from `at`
 * on: of `count` images. */
struct chunk {
    size_t out, vectors, at, depth;
};

static float *packed_at(const struct field *f, const struct chunk *c)
{
    return f->packed + 9 * (c->out * f->depth + c->at * c->vectors * LANES);
}

static void convolve_chunk(const struct field *f, const struct chunk *c, size_t first, size_t count)
{
    const size_t x_image = f->ih * f->iw * f->depth, y_image = f->oh * f->ow * f->outs;
    const size_t wide = f->map == UP ? 2 * f->across : f->across;
    struct block b = {.depth = c->depth,
                      .x_step = f->depth,
                      .x_image = x_image,
                      .y_step = f->outs,
                      .y_image = y_image,
                      .b = f->b ? f->b + c->out : NULL,
                      .resume = c->at > 0 || f->add,
                      .relu = f->relu && c->at + c->depth == f->depth};

    for (size_t i = 0, together; i < count; i += together) {
        const float *x = f->x + (first + i) * x_image + c->at;
        float *y = f->y + (first + i) * y_image + c->out;
        together = wide <= PAIR_WIDTH && count - i > 1 ? 2 : 1;
        for (size_t oy = 0; oy < f->oh; oy++) {
            block_rows(f, &b, x, packed_at(f, c), c->depth * 3 * c->vectors * LANES, oy);
            b.y = y + oy * f->ow * f->outs;
            convolve_row(f, &f->cut[together - 1][c->vectors - 1], &b);
        }
    }
}

/* The chunk that begins at an output and an input channel. */
static struct chunk chunk_at(const struct field *f, size_t out, size_t at)
{
    struct chunk c = {.out = out, .at = at};

    c.vectors = f->outs - out >= VECTORS_MAX * LANES ? VECTORS_MAX : 1;
    const size_t most = PACKED / (9 * c.vectors * LANES);
    c.depth = f->depth - at < most ? f->depth - at : most;
    return c;
}

/* Does it for every chunk: packs its weights, or convolves the images. */
static void for_chunks(const struct field *f, bool pack, size_t first, size_t count)
{
    struct chunk c;

    for (size_t out = 0; out < f->outs; out += c.vectors * LANES) {
        for (size_t at = 0; at < f->depth; at += c.depth) {
            c = chunk_at(f, out, at);
            if (pack)
                f->pack(f, out, c.vectors * LANES, at, c.depth, packed_at(f, &c));
            else
                convolve_chunk(f, &c, first, count);
        }
    }
}

/* Images are taken in groups, so that all chunks meet their pixels in the second-level cache. */
static void convolve(struct field *f)
{
    const size_t image = f->ih * f->iw * f->depth + f->oh * f->ow * f->outs;
    size_t group = GROUP / image;

    group = group < 2 ? 1 : group / 2 * 2;
    f->across = f->map == UP ? f->iw : f->ow;
    for (int images = 1; images <= 2; images++)
        for (int vectors = 1; vectors <= VECTORS_MAX; vectors++)
            f->cut[images - 1][vectors - 1] = cutter_of(f, images, vectors);
    if (!f->is_packed)
        for_chunks(f, true, 0, 0);
    for (size_t i = 0; i < f->n; i += group)
        for_chunks(f, false, i, f->n - i < group ? f->n - i : group);
}

static void pack_forward(const struct field *f, size_t out, size_t outs, size_t at, size_t depth,
                         float *to)
{
    for (size_t r = 0; r < 3; r++)
        for (size_t c = at; c < at + depth; c++)
            for (size_t s = 0; s < 3; s++, to += outs)
                memcpy(to, f->w + ((r * 3 + s) * f->depth + c) * f->outs + out, outs * sizeof(*to));
}

/* w's input channels are the output here; SAME turns the kernel around. */
static void pack_transposed(const struct field *f, size_t out, size_t outs, size_t at, size_t depth,
                            float *packed)
{
    for (size_t tap = 0; tap < 9; tap++) {
        const float *w = f->w + ((f->map == SAME ? 8 - tap : tap) * f->outs + out) * f->depth + at;
        float *to = packed + (tap / 3 * depth * 3 + tap % 3) * outs;
        for (size_t o = 0; o < outs; o++)
            for (size_t k = 0; k < depth; k++)
                to[k * 3 * outs + o] = w[o * f->depth + k];
    }
}

static void forward(const struct conv_call *call)
{
    const struct conv_shape *s = &call->shape;
    struct field f = {.map = s->stride == 1 ? SAME : DOWN,
                      .n = call->n,
                      .ih = s->h,
                      .iw = s->w,
                      .depth = s->c,
                      .oh = s->oh,
                      .ow = s->ow,
                      .outs = s->out,
                      .x = call->x,
                      .y = call->y,
                      .w = call->w,
                      .b = call->b,
                      .relu = call->relu,
                      .is_packed = call->again,
                      .packed = call->scratch,
                      .pack = pack_forward};

    convolve(&f);
}

static void data_gradient(const struct conv_call *call)
{
    const struct conv_shape *s = &call->shape;
    struct field f = {.map = s->stride == 1 ? SAME : UP,
                      .n = call->n,
                      .ih = s->oh,
                      .iw = s->ow,
                      .depth = s->out,
                      .oh = s->h,
                      .ow = s->w,
                      .outs = s->c,
                      .x = call->dy,
                      .y = call->dx,
                      .w = call->w,
                      .add = call->add,
                      .is_packed = call->again,
                      .packed = call->scratch,
                      .pack = pack_transposed};

    convolve(&f);
}

static bool is_3x3(const struct conv_shape *s)
{
    return s->kernel == 3 && s->padding == 1 && s->stride <= 2;
}

/* y's channels fill vectors. */
static bool fills_y(const struct conv_shape *s)
{
    return is_3x3(s) && s->out % LANES == 0;
}

/* x's channels do. */
static bool fills_x(const struct conv_shape *s)
{
    return is_3x3(s) && s->c % LANES == 0;
}

static size_t packed_scratch(const struct conv_shape *s)
{
    return 9 * s->c * s->out;
}
