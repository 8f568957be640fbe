/* Model description: a preset name or a list of layers, checked against the input, laid out as one
 * flat float vector with a directory {name, shape, offset}. Knows shapes only, computes nothing.
 * What is trained comes first; behind it lie the running statistics of the BatchNorms, which ride
 * along wherever the vector goes (wire, checkpoint, export) and are averaged, not trained.
 *
 * JSON: "lenet", or {"layers": [{"type": "conv2d", "channels": 16, "kernel": 3}, ...]} where
 *   dense {units, bias=true}: weight [in, units], bias [units]; input must be flat
 *   conv2d {channels, kernel=3, stride=1, padding=kernel/2, bias=true}: weight [kh, kw, in, out]
 *   groupnorm {groups}: weight [C], bias [C];
 *       (x - mean) / sqrt(var + 1e-5) over the channels of a group
 *   batchnorm {}: weight [C], bias [C]; the same per channel over a shard;
 *       running statistics running_mean [C], running_var [C]
 *   relu {}, flatten {}
 *   dropout {rate=0.5}: in training an entry is 0 with this chance, else divided by 1 - rate
 *   maxpool, avgpool {size=2, stride=size}: no padding, incomplete windows are dropped
 *   globalpool {}: the mean of every channel, [1, 1, C]
 *   add {from}: its input + the output of the layer named `from`
 * and each may have "name" (default conv1, conv2 .., fc1, gn1, bn1, relu1, pool1 ..) and "input":
 * the name of the earlier layer whose output it reads, when that is not the one before it. A list
 * without names is a chain; a residual block is a branch ("input") that meets the other branch in
 * an add. Every output must be used. The last layer must be dense with as many units as there are
 * classes; without "units" it gets them. Activations are NHWC everywhere; flatten keeps that order.
 * The input is normalised per channel: (x - mean) / std, with x in [0, 1]. */
#ifndef STEPPE_COMMON_MODEL_H
#define STEPPE_COMMON_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bounds.h"
#include "common/err.h"
#include "common/scaling.h"

struct cJSON;

enum layer_kind {
    LAYER_DENSE,
    LAYER_CONV2D,
    LAYER_RELU,
    LAYER_MAXPOOL,
    LAYER_FLATTEN,
    LAYER_GROUPNORM,
    LAYER_ADD,
    LAYER_AVGPOOL,
    LAYER_GLOBALPOOL,
    LAYER_BATCHNORM,
    LAYER_DROPOUT,
    LAYER_KINDS
};

struct dims {
    uint32_t h, w, c; /* a flat vector of n entries is {1, 1, n} */
};

static inline size_t dims_count(struct dims d)
{
    return (size_t)d.h * d.w * d.c;
}

struct layer {
    enum layer_kind kind;
    char name[32];
    int input; /* the layer whose output it reads; -1: the image */
    int from;  /* add: the layer whose output is added; else -1 */
    struct dims in, out;
    uint32_t kernel, stride, padding; /* conv2d; maxpool, avgpool: kernel is the window */
    uint32_t groups;                  /* groupnorm */
    double rate;                      /* dropout, [0, 1) */
    bool bias;
    int weight, bias_param;        /* index into params or -1 */
    int running_mean, running_var; /* batchnorm: index into params; else -1 */
};

struct param {
    char name[TENSOR_NAME_MAX]; /* "conv1.weight" */
    int dims;
    uint32_t shape[4];    /* as stored: [kh, kw, in, out], [in, out], [out] */
    size_t offset, count; /* floats in the flat vector; offsets are multiples of 16 floats */
    bool decay;           /* weight decay applies (not to biases and norms) */
    bool scaled;          /* a weight or a norm's scale: asam measures it by its own size */
    uint32_t fan_in;      /* 0: every entry starts with the value `start` */
    float start;
    struct dims flattened; /* the first dense weight behind a flatten: its input dims; else {0} */
};

struct model {
    char name[NAME_MAX_BYTES]; /* preset name or "custom" */
    struct dims in;
    uint32_t classes;
    float mean[CHANNELS_MAX], std[CHANNELS_MAX];
    struct layer *layers;
    int layer_count;
    struct param *params; /* in the order of their offsets */
    int param_count;
    int trained_count;  /* the first params; the others are running statistics */
    size_t floats;      /* length of the flat vector, padding included (padding stays 0) */
    size_t trained;     /* floats of the trained params, padding included */
    size_t param_total; /* trained, without padding */
};

extern const char *const model_presets[]; /* NULL-terminated */
/* The preset as a job file would write it: {"layers": [...]}; NULL when there is no such preset. */
const char *model_preset_json(const char *name);
extern const char *const layer_kind_names[]; /* indexed by layer_kind, NULL-terminated */

/* Reads desc for inputs of dims `in` and `classes` classes. mean/std: in.c entries each, std > 0;
 * copied. Sentences name the layer ("model.layers[3] (dense): ..."). Refuses models above
 * PARAM_FLOATS_MAX. 0 or -EINVAL. */
int model_parse(const struct cJSON *desc, struct dims in, uint32_t classes, const float *mean,
                const float *std, struct model *ret, struct errbuf *why);
/* Checks what can be checked without a dataset: preset exists, layer types, keys and ranges. */
int model_check(const struct cJSON *desc, struct errbuf *why);
/* Does the description, which model_check has passed, have a layer of this kind? */
bool model_describes(const struct cJSON *desc, enum layer_kind kind);
/* Can shards of this size be trained? A BatchNorm needs two values a channel. 0 or -EINVAL. */
int model_check_shard(const struct model *m, int64_t shard, struct errbuf *why);
void model_done(struct model *m); /* a zeroed struct is fine */

/* Fills theta (m->floats) with PyTorch's defaults: weights and biases of dense and conv2d are
 * uniform in +-1/sqrt(fan_in) (kaiming_uniform with a = sqrt 5), weights of norms 1 and their
 * biases 0, running means 0 and variances 1, padding 0. Keyed (seed, RNG_INIT, number of the
 * parameter). */
void model_init(const struct model *m, uint64_t seed, float *theta);

/* Multiply-adds of one forward pass of one image, all dense and conv2d layers. */
uint64_t model_macs(const struct model *m);

/* What a file of weights says beside the parameters. */
struct weights_said {
    struct scaling scaling; /* no channels: nothing */
    char *class_names;      /* JSON list, owned; NULL: nothing */
    char *layers;           /* as model_layers_json has them, owned, not checked; NULL: nothing */
};
void weights_said_done(struct weights_said *s); /* a zeroed struct is fine */

/* The layers as a job file may have them, a JSON list with every default written out, to be freed;
 * NULL: no memory. */
char *model_layers_json(const struct model *m);

/* Turns the entries of a parameter from our layout into PyTorch's (dense [out, in], conv [out, in,
 * kh, kw]; a dense weight behind a flatten has its inputs in (C, H, W) order, so that torch's NCHW
 * flatten meets it), or back. */
struct tensor;
void model_turn(const struct param *p, float *ours, float *theirs, bool to_theirs);
/* The entries of p in PyTorch's order as a tensor. */
struct tensor model_turned(const struct param *p, const float *theirs);

/* What a file of parameters says beside them: format=pt, model, layers (JSON list), input (h,w,c),
 * classes, scale=255, mean, std (comma separated), and what `meta` adds or has otherwise
 * (borrowed). 0 or -ENOMEM; then model_meta_done. */
struct safetensors_meta;
struct model_meta {
    struct safetensors_meta *all; /* [count], owned */
    int count;
    char *layers; /* owned */
    char mean[SCALING_LIST_BYTES], std[SCALING_LIST_BYTES], classes[16], input[40];
};
int model_meta(const struct model *m, const struct safetensors_meta *meta, int meta_count,
               struct model_meta *ret);
void model_meta_done(struct model_meta *said);

/* Writes theta as safetensors with PyTorch's names and layouts (model_turn). A parameter is called
 * <layer>.weight or <layer>.bias; a BatchNorm also has running_mean, running_var and
 * num_batches_tracked, an I64 that says `steps`; the presets' residual networks name their layers
 * as torchvision does (layer2.0.conv1, layer2.0.downsample.0). Metadata: model_meta. 0 or -errno.
 */
int model_export(const struct model *m, const float *theta, int64_t steps,
                 const struct safetensors_meta *meta, int meta_count, const char *path,
                 struct errbuf *why);
/* Reads such a file into theta [floats]: every parameter of the model must be there, with its
 * shape, in F32 or in F16, BF16 or F64, which are converted; and nothing else but
 * num_batches_tracked. What the metadata says goes to *ret_said; other metadata is ignored.
 * Sentences name the file as `called` and the tensor. 0, -EINVAL, -ENOMEM or -errno. */
int model_import(const struct model *m, const char *path, const char *called, float *theta,
                 struct weights_said *ret_said, struct errbuf *why);

#endif
