/* Every value of the net has a block for each of y, R(y), dy and R(dy): nothing is shared or done
 * in place, so a layer's pass is two or three calls of its plain operations. */
#include "worker/nn/curve.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "worker/nn/arena.h"
#include "worker/nn/curve_layer.h"
#include "worker/nn/head.h"
#include "worker/nn/net.h"
#include "worker/nn/vec.h"

struct value {
    real *y, *ry, *dy, *rdy; /* [batch, entries]; of the image only y */
};

struct curve {
    const struct model *model;
    const struct kernels *kernels;
    uint32_t batch_max;
    struct value *values; /* [layers + 1]; 0: the image */
    struct curve_pass *passes;
    double *delta; /* [classes] */
    struct arena arena;
};

static const struct net_mode evaluation = {0};

/* Where the output of a layer lies; -1: the image. */
static int value_of(const struct model *m, int layer)
{
    while (layer >= 0 && !curve_ops_of(m->layers[layer].kind))
        layer = m->layers[layer].input;
    return layer + 1;
}

static void take_value(struct curve *c, struct value *v, size_t entries, bool image)
{
    const size_t count = c->batch_max * entries;

    v->y = arena_take(&c->arena, count, sizeof(real));
    if (image)
        return;
    v->ry = arena_take(&c->arena, count, sizeof(real));
    v->dy = arena_take(&c->arena, count, sizeof(real));
    v->rdy = arena_take(&c->arena, count, sizeof(real));
}

/* Takes memory from the arena, in the same order for counting and mapping; common/footprint.c
 * counts the same. */
static void lay_out(struct curve *c)
{
    const struct model *m = c->model;
    size_t scratch = 0, widest = 0, heaviest = 0;

    take_value(c, &c->values[0], dims_count(m->in), true);
    for (int i = 0; i < m->layer_count; i++) {
        const struct layer *l = &m->layers[i];
        if (!curve_ops_of(l->kind))
            continue;
        const size_t entries = dims_count(l->out),
                     weights = l->weight < 0 ? 0 : m->params[l->weight].count;
        take_value(c, &c->values[i + 1], entries, false);
        const struct layer_space space = layer_space_of(l, c->batch_max, sizeof(real));
        c->passes[i].plain.kept = arena_take(&c->arena, space.kept_bytes, 1);
        scratch = space.scratch > scratch ? space.scratch : scratch;
        widest = entries > widest ? entries : widest;
        heaviest = weights > heaviest ? weights : heaviest;
    }
    real *shared = arena_take(&c->arena, scratch, sizeof(real));
    real *spare = arena_take(&c->arena, c->batch_max * widest, sizeof(real));
    real *spare_w = arena_take(&c->arena, heaviest, sizeof(real));
    c->delta = arena_take(&c->arena, m->classes, sizeof(*c->delta));
    for (int i = 0; i < m->layer_count; i++) {
        c->passes[i].plain.scratch = shared;
        c->passes[i].spare = spare;
        c->passes[i].spare_w = spare_w;
    }
}

/* What stays the same in all passes; the memory is there. */
static void set_passes(struct curve *c)
{
    const struct model *m = c->model;

    for (int i = 0; i < m->layer_count; i++) {
        const struct layer *l = &m->layers[i];
        struct curve_pass *p = &c->passes[i];
        const int from = value_of(m, l->input);
        const struct value *x = &c->values[from], *y = &c->values[i + 1];
        if (!curve_ops_of(l->kind))
            continue;
        p->plain.layer = l;
        p->plain.kernels = c->kernels;
        p->plain.number = (uint32_t)i;
        p->plain.mode = &evaluation;
        p->plain.add_dx = true;
        p->plain.x = x->y;
        p->plain.y = y->y;
        p->plain.dy = y->dy;
        p->plain.dx = x->dy;
        p->rx = x->ry;
        p->ry = y->ry;
        p->rdy = y->rdy;
        p->rdx = x->rdy;
        if (l->from >= 0) {
            p->plain.skip = c->values[value_of(m, l->from)].y;
            p->rskip = c->values[value_of(m, l->from)].ry;
        }
    }
}

/* Everything but the memory, which is only counted. */
static struct curve *prepare(const struct model *m, const struct kernels *kernels,
                             uint32_t batch_max)
{
    struct curve *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->model = m;
    c->kernels = kernels;
    c->batch_max = batch_max;
    c->values = calloc((size_t)m->layer_count + 1, sizeof(*c->values));
    c->passes = calloc((size_t)m->layer_count, sizeof(*c->passes));
    if (!c->values || !c->passes) {
        curve_free(c);
        return NULL;
    }
    lay_out(c);
    return c;
}

struct curve *curve_create(const struct model *m, const struct kernels *kernels, uint32_t batch_max)
{
    struct curve *c = prepare(m, kernels, batch_max);

    if (!c || arena_map(&c->arena) != 0) {
        curve_free(c);
        return NULL;
    }
    lay_out(c);
    set_passes(c);
    return c;
}

void curve_free(struct curve *c)
{
    if (!c)
        return;
    arena_unmap(&c->arena);
    free(c->values);
    free(c->passes);
    free(c);
}

/* --- a product --- */

static const real *param_in(const struct curve *c, const real *vector, int param)
{
    return param < 0 ? NULL : vector + c->model->params[param].offset;
}

static void set_params(const struct curve *c, int i, const real *theta, const real *v, uint32_t n)
{
    const struct layer *l = &c->model->layers[i];
    struct curve_pass *p = &c->passes[i];

    p->plain.n = n;
    p->plain.w = param_in(c, theta, l->weight);
    p->plain.b = param_in(c, theta, l->bias_param);
    p->plain.running_mean = param_in(c, theta, l->running_mean);
    p->plain.running_var = param_in(c, theta, l->running_var);
    p->rw = param_in(c, v, l->weight);
    p->rb = param_in(c, v, l->bias_param);
}

/* delta = p - onehot, R(delta_j) = p_j (Rz_j - sum p_k Rz_k). The sum is taken of differences to
 * the label's Rz, so that a confident sample keeps its digits. */
static void head_tangent(struct curve *c, const struct value *logits, const uint16_t *labels,
                         uint32_t n)
{
    const uint32_t classes = c->model->classes;

    for (size_t i = 0; i < n; i++) {
        const real *rz = logits->ry + i * classes;
        const size_t y = labels[i];
        struct head h;
        double mean = 0;

        head_sample(logits->y + i * classes, classes, labels[i], &h, c->delta);
        for (size_t j = 0; j < classes; j++)
            mean += j == y ? 0 : c->delta[j] * ((double)rz[j] - (double)rz[y]);
        for (size_t j = 0; j < classes; j++) {
            const double p = j == y ? 1 - h.wrong : c->delta[j];
            logits->dy[i * classes + j] = (real)c->delta[j];
            logits->rdy[i * classes + j] = (real)(p * ((double)rz[j] - (double)rz[y] - mean));
        }
    }
}

static void clear_gradients(struct curve *c, uint32_t n)
{
    for (int i = 0; i < c->model->layer_count; i++) {
        const size_t bytes = n * dims_count(c->model->layers[i].out) * sizeof(real);
        if (!curve_ops_of(c->model->layers[i].kind))
            continue;
        memset(c->values[i + 1].dy, 0, bytes);
        memset(c->values[i + 1].rdy, 0, bytes);
    }
}

/* The other summand of an add gets the gradient as it is. */
static void hand_to_skip(struct curve *c, int i, uint32_t n)
{
    const struct model *m = c->model;
    const size_t count = n * dims_count(m->layers[i].out);
    const struct value *y = &c->values[i + 1];

    if (m->layers[i].from < 0)
        return;
    const struct value *skip = &c->values[value_of(m, m->layers[i].from)];
    if (!skip->dy)
        return;
    vec_add(skip->dy, y->dy, count);
    vec_add(skip->rdy, y->rdy, count);
}

void curve_product(struct curve *c, const real *theta, const real *v, const real *x,
                   const uint16_t *labels, uint32_t n, real *hv)
{
    assert(n >= 1 && n <= c->batch_max);
    const struct model *m = c->model;

    vec_normalise(c->values[0].y, x, m->mean, m->std, (size_t)n * m->in.h * m->in.w, m->in.c);
    for (int i = 0; i < m->layer_count; i++) {
        if (!curve_ops_of(m->layers[i].kind))
            continue;
        set_params(c, i, theta, v, n);
        curve_ops_of(m->layers[i].kind)->forward(&c->passes[i]);
    }
    memset(hv, 0, m->floats * sizeof(*hv));
    clear_gradients(c, n);
    head_tangent(c, &c->values[value_of(m, m->layer_count - 1)], labels, n);
    for (int i = m->layer_count - 1; i >= 0; i--) {
        const struct layer *l = &m->layers[i];
        struct curve_pass *p = &c->passes[i];
        if (!curve_ops_of(l->kind))
            continue;
        p->rdw = l->weight < 0 ? NULL : hv + m->params[l->weight].offset;
        p->rdb = l->bias_param < 0 ? NULL : hv + m->params[l->bias_param].offset;
        curve_ops_of(l->kind)->backward(p);
        hand_to_skip(c, i, n);
    }
}
