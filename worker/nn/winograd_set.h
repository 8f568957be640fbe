/* The rows of winograd.h for the instruction set that the including file is compiled for,
 * as WINOGRAD_TABLE. */
#ifndef STEPPE_WORKER_NN_WINOGRAD_SET_H
#define STEPPE_WORKER_NN_WINOGRAD_SET_H

#include "worker/nn/winograd.h"
#include "worker/nn/winograd_layout.h"
#include "worker/nn/winograd_transform.h"

/* Tiles are numbered through the images, row by row; batch: [first, first + count) of them. */
struct plan {
    struct winograd_layout l;
    size_t h, w, c, k, tiles_h, tiles_w;
    size_t tiles; /* of all images */
    float *in, *out, *filters, *turned;
};

/* A tile's place: its image, and the first output row and column. */
struct place {
    size_t image, y, x;
};

/* A convolution from c to k channels. */
static struct plan plan_of(const struct conv_call *call, size_t c, size_t k)
{
    const struct conv_shape *s = &call->shape;
    struct plan p = {
        .l = winograd_layout_of(c, k),
        .h = s->h,
        .w = s->w,
        .c = c,
        .k = k,
        .tiles_h = (s->h + CORE - 1) / CORE,
        .tiles_w = (s->w + CORE - 1) / CORE,
    };

    p.tiles = call->n * p.tiles_h * p.tiles_w;
    p.in = call->scratch;
    p.out = p.in + PLANES * p.l.in_plane;
    p.filters = p.out + PLANES * p.l.out_plane;
    p.turned = p.filters + PLANES * p.l.filter_plane;
    return p;
}

SIMD_INLINE struct place place_of(const struct plan *p, size_t tile)
{
    const size_t in_image = tile % (p->tiles_h * p->tiles_w);

    return (struct place){
        .image = tile / (p->tiles_h * p->tiles_w),
        .y = in_image / p->tiles_w * CORE,
        .x = in_image % p->tiles_w * CORE,
    };
}

/* The inputs of a tile, one vector of channels; what lies outside the image is 0. */
SIMD_INLINE void load_inputs(const struct plan *p, const struct place *at, const float *image,
                             size_t c, lanes d[SIDE][SIDE])
{
    const bool inside = at->y > 0 && at->x > 0 && at->y + CORE < p->h && at->x + CORE < p->w;

    for (size_t i = 0; i < SIDE; i++) {
        const size_t y = at->y + i - 1; /* wraps above the image: larger than h */
        for (size_t j = 0; j < SIDE; j++) {
            const size_t x = at->x + j - 1;
            d[i][j] = inside || (y < p->h && x < p->w) ? lanes_load(image + (y * p->w + x) * c)
                                                       : lanes_zero();
        }
    }
}

/* in = B^T d B of the tiles [first, first + count) of x [.., c]. */
static void transform_inputs(const struct plan *p, const float *x, size_t first, size_t count)
{
    const size_t c = p->c;

    for (size_t t = 0; t < count; t++) {
        const struct place at = place_of(p, first + t);
        const float *image = x + at.image * p->h * p->w * c;
        for (size_t j = 0; j < c; j += LANES) {
            lanes d[SIDE][SIDE], column[SIDE], line[SIDE];
            float *to = p->in + t * c + j;
            load_inputs(p, &at, image + j, c, d);
            for (size_t s = 0; s < SIDE; s++) {
                for (size_t i = 0; i < SIDE; i++)
                    column[i] = d[i][s];
                input_line(column, line);
                for (size_t i = 0; i < SIDE; i++)
                    d[i][s] = line[i];
            }
            for (size_t i = 0; i < SIDE; i++) {
                input_line(d[i], line);
                for (size_t s = 0; s < SIDE; s++)
                    lanes_store(to + (i * SIDE + s) * p->l.in_plane, line[s]);
            }
        }
    }
}

/* out = A dy A^T of the tiles [first, first + count) of dy [.., k]. */
static void transform_gradients(const struct plan *p, const float *dy, size_t first, size_t count)
{
    const size_t k = p->k;

    for (size_t t = 0; t < count; t++) {
        const struct place at = place_of(p, first + t);
        const float *core = dy + ((at.image * p->h + at.y) * p->w + at.x) * k;
        for (size_t j = 0; j < k; j += LANES) {
            lanes d[SIDE][CORE], column[CORE], line[SIDE];
            float *to = p->out + t * k + j;
            for (size_t s = 0; s < CORE; s++) {
                for (size_t i = 0; i < CORE; i++)
                    column[i] = at.y + i < p->h && at.x + s < p->w
                                    ? lanes_load(core + (i * p->w + s) * k + j)
                                    : lanes_zero();
                gradient_line(column, line);
                for (size_t i = 0; i < SIDE; i++)
                    d[i][s] = line[i];
            }
            for (size_t i = 0; i < SIDE; i++) {
                gradient_line(d[i], line);
                for (size_t s = 0; s < SIDE; s++)
                    lanes_store(to + (i * SIDE + s) * p->l.out_plane, line[s]);
            }
        }
    }
}

/* What becomes of the outputs: y (+)= them + bias, clamped at 0. */
struct sink {
    float *y;
    const float *bias; /* [k] or NULL */
    bool relu;
    bool add; /* to what is in y */
};

/* One vector of an output pixel. */
SIMD_INLINE void write_output(const struct sink *o, size_t at, size_t channel, lanes v)
{
    if (o->bias)
        v = lanes_add(v, lanes_load(o->bias + channel));
    if (o->relu)
        v = lanes_clamp(v);
    if (o->add)
        v = lanes_add(lanes_load(o->y + at), v);
    lanes_store(o->y + at, v);
}

/* y = A^T out A of the tiles [first, first + count), pixels outside the image left out. */
static void transform_outputs(const struct plan *p, const struct sink *o, size_t first,
                              size_t count)
{
    const size_t k = p->k;

    for (size_t t = 0; t < count; t++) {
        const struct place at = place_of(p, first + t);
        const size_t core = ((at.image * p->h + at.y) * p->w + at.x) * k;
        const size_t rows = p->h - at.y < CORE ? p->h - at.y : CORE;
        const size_t columns = p->w - at.x < CORE ? p->w - at.x : CORE;
        for (size_t j = 0; j < k; j += LANES) {
            lanes d[CORE][SIDE], column[SIDE], line[CORE];
            const float *from = p->out + t * k + j;
            for (size_t s = 0; s < SIDE; s++) {
                for (size_t i = 0; i < SIDE; i++)
                    column[i] = lanes_load(from + (i * SIDE + s) * p->l.out_plane);
                output_line(column, line);
                for (size_t i = 0; i < CORE; i++)
                    d[i][s] = line[i];
            }
            for (size_t i = 0; i < rows; i++) {
                output_line(d[i], line);
                for (size_t s = 0; s < columns; s++)
                    write_output(o, core + (i * p->w + s) * k + j, j, line[s]);
            }
        }
    }
}

/* Vectors of a row of the filters' planes that a register block takes: two when k allows. */
static size_t width_of(size_t k)
{
    return k % (2 * LANES) == 0 ? 2 : 1;
}

/* filters = G g G^T of columns first.. of w [3, 3, c, k]; k may be the group's own. */
static void transform_filters(const struct plan *p, const float *w, size_t k, size_t first)
{
    const size_t c = p->c;
    const size_t block = width_of(k) * LANES;

    for (size_t b = 0; b < p->l.group; b += block) {
        for (size_t i = 0; i < c; i++) {
            for (size_t j = 0; j < block; j += LANES) {
                lanes d[SIDE][3], column[3], line[SIDE];
                float *to = p->filters + b * c + i * block + j;
                for (size_t s = 0; s < 3; s++) {
                    for (size_t r = 0; r < 3; r++)
                        column[r] = lanes_load(w + ((r * 3 + s) * c + i) * k + first + b + j);
                    filter_line(column, line);
                    for (size_t r = 0; r < SIDE; r++)
                        d[r][s] = line[r];
                }
                for (size_t r = 0; r < SIDE; r++) {
                    filter_line(d[r], line);
                    for (size_t s = 0; s < SIDE; s++)
                        lanes_store(to + (r * SIDE + s) * p->l.filter_plane, line[s]);
                }
            }
        }
    }
}

/* Columns first.. of w [3, 3, c, k] (+)= G^T filters G. */
static void transform_filter_gradients(const struct plan *p, float *w, size_t first, bool add)
{
    const size_t c = p->c, k = p->k;
    const size_t block = width_of(k) * LANES;

    for (size_t b = 0; b < p->l.group; b += block) {
        for (size_t i = 0; i < c; i++) {
            for (size_t j = 0; j < block; j += LANES) {
                lanes d[3][SIDE], column[SIDE], line[3];
                const float *from = p->filters + b * c + i * block + j;
                for (size_t s = 0; s < SIDE; s++) {
                    for (size_t r = 0; r < SIDE; r++)
                        column[r] = lanes_load(from + (r * SIDE + s) * p->l.filter_plane);
                    filter_gradient_line(column, line);
                    for (size_t r = 0; r < 3; r++)
                        d[r][s] = line[r];
                }
                for (size_t r = 0; r < 3; r++) {
                    filter_gradient_line(d[r], line);
                    for (size_t s = 0; s < 3; s++) {
                        float *at = w + ((r * 3 + s) * c + i) * k + first + b + j;
                        lanes_store(at, add ? lanes_add(lanes_load(at), line[s]) : line[s]);
                    }
                }
            }
        }
    }
}

/* turned [3, 3, c, group] = columns first.. of the filters w [3, 3, k, c], turned by 180 degrees.
 */
static void turn(const struct plan *p, const float *w, size_t first)
{
    const size_t c = p->c, k = p->k;

    for (size_t tap = 0; tap < 9; tap++) {
        const float *from = w + ((8 - tap) * k + first) * c;
        float *to = p->turned + tap * c * p->l.group;
        for (size_t i = 0; i < c; i += 4, from += 4) {
            for (size_t j = 0; j < p->l.group; j += 4) {
                __m128 row[4];
                for (size_t r = 0; r < 4; r++)
                    row[r] = _mm_loadu_ps(from + (j + r) * c);
                _MM_TRANSPOSE4_PS(row[0], row[1], row[2], row[3]);
                for (size_t r = 0; r < 4; r++)
                    _mm_storeu_ps(to + (i + r) * p->l.group + j, row[r]);
            }
        }
    }
}

/* The register blocks of the two products: `rows` broadcasts by `width` vectors, 16 sums (8 where
 * there are only 16 registers). */
#define SUMS (LANES == 16 ? 16 : 8)

/* out[row][..] = sum over c of in[row][c] filter[c][..] */
SIMD_INLINE void multiply_block(const float *in, const float *filter, float *out, size_t c,
                                size_t k, const size_t rows, const size_t width)
{
    lanes sum[SUMS], f[2];

#pragma GCC unroll 16
    for (size_t r = 0; r < SUMS; r++)
        sum[r] = lanes_zero();
    for (size_t i = 0; i < c; i++, filter += width * LANES) {
        for (size_t v = 0; v < width; v++)
            f[v] = lanes_load(filter + v * LANES);
#pragma GCC unroll 16
        for (size_t r = 0; r < rows; r++) {
            const lanes x = lanes_all(in[r * c + i]);
            for (size_t v = 0; v < width; v++)
                sum[r * width + v] = lanes_fma(x, f[v], sum[r * width + v]);
        }
    }
#pragma GCC unroll 16
    for (size_t r = 0; r < rows; r++)
        for (size_t v = 0; v < width; v++)
            lanes_store(out + r * k + v * LANES, sum[r * width + v]);
}

/* filter[row][..] (+)= sum over tiles t of in[t][row] out[t][..] */
SIMD_INLINE void accumulate_block(const float *in, const float *out, float *filter, size_t c,
                                  size_t k, size_t tiles, bool fresh, const size_t rows,
                                  const size_t width)
{
    lanes sum[SUMS], y[2];

#pragma GCC unroll 16
    for (size_t r = 0; r < SUMS; r++)
        sum[r] = fresh ? lanes_zero() : lanes_load(filter + r * LANES);
    for (size_t t = 0; t < tiles; t++, in += c, out += k) {
        for (size_t v = 0; v < width; v++)
            y[v] = lanes_load(out + v * LANES);
#pragma GCC unroll 16
        for (size_t r = 0; r < rows; r++) {
            const lanes x = lanes_all(in[r]);
            for (size_t v = 0; v < width; v++)
                sum[r * width + v] = lanes_fma(x, y[v], sum[r * width + v]);
        }
    }
#pragma GCC unroll 16
    for (size_t r = 0; r < SUMS; r++)
        lanes_store(filter + r * LANES, sum[r]);
}

/* Columns first.. of out = in filters, plane by plane, for `count` tiles rounded up to whole
 * register blocks. */
static void multiply(const struct plan *p, size_t first, size_t count)
{
    const size_t c = p->c, k = p->k;
    const size_t width = width_of(k), block = width * LANES, rows = SUMS / width;

    for (size_t i = 0; i < PLANES; i++) {
        const float *in = p->in + i * p->l.in_plane;
        for (size_t b = 0; b < p->l.group; b += block) {
            const float *filter = p->filters + i * p->l.filter_plane + b * c;
            float *out = p->out + i * p->l.out_plane + first + b;
            for (size_t t = 0; t < count; t += rows) {
                if (width == 1)
                    multiply_block(in + t * c, filter, out + t * k, c, k, SUMS, 1);
                else
                    multiply_block(in + t * c, filter, out + t * k, c, k, SUMS / 2, 2);
            }
        }
    }
}

/* filters (+)= in^T out over `count` tiles, for columns first.. */
static void accumulate(const struct plan *p, size_t first, size_t count, bool fresh)
{
    const size_t c = p->c, k = p->k;
    const size_t width = width_of(k), block = width * LANES, rows = SUMS / width;

    for (size_t i = 0; i < PLANES; i++) {
        const float *in = p->in + i * p->l.in_plane;
        for (size_t b = 0; b < p->l.group; b += block) {
            const float *out = p->out + i * p->l.out_plane + first + b;
            float *filter = p->filters + i * p->l.filter_plane + b * c;
            for (size_t j = 0; j < c; j += rows) {
                if (width == 1)
                    accumulate_block(in + j, out, filter + j * block, c, k, count, fresh, SUMS, 1);
                else
                    accumulate_block(in + j, out, filter + j * block, c, k, count, fresh, SUMS / 2,
                                     2);
            }
        }
    }
}

/* The group of the filters that begins at column `first`. */
static void load_filters(const struct plan *p, const float *filters, bool turned, size_t first)
{
    if (turned) {
        turn(p, filters, first);
        transform_filters(p, p->turned, p->l.group, 0);
    } else {
        transform_filters(p, filters, p->k, first);
    }
}

/* turned: filters are those of the convolution that this one is the gradient of. */
static void convolve(const struct plan *p, const float *x, const float *filters, bool turned,
                     const struct sink *o)
{
    for (size_t t = 0; t < p->tiles; t += p->l.tiles) {
        const size_t count = p->tiles - t < p->l.tiles ? p->tiles - t : p->l.tiles;
        transform_inputs(p, x, t, count);
        for (size_t first = 0; first < p->k; first += p->l.group) {
            if (t == 0 || p->l.group < p->k)
                load_filters(p, filters, turned, first);
            multiply(p, first, count);
        }
        transform_outputs(p, o, t, count);
    }
}

static void forward(const struct conv_call *call)
{
    const struct plan p = plan_of(call, call->shape.c, call->shape.out);

    convolve(&p, call->x, call->w, false,
             &(struct sink){.y = call->y, .bias = call->b, .relu = call->relu});
}

static void data_gradient(const struct conv_call *call)
{
    const struct plan p = plan_of(call, call->shape.out, call->shape.c);

    convolve(&p, call->dy, call->w, true, &(struct sink){.y = call->dx, .add = call->add});
}

static void weight_gradient(const struct conv_call *call)
{
    const struct plan p = plan_of(call, call->shape.c, call->shape.out);
    const bool grouped = p.l.group < p.k;

    for (size_t t = 0; t < p.tiles; t += p.l.tiles) {
        const size_t count = p.tiles - t < p.l.tiles ? p.tiles - t : p.l.tiles;
        transform_inputs(&p, call->x, t, count);
        transform_gradients(&p, call->dy, t, count);
        for (size_t first = 0; first < p.k; first += p.l.group) {
            accumulate(&p, first, count, t == 0 || grouped);
            if (grouped)
                transform_filter_gradients(&p, call->dw, first, call->add || t > 0);
        }
    }
    if (!grouped)
        transform_filter_gradients(&p, call->dw, 0, call->add);
}

static bool takes(const struct conv_shape *s)
{
    return s->kernel == 3 && s->stride == 1 && s->padding == 1 && s->c % LANES == 0 &&
           s->out % LANES == 0;
}

static size_t scratch_of(size_t c, size_t k)
{
    const struct winograd_layout l = winograd_layout_of(c, k);

    return PLANES * (l.in_plane + l.out_plane + l.filter_plane) + l.turned;
}

static size_t scratch(const struct conv_shape *s)
{
    return scratch_of(s->c, s->out);
}

static size_t scratch_back(const struct conv_shape *s)
{
    return scratch_of(s->out, s->c);
}

const struct kernel WINOGRAD_TABLE[] = {
    {CONV_FORWARD, "winograd", takes, scratch, forward, .whole = true},
    {CONV_DATA_GRADIENT, "winograd", takes, scratch_back, data_gradient, .whole = true},
    {CONV_WEIGHT_GRADIENT, "winograd", takes, scratch, weight_gradient, .whole = true},
    {0},
};

#endif
