/* Weights from a file, as model_export.c or PyTorch writes them. The file's mean and std are read
 * with them: parameters that were trained on pixels scaled otherwise are another model. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/dataset.h"
#include "common/floats.h"
#include "common/model_internal.h"
#include "common/safetensors.h"
#include "common/text.h"

void weights_said_done(struct weights_said *s)
{
    free(s->class_names);
    free(s->layers);
    *s = (struct weights_said){.class_names = NULL};
}

/* --- the metadata --- */

static int read_scaling(const struct safetensors *st, const struct model *m, struct scaling *ret,
                        struct errbuf *why)
{
    const char *mean = safetensors_meta_get(st, "mean"), *std = safetensors_meta_get(st, "std");
    const char *scale = safetensors_meta_get(st, "scale");
    const uint32_t channels = m->in.c;
    struct scaling s = {.channels = channels};

    if (scale && strcmp(scale, MODEL_SCALE) != 0)
        return err_set(why, -EINVAL,
                       "metadata scale is \"%.40s\", allowed is " MODEL_SCALE
                       ": what pixels are divided by before mean and std",
                       scale);
    if (!mean && !std)
        return 0;
    if (!mean || !std)
        return err_set(why, -EINVAL, "its metadata has %s and no %s", mean ? "mean" : "std",
                       mean ? "std" : "mean");
    int rc =
        scaling_read_list(mean, "mean", channels, -INPUT_MEAN_MAX, INPUT_MEAN_MAX, s.mean, why);
    if (rc == 0)
        rc = scaling_read_list(std, "std", channels, INPUT_STD_MIN, INPUT_STD_MAX, s.std, why);
    if (rc == 0)
        *ret = s;
    return rc;
}

/* Another number of classes shows in the shape of the last layer; here it has a name. */
static int check_classes(const struct safetensors *st, const struct model *m, struct errbuf *why)
{
    const char *text = safetensors_meta_get(st, "classes");
    int64_t classes = m->classes;

    if (text && text_i64(text, 1, CLASSES_MAX, &classes) && classes != m->classes)
        return err_set(why, -EINVAL, "it is a model for %lld classes, the dataset has %u",
                       (long long)classes, m->classes);
    return 0;
}

static int read_said(const struct safetensors *st, const struct model *m, struct weights_said *ret,
                     struct errbuf *why)
{
    const char *names = safetensors_meta_get(st, "class_names");
    const char *layers = safetensors_meta_get(st, "layers");
    uint32_t classes = m->classes;
    struct weights_said s = {.class_names = NULL};
    int rc = check_classes(st, m, why);

    if (rc == 0)
        rc = read_scaling(st, m, &s.scaling, why);
    if (rc == 0 && names)
        rc = dataset_names_check("class_names", names, &classes, why);
    if (rc == 0 && names)
        s.class_names = xstrdup(names);
    if (rc == 0 && layers)
        s.layers = xstrdup(layers);
    if (rc == 0)
        *ret = s;
    return rc;
}

/* --- the parameters --- */

/* A tensor of the model, or the step count that torch keeps with a BatchNorm. */
static bool is_known(const struct model *m, const char *name)
{
    const char *dot = strrchr(name, '.');

    for (int i = 0; i < m->param_count; i++)
        if (strcmp(m->params[i].name, name) == 0)
            return true;
    return dot && strcmp(dot, ".num_batches_tracked") == 0;
}

/* How entries of a dtype become float32; NULL: they cannot. */
typedef bool (*floats_from)(float *restrict out, const void *restrict in, size_t n);

static floats_from reader_of(enum dtype d)
{
    static const floats_from readers[DTYPE_COUNT] = {
        [DTYPE_F32] = floats_copy_finite,
        [DTYPE_F16] = floats_from_f16,
        [DTYPE_BF16] = floats_from_bf16,
        [DTYPE_F64] = floats_from_f64,
    };

    return readers[d];
}

static int import_param(const struct param *p, const struct safetensors *st, float *theirs,
                        float *theta, struct errbuf *why)
{
    const struct tensor want = model_turned(p, theirs), *t = safetensors_find(st, p->name);

    if (t && !reader_of(t->dtype))
        return err_set(why, -EINVAL, "tensor \"%s\" is %s, expected F32, F16, BF16 or F64", p->name,
                       dtype_name(t->dtype));
    int rc = safetensors_need(st, p->name, t ? t->dtype : DTYPE_F32, p->dims, &t, why);
    if (rc < 0)
        return rc;
    for (int i = 0; i < p->dims; i++)
        if (t->shape[i] != want.shape[i])
            return err_set(
                why, -EINVAL, "tensor %s has %llu entries in dimension %d, the model has %llu",
                p->name, (unsigned long long)t->shape[i], i, (unsigned long long)want.shape[i]);
    if (!reader_of(t->dtype)(theirs, t->data, p->count))
        return err_set(why, -EINVAL, "tensor %s holds NaN or infinity%s", p->name,
                       t->dtype == DTYPE_F64 ? ", or a number that is beyond F32" : "");
    model_turn(p, theta + p->offset, theirs, false);
    return 0;
}

int model_import(const struct model *m, const char *path, const char *called, float *theta,
                 struct weights_said *ret_said, struct errbuf *why)
{
    struct safetensors st = {0};
    struct weights_said said = {.class_names = NULL};
    float *theirs = alloc_bytes(m->floats, sizeof(*theirs));

    if (!theirs)
        return err_set(why, -ENOMEM, "no memory for %zu parameters", m->floats);
    memset(theta, 0, m->floats * sizeof(*theta));
    int rc = safetensors_open_as(path, called, &st, why);
    if (rc < 0)
        goto out;
    rc = read_said(&st, m, &said, why);
    for (int i = 0; rc == 0 && i < st.tensor_count; i++)
        if (!is_known(m, st.tensors[i].name))
            rc = err_set(why, -EINVAL, "tensor %s does not exist in model %s", st.tensors[i].name,
                         m->name);
    for (int i = 0; rc == 0 && i < m->param_count; i++)
        rc = import_param(&m->params[i], &st, theirs + m->params[i].offset, theta, why);
    if (rc < 0)
        err_prefix(why, rc, "%s", called);
out:
    safetensors_close(&st);
    free(theirs);
    if (rc < 0)
        weights_said_done(&said);
    else
        *ret_said = said;
    return rc;
}
