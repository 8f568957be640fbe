/* A net is a row of stages, one a layer, each with its views into one arena: blocks, in which the
 * values (activations) and their gradients take turns, and scratch shared by all. Which layer works
 * in place, which is done by the stage before it and which block lives when is decided once
 * (common/netplan.h); forward and backward only walk the stages. */
#include "worker/nn/net.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/floats.h"
#include "common/netplan.h"
#include "worker/nn/arena.h"
#include "worker/nn/layer.h"
#include "worker/nn/norm.h"
#include "worker/nn/vec.h"

struct form {
    struct netplan plan;
    struct layer_pass *passes; /* [layers]; those of layers without a stage stay empty */
};

enum { WHOLE, FOLDED, FORMS };

struct net {
    const struct model *model;
    const struct kernels *kernels;
    struct form forms[FORMS];
    bool folds;        /* a convolution can be folded: FOLDED is used */
    struct form *form; /* of the last forward */
    real *filters;     /* of a convolution that is folded, its bias and the scale */
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
    /* While memory is counted, there is none yet. */
    if (block == NO_BLOCK || !net->memory)
        return NULL;
    return (real *)(void *)(net->memory + net->form->plan.blocks[block].place);
}

/* A value in the backward or the forward pass. A value that nobody reads in the backward pass stays
 * where it was. */
static real *value_at(const struct net *net, int value, bool backward)
{
    if (value == NO_VALUE)
        return NULL;
    const struct value_plan *v = &net->form->plan.values[value];
    return block_at(net, backward && v->backward != NO_BLOCK ? v->backward : v->forward);
}

static void set_passes(struct net *net, struct form *f)
{
    for (int i = 0; i < f->plan.count; i++) {
        const struct stage_plan *s = &f->plan.stages[i];
        if (!s->runs)
            continue;
        f->passes[i] = (struct layer_pass){
            .layer = &net->model->layers[i],
            .kernels = net->kernels,
            .number = (uint32_t)i,
            .mode = &net->mode,
            .relu = s->relu,
            .mask_dy = s->mask_dy,
            .mask_dx = s->mask_dx,
            .add_dx = s->add_dx,
        };
    }
}

/* Takes memory from the arena, in the same order for counting and mapping; common/footprint.c
 * counts the same. The forms share it: a forward and its backward are in one form. */
static void lay_out(struct net *net)
{
    const struct layer *layers = net->model->layers;
    struct form *whole = &net->forms[WHOLE], *folded = &net->forms[FOLDED];
    size_t scratch = 0, filters = 0,
           bytes = netplan_place(&whole->plan, net->batch_max, sizeof(real));

    if (net->folds) {
        const size_t other = netplan_place(&folded->plan, net->batch_max, sizeof(real));
        bytes = other > bytes ? other : bytes;
    }
    net->memory = arena_take(&net->arena, bytes, 1);
    for (int i = 0; i < whole->plan.count; i++) {
        if (!whole->plan.stages[i].runs)
            continue;
        const struct layer_space space = layer_space_of(&layers[i], net->batch_max, sizeof(real));
        whole->passes[i].kept = arena_take(&net->arena, space.kept_bytes, 1);
        scratch = space.scratch > scratch ? space.scratch : scratch;
        if (net->folds && folded->plan.stages[i].runs && folded->plan.stages[i].fold != NO_STAGE) {
            const size_t count = net->model->params[layers[i].weight].count + 2 * layers[i].out.c;
            filters = count > filters ? count : filters;
        }
    }
    real *shared = arena_take(&net->arena, scratch, sizeof(real));
    net->filters = arena_take(&net->arena, filters, sizeof(real));
    for (int i = 0; i < whole->plan.count; i++) {
        whole->passes[i].scratch = folded->passes[i].scratch = shared;
        folded->passes[i].kept = whole->passes[i].kept;
    }
}

static int make_forms(struct net *net)
{
    for (int i = 0; i < FORMS; i++) {
        struct form *f = &net->forms[i];
        f->passes = calloc((size_t)net->model->layer_count, sizeof(*f->passes));
        if (!f->passes || netplan_make(net->model, i == FOLDED, &f->plan) != 0)
            return -ENOMEM;
        set_passes(net, f);
    }
    net->form = &net->forms[WHOLE];
    net->folds = netplan_folds(&net->forms[FOLDED].plan);
    return 0;
}

/* Everything but the memory, which is only counted. */
static struct net *prepare(const struct model *m, const struct kernels *kernels, uint32_t batch_max)
{
    assert(batch_max >= 1 && m->layer_count >= 1);
    struct net *net = calloc(1, sizeof(*net));
    if (!net)
        return NULL;
    net->model = m;
    net->kernels = kernels;
    net->batch_max = batch_max;
    if (make_forms(net) != 0) {
        net_free(net);
        return NULL;
    }
    lay_out(net);
    return net;
}

struct net *net_create(const struct model *m, const struct kernels *kernels, uint32_t batch_max)
{
    struct net *net = prepare(m, kernels, batch_max);

    if (!net || arena_map(&net->arena) != 0) {
        net_free(net);
        return NULL;
    }
    lay_out(net);
    return net;
}

void net_free(struct net *net)
{
    if (!net)
        return;
    arena_unmap(&net->arena);
    for (int i = 0; i < FORMS; i++) {
        netplan_done(&net->forms[i].plan);
        free(net->forms[i].passes);
    }
    free(net);
}

void net_profile(struct net *net, struct profile *profile)
{
    net->profile = profile;
}

/* The operations of stage i, which runs. */
static const struct layer_ops *ops_at(const struct net *net, int i)
{
    return layer_ops_of(netplan_kind(&net->form->plan, net->model, i));
}

static const real *param_at(const struct net *net, const real *theta, int param)
{
    return param < 0 ? NULL : theta + net->model->params[param].offset;
}

/* What stage i reads and writes of values in this pass. */
static void set_values(const struct net *net, int i, bool backward)
{
    const struct stage_plan *s = &net->form->plan.stages[i];
    struct layer_pass *p = &net->form->passes[i];

    p->x = value_at(net, s->x, backward);
    p->y = value_at(net, s->y, backward);
    p->skip = value_at(net, s->skip, backward);
}

/* y = (conv(x, w) + b - mean) scale + shift, scale = gamma/sqrt(var + epsilon), as a convolution:
 * with the filters w scale and the bias (b - mean) scale + shift. */
static void fold_filters(const struct net *net, const real *theta, int i, int norm)
{
    const struct layer *l = &net->model->layers[i], *n = &net->model->layers[norm];
    struct layer_pass *p = &net->form->passes[i];
    const size_t c = l->out.c, rows = net->model->params[l->weight].count / c;
    const real *gamma = param_at(net, theta, n->weight),
               *beta = param_at(net, theta, n->bias_param);
    const real *mean = param_at(net, theta, n->running_mean);
    const real *var = param_at(net, theta, n->running_var);
    real *bias = net->filters + rows * c, *scale = bias + c;

    for (size_t k = 0; k < c; k++) {
        scale[k] = gamma[k] * (real)(1 / sqrt((double)var[k] + NORM_EPSILON));
        bias[k] = ((p->b ? p->b[k] : 0) - mean[k]) * scale[k] + beta[k];
    }
    vec_scale_rows(net->filters, p->w, scale, rows, c);
    p->w = net->filters;
    p->b = bias;
}

/* The parameters that stage i computes with. */
static void set_params(const struct net *net, int i, const real *theta)
{
    const struct layer *l = &net->model->layers[i];
    const int norm = net->form->plan.stages[i].fold;
    struct layer_pass *p = &net->form->passes[i];

    p->w = param_at(net, theta, l->weight);
    p->b = param_at(net, theta, l->bias_param);
    p->running_mean = param_at(net, theta, l->running_mean);
    p->running_var = param_at(net, theta, l->running_var);
    if (norm != NO_STAGE)
        fold_filters(net, theta, i, norm);
}

const real *net_forward(struct net *net, const struct net_mode *mode, const real *theta,
                        const real *x, uint32_t n)
{
    assert(n >= 1 && n <= net->batch_max);
    const struct model *m = net->model;

    assert(!(mode->train && mode->fold));
    net->n = n;
    net->mode = *mode;
    net->form = &net->forms[mode->fold && net->folds ? FOLDED : WHOLE];
    vec_normalise(value_at(net, 0, false), x, m->mean, m->std, (size_t)n * m->in.h * m->in.w,
                  m->in.c);
    profile_part(net->profile, PART_LOAD);
    for (int i = 0; i < m->layer_count; i++) {
        struct layer_pass *p = &net->form->passes[i];
        if (!net->form->plan.stages[i].runs)
            continue;
        p->n = n;
        set_values(net, i, false);
        set_params(net, i, theta);
        ops_at(net, i)->forward(p);
        profile_layer(net->profile, i, false);
    }
    return net->form->passes[m->layer_count - 1].y;
}

/* Clears the padding behind the params from `first` up to `last`. */
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
            layer_ops_of(l->kind)->statistics(&net->form->passes[i],
                                              dtheta + m->params[l->running_mean].offset,
                                              dtheta + m->params[l->running_var].offset);
    }
    clear_padding(m, m->trained_count, m->param_count, dtheta);
}

/* Writes again the values that stage i needs; first those from which others are computed. */
static void rewrite_for(struct net *net, int i, const real *theta, int purpose)
{
    const struct layer *layers = net->model->layers;

    for (int j = 0; j < net->model->layer_count; j++) {
        const struct stage_plan *s = &net->form->plan.stages[j];
        struct layer_pass *p = &net->form->passes[j];
        if (!s->runs || s->rewritten_for[purpose] != i)
            continue;
        set_values(net, j, true);
        set_params(net, j, theta);
        layer_ops_of(layers[j].kind)->rewrite(p);
        profile_layer(net->profile, j, true);
    }
}

/* One stage's backward. A gradient that nobody asked for is computed only when a parameter lies
 * behind it. */
static void stage_backward(struct net *net, int i, const real *theta, real *dtheta, bool dx)
{
    const struct model *m = net->model;
    const struct stage_plan *s = &net->form->plan.stages[i];
    const struct layer *l = &m->layers[i];
    struct layer_pass *p = &net->form->passes[i];
    const bool train = dtheta && l->weight >= 0;

    rewrite_for(net, i, theta, dtheta ? FOR_PARAMS : FOR_IMAGE);
    set_values(net, i, true);
    set_params(net, i, theta);
    p->dw = train ? dtheta + m->params[l->weight].offset : NULL;
    p->db = train && l->bias_param >= 0 ? dtheta + m->params[l->bias_param].offset : NULL;
    p->dy = block_at(net, s->dy);
    p->dx = dx || s->x_trainable ? block_at(net, s->dx) : NULL;
    ops_at(net, i)->backward(p);
    if (s->add_skip != NO_BLOCK && (dx || s->skip_trainable))
        vec_add(block_at(net, s->add_skip), p->dy, net->n * dims_count(l->out));
    profile_layer(net->profile, i, true);
}

void net_backward(struct net *net, const real *theta, const real *dlogits, real *dtheta, real *dx)
{
    assert(net->n >= 1);
    const struct model *m = net->model;
    const struct netplan *plan = &net->form->plan;

    assert(!dtheta || net->form == &net->forms[WHOLE]);
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
