/* The first pass over a description: JSON to layers, without a dataset. Judges keys, types, ranges,
 * names, the layers that a layer reads, and an order of layers that can work for some input. A new
 * kind of layer is a name in layer_kind_names, a row in kinds[] here and one in model.c. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/field.h"
#include "common/model_internal.h"
#include "common/text.h"

/* 1 would leave nothing to divide by. */
#define DROPOUT_RATE_MAX 0.99

const char *const layer_kind_names[] = {
    [LAYER_DENSE] = "dense",
    [LAYER_CONV2D] = "conv2d",
    [LAYER_RELU] = "relu",
    [LAYER_MAXPOOL] = "maxpool",
    [LAYER_FLATTEN] = "flatten",
    [LAYER_GROUPNORM] = "groupnorm",
    [LAYER_ADD] = "add",
    [LAYER_AVGPOOL] = "avgpool",
    [LAYER_GLOBALPOOL] = "globalpool",
    [LAYER_BATCHNORM] = "batchnorm",
    [LAYER_DROPOUT] = "dropout",
    [LAYER_KINDS] = NULL,
};

struct kind {
    const char *prefix;      /* of default names: conv1, fc1 */
    const char *const *keys; /* keys that the layer may have, NULL-terminated */
    bool spatial;            /* works on rows and columns */
    /* Fills l from obj; what depends on the dataset stays 0. */
    int (*read)(const cJSON *obj, const char *where, struct layer *l, struct errbuf *why);
};

/* Describes a value, for a sentence on its wrong type. */
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
    /* With more padding some windows would see no input at all. */
    rc = read_u32(obj, where, "padding", 0, l->kernel - 1, &l->padding, why);
    return rc ? rc : field_bool(obj, where, "bias", false, &l->bias, why);
}

static int read_pool(const cJSON *obj, const char *where, struct layer *l, struct errbuf *why)
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

static int read_groupnorm(const cJSON *obj, const char *where, struct layer *l, struct errbuf *why)
{
    int64_t groups;
    int rc = field_i64(obj, where, "groups", true, 1, CONV_CHANNELS_MAX, &groups, why);

    if (rc == 0)
        l->groups = (uint32_t)groups;
    return rc;
}

static int read_dropout(const cJSON *obj, const char *where, struct layer *l, struct errbuf *why)
{
    l->rate = 0.5;
    return field_f64(obj, where, "rate", false, 0, DROPOUT_RATE_MAX, &l->rate, why);
}

#define COMMON_KEYS "type", "name", "input"

static const char *const dense_keys[] = {COMMON_KEYS, "units", "bias", NULL};
static const char *const conv2d_keys[] = {COMMON_KEYS, "channels", "kernel", "stride",
                                          "padding",   "bias",     NULL};
static const char *const pool_keys[] = {COMMON_KEYS, "size", "stride", NULL};
static const char *const groupnorm_keys[] = {COMMON_KEYS, "groups", NULL};
static const char *const add_keys[] = {COMMON_KEYS, "from", NULL};
static const char *const dropout_keys[] = {COMMON_KEYS, "rate", NULL};
static const char *const plain_keys[] = {COMMON_KEYS, NULL};

static const struct kind kinds[LAYER_KINDS] = {
    [LAYER_DENSE] = {"fc", dense_keys, false, read_dense},
    [LAYER_CONV2D] = {"conv", conv2d_keys, true, read_conv2d},
    [LAYER_RELU] = {"relu", plain_keys, false, read_nothing},
    [LAYER_MAXPOOL] = {"pool", pool_keys, true, read_pool},
    [LAYER_FLATTEN] = {"flatten", plain_keys, false, read_nothing},
    [LAYER_GROUPNORM] = {"gn", groupnorm_keys, false, read_groupnorm},
    [LAYER_ADD] = {"add", add_keys, false, read_nothing},
    [LAYER_AVGPOOL] = {"avgpool", pool_keys, true, read_pool},
    [LAYER_GLOBALPOOL] = {"globalpool", plain_keys, true, read_nothing},
    [LAYER_BATCHNORM] = {"bn", plain_keys, false, read_nothing},
    [LAYER_DROPOUT] = {"dropout", dropout_keys, false, read_dropout},
};

/* The given name, or the kind's prefix with the number of the layer among its kind. */
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
            return err_set(why, -EINVAL, "%s.name is \"%s\", which is also the name of layers[%d]",
                           where, l->name, i);
    return 0;
}

/* The layer that key `key` names: one of those before `index`. */
static int read_reference(const cJSON *obj, const char *where, const char *key, bool required,
                          const struct layer *layers, int index, int *io, struct errbuf *why)
{
    const char *names[LAYERS_MAX + 1] = {NULL}, *name = NULL;
    int rc = field_str(obj, where, key, required, sizeof(layers->name), &name, why);

    if (rc || !name)
        return rc;
    for (int i = 0; i < index; i++)
        names[i] = layers[i].name;
    const int found = text_index(name, names);
    if (found < 0) {
        const char *near = text_nearest(name, names);
        return err_set(why, -EINVAL, "%s.%s is \"%s\", but no earlier layer has this name%s%s%s",
                       where, key, name, near ? "; did you mean \"" : "", near ? near : "",
                       near ? "\"?" : "");
    }
    *io = found;
    return 0;
}

static int read_inputs(const cJSON *obj, const char *where, struct layer *layers, int index,
                       struct errbuf *why)
{
    struct layer *l = &layers[index];
    int rc = read_reference(obj, where, "input", false, layers, index, &l->input, why);

    if (rc || l->kind != LAYER_ADD)
        return rc;
    rc = read_reference(obj, where, "from", true, layers, index, &l->from, why);
    if (rc)
        return rc;
    if (l->from == l->input)
        return err_set(why, -EINVAL, "%s.from is \"%s\", which is already its input", where,
                       layers[l->from].name);
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
    *l = (struct layer){
        .kind = (enum layer_kind)kind,
        .input = index - 1,
        .from = -1,
        .weight = -1,
        .bias_param = -1,
        .running_mean = -1,
        .running_var = -1,
    };
    rc = field_known(obj, where, kinds[kind].keys, why);
    if (rc)
        return rc;
    rc = read_name(obj, where, layers, index, why);
    if (rc == 0)
        rc = read_inputs(obj, where, layers, index, why);
    return rc ? rc : kinds[kind].read(obj, where, l, why);
}

/* The first layer whose output nothing reads, except the last layer; -1 when there is none. */
static int unused_layer(const struct layer *layers, int count)
{
    bool used[LAYERS_MAX] = {false};

    for (int i = 0; i < count; i++) {
        if (layers[i].input >= 0)
            used[layers[i].input] = true;
        if (layers[i].from >= 0)
            used[layers[i].from] = true;
    }
    for (int i = 0; i < count - 1; i++)
        if (!used[i])
            return i;
    return -1;
}

/* Refuses an order of layers that is wrong for every input. */
static int check_order(const struct layer *layers, int count, struct errbuf *why)
{
    bool flat[LAYERS_MAX] = {false};

    for (int i = 0; i < count; i++) {
        const struct layer *l = &layers[i];
        const bool flat_in = (l->input >= 0 && flat[l->input]) || (l->from >= 0 && flat[l->from]);
        if (flat_in && kinds[l->kind].spatial)
            return err_set(why, -EINVAL,
                           "model.layers[%d] (%s): it needs rows and columns, but an earlier layer "
                           "made the input flat",
                           i, layer_kind_names[l->kind]);
        if (l->kind == LAYER_DENSE && l->out.c == 0 && i != count - 1)
            return err_set(why, -EINVAL,
                           "model.layers[%d].units is missing; only the last layer may leave it "
                           "to the dataset's classes",
                           i);
        flat[i] = flat_in || l->kind == LAYER_DENSE || l->kind == LAYER_FLATTEN;
    }
    if (layers[count - 1].kind != LAYER_DENSE)
        return err_set(
            why, -EINVAL,
            "model.layers[%d] (%s): the last layer must be dense, with one unit per class",
            count - 1, layer_kind_names[layers[count - 1].kind]);
    const int unused = unused_layer(layers, count);
    if (unused >= 0)
        return err_set(why, -EINVAL, "model.layers[%d] (%s): no layer reads its output, \"%s\"",
                       unused, layer_kind_names[layers[unused].kind], layers[unused].name);
    return 0;
}

/* {"name": "lenet"}: a preset, as other programs write it. */
static int refuse_preset_object(const cJSON *item, struct errbuf *why)
{
    const char *name = item->valuestring, *near = text_nearest(name, model_presets);

    return err_set(why, -EINVAL, "model has no key \"%.60s\"; did you mean \"model\": \"%s\"?",
                   item->string, near ? near : model_presets[0]);
}

static int read_layers(const cJSON *desc, struct layer **ret, int *ret_count, struct errbuf *why)
{
    static const char *const keys[] = {"layers", NULL};
    const cJSON *list, *item;
    int rc = 0, count = 0;

    cJSON_ArrayForEach(item, desc)
    {
        if (cJSON_IsString(item) && strcmp(item->string, "layers") != 0)
            return refuse_preset_object(item, why);
    }
    rc = field_known(desc, "model", keys, why);
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

int model_read(const struct cJSON *desc, struct layer **ret, int *ret_count, const char **ret_name,
               struct errbuf *why)
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
