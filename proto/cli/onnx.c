/* The graph, layer by layer. What a layer reads and writes are names: a layer's output is
 * "LAYER:out", which no parameter and no layer can be called; a dropout's is that of its input. Our
 * [1, 1, c] is torch's [N, C, 1, 1] behind a pool and [N, C] behind a dense layer: where the two
 * meet, a Flatten is put between. */
#include "proto/cli/onnx.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/file.h"
#include "common/tensor.h"
#include "proto/cli/protobuf.h"

#define IR_VERSION 7
#define OPSET 13
#define NORM_EPSILON 1e-5f
#define PIXELS_MAX 255.0f

/* Numbers of fields in onnx.proto. */
enum {
    MODEL_IR = 1,
    MODEL_PRODUCER,
    MODEL_PRODUCER_VERSION,
    MODEL_GRAPH = 7,
    MODEL_OPSET,
    MODEL_META = 14
};
enum { GRAPH_NODE = 1, GRAPH_NAME, GRAPH_INITIALIZER = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT };
enum { NODE_INPUT = 1, NODE_OUTPUT, NODE_NAME, NODE_OP, NODE_ATTRIBUTE };
enum { ATTRIBUTE_NAME = 1, ATTRIBUTE_F, ATTRIBUTE_I, ATTRIBUTE_INTS = 8, ATTRIBUTE_TYPE = 20 };
enum { TENSOR_DIM = 1, TENSOR_TYPE, TENSOR_NAME = 8, TENSOR_RAW };
enum { TYPE_FLOAT = 1, TYPE_INT64 = 7 };        /* of TENSOR_TYPE */
enum { IS_FLOAT = 1, IS_INT = 2, IS_INTS = 7 }; /* of ATTRIBUTE_TYPE */
enum { VALUE_NAME = 1, VALUE_TYPE };            /* an input or output */
enum { TYPE_TENSOR = 1, TENSOR_ELEMENT = 1, TENSOR_SHAPE, SHAPE_DIM = 1, DIM_VALUE = 1, DIM_NAME };
enum { PAIR_KEY = 1, PAIR_VALUE }; /* of metadata */
enum { OPSET_DOMAIN = 1, OPSET_VERSION };

#define VALUE_BYTES 64 /* of the name of a value: that of a layer with a suffix */

struct graph {
    struct protobuf *out;
    const struct model *m;
    const float *turned;                      /* theta in PyTorch's layouts */
    char values[LAYERS_MAX + 1][VALUE_BYTES]; /* what layer i - 1 gives; 0: the scaled image */
    bool flat[LAYERS_MAX + 1];                /* is it [N, C]? else [N, C, H, W] */
};

/* --- the parts of a graph --- */

static void add_initializer(struct graph *g, const char *name, int type, int dims,
                            const int64_t *shape, const void *data, size_t bytes)
{
    size_t begun = pb_begin(g->out, GRAPH_INITIALIZER);

    for (int i = 0; i < dims; i++)
        pb_int(g->out, TENSOR_DIM, shape[i]);
    pb_int(g->out, TENSOR_TYPE, type);
    pb_text(g->out, TENSOR_NAME, name);
    pb_bytes(g->out, TENSOR_RAW, data, bytes);
    pb_end(g->out, begun);
}

static void add_floats(struct graph *g, const char *name, int dims, const int64_t *shape,
                       const float *values)
{
    size_t count = 1;

    for (int i = 0; i < dims; i++)
        count *= (size_t)shape[i];
    add_initializer(g, name, TYPE_FLOAT, dims, shape, values, count * sizeof(*values));
}

static void add_ints(struct graph *g, const char *name, int64_t count, const int64_t *values)
{
    add_initializer(g, name, TYPE_INT64, 1, &count, values, (size_t)count * sizeof(*values));
}

static const char *param_name(const struct graph *g, int index)
{
    return index < 0 ? NULL : g->m->params[index].name;
}

/* A parameter as model_export has it, or seen with another shape of as many entries. */
static void add_param(struct graph *g, int index, int dims, const int64_t *shape)
{
    const struct param *p = &g->m->params[index];
    const struct tensor t = model_turned(p, g->turned + p->offset);
    int64_t own[TENSOR_DIMS_MAX];

    for (int i = 0; i < t.dims; i++)
        own[i] = (int64_t)t.shape[i];
    add_floats(g, p->name, shape ? dims : t.dims, shape ? shape : own, g->turned + p->offset);
}

static void add_params(struct graph *g, const struct layer *l)
{
    const int all[] = {l->weight, l->bias_param, l->running_mean, l->running_var};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (all[i] >= 0)
            add_param(g, all[i], 0, NULL);
}

static void attribute(struct graph *g, const char *name, int type, uint32_t field, int count,
                      const int64_t *values)
{
    size_t begun = pb_begin(g->out, NODE_ATTRIBUTE);

    pb_text(g->out, ATTRIBUTE_NAME, name);
    for (int i = 0; i < count; i++)
        pb_int(g->out, field, values[i]);
    pb_int(g->out, ATTRIBUTE_TYPE, type);
    pb_end(g->out, begun);
}

static void attribute_int(struct graph *g, const char *name, int64_t value)
{
    attribute(g, name, IS_INT, ATTRIBUTE_I, 1, &value);
}

static void attribute_float(struct graph *g, const char *name, float value)
{
    size_t begun = pb_begin(g->out, NODE_ATTRIBUTE);

    pb_text(g->out, ATTRIBUTE_NAME, name);
    pb_float(g->out, ATTRIBUTE_F, value);
    pb_int(g->out, ATTRIBUTE_TYPE, IS_FLOAT);
    pb_end(g->out, begun);
}

/* Begins a node of up to five inputs (NULL ends them), whose output has its name; attributes may
 * follow until pb_end. */
static size_t begin_node(struct graph *g, const char *op, const char *output, const char *a,
                         const char *b, const char *c, const char *d, const char *e)
{
    const char *const inputs[] = {a, b, c, d, e};
    size_t begun = pb_begin(g->out, GRAPH_NODE);

    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]) && inputs[i]; i++)
        pb_text(g->out, NODE_INPUT, inputs[i]);
    pb_text(g->out, NODE_OUTPUT, output);
    pb_text(g->out, NODE_NAME, output);
    pb_text(g->out, NODE_OP, op);
    return begun;
}

static void add_node(struct graph *g, const char *op, const char *output, const char *a,
                     const char *b)
{
    pb_end(g->out, begin_node(g, op, output, a, b, NULL, NULL, NULL));
}

static void flatten(struct graph *g, const char *output, const char *input)
{
    size_t begun = begin_node(g, "Flatten", output, input, NULL, NULL, NULL, NULL);

    attribute_int(g, "axis", 1);
    pb_end(g->out, begun);
}

/* --- the layers --- */

/* The name of a value that belongs to layer l; returns buf. */
static const char *value_of(const struct layer *l, const char *suffix, char buf[VALUE_BYTES])
{
    snprintf(buf, VALUE_BYTES, "%s%s", l->name, suffix);
    return buf;
}

static const char *out_of(const struct layer *l, char buf[VALUE_BYTES])
{
    return value_of(l, ":out", buf);
}

/* What layer `from` gives, as [N, C]; returns its name, perhaps buf. */
static const char *flat_value(struct graph *g, const struct layer *l, int from, const char *suffix,
                              char buf[VALUE_BYTES])
{
    const char *value = g->values[from + 1];

    if (g->flat[from + 1])
        return value;
    flatten(g, value_of(l, suffix, buf), value);
    return buf;
}

static void window(struct graph *g, const struct layer *l)
{
    const int64_t kernel[] = {l->kernel, l->kernel}, stride[] = {l->stride, l->stride};
    const int64_t pads[] = {l->padding, l->padding, l->padding, l->padding};

    attribute(g, "kernel_shape", IS_INTS, ATTRIBUTE_INTS, 2, kernel);
    attribute(g, "strides", IS_INTS, ATTRIBUTE_INTS, 2, stride);
    attribute(g, "pads", IS_INTS, ATTRIBUTE_INTS, 4, pads);
}

static void add_conv(struct graph *g, const struct layer *l, const char *x)
{
    char out[VALUE_BYTES];

    add_params(g, l);
    size_t begun = begin_node(g, "Conv", out_of(l, out), x, param_name(g, l->weight),
                              param_name(g, l->bias_param), NULL, NULL);
    window(g, l);
    pb_end(g->out, begun);
}

static void add_dense(struct graph *g, const struct layer *l, const char *x)
{
    char buf[VALUE_BYTES], out[VALUE_BYTES];

    add_params(g, l);
    x = flat_value(g, l, l->input, ":flat", buf);
    size_t begun = begin_node(g, "Gemm", out_of(l, out), x, param_name(g, l->weight),
                              param_name(g, l->bias_param), NULL, NULL);
    attribute_int(g, "transB", 1);
    pb_end(g->out, begun);
}

static void add_batchnorm(struct graph *g, const struct layer *l, const char *x)
{
    char out[VALUE_BYTES];

    add_params(g, l);
    size_t begun = begin_node(g, "BatchNormalization", out_of(l, out), x, param_name(g, l->weight),
                              param_name(g, l->bias_param), param_name(g, l->running_mean),
                              param_name(g, l->running_var));
    attribute_float(g, "epsilon", NORM_EPSILON);
    pb_end(g->out, begun);
}

/* [N, C, H, W] is seen as [N, groups, all of a group], normalised row by row, and seen as before;
 * then it gets its own scale and shift. */
static void add_groupnorm(struct graph *g, const struct layer *l, const char *x)
{
    char groups[VALUE_BYTES], rows[VALUE_BYTES], ones[VALUE_BYTES], zeros[VALUE_BYTES];
    char normal[VALUE_BYTES], shape[VALUE_BYTES], back[VALUE_BYTES], scaled[VALUE_BYTES];
    char out[VALUE_BYTES];
    const bool flat = g->flat[l->input + 1];
    const int64_t to_groups[] = {0, l->groups, -1, 1},
                  from_groups[] = {0, l->in.c, l->in.h, l->in.w};
    const int64_t channels[] = {l->in.c, 1, 1}, count = l->groups;
    float *unit = xcalloc(l->groups, sizeof(*unit));

    add_floats(g, value_of(l, ":zeros", zeros), 1, &count, unit);
    for (uint32_t i = 0; i < l->groups; i++)
        unit[i] = 1;
    add_floats(g, value_of(l, ":ones", ones), 1, &count, unit);
    free(unit);
    add_ints(g, value_of(l, ":groups", groups), 4, to_groups);
    add_ints(g, value_of(l, ":shape", shape), flat ? 2 : 4, from_groups);
    add_param(g, l->weight, flat ? 1 : 3, channels);
    add_param(g, l->bias_param, flat ? 1 : 3, channels);
    add_node(g, "Reshape", value_of(l, ":rows", rows), x, groups);
    size_t begun = begin_node(g, "InstanceNormalization", value_of(l, ":normal", normal), rows,
                              ones, zeros, NULL, NULL);
    attribute_float(g, "epsilon", NORM_EPSILON);
    pb_end(g->out, begun);
    add_node(g, "Reshape", value_of(l, ":back", back), normal, shape);
    add_node(g, "Mul", value_of(l, ":scaled", scaled), back, param_name(g, l->weight));
    add_node(g, "Add", out_of(l, out), scaled, param_name(g, l->bias_param));
}

static void add_maxpool(struct graph *g, const struct layer *l, const char *x)
{
    char out[VALUE_BYTES];

    size_t begun = begin_node(g, "MaxPool", out_of(l, out), x, NULL, NULL, NULL, NULL);
    window(g, l);
    pb_end(g->out, begun);
}

static void add_avgpool(struct graph *g, const struct layer *l, const char *x)
{
    char out[VALUE_BYTES];

    size_t begun = begin_node(g, "AveragePool", out_of(l, out), x, NULL, NULL, NULL, NULL);
    window(g, l);
    pb_end(g->out, begun);
}

static void add_globalpool(struct graph *g, const struct layer *l, const char *x)
{
    char out[VALUE_BYTES];

    add_node(g, "GlobalAveragePool", out_of(l, out), x, NULL);
}

static void add_relu(struct graph *g, const struct layer *l, const char *x)
{
    char out[VALUE_BYTES];

    add_node(g, "Relu", out_of(l, out), x, NULL);
}

static void add_flatten(struct graph *g, const struct layer *l, const char *x)
{
    char out[VALUE_BYTES];

    flatten(g, out_of(l, out), x);
}

static void add_add(struct graph *g, const struct layer *l, const char *x)
{
    char left[VALUE_BYTES], right[VALUE_BYTES], out[VALUE_BYTES];
    const char *y = g->values[l->from + 1];

    if (g->flat[l->input + 1] || g->flat[l->from + 1]) {
        x = flat_value(g, l, l->input, ":left", left);
        y = flat_value(g, l, l->from, ":right", right);
    }
    add_node(g, "Add", out_of(l, out), x, y);
}

/* A dropout is none: its output is its input. */
static void (*const adders[LAYER_KINDS])(struct graph *g, const struct layer *l, const char *x) = {
    [LAYER_DENSE] = add_dense,
    [LAYER_CONV2D] = add_conv,
    [LAYER_RELU] = add_relu,
    [LAYER_MAXPOOL] = add_maxpool,
    [LAYER_FLATTEN] = add_flatten,
    [LAYER_GROUPNORM] = add_groupnorm,
    [LAYER_ADD] = add_add,
    [LAYER_AVGPOOL] = add_avgpool,
    [LAYER_GLOBALPOOL] = add_globalpool,
    [LAYER_BATCHNORM] = add_batchnorm,
    [LAYER_DROPOUT] = NULL,
};

static void add_layer(struct graph *g, int index)
{
    const struct layer *l = &g->m->layers[index];
    const char *x = g->values[l->input + 1];
    char out[VALUE_BYTES];
    const bool flat_in = g->flat[l->input + 1] || (l->from >= 0 && g->flat[l->from + 1]);

    if (adders[l->kind])
        adders[l->kind](g, l, x);
    snprintf(g->values[index + 1], VALUE_BYTES, "%s", adders[l->kind] ? out_of(l, out) : x);
    g->flat[index + 1] = flat_in || l->kind == LAYER_DENSE || l->kind == LAYER_FLATTEN;
}

/* --- the ends of the graph --- */

/* pixels -> (x / 255 - mean) / std */
static void add_scaling(struct graph *g)
{
    const struct model *m = g->m;
    const int64_t channels[] = {m->in.c, 1, 1};
    const float most = PIXELS_MAX;

    add_floats(g, "scale", 0, NULL, &most);
    add_floats(g, "mean", 3, channels, m->mean);
    add_floats(g, "std", 3, channels, m->std);
    add_node(g, "Div", "pixels:unit", "pixels", "scale");
    add_node(g, "Sub", "pixels:centred", "pixels:unit", "mean");
    add_node(g, "Div", "pixels:scaled", "pixels:centred", "std");
    snprintf(g->values[0], VALUE_BYTES, "pixels:scaled");
}

static void add_outputs(struct graph *g)
{
    const char *last = g->values[g->m->layer_count];

    add_node(g, "Identity", "logits", last, NULL);
    size_t begun = begin_node(g, "Softmax", "probabilities", last, NULL, NULL, NULL, NULL);
    attribute_int(g, "axis", 1);
    pb_end(g->out, begun);
}

/* An input or output of floats, whose first side is free. */
static void add_value(struct graph *g, uint32_t field, const char *name, int dims,
                      const int64_t *shape)
{
    struct protobuf *out = g->out;
    size_t value = pb_begin(out, field);

    pb_text(out, VALUE_NAME, name);
    size_t type = pb_begin(out, VALUE_TYPE);
    size_t tensor = pb_begin(out, TYPE_TENSOR);
    pb_int(out, TENSOR_ELEMENT, TYPE_FLOAT);
    size_t sides = pb_begin(out, TENSOR_SHAPE);
    for (int i = 0; i < dims; i++) {
        size_t side = pb_begin(out, SHAPE_DIM);
        if (i == 0)
            pb_text(out, DIM_NAME, "N");
        else
            pb_int(out, DIM_VALUE, shape[i]);
        pb_end(out, side);
    }
    pb_end(out, sides);
    pb_end(out, tensor);
    pb_end(out, type);
    pb_end(out, value);
}

static void add_graph(struct graph *g)
{
    const struct model *m = g->m;
    const int64_t image[] = {0, m->in.c, m->in.h, m->in.w}, classes[] = {0, m->classes};
    size_t begun = pb_begin(g->out, MODEL_GRAPH);

    pb_text(g->out, GRAPH_NAME, m->name);
    add_scaling(g);
    for (int i = 0; i < m->layer_count; i++)
        add_layer(g, i);
    add_outputs(g);
    add_value(g, GRAPH_INPUT, "pixels", 4, image);
    add_value(g, GRAPH_OUTPUT, "logits", 2, classes);
    add_value(g, GRAPH_OUTPUT, "probabilities", 2, classes);
    pb_end(g->out, begun);
}

static void add_model(struct graph *g, const struct safetensors_meta *meta, int meta_count)
{
    struct protobuf *out = g->out;

    pb_int(out, MODEL_IR, IR_VERSION);
    pb_text(out, MODEL_PRODUCER, "steppe");
    pb_text(out, MODEL_PRODUCER_VERSION, STEPPE_VERSION);
    add_graph(g);
    size_t begun = pb_begin(out, MODEL_OPSET);
    pb_text(out, OPSET_DOMAIN, "");
    pb_int(out, OPSET_VERSION, OPSET);
    pb_end(out, begun);
    for (int i = 0; i < meta_count; i++) {
        begun = pb_begin(out, MODEL_META);
        pb_text(out, PAIR_KEY, meta[i].key);
        pb_text(out, PAIR_VALUE, meta[i].value);
        pb_end(out, begun);
    }
}

int onnx_write(const struct model *m, const float *theta, const struct safetensors_meta *meta,
               int meta_count, const char *path, struct errbuf *why)
{
    float *turned = alloc_bytes(m->floats, sizeof(*turned));
    struct protobuf out = {.data = NULL};
    struct graph *g = xcalloc(1, sizeof(*g));
    struct model_meta said = {.all = NULL};
    int rc = turned ? model_meta(m, meta, meta_count, &said) : -ENOMEM;

    *g = (struct graph){.out = &out, .m = m, .turned = turned};
    if (rc == 0) {
        for (int i = 0; i < m->param_count; i++)
            model_turn(&m->params[i], (float *)theta + m->params[i].offset,
                       turned + m->params[i].offset, true);
        add_model(g, said.all, said.count);
        rc = out.failed ? -ENOMEM : 0;
    }
    const struct file_part part = {out.data, out.bytes};
    if (rc < 0)
        err_set(why, rc, "%s: no memory for a model of %zu parameters", path, m->param_total);
    else
        rc = file_write_atomic(path, 0644, &part, 1, why);
    model_meta_done(&said);
    free(out.data);
    free(turned);
    free(g);
    return rc;
}
