#include "worker/nn/curve_layer.h"

#include <math.h>

#include "worker/nn/norm.h"
#include "worker/nn/vec.h"

/* --- dense, conv2d: f(x, w) + b --- */

static void bilinear_forward(const struct curve_pass *p)
{
    const struct layer_ops *ops = layer_ops_of(p->plain.layer->kind);
    struct layer_pass pass = p->plain;

    ops->forward(&pass);
    pass.w = p->rw;
    pass.b = p->rb;
    pass.y = p->ry;
    ops->forward(&pass);
    if (!p->rx)
        return;
    pass.x = p->rx;
    pass.w = p->plain.w;
    pass.b = NULL;
    pass.y = p->spare;
    ops->forward(&pass);
    vec_add(p->ry, p->spare, pass.n * dims_count(pass.layer->out));
}

/* With B(dy, w) the gradient of x and G(x, dy) that of w:
 *   R(dx) = B(Rdy, w) + B(dy, Rw),  R(dw) = G(x, Rdy) + G(Rx, dy),  R(db) = sums of Rdy. */
static void bilinear_backward(const struct curve_pass *p, size_t weights)
{
    const struct layer_ops *ops = layer_ops_of(p->plain.layer->kind);
    struct layer_pass pass = p->plain;

    pass.dw = pass.db = NULL;
    if (pass.dx)
        ops->backward(&pass);
    pass.dy = p->rdy;
    pass.dx = p->rdx;
    pass.dw = p->rdw;
    pass.db = p->rdb;
    ops->backward(&pass);
    if (!p->rx)
        return;
    pass.x = p->rx;
    pass.w = p->rw;
    pass.dy = p->plain.dy;
    pass.dw = p->spare_w;
    pass.db = NULL;
    ops->backward(&pass);
    vec_add(p->rdw, p->spare_w, weights);
}

static void dense_backward(const struct curve_pass *p)
{
    bilinear_backward(p, (size_t)p->plain.layer->in.c * p->plain.layer->out.c);
}

static void conv2d_backward(const struct curve_pass *p)
{
    const struct layer *l = p->plain.layer;

    bilinear_backward(p, (size_t)l->kernel * l->kernel * l->in.c * l->out.c);
}

/* --- relu --- */

static void relu_forward(const struct curve_pass *p)
{
    const size_t count = p->plain.n * dims_count(p->plain.layer->out);

    layer_ops_of(LAYER_RELU)->forward(&p->plain);
    for (size_t i = 0; i < count; i++)
        p->ry[i] = p->rx ? real_keep(p->rx[i], p->plain.y[i] > 0) : 0;
}

static void relu_backward(const struct curve_pass *p)
{
    const size_t count = p->plain.n * dims_count(p->plain.layer->out);

    if (!p->rdx)
        return;
    vec_relu_mask(p->plain.dy, p->plain.y, count);
    vec_relu_mask(p->rdy, p->plain.y, count);
    vec_add(p->plain.dx, p->plain.dy, count);
    vec_add(p->rdx, p->rdy, count);
}

/* --- what is linear: pools and adds --- */

static void both_backward(const struct curve_pass *p)
{
    const struct layer_ops *ops = layer_ops_of(p->plain.layer->kind);
    struct layer_pass pass = p->plain;

    if (!p->rdx)
        return;
    ops->backward(&pass);
    pass.dy = p->rdy;
    pass.dx = p->rdx;
    ops->backward(&pass);
}

static void clear_tangent(const struct curve_pass *p)
{
    memset(p->ry, 0, p->plain.n * dims_count(p->plain.layer->out) * sizeof(*p->ry));
}

static void avgpool_forward(const struct curve_pass *p)
{
    const struct layer_ops *ops = layer_ops_of(p->plain.layer->kind);
    struct layer_pass pass = p->plain;

    ops->forward(&pass);
    if (!p->rx) {
        clear_tangent(p);
        return;
    }
    pass.x = p->rx;
    pass.y = p->ry;
    ops->forward(&pass);
}

/* The tangent of the entry that won, whose place forward has kept. */
static void maxpool_forward(const struct curve_pass *p)
{
    const struct layer *l = p->plain.layer;
    const size_t row = (size_t)l->in.w * l->in.c, c = l->in.c;
    const int32_t *kept = p->plain.kept;
    const real *x = p->rx;
    real *y = p->ry;

    layer_ops_of(LAYER_MAXPOOL)->forward(&p->plain);
    if (!x) {
        clear_tangent(p);
        return;
    }
    for (size_t i = 0; i < p->plain.n; i++, x += l->in.h * row)
        for (size_t oy = 0; oy < l->out.h; oy++)
            for (size_t ox = 0; ox < l->out.w; ox++, y += c, kept += c) {
                const real *from = x + oy * l->stride * row + ox * l->stride * c;
                for (size_t j = 0; j < c; j++) {
                    const size_t at = (size_t)kept[j];
                    y[j] = from[at / l->kernel * row + at % l->kernel * c + j];
                }
            }
}

static void add_forward(const struct curve_pass *p)
{
    const size_t count = p->plain.n * dims_count(p->plain.layer->out);

    layer_ops_of(LAYER_ADD)->forward(&p->plain);
    for (size_t i = 0; i < count; i++)
        p->ry[i] = (p->rx ? p->rx[i] : 0) + (p->rskip ? p->rskip[i] : 0);
}

/* --- batchnorm in evaluation: y = x^ gamma + beta, x^ = (x - mean) rstd --- */

static double rstd_of(const struct curve_pass *p, size_t c)
{
    return 1 / sqrt((double)p->plain.running_var[c] + NORM_EPSILON);
}

static void batchnorm_forward(const struct curve_pass *p)
{
    const struct layer_pass *q = &p->plain;
    const size_t c = q->layer->in.c, pixels = q->n * dims_count(q->layer->in) / c;

    for (size_t j = 0; j < c; j++) {
        const double rstd = rstd_of(p, j), mean = (double)q->running_mean[j], w = (double)q->w[j];
        for (size_t i = j; i < pixels * c; i += c) {
            const double normed = ((double)q->x[i] - mean) * rstd;
            const double tangent = p->rx ? (double)p->rx[i] * rstd : 0;
            q->y[i] = (real)(normed * w + (double)q->b[j]);
            p->ry[i] = (real)(tangent * w + normed * (double)p->rw[j] + (double)p->rb[j]);
        }
    }
}

static void batchnorm_backward(const struct curve_pass *p)
{
    const struct layer_pass *q = &p->plain;
    const size_t c = q->layer->in.c, pixels = q->n * dims_count(q->layer->in) / c;

    for (size_t j = 0; j < c; j++) {
        const double rstd = rstd_of(p, j), mean = (double)q->running_mean[j];
        const double w = (double)q->w[j] * rstd, rw = (double)p->rw[j] * rstd;
        double weight = 0, bias = 0;
        for (size_t i = j; i < pixels * c; i += c) {
            const double dy = (double)q->dy[i], rdy = (double)p->rdy[i];
            weight += ((double)q->x[i] - mean) * rdy + (p->rx ? (double)p->rx[i] * dy : 0);
            bias += rdy;
            if (p->rdx) {
                q->dx[i] += (real)(dy * w);
                p->rdx[i] += (real)(rdy * w + dy * rw);
            }
        }
        p->rdw[j] = (real)(weight * rstd);
        p->rdb[j] = (real)bias;
    }
}

/* --- groupnorm: the same with the mean and variance of a group of a sample's channels --- */

struct group {
    size_t first, width, c, pixels; /* channels [first, first + width) of c */
    double mean, rstd, rmean, rrstd;
};

/* Over the entries of the group: var = mean (x - m)^2, R(m) = mean Rx,
 * R(rstd) = -rstd^3 mean (x - m) Rx. */
static struct group group_of(const struct curve_pass *p, size_t sample, size_t number)
{
    const struct layer *l = p->plain.layer;
    struct group g = {
        .width = l->in.c / l->groups, .c = l->in.c, .pixels = (size_t)l->in.h * l->in.w};
    const real *x = p->plain.x + sample * g.pixels * g.c;
    const real *rx = p->rx ? p->rx + sample * g.pixels * g.c : NULL;
    const double count = (double)(g.width * g.pixels);
    double square = 0, along = 0;

    g.first = number * g.width;
    for (size_t i = 0; i < g.pixels; i++)
        for (size_t j = i * g.c + g.first; j < i * g.c + g.first + g.width; j++) {
            g.mean += (double)x[j];
            g.rmean += rx ? (double)rx[j] : 0;
        }
    g.mean /= count;
    g.rmean /= count;
    for (size_t i = 0; i < g.pixels; i++)
        for (size_t j = i * g.c + g.first; j < i * g.c + g.first + g.width; j++) {
            const double d = (double)x[j] - g.mean;
            square += d * d;
            along += rx ? d * (double)rx[j] : 0;
        }
    g.rstd = 1 / sqrt(square / count + NORM_EPSILON);
    g.rrstd = -g.rstd * g.rstd * g.rstd * along / count;
    return g;
}

/* x^ and R(x^) of entry i. */
static void normed_at(const struct curve_pass *p, const struct group *g, size_t i, double *ret,
                      double *ret_tangent)
{
    const double d = (double)p->plain.x[i] - g->mean;
    const double rd = p->rx ? (double)p->rx[i] - g->rmean : 0;

    *ret = d * g->rstd;
    *ret_tangent = rd * g->rstd + d * g->rrstd;
}

static void groupnorm_forward(const struct curve_pass *p)
{
    const struct layer_pass *q = &p->plain;
    double normed, tangent;

    for (size_t s = 0; s < q->n; s++)
        for (size_t k = 0; k < q->layer->groups; k++) {
            const struct group g = group_of(p, s, k);
            for (size_t i = 0; i < g.pixels; i++)
                for (size_t j = g.first; j < g.first + g.width; j++) {
                    const size_t at = (s * g.pixels + i) * g.c + j;
                    normed_at(p, &g, at, &normed, &tangent);
                    q->y[at] = (real)(normed * (double)q->w[j] + (double)q->b[j]);
                    p->ry[at] = (real)(tangent * (double)q->w[j] + normed * (double)p->rw[j] +
                                       (double)p->rb[j]);
                }
        }
}

/* With a = gamma dy:
 *   dx = rstd u,  u = a - mean a - x^ mean(a x^)
 *   R(dx) = R(rstd) u + rstd (Ra - mean Ra - R(x^) mean(a x^) - x^ mean(Ra x^ + a R(x^))). */
static void group_backward(const struct curve_pass *p, size_t sample, const struct group *g)
{
    const struct layer_pass *q = &p->plain;
    const double count = (double)(g->width * g->pixels);
    double a_sum = 0, ra_sum = 0, ax_sum = 0, rax_sum = 0, normed, tangent;

    for (size_t j = g->first; j < g->first + g->width; j++) {
        const double w = (double)q->w[j], rw = (double)p->rw[j];
        double weight = 0, bias = 0;
        for (size_t i = 0; i < g->pixels; i++) {
            const size_t at = (sample * g->pixels + i) * g->c + j;
            const double dy = (double)q->dy[at], rdy = (double)p->rdy[at];
            const double a = w * dy, ra = rw * dy + w * rdy;
            normed_at(p, g, at, &normed, &tangent);
            weight += rdy * normed + dy * tangent;
            bias += rdy;
            a_sum += a;
            ra_sum += ra;
            ax_sum += a * normed;
            rax_sum += ra * normed + a * tangent;
        }
        p->rdw[j] += (real)weight;
        p->rdb[j] += (real)bias;
    }
    for (size_t i = 0; p->rdx && i < g->pixels; i++)
        for (size_t j = g->first; j < g->first + g->width; j++) {
            const size_t at = (sample * g->pixels + i) * g->c + j;
            const double dy = (double)q->dy[at], rdy = (double)p->rdy[at];
            const double a = (double)q->w[j] * dy;
            const double ra = (double)p->rw[j] * dy + (double)q->w[j] * rdy;
            normed_at(p, g, at, &normed, &tangent);
            const double u = a - (a_sum + normed * ax_sum) / count;
            q->dx[at] += (real)(g->rstd * u);
            p->rdx[at] +=
                (real)(g->rrstd * u +
                       g->rstd * (ra - (ra_sum + tangent * ax_sum + normed * rax_sum) / count));
        }
}

static void groupnorm_backward(const struct curve_pass *p)
{
    const struct layer *l = p->plain.layer;

    memset(p->rdw, 0, l->in.c * sizeof(*p->rdw));
    memset(p->rdb, 0, l->in.c * sizeof(*p->rdb));
    for (size_t s = 0; s < p->plain.n; s++)
        for (size_t k = 0; k < l->groups; k++) {
            const struct group g = group_of(p, s, k);
            group_backward(p, s, &g);
        }
}

static const struct curve_ops table[LAYER_KINDS] = {
    [LAYER_DENSE] = {bilinear_forward, dense_backward},
    [LAYER_CONV2D] = {bilinear_forward, conv2d_backward},
    [LAYER_RELU] = {relu_forward, relu_backward},
    [LAYER_MAXPOOL] = {maxpool_forward, both_backward},
    [LAYER_GROUPNORM] = {groupnorm_forward, groupnorm_backward},
    [LAYER_ADD] = {add_forward, both_backward},
    [LAYER_AVGPOOL] = {avgpool_forward, both_backward},
    [LAYER_GLOBALPOOL] = {avgpool_forward, both_backward},
    [LAYER_BATCHNORM] = {batchnorm_forward, batchnorm_backward},
};

const struct curve_ops *curve_ops_of(enum layer_kind kind)
{
    return table[kind].forward ? &table[kind] : NULL;
}
