/* BatchNorm, NHWC, per channel. In training over the N = n*h*w entries of the shard,
 *   y  = gamma (x - mean) rstd + beta (+ skip, ReLU),  rstd = 1/sqrt(var + 1e-5), var biased,
 *   dx = gamma rstd (dy - sum(dy)/N - x^ sum(dy x^)/N),  x^ = (x - mean) rstd;
 * in evaluation mean and var are the running ones, constants: dx = gamma rstd dy.
 *   dgamma = sum dy x^,  dbeta = sum dy.
 * A shard is read twice forward (moments, y) and twice backward (sums, dx); once each in
 * evaluation, when no gradient of a parameter is wanted. */
#include <math.h>
#include <string.h>

#include "worker/nn/net.h"
#include "worker/nn/norm.h"

/* Of the last forward, per channel. */
struct kept {
    real *mean, *rstd;
    real *var; /* unbiased; of a training pass */
};

static struct kept kept_of(const struct layer_pass *p)
{
    const size_t c = p->layer->in.c;
    real *at = p->kept;

    return (struct kept){at, at + c, at + 2 * c};
}

static void keep_moments(const struct norm *g, const struct layer_pass *p, const struct kept *k)
{
    const double count = (double)p->n * (double)p->layer->in.h * (double)p->layer->in.w;

    norm_moments(g, p->x, p->n * g->rows);
    for (size_t c = 0; c < g->c; c++) {
        k->mean[c] = (real)g->sum_a[c];
        k->rstd[c] = (real)(1 / sqrt(g->sum_b[c] / count + NORM_EPSILON));
        k->var[c] = (real)(g->sum_b[c] / (count > 1 ? count - 1 : 1));
    }
}

static void keep_running(const struct norm *g, const struct layer_pass *p, const struct kept *k)
{
    for (size_t c = 0; c < g->c; c++) {
        k->mean[c] = p->running_mean[c];
        k->rstd[c] = (real)(1 / sqrt((double)p->running_var[c] + NORM_EPSILON));
    }
}

static void set_factors(const struct norm *g, const struct layer_pass *p, const struct kept *k)
{
    for (size_t c = 0; c < g->c; c++) {
        g->mean[c] = k->mean[c];
        g->scale[c] = p->w[c] * k->rstd[c];
        g->shift[c] = p->b[c];
    }
    norm_spread(g, g->mean);
    norm_spread(g, g->scale);
    norm_spread(g, g->shift);
}

static void rewrite(const struct layer_pass *p)
{
    const struct norm g = norm_of(p);
    const struct kept k = kept_of(p);

    set_factors(&g, p, &k);
    norm_write(&g, p, 0, p->n * g.rows);
}

static void forward(const struct layer_pass *p)
{
    const struct norm g = norm_of(p);
    const struct kept k = kept_of(p);

    if (p->mode->train)
        keep_moments(&g, p, &k);
    else
        keep_running(&g, p, &k);
    rewrite(p);
}

/* The factors of dx from the sums. */
static void set_slopes(const struct norm *g, const struct layer_pass *p, const struct kept *k)
{
    const double count = (double)p->n * (double)p->layer->in.h * (double)p->layer->in.w;

    for (size_t c = 0; c < g->c; c++) {
        const double rstd = (double)k->rstd[c], scale = (double)p->w[c] * rstd / count;
        g->slope[c] = p->mode->train ? (real)(scale * rstd * rstd * g->sum_b[c]) : 0;
        g->offset[c] = p->mode->train ? (real)(scale * g->sum_a[c]) : 0;
    }
    norm_spread(g, g->slope);
    norm_spread(g, g->offset);
}

static void backward(const struct layer_pass *p)
{
    const struct norm g = norm_of(p);
    const struct kept k = kept_of(p);

    set_factors(&g, p, &k);
    if (!p->mode->train && !p->dw && p->dx) {
        norm_scale_gradient(&g, p, p->n * g.rows);
        return;
    }
    norm_sums(&g, p, 0, p->n * g.rows);
    for (size_t c = 0; p->dw && c < g.c; c++) {
        p->dw[c] = (real)(g.sum_b[c] * (double)k.rstd[c]);
        p->db[c] = (real)g.sum_a[c];
    }
    if (!p->dx)
        return;
    set_slopes(&g, p, &k);
    norm_gradient(&g, p, 0, p->n * g.rows);
}

static void statistics(const struct layer_pass *p, real *mean, real *var)
{
    const struct kept k = kept_of(p);

    memcpy(mean, k.mean, p->layer->in.c * sizeof(*mean));
    memcpy(var, k.var, p->layer->in.c * sizeof(*var));
}

const struct layer_ops layer_batchnorm = {
    .name = "batchnorm",
    .forward = forward,
    .rewrite = rewrite,
    .backward = backward,
    .statistics = statistics,
};
