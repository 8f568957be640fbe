/* What the engine's tests share. Compiled for float and for double. */
#ifndef STEPPE_TESTS_UNIT_NN_SUPPORT_H
#define STEPPE_TESTS_UNIT_NN_SUPPORT_H

#include <cjson/cJSON.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/model.h"
#include "common/rng.h"
#include "tests/harness.h"
#include "worker/nn/net.h"
#include "worker/nn/real.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The presets that are small enough for a test to run them many times. */
static const char *const quick_presets[]
    __attribute__((unused)) = {"mlp", "lenet", "cnn", "resnet20", "resnet20_gn", NULL};

static const struct net_mode evaluation __attribute__((unused)) = {0};
static const struct net_mode training __attribute__((unused)) = {.train = true, .seed = 5};

/* A model from layers written as JSON ("[{..}, ..]") or a preset's name; its normalisation differs
 * from channel to channel. */
static inline struct model model_of(const char *desc, struct dims in, uint32_t classes)
{
    float mean[CHANNELS_MAX], std[CHANNELS_MAX];
    struct model m;
    struct errbuf why;
    cJSON *json;

    for (int c = 0; c < CHANNELS_MAX; c++) {
        mean[c] = 0.4f + 0.05f * (float)c;
        std[c] = 0.3f - 0.01f * (float)c;
    }
    if (desc[0] == '[') {
        json = cJSON_CreateObject();
        cJSON_AddItemToObject(json, "layers", cJSON_Parse(desc));
    } else {
        json = cJSON_CreateString(desc);
    }
    ASSERT_OK(model_parse(json, in, classes, mean, std, &m, &why), why);
    cJSON_Delete(json);
    return m;
}

static inline real *reals(size_t n)
{
    return xcalloc(n ? n : 1, sizeof(real));
}

/* n uniform numbers in [lo, hi), a function of `key`. */
static inline real *uniform(uint32_t key, size_t n, double lo, double hi)
{
    struct rng r = rng_at(7, RNG_TEST, key, 0);
    real *a = reals(n);

    for (size_t i = 0; i < n; i++)
        a[i] = (real)rng_range(&r, lo, hi);
    return a;
}

/* The model's starting parameters; those of norms are moved off their 1 and 0, which would hide
 * mistakes. */
static inline real *start_of(const struct model *m, uint64_t seed)
{
    float *init = xcalloc(m->floats, sizeof(*init));
    real *theta = reals(m->floats);

    model_init(m, seed, init);
    for (int i = 0; i < m->param_count; i++) {
        const struct param *p = &m->params[i];
        for (size_t j = p->offset; j < p->offset + p->count; j++)
            theta[j] = p->fan_in ? init[j] : init[j] + 0.1f * (float)(j % 7) - 0.3f;
    }
    free(init);
    return theta;
}

static inline size_t entries(struct dims d)
{
    return (size_t)d.h * d.w * d.c;
}

/* Largest |a - b| over the largest |b|. */
static inline double distance(const real *a, const real *b, size_t n)
{
    double far = 0, top = 0;

    for (size_t i = 0; i < n; i++) {
        const double d = fabs((double)a[i] - (double)b[i]);
        far = d > far || d != d ? d : far;
        top = fabs((double)b[i]) > top ? fabs((double)b[i]) : top;
    }
    return top > 0 ? far / top : far;
}

#endif
