/* A net is a row of stages, one a layer, each with its views into one arena: values (activations,
 * kept from forward to backward), the slots their gradients take turns in, scratch shared by all.
 * Which layer works in place, which is done by the stage before it and which slot a gradient lives
 * in is decided once (plan.h); forward and backward only walk the stages. */
#include "worker/nn/net.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

#include "worker/nn/arena.h"
#include "worker/nn/layer.h"
#include "worker/nn/plan.h"
#include "worker/nn/vec.h"

struct net {
    const struct model *model;
    const struct kernels *kernels;
    struct plan plan;
    struct layer_pass *passes; /* [layers]; those of layers without a stage stay empty */
    uint32_t batch_max;
    uint32_t n; /* of the last forward */
    struct net_mode mode;
    struct profile *profile;
    struct arena arena;
    real **values; /* [1 + layers] [batch, entries]; 0: the normalised image */
    real **slots;  /* gradients */
};

void net_thread_init(void)
{
#ifdef __SSE__
    _mm_setcsr(_mm_getcsr() | 0x8040); /* flush denormal results and operands to 0 */
#endif
}

/* Takes every block from the arena, in the same order when counting and when it is mapped. */
static void lay_out(struct net *net)
{
    const struct plan *plan = &net->plan;
    const struct layer *layers = net->model->layers;
    const size_t batch = net->batch_max;
    size_t scratch = 0;

    net->values[0] = arena_take(&net->arena, batch * dims_count(net->model->in), sizeof(real));
    for (int i = 0; i < plan->count; i++) {
        const struct stage_plan *s = &plan->stages[i];
        struct layer_pass *p = &net->passes[i];
        struct layer_space space;
        if (!s->runs)
            continue;
        layer_ops_of(layers[i].kind)->plan(&layers[i], net->batch_max, &space);
        if (s->y != s->x)
            net->values[s->y] =
                arena_take(&net->arena, batch * dims_count(layers[i].out), sizeof(real));
        *p = (struct layer_pass){
            .layer = &layers[i],
            .kernels = net->kernels,
            .number = (uint32_t)i,
            .mode = &net->mode,
            .relu = s->relu,
            .mask_dy = s->mask_dy,
            .mask_dx = s->mask_dx,
            .add_dx = s->add_dx,
            .x = net->values[s->x],
            .y = net->values[s->y],
            .skip = s->skip == NO_VALUE ? NULL : net->values[s->skip],
        };
        p->kept = arena_take(&net->arena, space.kept_bytes, 1);
        scratch = space.scratch > scratch ? space.scratch : scratch;
    }
    for (int i = 0; i < plan->slot_count; i++)
        net->slots[i] = arena_take(&net->arena, batch * plan->slot_entries[i], sizeof(real));
    real *shared = arena_take(&net->arena, scratch, sizeof(real));
    for (int i = 0; i < plan->count; i++)
        net->passes[i].scratch = shared;
}

struct net *net_create(const struct model *m, const struct kernels *kernels, uint32_t batch_max)
{
    assert(batch_max >= 1 && m->layer_count >= 1);
    struct net *net = calloc(1, sizeof(*net));
    if (!net)
        return NULL;
    net->model = m;
    net->kernels = kernels;
    net->batch_max = batch_max;
    if (plan_make(m, &net->plan) != 0)
        goto fail;
    net->passes = calloc((size_t)m->layer_count, sizeof(*net->passes));
    net->values = calloc(1 + (size_t)m->layer_count, sizeof(*net->values));
    net->slots = calloc((size_t)net->plan.slot_count, sizeof(*net->slots));
    if (!net->passes || !net->values || !net->slots)
        goto fail;
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
    plan_done(&net->plan);
    free(net->passes);
    free(net->values);
    free(net->slots);
    free(net);
}

void net_profile(struct net *net, struct profile *profile)
{
    net->profile = profile;
}

static const real *param_at(const struct net *net, const real *theta, int param)
{
    return param < 0 ? NULL : theta + net->model->params[param].offset;
}

const real *net_forward(struct net *net, const struct net_mode *mode, const real *theta,
                        const real *x, uint32_t n)
{
    assert(n >= 1 && n <= net->batch_max);
    const struct model *m = net->model;

    net->n = n;
    net->mode = *mode;
    vec_normalise(net->values[0], x, m->mean, m->std, (size_t)n * m->in.h * m->in.w, m->in.c);
    profile_part(net->profile, PART_LOAD);
    for (int i = 0; i < net->plan.count; i++) {
        struct layer_pass *p = &net->passes[i];
        if (!net->plan.stages[i].runs)
            continue;
        p->n = n;
        p->w = param_at(net, theta, m->layers[i].weight);
        p->b = param_at(net, theta, m->layers[i].bias_param);
        p->running_mean = param_at(net, theta, m->layers[i].running_mean);
        p->running_var = param_at(net, theta, m->layers[i].running_var);
        layer_ops_of(m->layers[i].kind)->forward(p);
        profile_layer(net->profile, i, false);
    }
    return net->passes[net->plan.count - 1].y;
}

/* Behind the params `first` and up to `last`. */
static void clear_padding(const struct model *m, int first, int last, real *dtheta)
{
    for (int i = first; i < last; i++) {
        const size_t end = m->params[i].offset + m->params[i].count;
        const size_t next = i + 1 < m->param_count ? m->params[i + 1].offset : m->floats;
        memset(dtheta + end, 0, (next - end) * sizeof(*dtheta));
    }
}

void net_statistics(const struct net *net, real *dtheta)
{
    const struct model *m = net->model;

    assert(net->mode.train);
    for (int i = 0; i < m->layer_count; i++) {
        const struct layer *l = &m->layers[i];
        if (l->running_mean >= 0)
            layer_ops_of(l->kind)->statistics(&net->passes[i],
                                              dtheta + m->params[l->running_mean].offset,
                                              dtheta + m->params[l->running_var].offset);
    }
    clear_padding(m, m->trained_count, m->param_count, dtheta);
}

/* One stage's backward. Of the gradients that nobody asked for, those that no parameter lies behind
 * are not computed. */
static void stage_backward(struct net *net, int i, const real *theta, real *dtheta, bool dx)
{
    const struct model *m = net->model;
    const struct stage_plan *s = &net->plan.stages[i];
    const struct layer *l = &m->layers[i];
    struct layer_pass *p = &net->passes[i];
    const bool train = dtheta && l->weight >= 0;

    p->w = param_at(net, theta, l->weight);
    p->dw = train ? dtheta + m->params[l->weight].offset : NULL;
    p->db = train && l->bias_param >= 0 ? dtheta + m->params[l->bias_param].offset : NULL;
    p->dy = net->slots[s->dy];
    p->dx = dx || s->x_trainable ? net->slots[s->dx] : NULL;
    layer_ops_of(l->kind)->backward(p);
    if (s->add_skip != NO_SLOT && (dx || s->skip_trainable))
        vec_add(net->slots[s->add_skip], p->dy, net->n * dims_count(l->out));
    profile_layer(net->profile, i, true);
}

void net_backward(struct net *net, const real *theta, const real *dlogits, real *dtheta, real *dx)
{
    assert(net->n >= 1);
    const struct model *m = net->model;
    const struct plan *plan = &net->plan;

    if (!dtheta && !dx)
        return;
    memcpy(net->slots[plan->logits_slot], dlogits, (size_t)net->n * m->classes * sizeof(*dlogits));
    for (int i = plan->count - 1; i >= 0; i--)
        if (plan->stages[i].runs && (dx || plan->stages[i].trainable))
            stage_backward(net, i, theta, dtheta, dx != NULL);
    if (dtheta)
        clear_padding(m, 0, m->trained_count, dtheta);
    if (dx)
        vec_denormalise(dx, net->slots[plan->image_slot], m->std,
                        (size_t)net->n * m->in.h * m->in.w, m->in.c);
    profile_part(net->profile, PART_LOAD);
}
