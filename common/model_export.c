/* theta as a file that torch and numpy read: our NHWC layouts are turned into PyTorch's NCHW ones,
 * and the metadata says all that is needed to build the network again. model_import.c reads one. */
#include "common/model.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/model_internal.h"
#include "common/safetensors.h"
#include "common/scaling.h"

#define OWN_META 8

/* Both ways: `out` copies ours to theirs, else theirs to ours. */
static void move(float *ours, float *theirs, bool out)
{
    if (out)
        *theirs = *ours;
    else
        *ours = *theirs;
}

/* ours [kh, kw, in, out], theirs [out, in, kh, kw] */
static void turn_conv(const struct param *p, float *ours, float *theirs, bool to_theirs)
{
    size_t kh = p->shape[0], kw = p->shape[1], in = p->shape[2], out = p->shape[3];

    for (size_t y = 0; y < kh; y++)
        for (size_t x = 0; x < kw; x++)
            for (size_t i = 0; i < in; i++)
                for (size_t o = 0; o < out; o++)
                    move(ours++, &theirs[((o * in + i) * kh + y) * kw + x], to_theirs);
}

/* ours [in, out], theirs [out, in]; behind a flatten our inputs are (h, w, c), theirs (c, h, w). */
static void turn_dense(const struct param *p, float *ours, float *theirs, bool to_theirs)
{
    size_t in = p->shape[0], out = p->shape[1];
    size_t c = p->flattened.c ? p->flattened.c : 1;
    size_t hw = in / c;

    for (size_t i = 0; i < in; i++) {
        size_t to = p->flattened.c ? i % c * hw + i / c : i;
        for (size_t o = 0; o < out; o++)
            move(ours++, &theirs[o * in + to], to_theirs);
    }
}

void model_turn(const struct param *p, float *ours, float *theirs, bool to_theirs)
{
    if (p->dims == 4)
        turn_conv(p, ours, theirs, to_theirs);
    else if (p->dims == 2)
        turn_dense(p, ours, theirs, to_theirs);
    else
        memcpy(to_theirs ? theirs : ours, to_theirs ? ours : theirs, p->count * sizeof(*ours));
}

struct tensor model_turned(const struct param *p, const float *theirs)
{
    uint64_t shape[4];

    if (p->dims == 4) {
        shape[0] = p->shape[3];
        shape[1] = p->shape[2];
        shape[2] = p->shape[0];
        shape[3] = p->shape[1];
    } else if (p->dims == 2) {
        shape[0] = p->shape[1];
        shape[1] = p->shape[0];
    } else {
        shape[0] = p->shape[0];
    }
    return tensor_make(p->name, DTYPE_F32, p->dims, shape, theirs);
}

static void add_number(cJSON *obj, const char *key, uint32_t value)
{
    cJSON_AddNumberToObject(obj, key, value);
}

static cJSON *layer_json(const struct model *m, int index)
{
    const struct layer *l = &m->layers[index];
    cJSON *obj = cJSON_CreateObject();

    cJSON_AddStringToObject(obj, "type", layer_kind_names[l->kind]);
    cJSON_AddStringToObject(obj, "name", l->name);
    if (l->input != index - 1)
        cJSON_AddStringToObject(obj, "input", m->layers[l->input].name);
    if (l->from >= 0)
        cJSON_AddStringToObject(obj, "from", m->layers[l->from].name);
    if (l->kind == LAYER_GROUPNORM)
        add_number(obj, "groups", l->groups);
    if (l->kind == LAYER_DROPOUT)
        cJSON_AddNumberToObject(obj, "rate", l->rate);
    if (l->kind == LAYER_DENSE)
        add_number(obj, "units", l->out.c);
    if (l->kind == LAYER_CONV2D) {
        add_number(obj, "channels", l->out.c);
        add_number(obj, "kernel", l->kernel);
        add_number(obj, "stride", l->stride);
        add_number(obj, "padding", l->padding);
    }
    if (l->kind == LAYER_MAXPOOL || l->kind == LAYER_AVGPOOL) {
        add_number(obj, "size", l->kernel);
        add_number(obj, "stride", l->stride);
    }
    if (l->kind == LAYER_DENSE || l->kind == LAYER_CONV2D)
        cJSON_AddBoolToObject(obj, "bias", l->bias);
    return obj;
}

char *model_layers_json(const struct model *m)
{
    cJSON *list = cJSON_CreateArray();

    for (int i = 0; i < m->layer_count; i++)
        cJSON_AddItemToArray(list, layer_json(m, i));
    char *text = cJSON_PrintUnformatted(list);
    cJSON_Delete(list);
    return text;
}

/* The number of steps for each BatchNorm, as torch counts them, and all parameters. Integers first,
 * so that every entry lies at a multiple of its size. tensors has room for 2 * param_count; returns
 * how many there are. */
static int turn_params(const struct model *m, const float *theta, const int64_t *steps,
                       float *turned, struct tensor *tensors)
{
    int count = 0;

    for (int i = 0; i < m->layer_count; i++) {
        char name[TENSOR_NAME_MAX];
        if (m->layers[i].running_var < 0)
            continue;
        snprintf(name, sizeof(name), "%s.num_batches_tracked", m->layers[i].name);
        tensors[count++] = tensor_make(name, DTYPE_I64, 0, NULL, steps);
    }
    for (int i = 0; i < m->param_count; i++) {
        const struct param *p = &m->params[i];
        model_turn(p, (float *)theta + p->offset, turned + p->offset, true);
        tensors[count++] = model_turned(p, turned + p->offset);
    }
    return count;
}

/* Appends `meta` to our own entries in all, or replaces those with the same key; returns how many
 * there are. */
static int add_meta(struct safetensors_meta *all, const struct safetensors_meta *meta, int count)
{
    int used = OWN_META;

    for (int i = 0; i < count; i++) {
        int at = 0;
        while (at < OWN_META && strcmp(all[at].key, meta[i].key) != 0)
            at++;
        all[at < OWN_META ? at : used++] = meta[i];
    }
    return used;
}

int model_meta(const struct model *m, const struct safetensors_meta *meta, int meta_count,
               struct model_meta *ret)
{
    char *layers = model_layers_json(m);

    if (!layers)
        return -ENOMEM;
    ret->layers = layers;
    ret->all = xcalloc((size_t)(OWN_META + meta_count), sizeof(*ret->all));
    snprintf(ret->classes, sizeof(ret->classes), "%u", m->classes);
    snprintf(ret->input, sizeof(ret->input), "%u,%u,%u", m->in.h, m->in.w, m->in.c);
    const struct safetensors_meta own[OWN_META] = {
        {"format", "pt"},
        {"model", m->name},
        {"layers", layers},
        {"input", ret->input},
        {"classes", ret->classes},
        {"scale", MODEL_SCALE},
        {"mean", scaling_list(m->mean, m->in.c, ret->mean)},
        {"std", scaling_list(m->std, m->in.c, ret->std)},
    };
    memcpy(ret->all, own, sizeof(own));
    ret->count = add_meta(ret->all, meta, meta_count);
    return 0;
}

void model_meta_done(struct model_meta *said)
{
    free(said->all);
    free(said->layers);
    said->all = NULL;
    said->layers = NULL;
}

int model_export(const struct model *m, const float *theta, int64_t steps,
                 const struct safetensors_meta *meta, int meta_count, const char *path,
                 struct errbuf *why)
{
    struct tensor *tensors = xcalloc(2 * (size_t)m->param_count, sizeof(*tensors));
    struct model_meta said = {.all = NULL};
    float *turned = alloc_bytes(m->floats, sizeof(*turned));
    int rc = turned ? model_meta(m, meta, meta_count, &said) : -ENOMEM;

    if (rc < 0) {
        err_set(why, rc, "%s: no memory for the layout of PyTorch", path);
    } else {
        const int count = turn_params(m, theta, &steps, turned, tensors);
        rc = safetensors_write(path, tensors, count, said.all, said.count, why);
    }
    model_meta_done(&said);
    free(turned);
    free(tensors);
    return rc;
}
