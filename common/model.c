/* From a description to a model, in two passes. The first reads the JSON into layers and needs no
 * dataset: keys, types, ranges, names, and an order of layers that can work for some input. The
 * second walks the layers with the dims of the input, gives each its output dims and its parameters
 * and refuses what does not fit. A new kind of layer is a name in layer_kind_names, a row in
 * kinds[] and its two functions. */
#include "common/model.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/field.h"
#include "common/rng.h"
#include "common/text.h"

/* Wider layers than any known network has; they keep every product below 2^63. */
#define CONV_CHANNELS_MAX 4096
#define WINDOW_MAX 64
/* Entries of one layer's output for one image: a shard of 64 such images is 4 GiB. */
#define ACTIVATION_MAX (1u << 24)
/* Parameters start on a cache line. */
#define PARAM_ALIGN_FLOATS 16

static_assert(sizeof(size_t) >= 8, "counts of parameters are summed before they are judged");

const char *const layer_kind_names[] = {
    [LAYER_DENSE] = "dense",     [LAYER_CONV2D] = "conv2d",   [LAYER_RELU] = "relu",
    [LAYER_MAXPOOL] = "maxpool", [LAYER_FLATTEN] = "flatten", [LAYER_KINDS] = NULL,
};

/* The walk from the input to the logits. */
struct fit {
    struct model *m;
    struct dims dims;   /* what the next layer gets */
    struct dims folded; /* dims before the last flatten; {0} once a dense layer mixed the entries */
};

struct kind {
    const char *prefix;      /* of default names: conv1, fc1 */
    const char *const *keys; /* that the layer may have, NULL-terminated */
    /* Fills l from obj; what the dataset decides stays 0. */
    int (*read)(const cJSON *obj, const char *where, struct layer *l, struct errbuf *why);
    /* l->in is set; sets l->out and adds the parameters. The sentence lacks the layer's place. */
    int (*fit)(struct fit *f, struct layer *l, struct errbuf *why);
};

static size_t dims_count(struct dims d)
{
    return (size_t)d.h * d.w * d.c;
}

static bool dims_flat(struct dims d)
{
    return d.h == 1 && d.w == 1;
}

/* Pass 1: reading. */

/* What a value is, for a sentence on a value of the wrong type. */
static const char *type_of(const cJSON *item)
{
    return !item                  ? "missing"
           : cJSON_IsObject(item) ? "an object"
           : cJSON_IsArray(item)  ? "a list"
           : cJSON_IsString(item) ? "a text"
           : cJSON_IsNumber(item) ? "a number"
           : cJSON_IsNull(item)   ? "null"
                                  : "true or false";
}

static int read_u32(const cJSON *obj, const char *where, const char *name, int64_t min, int64_t max,
                    uint32_t *io, struct errbuf *why)
{
    int64_t value = *io;
    int rc = field_i64(obj, where, name, false, min, max, &value, why);

    *io = (uint32_t)value;
    return rc;
}

static int read_dense(const cJSON *obj, const char *where, struct layer *l, struct errbuf *why)
{
    int rc = read_u32(obj, where, "units", 1, PARAM_FLOATS_MAX, &l->out.c, why);

    l->bias = true;
    return rc ? rc : field_bool(obj, where, "bias", false, &l->bias, why);
}

static int read_conv2d(const cJSON *obj, const char *where, struct layer *l, struct errbuf *why)
{
    int64_t channels;
    int rc = field_i64(obj, where, "channels", true, 1, CONV_CHANNELS_MAX, &channels, why);

    if (rc)
        return rc;
    l->out.c = (uint32_t)channels;
    l->kernel = 3;
    l->stride = 1;
    l->bias = true;
    rc = read_u32(obj, where, "kernel", 1, WINDOW_MAX, &l->kernel, why);
    if (rc)
        return rc;
    l->padding = l->kernel / 2;
    rc = read_u32(obj, where, "stride", 1, WINDOW_MAX, &l->stride, why);
    if (rc)
        return rc;
    /* More padding would make outputs of windows that see no input at all. */
    rc = read_u32(obj, where, "padding", 0, l->kernel - 1, &l->padding, why);
    return rc ? rc : field_bool(obj, where, "bias", false, &l->bias, why);
}

static int read_maxpool(const cJSON *obj, const char *where, struct layer *l, struct errbuf *why)
{
    l->kernel = 2;
    int rc = read_u32(obj, where, "size", 1, WINDOW_MAX, &l->kernel, why);
    if (rc)
        return rc;
    l->stride = l->kernel;
    return read_u32(obj, where, "stride", 1, WINDOW_MAX, &l->stride, why);
}

static int read_nothing(const cJSON *obj, const char *where, struct layer *l, struct errbuf *why)
{
    (void)obj, (void)where, (void)l, (void)why;
    return 0;
}

/* Pass 2: fitting. */

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
                                         .fan_in = l->in.c,
                                         .flattened = f->folded});
    add_bias(f, l, l->in.c);
    f->folded = (struct dims){0};
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
    l->weight = add_param(
        f, l, "weight",
        (struct param){
            .dims = 4, .shape = {k, k, l->in.c, l->out.c}, .decay = true, .fan_in = fan_in});
    add_bias(f, l, fan_in);
    return 0;
}

static int fit_maxpool(struct fit *f, struct layer *l, struct errbuf *why)
{
    (void)f;
    if (l->kernel > l->in.h || l->kernel > l->in.w)
        return err_set(why, -EINVAL, "size is %u, the input is only %ux%u", l->kernel, l->in.h,
                       l->in.w);
    l->out = (struct dims){(l->in.h - l->kernel) / l->stride + 1,
                           (l->in.w - l->kernel) / l->stride + 1, l->in.c};
    return 0;
}

static int fit_relu(struct fit *f, struct layer *l, struct errbuf *why)
{
    (void)f, (void)why;
    l->out = l->in;
    return 0;
}

static int fit_flatten(struct fit *f, struct layer *l, struct errbuf *why)
{
    (void)why;
    if (!dims_flat(l->in))
        f->folded = l->in;
    l->out = (struct dims){1, 1, (uint32_t)dims_count(l->in)};
    return 0;
}

static const char *const dense_keys[] = {"type", "name", "units", "bias", NULL};
static const char *const conv2d_keys[] = {"type",   "name",    "channels", "kernel",
                                          "stride", "padding", "bias",     NULL};
static const char *const maxpool_keys[] = {"type", "name", "size", "stride", NULL};
static const char *const plain_keys[] = {"type", "name", NULL};

static const struct kind kinds[LAYER_KINDS] = {
    [LAYER_DENSE] = {"fc", dense_keys, read_dense, fit_dense},
    [LAYER_CONV2D] = {"conv", conv2d_keys, read_conv2d, fit_conv2d},
    [LAYER_RELU] = {"relu", plain_keys, read_nothing, fit_relu},
    [LAYER_MAXPOOL] = {"pool", maxpool_keys, read_maxpool, fit_maxpool},
    [LAYER_FLATTEN] = {"flatten", plain_keys, read_nothing, fit_flatten},
};

/* The name that was written, or the kind's prefix with the number of the layer among its kind. */
static int read_name(const cJSON *obj, const char *where, struct layer *layers, int index,
                     struct errbuf *why)
{
    struct layer *l = &layers[index];
    const char *name = NULL;
    int rc = field_str(obj, where, "name", false, sizeof(l->name), &name, why);

    if (rc)
        return rc;
    if (name) {
        if (!text_is_name(name) || strlen(name) >= sizeof(l->name))
            return err_set(why, -EINVAL,
                           "%s.name is \"%s\", allowed are 1 to %zu letters, digits, '.', '_' and "
                           "'-', with no '.' or '-' in front",
                           where, name, sizeof(l->name) - 1);
        snprintf(l->name, sizeof(l->name), "%s", name);
    } else {
        int number = 1;
        for (int i = 0; i < index; i++)
            number += layers[i].kind == l->kind;
        snprintf(l->name, sizeof(l->name), "%s%d", kinds[l->kind].prefix, number);
    }
    for (int i = 0; i < index; i++)
        if (strcmp(layers[i].name, l->name) == 0)
            return err_set(why, -EINVAL, "%s.name is \"%s\", which is the name of layers[%d] too",
                           where, l->name, i);
    return 0;
}

static int read_layer(const cJSON *obj, struct layer *layers, int index, struct errbuf *why)
{
    struct layer *l = &layers[index];
    char where[32];
    int kind;

    snprintf(where, sizeof(where), "model.layers[%d]", index);
    if (!cJSON_IsObject(obj))
        return err_set(why, -EINVAL, "%s is %s, allowed is an object such as {\"type\": \"relu\"}",
                       where, type_of(obj));
    int rc = field_enum(obj, where, "type", true, layer_kind_names, &kind, why);
    if (rc)
        return rc;
    *l = (struct layer){.kind = (enum layer_kind)kind, .weight = -1, .bias_param = -1};
    rc = field_known(obj, where, kinds[kind].keys, why);
    if (rc)
        return rc;
    rc = read_name(obj, where, layers, index, why);
    return rc ? rc : kinds[kind].read(obj, where, l, why);
}

/* What is wrong with the order of the layers for every input. */
static int check_order(const struct layer *layers, int count, struct errbuf *why)
{
    bool flat = false;

    for (int i = 0; i < count; i++) {
        const struct layer *l = &layers[i];
        if (flat && (l->kind == LAYER_CONV2D || l->kind == LAYER_MAXPOOL))
            return err_set(why, -EINVAL,
                           "model.layers[%d] (%s): it needs rows and columns, and a layer before "
                           "it made the input flat",
                           i, layer_kind_names[l->kind]);
        if (l->kind == LAYER_DENSE && l->out.c == 0 && i != count - 1)
            return err_set(why, -EINVAL,
                           "model.layers[%d].units is missing; only the last layer may leave it "
                           "to the dataset's classes",
                           i);
        flat = flat || l->kind == LAYER_DENSE || l->kind == LAYER_FLATTEN;
    }
    if (layers[count - 1].kind != LAYER_DENSE)
        return err_set(why, -EINVAL,
                       "model.layers[%d] (%s): the last layer must be dense, with a unit a class",
                       count - 1, layer_kind_names[layers[count - 1].kind]);
    return 0;
}

static int read_layers(const cJSON *desc, struct layer **ret, int *ret_count, struct errbuf *why)
{
    static const char *const keys[] = {"layers", NULL};
    const cJSON *list, *item;
    int rc = field_known(desc, "model", keys, why), count = 0;

    if (rc)
        return rc;
    rc = field_arr(desc, "model", "layers", true, LAYERS_MAX, &list, why);
    if (rc)
        return rc;
    if (!list->child)
        return err_set(why, -EINVAL, "model.layers is empty, allowed are 1 to %d layers",
                       LAYERS_MAX);
    struct layer *layers = xcalloc(LAYERS_MAX, sizeof(*layers));
    cJSON_ArrayForEach(item, list)
    {
        rc = read_layer(item, layers, count++, why);
        if (rc)
            goto out;
    }
    rc = check_order(layers, count, why);
    if (rc)
        goto out;
    *ret = layers;
    *ret_count = count;
    layers = NULL;
out:
    free(layers);
    return rc;
}

/* Reads either form of a description; ret_name is borrowed: a preset's name or "custom". */
static int read_description(const cJSON *desc, struct layer **ret, int *ret_count,
                            const char **ret_name, struct errbuf *why)
{
    char list[128];

    if (cJSON_IsObject(desc)) {
        *ret_name = "custom";
        return read_layers(desc, ret, ret_count, why);
    }
    text_list(model_presets, list, sizeof(list));
    if (!cJSON_IsString(desc))
        return err_set(why, -EINVAL, "model is %s, allowed is %s or an object with layers",
                       type_of(desc), list);
    const char *json = model_preset_json(desc->valuestring);
    if (!json) {
        const char *near = text_nearest(desc->valuestring, model_presets);
        return err_set(why, -EINVAL,
                       "model is \"%s\", allowed is %s or an object with layers%s%s%s",
                       desc->valuestring, list, near ? "; did you mean \"" : "", near ? near : "",
                       near ? "\"?" : "");
    }
    cJSON *preset;
    int rc =
        field_parse(json, strlen(json), JSON_REQUEST_BYTES_MAX, desc->valuestring, &preset, why);
    if (rc)
        return rc;
    rc = read_layers(preset, ret, ret_count, why);
    cJSON_Delete(preset);
    *ret_name = desc->valuestring;
    return rc;
}

int model_check(const struct cJSON *desc, struct errbuf *why)
{
    struct layer *layers;
    const char *name;
    int count, rc = read_description(desc, &layers, &count, &name, why);

    if (rc == 0)
        free(layers);
    return rc;
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
    struct fit f = {.m = m, .dims = m->in};

    for (int i = 0; i < m->layer_count; i++) {
        struct layer *l = &m->layers[i];
        l->in = f.dims;
        int rc = kinds[l->kind].fit(&f, l, why);
        if (rc == 0 && dims_count(l->out) > ACTIVATION_MAX)
            rc = err_set(why, -EINVAL, "the output is %ux%ux%u, allowed are %u entries", l->out.h,
                         l->out.w, l->out.c, ACTIVATION_MAX);
        if (rc)
            return err_prefix(why, rc, "model.layers[%d] (%s)", i, layer_kind_names[l->kind]);
        f.dims = l->out;
    }
    if (f.dims.c != m->classes)
        return err_set(why, -EINVAL,
                       "model.layers[%d] (dense): units is %u, the dataset has %u classes",
                       m->layer_count - 1, f.dims.c, m->classes);
    if (m->floats > PARAM_FLOATS_MAX)
        return err_set(why, -EINVAL,
                       "the model has %zu parameters (%.1f MiB); models above %u MiB are not "
                       "supported yet",
                       m->param_total, (double)m->floats * 4 / (1 << 20), PIECE_BYTES_MAX >> 20);
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
    rc = read_description(desc, &m.layers, &m.layer_count, &name, why);
    if (rc)
        return rc;
    snprintf(m.name, sizeof(m.name), "%s", name);
    memcpy(m.mean, mean, in.c * sizeof(*mean));
    memcpy(m.std, std, in.c * sizeof(*std));
    m.params = xcalloc(2 * (size_t)m.layer_count, sizeof(*m.params));
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

void model_init(const struct model *m, uint64_t seed, float *theta)
{
    memset(theta, 0, m->floats * sizeof(*theta));
    for (int i = 0; i < m->param_count; i++) {
        const struct param *p = &m->params[i];
        struct rng r = rng_at(seed, RNG_INIT, (uint32_t)i, 0);
        double bound = 1 / sqrt(p->fan_in);
        for (size_t j = 0; j < p->count; j++)
            theta[p->offset + j] = (float)rng_range(&r, -bound, bound);
    }
}

uint64_t model_macs(const struct model *m)
{
    uint64_t macs = 0;

    for (int i = 0; i < m->layer_count; i++) {
        const struct layer *l = &m->layers[i];
        /* Every position of the output uses each weight once; a dense output has one position. */
        if (l->weight >= 0)
            macs += (uint64_t)l->out.h * l->out.w * m->params[l->weight].count;
    }
    return macs;
}
