#include "worker/nn/norm.h"

#include <string.h>

#include "worker/nn/kernel.h"
#include "worker/nn/vec.h"

#define BLOCK_ROWS 256 /* a lane's float sum is at most so long */

#define INLINE static inline __attribute__((always_inline))

struct norm norm_of(const struct layer_pass *p)
{
    const struct layer *l = p->layer;
    struct norm g = {.c = l->in.c, .lanes = layer_norm_fold(l) * l->in.c};

    g.rows = dims_count(l->in) / g.lanes;
    g.sum_a = (double *)(void *)p->scratch;
    g.sum_b = g.sum_a + g.c;
    g.mean = (real *)(void *)(g.sum_b + g.c);
    g.scale = g.mean + g.lanes;
    g.shift = g.scale + g.lanes;
    g.slope = g.shift + g.lanes;
    g.offset = g.slope + g.lanes;
    g.lane_a = g.offset + g.lanes;
    g.lane_b = g.lane_a + g.lanes;
    return g;
}

void norm_spread(const struct norm *g, real *factor)
{
    for (size_t at = g->c; at < g->lanes; at += g->c)
        memcpy(factor + at, factor, g->c * sizeof(*factor));
}

/* The compiler knows the usual number of lanes. */
#define WITH_LANES(g, call, ...)                                                                   \
    do {                                                                                           \
        if ((g)->lanes == NORM_LANES)                                                              \
            call(__VA_ARGS__, NORM_LANES);                                                         \
        else                                                                                       \
            call(__VA_ARGS__, (g)->lanes);                                                         \
    } while (0)

/* a[j] = sum (x - mean), b[j] = sum (x - mean)^2 over rows of k. */
INLINE void moment_rows(real *restrict a, real *restrict b, const real *restrict mean,
                        const real *restrict x, size_t rows, size_t k)
{
    size_t r = 0;

    for (size_t j = 0; j < k; j++)
        a[j] = b[j] = 0;
    for (; r + 4 <= rows; r += 4, x += 4 * k) {
        for (size_t j = 0; j < k; j++) {
            const real m = mean[j];
            const real u = x[j] - m, v = x[k + j] - m, w = x[2 * k + j] - m, z = x[3 * k + j] - m;
            a[j] += (u + v) + (w + z);
            b[j] += (u * u + v * v) + (w * w + z * z);
        }
    }
    for (; r < rows; r++, x += k) {
        for (size_t j = 0; j < k; j++) {
            const real u = x[j] - mean[j];
            a[j] += u;
            b[j] += u * u;
        }
    }
}

KERNEL static void moment_block(const struct norm *g, const real *x, size_t rows)
{
    WITH_LANES(g, moment_rows, g->lane_a, g->lane_b, g->mean, x, rows);
}

static double fold_lane(const struct norm *g, const real *lane, size_t channel)
{
    double sum = 0;

    for (size_t at = channel; at < g->lanes; at += g->c)
        sum += (double)lane[at];
    return sum;
}

void norm_moments(const struct norm *g, const real *x, size_t rows)
{
    const double fold = (double)(g->lanes / g->c);

    memcpy(g->mean, x, g->c * sizeof(*x));
    for (size_t r = 0; r < rows; r += BLOCK_ROWS, x += BLOCK_ROWS * g->lanes) {
        const size_t block = rows - r < BLOCK_ROWS ? rows - r : BLOCK_ROWS;
        const double before = (double)r * fold, count = (double)block * fold;
        norm_spread(g, g->mean);
        moment_block(g, x, block);
        for (size_t c = 0; c < g->c; c++) {
            const double a = fold_lane(g, g->lane_a, c), b = fold_lane(g, g->lane_b, c);
            const double square = b - a * a / count;
            double mean = (double)g->mean[c] + a / count;
            if (r == 0) {
                g->sum_a[c] = mean;
                g->sum_b[c] = square < 0 ? 0 : square;
            } else {
                const double step = mean - g->sum_a[c], total = before + count;
                mean = g->sum_a[c] + step * count / total;
                g->sum_a[c] = mean;
                g->sum_b[c] += (square < 0 ? 0 : square) + step * step * before * count / total;
            }
            g->mean[c] = (real)mean;
        }
    }
}

/* --- forward --- */

INLINE void write_rows(const struct norm *g, real *restrict y, const real *restrict x,
                       const real *restrict skip, bool relu, size_t rows, size_t k)
{
    const real *restrict mean = g->mean, *restrict scale = g->scale, *restrict shift = g->shift;

    for (size_t r = 0; r < rows; r++, y += k, x += k) {
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
                        size_t rows, size_t k)
{
    if (skip && relu)
        write_rows(g, y, x, skip, true, rows, k);
    else if (skip)
        write_rows(g, y, x, skip, false, rows, k);
    else if (relu)
        write_rows(g, y, x, NULL, true, rows, k);
    else
        write_rows(g, y, x, NULL, false, rows, k);
}

KERNEL static void write_all(const struct norm *g, real *y, const real *x, const real *skip,
                             bool relu, size_t rows)
{
    WITH_LANES(g, write_lanes, g, y, x, skip, relu, rows);
}

void norm_write(const struct norm *g, const struct layer_pass *p, size_t at, size_t rows)
{
    write_all(g, p->y + at, p->x + at, p->skip ? p->skip + at : NULL, p->relu, rows);
}

/* --- backward --- */

/* lane_a = sum d, lane_b = sum d (x - mean). y: d is written to dy, which is masked where y is not
 * positive; by_x: masked where the ReLU got nothing positive from x, by the same arithmetic as
 * write_rows. */
INLINE void sum_rows(const struct norm *g, real *restrict dy, const real *restrict y,
                     const real *restrict x, bool by_x, size_t rows, size_t k)
{
    real *restrict a = g->lane_a, *restrict b = g->lane_b;
    const real *restrict mean = g->mean, *restrict scale = g->scale, *restrict shift = g->shift;

    for (size_t j = 0; j < k; j++)
        a[j] = b[j] = 0;
    for (size_t r = 0; r < rows; r++, dy += k, x += k) {
        for (size_t j = 0; j < k; j++) {
            const real off = x[j] - mean[j];
            real d = dy[j];
            if (by_x)
                d = real_keep(d, off * scale[j] + shift[j] > 0);
            if (y) {
                d = real_keep(d, y[j] > 0);
                dy[j] = d;
            }
            a[j] += d;
            b[j] += d * off;
        }
        if (y)
            y += k;
    }
}

INLINE void sum_lanes(const struct norm *g, real *dy, const real *y, const real *x, bool by_x,
                      size_t rows, size_t k)
{
    if (by_x)
        sum_rows(g, dy, NULL, x, true, rows, k);
    else if (y)
        sum_rows(g, dy, y, x, false, rows, k);
    else
        sum_rows(g, dy, NULL, x, false, rows, k);
}

KERNEL static void sum_block(const struct norm *g, real *dy, const real *y, const real *x,
                             bool by_x, size_t rows)
{
    WITH_LANES(g, sum_lanes, g, dy, y, x, by_x, rows);
}

void norm_sums(const struct norm *g, const struct layer_pass *p, size_t at, size_t rows)
{
    const bool by_x = p->mask_dy && !p->skip, by_y = p->mask_dy && p->skip;

    memset(g->sum_a, 0, g->c * sizeof(*g->sum_a));
    memset(g->sum_b, 0, g->c * sizeof(*g->sum_b));
    for (size_t r = 0; r < rows; r += BLOCK_ROWS, at += BLOCK_ROWS * g->lanes) {
        const size_t block = rows - r < BLOCK_ROWS ? rows - r : BLOCK_ROWS;
        sum_block(g, p->dy + at, by_y ? p->y + at : NULL, p->x + at, by_x, block);
        for (size_t c = 0; c < g->c; c++) {
            g->sum_a[c] += fold_lane(g, g->lane_a, c);
            g->sum_b[c] += fold_lane(g, g->lane_b, c);
        }
    }
}

/* dx may be dy. */
INLINE void gradient_rows(const struct norm *g, real *dx, const real *dy, const real *x, bool by_x,
                          bool add, size_t rows, size_t k)
{
    const real *restrict mean = g->mean, *restrict scale = g->scale, *restrict slope = g->slope;
    const real *restrict shift = g->shift, *restrict offset = g->offset;

    for (size_t r = 0; r < rows; r++, dx += k, dy += k, x += k) {
#pragma GCC ivdep
        for (size_t j = 0; j < k; j++) {
            const real off = x[j] - mean[j];
            const real d = by_x ? real_keep(dy[j], off * scale[j] + shift[j] > 0) : dy[j];
            const real v = d * scale[j] - (off * slope[j] + offset[j]);
            dx[j] = add ? dx[j] + v : v;
        }
    }
}

INLINE void gradient_lanes(const struct norm *g, real *dx, const real *dy, const real *x, bool by_x,
                           bool add, size_t rows, size_t k)
{
    if (by_x && add)
        gradient_rows(g, dx, dy, x, true, true, rows, k);
    else if (by_x)
        gradient_rows(g, dx, dy, x, true, false, rows, k);
    else if (add)
        gradient_rows(g, dx, dy, x, false, true, rows, k);
    else
        gradient_rows(g, dx, dy, x, false, false, rows, k);
}

KERNEL static void gradient_all(const struct norm *g, real *dx, const real *dy, const real *x,
                                bool by_x, bool add, size_t rows)
{
    WITH_LANES(g, gradient_lanes, g, dx, dy, x, by_x, add, rows);
}

void norm_gradient(const struct norm *g, const struct layer_pass *p, size_t at, size_t rows)
{
    gradient_all(g, p->dx + at, p->dy + at, p->x + at, p->mask_dy && !p->skip, p->add_dx, rows);
}

/* dx may be dy where there is no y. */
INLINE void scale_rows(const struct norm *g, real *dx, real *dy, const real *y, const real *x,
                       bool by_x, bool add, size_t rows, size_t k)
{
    const real *restrict mean = g->mean, *restrict scale = g->scale, *restrict shift = g->shift;

    for (size_t r = 0; r < rows; r++, dx += k, dy += k) {
#pragma GCC ivdep
        for (size_t j = 0; j < k; j++) {
            real d = dy[j];
            if (by_x)
                d = real_keep(d, (x[j] - mean[j]) * scale[j] + shift[j] > 0);
            if (y) {
                d = real_keep(d, y[j] > 0);
                dy[j] = d;
            }
            dx[j] = add ? dx[j] + d * scale[j] : d * scale[j];
        }
        if (by_x)
            x += k;
        if (y)
            y += k;
    }
}

INLINE void scale_lanes(const struct norm *g, real *dx, real *dy, const real *y, const real *x,
                        bool by_x, bool add, size_t rows, size_t k)
{
    if (y && add)
        scale_rows(g, dx, dy, y, NULL, false, true, rows, k);
    else if (y)
        scale_rows(g, dx, dy, y, NULL, false, false, rows, k);
    else if (by_x && add)
        scale_rows(g, dx, dy, NULL, x, true, true, rows, k);
    else if (by_x)
        scale_rows(g, dx, dy, NULL, x, true, false, rows, k);
    else if (add)
        scale_rows(g, dx, dy, NULL, NULL, false, true, rows, k);
    else
        scale_rows(g, dx, dy, NULL, NULL, false, false, rows, k);
}

KERNEL static void scale_all(const struct norm *g, real *dx, real *dy, const real *y, const real *x,
                             bool by_x, bool add, size_t rows)
{
    WITH_LANES(g, scale_lanes, g, dx, dy, y, x, by_x, add, rows);
}

void norm_scale_gradient(const struct norm *g, const struct layer_pass *p, size_t rows)
{
    const bool by_x = p->mask_dy && !p->skip, by_y = p->mask_dy && p->skip;

    scale_all(g, p->dx, p->dy, by_y ? p->y : NULL, p->x, by_x, p->add_dx, rows);
}
