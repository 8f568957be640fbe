/* GroupNorm, NHWC: per sample and group of neighbouring channels, over M = h*w*C/groups entries,
 *   y  = gamma (x - mean) rstd + beta (+ skip, ReLU),  rstd = 1/sqrt(var + 1e-5), var = mean (x -
 * mean)^2 dx = rstd (gamma dy - sum(gamma dy)/M - x^ sum(gamma dy x^)/M),  x^ = (x - mean) rstd
 *   dgamma = sum dy x^,  dbeta = sum dy, over samples and pixels.
 * A sample is treated whole, while it is in the cache: forward reads it for the mean, for the
 * variance and for y; backward masks dy and sums in one walk and writes dx in a second.
 *
 * Rows of few channels are short for a vector: `fold` pixels are taken as one row of `lanes` =
 * fold*C entries. Sums run per lane over blocks of rows, then per channel over blocks, then in
 * double over the channels of a group: a fixed order that depends on the layer's shape only, and
 * never on another sample. */
#include <math.h>
#include <string.h>

#include "worker/nn/kernel.h"
#include "worker/nn/layer.h"
#include "worker/nn/vec.h"

#define EPSILON 1e-5
#define LANES 64       /* about; four vectors of 16 floats */
#define BLOCK_ROWS 256 /* a lane's sum is at most so long */

struct norm {
    size_t c, groups, width; /* width: channels of a group */
    size_t lanes, rows;      /* of a sample: rows * lanes = h*w*c */
    double count;            /* M */
    /* Scratch. Per lane: mean, and factors of the walk at hand; sums of a block. Per channel: sums
     * of the sample. */
    real *mean, *scale, *shift, *slope; /* [lanes] */
    real *lane_a, *lane_b;              /* [lanes] */
    real *sum_a, *sum_b;                /* [c] */
};

static size_t fold_of(const struct layer *l)
{
    const size_t pixels = (size_t)l->in.h * l->in.w;
    size_t fold = 1;

    while (fold * 2 * l->in.c <= LANES && pixels % (fold * 2) == 0)
        fold *= 2;
    return fold;
}

static void plan(const struct layer *l, uint32_t batch, struct layer_space *ret)
{
    const size_t lanes = fold_of(l) * l->in.c;

    *ret = (struct layer_space){
        .kept_bytes = (size_t)batch * l->groups * 2 * sizeof(real), /* mean, rstd */
        .scratch = 6 * lanes + 2 * (size_t)l->in.c,
    };
}

static struct norm norm_of(const struct layer_pass *p)
{
    const struct layer *l = p->layer;
    struct norm g = {
        .c = l->in.c,
        .groups = l->groups,
        .width = l->in.c / l->groups,
        .lanes = fold_of(l) * l->in.c,
        .count = (double)dims_count(l->in) / l->groups,
    };
    real *at = p->scratch;

    g.rows = dims_count(l->in) / g.lanes;
    g.mean = at;
    g.scale = at += g.lanes;
    g.shift = at += g.lanes;
    g.slope = at += g.lanes;
    g.lane_a = at += g.lanes;
    g.lane_b = at += g.lanes;
    g.sum_a = at += g.lanes;
    g.sum_b = at + g.c;
    return g;
}

/* sum[c] += the lanes of each channel. */
static void fold_lanes(const struct norm *g, real *sum, const real *lane)
{
    for (size_t at = 0; at < g->lanes; at += g->c)
        for (size_t j = 0; j < g->c; j++)
            sum[j] += lane[at + j];
}

/* The first c lanes are set: repeats them. */
static void spread_lanes(const struct norm *g, real *lane)
{
    for (size_t at = g->c; at < g->lanes; at += g->c)
        memcpy(lane + at, lane, g->c * sizeof(*lane));
}

static double group_sum(const struct norm *g, const real *sum, size_t group)
{
    double total = 0;

    for (size_t j = 0; j < g->width; j++)
        total += sum[group * g->width + j];
    return total;
}

#define INLINE static inline __attribute__((always_inline))

/* lane[k] = sums over rows of (x - mean)^2. */
INLINE void square_rows(real *restrict lane, const real *restrict x, const real *restrict mean,
                        size_t rows, size_t k)
{
    size_t r = 0;

    for (size_t j = 0; j < k; j++)
        lane[j] = 0;
    for (; r + 4 <= rows; r += 4, x += 4 * k) {
        for (size_t j = 0; j < k; j++) {
            const real a = x[j] - mean[j], b = x[k + j] - mean[j];
            const real c = x[2 * k + j] - mean[j], d = x[3 * k + j] - mean[j];
            lane[j] += (a * a + b * b) + (c * c + d * d);
        }
    }
    for (; r < rows; r++, x += k)
        for (size_t j = 0; j < k; j++)
            lane[j] += (x[j] - mean[j]) * (x[j] - mean[j]);
}

/* The usual number of lanes is known to the compiler. */
KERNEL static void sum_squares(const struct norm *g, const real *x, size_t rows)
{
    if (g->lanes == LANES)
        square_rows(g->lane_a, x, g->mean, rows, LANES);
    else
        square_rows(g->lane_a, x, g->mean, rows, g->lanes);
}

/* y = (x - mean) scale + shift (+ skip, ReLU). */
INLINE void write_rows(const struct norm *g, real *restrict y, const real *restrict x,
                       const real *restrict skip, bool relu, size_t k)
{
    const real *restrict mean = g->mean, *restrict scale = g->scale, *restrict shift = g->shift;

    for (size_t r = 0; r < g->rows; r++, y += k, x += k) {
        for (size_t j = 0; j < k; j++) {
            real v = (x[j] - mean[j]) * scale[j] + shift[j];
            if (skip)
                v += skip[j];
            if (relu)
                v = v < 0 ? 0 : v;
            y[j] = v;
        }
        if (skip)
            skip += k;
    }
}

INLINE void write_lanes(const struct norm *g, real *y, const real *x, const real *skip, bool relu,
                        size_t k)
{
    if (skip && relu)
        write_rows(g, y, x, skip, true, k);
    else if (skip)
        write_rows(g, y, x, skip, false, k);
    else if (relu)
        write_rows(g, y, x, NULL, true, k);
    else
        write_rows(g, y, x, NULL, false, k);
}

KERNEL static void write_sample(const struct norm *g, real *y, const real *x, const real *skip,
                                bool relu)
{
    if (g->lanes == LANES)
        write_lanes(g, y, x, skip, relu, LANES);
    else
        write_lanes(g, y, x, skip, relu, g->lanes);
}

/* Per channel sums of x, or of (x - mean)^2, over a sample into sum_a. */
static void sum_sample(const struct norm *g, const real *x, bool squares)
{
    memset(g->sum_a, 0, g->c * sizeof(*g->sum_a));
    for (size_t r = 0; r < g->rows; r += BLOCK_ROWS, x += BLOCK_ROWS * g->lanes) {
        const size_t rows = g->rows - r < BLOCK_ROWS ? g->rows - r : BLOCK_ROWS;
        if (squares) {
            sum_squares(g, x, rows);
        } else {
            memset(g->lane_a, 0, g->lanes * sizeof(*g->lane_a));
            vec_add_rows(g->lane_a, x, rows, g->lanes);
        }
        fold_lanes(g, g->sum_a, g->lane_a);
    }
}

static void forward(const struct layer_pass *p)
{
    const struct norm g = norm_of(p);
    const size_t entries = dims_count(p->layer->in);
    real *kept = p->kept;

    memcpy(g.shift, p->b, g.c * sizeof(*g.shift));
    spread_lanes(&g, g.shift);
    for (size_t i = 0; i < p->n; i++, kept += 2 * g.groups) {
        const real *x = p->x + i * entries;
        sum_sample(&g, x, false);
        for (size_t j = 0; j < g.groups; j++) {
            kept[2 * j] = (real)(group_sum(&g, g.sum_a, j) / g.count);
            for (size_t c = j * g.width; c < (j + 1) * g.width; c++)
                g.mean[c] = kept[2 * j];
        }
        spread_lanes(&g, g.mean);
        sum_sample(&g, x, true);
        for (size_t j = 0; j < g.groups; j++) {
            kept[2 * j + 1] = (real)(1 / sqrt(group_sum(&g, g.sum_a, j) / g.count + EPSILON));
            for (size_t c = j * g.width; c < (j + 1) * g.width; c++)
                g.scale[c] = p->w[c] * kept[2 * j + 1];
        }
        spread_lanes(&g, g.scale);
        write_sample(&g, p->y + i * entries, x, p->skip ? p->skip + i * entries : NULL, p->relu);
    }
}

/* Masks dy where y is not positive (y NULL: nowhere) and sums it: lane_a = sum dy, lane_b = sum dy
 * (x - mean). */
INLINE void mask_rows(const struct norm *g, real *restrict dy, const real *restrict y,
                      const real *restrict x, size_t rows, size_t k)
{
    real *restrict a = g->lane_a, *restrict b = g->lane_b;
    const real *restrict mean = g->mean;

    for (size_t j = 0; j < k; j++)
        a[j] = b[j] = 0;
    for (size_t r = 0; r < rows; r++, dy += k, x += k) {
        for (size_t j = 0; j < k; j++) {
            real d = dy[j];
            if (y) {
                d = y[j] > 0 ? d : 0;
                dy[j] = d;
            }
            a[j] += d;
            b[j] += d * (x[j] - mean[j]);
        }
        if (y)
            y += k;
    }
}

KERNEL static void mask_block(const struct norm *g, real *dy, const real *y, const real *x,
                              size_t rows)
{
    if (g->lanes == LANES && y)
        mask_rows(g, dy, y, x, rows, LANES);
    else if (g->lanes == LANES)
        mask_rows(g, dy, NULL, x, rows, LANES);
    else if (y)
        mask_rows(g, dy, y, x, rows, g->lanes);
    else
        mask_rows(g, dy, NULL, x, rows, g->lanes);
}

/* dx (+)= dy scale - ((x - mean) slope + shift); dx may be dy. */
INLINE void gradient_rows(const struct norm *g, real *dx, const real *dy, const real *x, bool add,
                          size_t k)
{
    const real *mean = g->mean, *scale = g->scale, *shift = g->shift, *slope = g->slope;

    for (size_t r = 0; r < g->rows; r++, dx += k, dy += k, x += k) {
#pragma GCC ivdep
        for (size_t j = 0; j < k; j++) {
            const real v = dy[j] * scale[j] - ((x[j] - mean[j]) * slope[j] + shift[j]);
            dx[j] = add ? dx[j] + v : v;
        }
    }
}

KERNEL static void gradient_sample(const struct norm *g, real *dx, const real *dy, const real *x,
                                   bool add)
{
    if (g->lanes == LANES && !add)
        gradient_rows(g, dx, dy, x, false, LANES);
    else if (!add)
        gradient_rows(g, dx, dy, x, false, g->lanes);
    else
        gradient_rows(g, dx, dy, x, true, g->lanes);
}

/* Per channel sums over a sample: sum_a of dy, which is masked on the way, sum_b of dy (x - mean).
 */
static void mask_sample(const struct norm *g, const struct layer_pass *p, size_t at)
{
    memset(g->sum_a, 0, g->c * sizeof(*g->sum_a));
    memset(g->sum_b, 0, g->c * sizeof(*g->sum_b));
    for (size_t r = 0; r < g->rows; r += BLOCK_ROWS, at += BLOCK_ROWS * g->lanes) {
        const size_t rows = g->rows - r < BLOCK_ROWS ? g->rows - r : BLOCK_ROWS;
        mask_block(g, p->dy + at, p->mask_dy ? p->y + at : NULL, p->x + at, rows);
        fold_lanes(g, g->sum_a, g->lane_a);
        fold_lanes(g, g->sum_b, g->lane_b);
    }
}

/* The factors of dx from the sums of a sample; adds the sample's part to dw and db. */
static void close_sample(const struct norm *g, const struct layer_pass *p, const real *kept)
{
    for (size_t j = 0; j < g->groups; j++) {
        const real rstd = kept[2 * j + 1];
        double plain = 0, along = 0;
        for (size_t c = j * g->width; c < (j + 1) * g->width; c++) {
            const real normed = g->sum_b[c] * rstd;
            plain += (double)p->w[c] * g->sum_a[c];
            along += (double)p->w[c] * normed;
            g->scale[c] = p->w[c] * rstd;
            if (p->dw) {
                p->dw[c] += normed;
                p->db[c] += g->sum_a[c];
            }
        }
        for (size_t c = j * g->width; c < (j + 1) * g->width; c++) {
            g->slope[c] = (real)((double)rstd * rstd * along / g->count);
            g->shift[c] = (real)(rstd * plain / g->count);
        }
    }
    spread_lanes(g, g->scale);
    spread_lanes(g, g->slope);
    spread_lanes(g, g->shift);
}

static void backward(const struct layer_pass *p)
{
    const struct norm g = norm_of(p);
    const size_t entries = dims_count(p->layer->in);
    const real *kept = p->kept;

    if (p->dw) {
        memset(p->dw, 0, g.c * sizeof(*p->dw));
        memset(p->db, 0, g.c * sizeof(*p->db));
    }
    for (size_t i = 0; i < p->n; i++, kept += 2 * g.groups) {
        const size_t at = i * entries;
        for (size_t c = 0; c < g.c; c++)
            g.mean[c] = kept[c / g.width * 2];
        spread_lanes(&g, g.mean);
        mask_sample(&g, p, at);
        close_sample(&g, p, kept);
        if (p->dx)
            gradient_sample(&g, p->dx + at, p->dy + at, p->x + at, p->add_dx);
    }
}

const struct layer_ops layer_groupnorm = {
    .name = "groupnorm",
    .dx_over_dy = true,
    .takes_relu = true,
    .takes_skip = true,
    .plan = plan,
    .forward = forward,
    .backward = backward,
};
