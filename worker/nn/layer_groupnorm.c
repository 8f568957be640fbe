/* GroupNorm, NHWC: per sample and group of neighbouring channels, over M = h*w*C/groups entries,
 *   y  = gamma (x - mean) rstd + beta (+ skip, ReLU),  rstd = 1/sqrt(var + 1e-5), var = mean (x -
 * mean)^2 dx = rstd (gamma dy - sum(gamma dy)/M - x^ sum(gamma dy x^)/M),  x^ = (x - mean) rstd
 *   dgamma = sum dy x^,  dbeta = sum dy, over samples and pixels.
 * A sample is treated whole, while it is in the cache: forward reads it for its moments and for y;
 * backward for its sums and for dx. Nothing depends on another sample. */
#include <math.h>
#include <string.h>

#include "worker/nn/norm.h"

struct groups {
    size_t count, width; /* width: channels of a group */
    double pixels;
};

static struct groups groups_of(const struct layer *l)
{
    return (struct groups){l->groups, l->in.c / l->groups, (double)l->in.h * l->in.w};
}

/* kept[2] = mean and rstd of the group whose channels begin at `first`, from theirs. */
static void close_group(const struct norm *g, const struct groups *q, size_t first, real *kept)
{
    const double *means = g->sum_a + first, *squares = g->sum_b + first;
    double mean = 0, square = 0;

    for (size_t c = 0; c < q->width; c++)
        mean += means[c];
    mean /= (double)q->width;
    for (size_t c = 0; c < q->width; c++)
        square += squares[c] + q->pixels * ((means[c] - mean) * (means[c] - mean));
    kept[0] = (real)mean;
    kept[1] = (real)(1 / sqrt(square / (q->pixels * (double)q->width) + NORM_EPSILON));
}

/* The factors of forward from what was kept of a sample. */
static void set_factors(const struct norm *g, const struct groups *q, const struct layer_pass *p,
                        const real *kept)
{
    for (size_t c = 0; c < g->c; c++) {
        g->mean[c] = kept[c / q->width * 2];
        g->scale[c] = p->w[c] * kept[c / q->width * 2 + 1];
    }
    norm_spread(g, g->mean);
    norm_spread(g, g->scale);
}

static void set_shift(const struct norm *g, const struct layer_pass *p)
{
    memcpy(g->shift, p->b, g->c * sizeof(*g->shift));
    norm_spread(g, g->shift);
}

static void forward(const struct layer_pass *p)
{
    const struct norm g = norm_of(p);
    const struct groups q = groups_of(p->layer);
    const size_t entries = dims_count(p->layer->in);
    real *kept = p->kept;

    set_shift(&g, p);
    for (size_t i = 0; i < p->n; i++, kept += 2 * q.count) {
        norm_moments(&g, p->x + i * entries, g.rows);
        for (size_t j = 0; j < q.count; j++)
            close_group(&g, &q, j * q.width, kept + 2 * j);
        set_factors(&g, &q, p, kept);
        norm_write(&g, p, i * entries, g.rows);
    }
}

static void rewrite(const struct layer_pass *p)
{
    const struct norm g = norm_of(p);
    const struct groups q = groups_of(p->layer);
    const size_t entries = dims_count(p->layer->in);
    const real *kept = p->kept;

    set_shift(&g, p);
    for (size_t i = 0; i < p->n; i++, kept += 2 * q.count) {
        set_factors(&g, &q, p, kept);
        norm_write(&g, p, i * entries, g.rows);
    }
}

/* The factors of dx from the sums of a sample; adds the sample's part to dw and db. */
static void close_sample(const struct norm *g, const struct groups *q, const struct layer_pass *p,
                         const real *kept)
{
    const double count = q->pixels * (double)q->width;

    for (size_t j = 0; j < q->count; j++) {
        const double rstd = (double)kept[2 * j + 1];
        double plain = 0, along = 0;
        for (size_t c = j * q->width; c < (j + 1) * q->width; c++) {
            const double normed = g->sum_b[c] * rstd;
            plain += (double)p->w[c] * g->sum_a[c];
            along += (double)p->w[c] * normed;
            if (p->dw) {
                p->dw[c] += (real)normed;
                p->db[c] += (real)g->sum_a[c];
            }
        }
        for (size_t c = j * q->width; c < (j + 1) * q->width; c++) {
            g->slope[c] = (real)(rstd * rstd * along / count);
            g->offset[c] = (real)(rstd * plain / count);
        }
    }
    norm_spread(g, g->slope);
    norm_spread(g, g->offset);
}

static void backward(const struct layer_pass *p)
{
    const struct norm g = norm_of(p);
    const struct groups q = groups_of(p->layer);
    const size_t entries = dims_count(p->layer->in);
    const real *kept = p->kept;

    if (p->dw) {
        memset(p->dw, 0, g.c * sizeof(*p->dw));
        memset(p->db, 0, g.c * sizeof(*p->db));
    }
    set_shift(&g, p);
    for (size_t i = 0; i < p->n; i++, kept += 2 * q.count) {
        set_factors(&g, &q, p, kept);
        norm_sums(&g, p, i * entries, g.rows);
        close_sample(&g, &q, p, kept);
        if (p->dx)
            norm_gradient(&g, p, i * entries, g.rows);
    }
}

const struct layer_ops layer_groupnorm = {
    .name = "groupnorm",
    .forward = forward,
    .rewrite = rewrite,
    .backward = backward,
};
