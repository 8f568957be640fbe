/* A net is a row of stages, one a layer, each with its views into one arena: blocks, in which the
 * values (activations) and their gradients take turns, and scratch shared by all. Which layer works
 * in place, which is done by the stage before it and which block lives when is decided once
 * (plan.h); forward and backward only walk the stages. */
#include "worker/nn/net.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/floats.h"
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
    char *memory; /* of all blocks */
};

void net_thread_init(void)
{
    floats_flush();
}

static real *block_at(const struct net *net, int block)
{
    /* There is no memory yet while it is counted. */
    if (block == NO_BLOCK || !net->memory)
        return NULL;
    return (real *)(void *)(net->memory + net->plan.blocks[block].place);
}

/* A value in the backward pass, or in the forward one. One that nobody reads in the backward pass
 * is where it was. */
static real *value_at(const struct net *net, int value, bool backward)
{
    if (value == NO_VALUE)
        return NULL;
    const struct value_plan *v = &net->plan.values[value];
    return block_at(net, backward && v->backward != NO_BLOCK ? v->backward : v->forward);
}

static size_t place_blocks(struct plan *plan, uint32_t batch)
{
    for (int i = 0; i < plan->block_count; i++)
        plan->blocks[i].size = arena_share(plan->blocks[i].entries * batch * sizeof(real));
    return lifetime_place(plan->blocks, plan->block_count);
}

/* Takes memory from the arena, in the same order when counting and when it is mapped. */
static void lay_out(struct net *net)
{
    const struct plan *plan = &net->plan;
    const struct layer *layers = net->model->layers;
    size_t scratch = 0;

    net->memory = arena_take(&net->arena, place_blocks(&net->plan, net->batch_max), 1);
    for (int i = 0; i < plan->count; i++) {
        const struct stage_plan *s = &plan->stages[i];
        struct layer_pass *p = &net->passes[i];
        struct layer_space space;
        if (!s->runs)
            continue;
        layer_ops_of(layers[i].kind)->plan(&layers[i], net->batch_max, &space);
        *p = (struct layer_pass){
            .layer = &layers[i],
            .kernels = net->kernels,
            .number = (uint32_t)i,
            .mode = &net->mode,
            .relu = s->relu,
            .mask_dy = s->mask_dy,
            .mask_dx = s->mask_dx,
            .add_dx = s->add_dx,
        };
        p->kept = arena_take(&net->arena, space.kept_bytes, 1);
        scratch = space.scratch > scratch ? space.scratch : scratch;
    }
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
    if (!net->passes)
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

/* What stage i reads and writes of values in this pass. */
static void set_values(const struct net *net, int i, bool backward)
{
    const struct stage_plan *s = &net->plan.stages[i];
    struct layer_pass *p = &net->passes[i];

    p->x = value_at(net, s->x, backward);
    p->y = value_at(net, s->y, backward);
    p->skip = value_at(net, s->skip, backward);
}

const real *net_forward(struct net *net, const struct net_mode *mode, const real *theta,
                        const real *x, uint32_t n)
{
    assert(n >= 1 && n <= net->batch_max);
    const struct model *m = net->model;

    net->n = n;
    net->mode = *mode;
    vec_normalise(value_at(net, 0, false), x, m->mean, m->std, (size_t)n * m->in.h * m->in.w,
                  m->in.c);
    profile_part(net->profile, PART_LOAD);
    for (int i = 0; i < net->plan.count; i++) {
        struct layer_pass *p = &net->passes[i];
        if (!net->plan.stages[i].runs)
            continue;
        p->n = n;
        set_values(net, i, false);
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

/* Writes the values again that lie in wait of stage i, those that others begin with first. */
static void rewrite_for(struct net *net, int i, const real *theta, int purpose)
{
    const struct layer *layers = net->model->layers;

    for (int j = 0; j < net->plan.count; j++) {
        struct layer_pass *p = &net->passes[j];
        if (!net->plan.stages[j].runs || net->plan.stages[j].rewritten_for[purpose] != i)
            continue;
        set_values(net, j, true);
        p->w = param_at(net, theta, layers[j].weight);
        p->b = param_at(net, theta, layers[j].bias_param);
        layer_ops_of(layers[j].kind)->rewrite(p);
        profile_layer(net->profile, j, true);
    }
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

    rewrite_for(net, i, theta, dtheta ? FOR_PARAMS : FOR_IMAGE);
    set_values(net, i, true);
    p->w = param_at(net, theta, l->weight);
    p->dw = train ? dtheta + m->params[l->weight].offset : NULL;
    p->db = train && l->bias_param >= 0 ? dtheta + m->params[l->bias_param].offset : NULL;
    p->dy = block_at(net, s->dy);
    p->dx = dx || s->x_trainable ? block_at(net, s->dx) : NULL;
    layer_ops_of(l->kind)->backward(p);
    if (s->add_skip != NO_BLOCK && (dx || s->skip_trainable))
        vec_add(block_at(net, s->add_skip), p->dy, net->n * dims_count(l->out));
    profile_layer(net->profile, i, true);
}

void net_backward(struct net *net, const real *theta, const real *dlogits, real *dtheta, real *dx)
{
    assert(net->n >= 1);
    const struct model *m = net->model;
    const struct plan *plan = &net->plan;

    if (!dtheta && !dx)
        return;
    memcpy(block_at(net, plan->logits_gradient), dlogits,
           (size_t)net->n * m->classes * sizeof(*dlogits));
    for (int i = plan->count - 1; i >= 0; i--)
        if (plan->stages[i].runs && (dx || plan->stages[i].trainable))
            stage_backward(net, i, theta, dtheta, dx != NULL);
    if (dtheta)
        clear_padding(m, 0, m->trained_count, dtheta);
    if (dx)
        vec_denormalise(dx, block_at(net, plan->image_gradient), m->std,
                        (size_t)net->n * m->in.h * m->in.w, m->in.c);
    profile_part(net->profile, PART_LOAD);
}
