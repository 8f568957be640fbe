/* From layers to a model: the second pass. The first (model_read.c) has read the JSON; this one
 * walks the layers with the dims of the input, gives each its output dims and its parameters and
 * refuses what does not fit. A new kind of layer is a row in fits[] and its function. */
#include "common/model.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "common/alloc.h"
#include "common/model_internal.h"

/* Parameters start on a cache line. */
#define PARAM_ALIGN_FLOATS 16
#define PARAMS_A_LAYER 4 /* at most: weight, bias, two running statistics */

static_assert(sizeof(size_t) >= 8, "counts of parameters are summed before they are judged");

/* The walk from the input to the logits. */
struct fit {
    struct model *m;
    /* Of each layer's output: the dims before the last flatten; {0} when there was none or a dense
     * layer mixed the entries. */
    struct dims folded[LAYERS_MAX];
};

static bool dims_flat(struct dims d)
{
    return d.h == 1 && d.w == 1;
}

static bool dims_equal(struct dims a, struct dims b)
{
    return a.h == b.h && a.w == b.w && a.c == b.c;
}

/* The entry of f->folded of a layer's input or, to be set, of its output. */
static struct dims folded_in(const struct fit *f, const struct layer *l)
{
    return l->input >= 0 ? f->folded[l->input] : (struct dims){0};
}

static struct dims *folded_out(struct fit *f, const struct layer *l)
{
    return &f->folded[l - f->m->layers];
}

static int add_param(struct fit *f, const struct layer *l, const char *suffix, struct param p)
{
    struct model *m = f->m;

    snprintf(p.name, sizeof(p.name), "%s.%s", l->name, suffix);
    p.count = 1;
    for (int i = 0; i < p.dims; i++)
        p.count *= p.shape[i];
    p.offset = m->floats;
    m->floats += (p.count + PARAM_ALIGN_FLOATS - 1) / PARAM_ALIGN_FLOATS * PARAM_ALIGN_FLOATS;
    m->param_total += p.count;
    m->params[m->param_count] = p;
    return m->param_count++;
}

static void add_bias(struct fit *f, struct layer *l, uint32_t fan_in)
{
    if (l->bias)
        l->bias_param = add_param(f, l, "bias",
                                  (struct param){.dims = 1, .shape = {l->out.c}, .fan_in = fan_in});
}

static int fit_dense(struct fit *f, struct layer *l, struct errbuf *why)
{
    if (!dims_flat(l->in))
        return err_set(why, -EINVAL, "the input is %ux%ux%u; add a flatten before it", l->in.h,
                       l->in.w, l->in.c);
    if (l->out.c == 0)
        l->out.c = f->m->classes;
    l->out.h = l->out.w = 1;
    l->weight = add_param(f, l, "weight",
                          (struct param){.dims = 2,
                                         .shape = {l->in.c, l->out.c},
                                         .decay = true,
                                         .scaled = true,
                                         .fan_in = l->in.c,
                                         .flattened = folded_in(f, l)});
    add_bias(f, l, l->in.c);
    *folded_out(f, l) = (struct dims){0};
    return 0;
}

static int fit_conv2d(struct fit *f, struct layer *l, struct errbuf *why)
{
    uint32_t h = l->in.h + 2 * l->padding, w = l->in.w + 2 * l->padding, k = l->kernel;

    if (k > h || k > w)
        return err_set(why, -EINVAL, "kernel is %u, the input with its padding is only %ux%u", k, h,
                       w);
    l->out.h = (h - k) / l->stride + 1;
    l->out.w = (w - k) / l->stride + 1;
    uint32_t fan_in = k * k * l->in.c;
    l->weight = add_param(f, l, "weight",
                          (struct param){.dims = 4,
                                         .shape = {k, k, l->in.c, l->out.c},
                                         .decay = true,
                                         .scaled = true,
                                         .fan_in = fan_in});
    add_bias(f, l, fan_in);
    return 0;
}

static int fit_pool(struct fit *f, struct layer *l, struct errbuf *why)
{
    (void)f;
    if (l->kernel > l->in.h || l->kernel > l->in.w)
        return err_set(why, -EINVAL, "size is %u, the input is only %ux%u", l->kernel, l->in.h,
                       l->in.w);
    l->out = (struct dims){(l->in.h - l->kernel) / l->stride + 1,
                           (l->in.w - l->kernel) / l->stride + 1, l->in.c};
    return 0;
}

/* Any layer that keeps shape and meaning and has no parameters. */
static int fit_same(struct fit *f, struct layer *l, struct errbuf *why)
{
    (void)f, (void)why;
    l->out = l->in;
    return 0;
}

static int fit_flatten(struct fit *f, struct layer *l, struct errbuf *why)
{
    (void)why;
    if (!dims_flat(l->in))
        *folded_out(f, l) = l->in;
    l->out = (struct dims){1, 1, (uint32_t)dims_count(l->in)};
    return 0;
}

/* The scale and shift of a norm, a pair a channel. */
static int fit_norm(struct fit *f, struct layer *l, struct errbuf *why)
{
    const struct param start = {.dims = 1, .shape = {l->in.c}};

    if (folded_in(f, l).c)
        return err_set(why, -EINVAL, "its input was flattened; put it before the flatten");
    l->out = l->in;
    l->weight = add_param(f, l, "weight", start);
    f->m->params[l->weight].start = 1;
    f->m->params[l->weight].scaled = true;
    l->bias_param = add_param(f, l, "bias", start);
    return 0;
}

static int fit_groupnorm(struct fit *f, struct layer *l, struct errbuf *why)
{
    if (l->in.c % l->groups != 0)
        return err_set(why, -EINVAL,
                       "groups is %u, which does not divide the %u channels of the input",
                       l->groups, l->in.c);
    if (dims_count(l->in) == l->groups)
        return err_set(why, -EINVAL,
                       "groups is %u and the input %ux%ux%u: every group would be one number, "
                       "which the norm makes 0",
                       l->groups, l->in.h, l->in.w, l->in.c);
    return fit_norm(f, l, why);
}

static int fit_add(struct fit *f, struct layer *l, struct errbuf *why)
{
    const struct layer *from = &f->m->layers[l->from];
    const char *to =
        f->m->layers[l->input].name; /* never the image: layer `from` comes before it */

    if (!dims_equal(from->out, l->in))
        return err_set(
            why, -EINVAL,
            "it adds %s, %ux%ux%u, to %s, %ux%ux%u; both must have the same shape (a 1x1 "
            "convolution with a stride gives it)",
            from->name, from->out.h, from->out.w, from->out.c, to, l->in.h, l->in.w, l->in.c);
    if (!dims_equal(f->folded[l->from], folded_in(f, l)))
        return err_set(why, -EINVAL,
                       "it adds %s to %s, of which one is a flattened image and the other is not",
                       from->name, to);
    l->out = l->in;
    return 0;
}

static int fit_globalpool(struct fit *f, struct layer *l, struct errbuf *why)
{
    (void)f, (void)why;
    l->out = (struct dims){1, 1, l->in.c};
    return 0;
}

/* l->in is set, and the output's dims before a flatten are its input's; sets l->out and adds the
 * parameters. The sentence lacks the layer's place. */
static int (*const fits[LAYER_KINDS])(struct fit *f, struct layer *l, struct errbuf *why) = {
    [LAYER_DENSE] = fit_dense,
    [LAYER_CONV2D] = fit_conv2d,
    [LAYER_RELU] = fit_same,
    [LAYER_MAXPOOL] = fit_pool,
    [LAYER_FLATTEN] = fit_flatten,
    [LAYER_GROUPNORM] = fit_groupnorm,
    [LAYER_ADD] = fit_add,
    [LAYER_AVGPOOL] = fit_pool,
    [LAYER_GLOBALPOOL] = fit_globalpool,
    [LAYER_BATCHNORM] = fit_norm,
    [LAYER_DROPOUT] = fit_same,
};

/* The statistics of all BatchNorms, after everything that is trained. */
static void add_running(struct fit *f)
{
    struct model *m = f->m;

    m->trained = m->floats;
    m->trained_count = m->param_count;
    const size_t total = m->param_total;
    for (int i = 0; i < m->layer_count; i++) {
        struct layer *l = &m->layers[i];
        const struct param mean = {.dims = 1, .shape = {l->in.c}};
        if (l->kind != LAYER_BATCHNORM)
            continue;
        l->running_mean = add_param(f, l, "running_mean", mean);
        l->running_var = add_param(f, l, "running_var", mean);
        m->params[l->running_var].start = 1;
    }
    m->param_total = total;
}

int model_check(const struct cJSON *desc, struct errbuf *why)
{
    struct layer *layers;
    const char *name;
    int count, rc = model_read(desc, &layers, &count, &name, why);

    if (rc == 0)
        free(layers);
    return rc;
}

bool model_describes(const struct cJSON *desc, enum layer_kind kind)
{
    struct layer *layers;
    const char *name;
    int count;
    bool found = false;

    if (model_read(desc, &layers, &count, &name, NULL) != 0)
        return false;
    for (int i = 0; i < count; i++)
        found = found || layers[i].kind == kind;
    free(layers);
    return found;
}

int model_check_shard(const struct model *m, int64_t shard, struct errbuf *why)
{
    for (int i = 0; i < m->layer_count; i++) {
        const struct layer *l = &m->layers[i];
        if (l->kind == LAYER_BATCHNORM && shard * l->in.h * l->in.w < 2)
            return err_set(why, -EINVAL,
                           "shard is %lld and model.layers[%d] (batchnorm) has an input of 1x1x%u: "
                           "a BatchNorm needs more than one value a channel; use a shard of 2 or "
                           "more, or GroupNorm",
                           (long long)shard, i, l->in.c);
    }
    return 0;
}

static int check_input(struct dims in, uint32_t classes, const float *std, struct errbuf *why)
{
    if (in.h < 1 || in.h > IMAGE_SIDE_MAX || in.w < 1 || in.w > IMAGE_SIDE_MAX || in.c < 1 ||
        in.c > CHANNELS_MAX)
        return err_set(why, -EINVAL,
                       "images of %ux%ux%u cannot be trained on, allowed is 1x1x1 to %dx%dx%d",
                       in.h, in.w, in.c, IMAGE_SIDE_MAX, IMAGE_SIDE_MAX, CHANNELS_MAX);
    if (classes < 1 || classes > CLASSES_MAX)
        return err_set(why, -EINVAL, "%u classes cannot be trained on, allowed is 1 to %d", classes,
                       CLASSES_MAX);
    for (uint32_t i = 0; i < in.c; i++)
        if (!(std[i] > 0) || !isfinite(std[i]))
            return err_set(why, -EINVAL, "std of channel %u is %g, allowed is above 0", i,
                           (double)std[i]);
    return 0;
}

static int fit_layers(struct model *m, struct errbuf *why)
{
    struct fit f = {.m = m};

    for (int i = 0; i < m->layer_count; i++) {
        struct layer *l = &m->layers[i];
        l->in = l->input >= 0 ? m->layers[l->input].out : m->in;
        *folded_out(&f, l) = folded_in(&f, l);
        int rc = fits[l->kind](&f, l, why);
        if (rc == 0 && dims_count(l->out) > ACTIVATION_MAX)
            rc = err_set(why, -EINVAL, "the output is %ux%ux%u, allowed are %u entries", l->out.h,
                         l->out.w, l->out.c, ACTIVATION_MAX);
        if (rc)
            return err_prefix(why, rc, "model.layers[%d] (%s)", i, layer_kind_names[l->kind]);
    }
    const uint32_t units = m->layers[m->layer_count - 1].out.c;
    if (units != m->classes)
        return err_set(why, -EINVAL,
                       "model.layers[%d] (dense): units is %u, the dataset has %u classes",
                       m->layer_count - 1, units, m->classes);
    add_running(&f);
    if (m->floats > PARAM_FLOATS_MAX)
        return err_set(why, -EINVAL, "the model has %zu parameters (%.1f MiB), allowed are %u MiB",
                       m->param_total, (double)m->floats * 4 / (1 << 20), PARAM_FLOATS_MAX >> 18);
    return 0;
}

int model_parse(const struct cJSON *desc, struct dims in, uint32_t classes, const float *mean,
                const float *std, struct model *ret, struct errbuf *why)
{
    struct model m = {.in = in, .classes = classes};
    const char *name;
    int rc = check_input(in, classes, std, why);

    if (rc)
        return rc;
    rc = model_read(desc, &m.layers, &m.layer_count, &name, why);
    if (rc)
        return rc;
    snprintf(m.name, sizeof(m.name), "%s", name);
    memcpy(m.mean, mean, in.c * sizeof(*mean));
    memcpy(m.std, std, in.c * sizeof(*std));
    m.params = xcalloc(PARAMS_A_LAYER * (size_t)m.layer_count, sizeof(*m.params));
    rc = fit_layers(&m, why);
    if (rc) {
        if (cJSON_IsString(desc))
            err_prefix(why, rc, "model %s", name);
        model_done(&m);
        return rc;
    }
    *ret = m;
    return 0;
}

void model_done(struct model *m)
{
    free(m->layers);
    free(m->params);
    *m = (struct model){0};
}

uint64_t model_macs(const struct model *m)
{
    uint64_t macs = 0;

    for (int i = 0; i < m->layer_count; i++) {
        const struct layer *l = &m->layers[i];
        /* Every position of the output uses each weight once; a dense output has one position. */
        if (l->kind == LAYER_DENSE || l->kind == LAYER_CONV2D)
            macs += (uint64_t)l->out.h * l->out.w * m->params[l->weight].count;
    }
    return macs;
}
