/* A net is a row of stages, one a layer, each with its views into one arena: activations (kept from
 * forward to backward), two gradient buffers that take turns, scratch shared by all. Layers that
 * work in place share the activation of the layer before. A ReLU right behind a dense or conv2d
 * layer has no stage work of its own: that layer computes it while its output is in the cache. */
#include "worker/nn/net.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

#include "worker/nn/arena.h"
#include "worker/nn/layer.h"
#include "worker/nn/vec.h"

struct stage {
    const struct layer_ops *ops; /* NULL: a ReLU done by the stage before */
    struct layer_pass pass;
};

struct net {
    const struct model *model;
    struct stage *stages;
    int count;
    int first_trainable; /* stages before it see no gradient unless dx is wanted */
    uint32_t batch_max;
    uint32_t n; /* of the last forward */
    struct arena arena;
    real *input;       /* [batch, in], normalised */
    real *gradient[2]; /* [batch, widest activation] */
    real *scratch;
};

void net_thread_init(void)
{
#ifdef __SSE__
    _mm_setcsr(_mm_getcsr() | 0x8040); /* flush denormal results and operands to 0 */
#endif
}

static bool takes_relu(const struct layer *l)
{
    return l->kind == LAYER_DENSE || l->kind == LAYER_CONV2D;
}

/* Which layers take over a ReLU, and who applies its mask in the backward pass. */
static void plan_relus(struct net *net)
{
    const struct layer *l = net->model->layers;

    for (int i = 0; i + 1 < net->count; i++) {
        if (!takes_relu(&l[i]) || l[i + 1].kind != LAYER_RELU)
            continue;
        const bool pooled = i + 2 < net->count && l[i + 2].kind == LAYER_MAXPOOL;
        net->stages[i].pass.relu = true;
        net->stages[i].pass.mask_dy = !pooled;
        if (pooled)
            net->stages[i + 2].pass.mask_dx = true;
        net->stages[i + 1].ops = NULL;
    }
}

/* Takes every block from the arena, in the same order when counting and when it is mapped. */
static void lay_out(struct net *net)
{
    const size_t batch = net->batch_max;
    size_t widest = dims_count(net->model->in), scratch = 0;
    real *x = net->input = arena_take(&net->arena, batch * widest, sizeof(real));

    for (int i = 0; i < net->count; i++) {
        struct stage *s = &net->stages[i];
        const struct layer *l = &net->model->layers[i];
        const size_t out = dims_count(l->out);
        struct layer_space space;
        const struct layer_ops *ops = layer_ops_of(l->kind);
        ops->plan(l, net->batch_max, &space);
        s->pass.x = x;
        if (!ops->in_place)
            x = arena_take(&net->arena, batch * out, sizeof(real));
        s->pass.y = x;
        s->pass.kept = arena_take(&net->arena, space.kept_bytes, 1);
        widest = out > widest ? out : widest;
        scratch = space.scratch > scratch ? space.scratch : scratch;
    }
    for (int i = 0; i < 2; i++)
        net->gradient[i] = arena_take(&net->arena, batch * widest, sizeof(real));
    net->scratch = arena_take(&net->arena, scratch, sizeof(real));
    for (int i = 0; i < net->count; i++)
        net->stages[i].pass.scratch = net->scratch;
}

struct net *net_create(const struct model *m, uint32_t batch_max)
{
    assert(batch_max >= 1 && m->layer_count >= 1);
    struct net *net = calloc(1, sizeof(*net));
    if (!net)
        return NULL;
    net->stages = calloc((size_t)m->layer_count, sizeof(*net->stages));
    if (!net->stages)
        goto fail;
    net->model = m;
    net->count = m->layer_count;
    net->batch_max = batch_max;
    net->first_trainable = m->layer_count;
    for (int i = m->layer_count - 1; i >= 0; i--) {
        net->stages[i].ops = layer_ops_of(m->layers[i].kind);
        net->stages[i].pass.layer = &m->layers[i];
        if (m->layers[i].weight >= 0)
            net->first_trainable = i;
    }
    plan_relus(net);
    lay_out(net);
    if (arena_map(&net->arena) != 0)
        goto fail;
    lay_out(net);
    return net;
fail:
    net_free(net);
    return NULL;
}

void net_free(struct net *net)
{
    if (!net)
        return;
    arena_unmap(&net->arena);
    free(net->stages);
    free(net);
}

static const real *param_at(const struct net *net, const real *theta, int param)
{
    return param < 0 ? NULL : theta + net->model->params[param].offset;
}

const real *net_forward(struct net *net, const real *theta, const real *x, uint32_t n)
{
    assert(n >= 1 && n <= net->batch_max);
    const struct model *m = net->model;

    net->n = n;
    vec_normalise(net->input, x, m->mean, m->std, (size_t)n * m->in.h * m->in.w, m->in.c);
    for (int i = 0; i < net->count; i++) {
        struct stage *s = &net->stages[i];
        if (!s->ops)
            continue;
        s->pass.n = n;
        s->pass.w = param_at(net, theta, m->layers[i].weight);
        s->pass.b = param_at(net, theta, m->layers[i].bias_param);
        s->ops->forward(&s->pass);
    }
    return net->stages[net->count - 1].pass.y;
}

static void clear_padding(const struct model *m, real *dtheta)
{
    for (int i = 0; i < m->param_count; i++) {
        const size_t end = m->params[i].offset + m->params[i].count;
        const size_t next = i + 1 < m->param_count ? m->params[i + 1].offset : m->floats;
        memset(dtheta + end, 0, (next - end) * sizeof(*dtheta));
    }
}

void net_backward(struct net *net, const real *theta, const real *dlogits, real *dtheta, real *dx)
{
    assert(net->n >= 1);
    const struct model *m = net->model;
    const int stop = dx ? 0 : dtheta ? net->first_trainable : net->count;
    real *dy = net->gradient[0], *other = net->gradient[1];

    memcpy(dy, dlogits, (size_t)net->n * m->classes * sizeof(*dy));
    for (int i = net->count - 1; i >= stop; i--) {
        struct stage *s = &net->stages[i];
        const struct layer *l = &m->layers[i];
        if (!s->ops)
            continue;
        const bool train = dtheta && l->weight >= 0;
        s->pass.w = param_at(net, theta, l->weight);
        s->pass.dw = train ? dtheta + m->params[l->weight].offset : NULL;
        s->pass.db = train && l->bias_param >= 0 ? dtheta + m->params[l->bias_param].offset : NULL;
        s->pass.dy = dy;
        s->pass.dx = s->ops->in_place ? dy : dx || i > stop ? other : NULL;
        s->ops->backward(&s->pass);
        if (s->pass.dx == other) {
            other = dy;
            dy = s->pass.dx;
        }
    }
    if (dtheta)
        clear_padding(m, dtheta);
    if (dx)
        vec_denormalise(dx, dy, m->std, (size_t)net->n * m->in.h * m->in.w, m->in.c);
}
