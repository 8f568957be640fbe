/* A model description. What fits an input has also passed the check without one, and its directory
 * lies inside its vector. */
#include <cjson/cJSON.h>
#include <stdlib.h>

#include "common/field.h"
#include "common/model.h"
#include "tests/fuzz/fuzz.h"

static void check_layout(const struct model *m)
{
    size_t end = 0;

    for (int i = 0; i < m->param_count; i++) {
        const struct param *p = &m->params[i];
        FUZZ_ASSERT(p->offset >= end && p->offset % 16 == 0);
        end = p->offset + p->count;
    }
    FUZZ_ASSERT(end <= m->floats && m->trained <= m->floats && m->floats <= PARAM_FLOATS_MAX);
    for (int i = 0; i < m->layer_count; i++)
        FUZZ_ASSERT(m->layers[i].input < i && m->layers[i].from < i);
    FUZZ_ASSERT(m->layer_count > 0 && m->layers[m->layer_count - 1].out.c == m->classes);
}

static void use(const struct model *m)
{
    struct errbuf why;

    check_layout(m);
    model_macs(m);
    model_check_shard(m, 1, &why);
    if (m->floats > 1u << 16)
        return;
    float *theta = malloc(m->floats * sizeof(*theta));
    FUZZ_ASSERT(theta);
    model_init(m, 1, theta);
    fuzz_touch(theta, m->floats * sizeof(*theta));
    free(theta);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const struct dims inputs[] = {{28, 28, 1}, {32, 32, 3}, {1, 1, 1}, {3, 512, 16}};
    static const float mean[CHANNELS_MAX] = {0.5f};
    float std[CHANNELS_MAX];
    struct errbuf why = {""};
    cJSON *json;

    for (int i = 0; i < CHANNELS_MAX; i++)
        std[i] = 0.25f;
    if (field_parse((const char *)data, bytes, JSON_REQUEST_BYTES_MAX, "job file", &json, &why) < 0)
        return 0;
    const cJSON *desc = cJSON_GetObjectItemCaseSensitive(json, "model");
    desc = desc ? desc : json;
    int rc = model_check(desc, &why);
    FUZZ_ASSERT(rc == 0 || why.text[0]);
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
        struct model m;
        if (model_parse(desc, inputs[i], 10, mean, std, &m, &why) < 0)
            continue;
        FUZZ_ASSERT(rc == 0);
        use(&m);
        for (int kind = 0; kind < LAYER_KINDS; kind++)
            model_describes(desc, (enum layer_kind)kind);
        model_done(&m);
    }
    cJSON_Delete(json);
    return 0;
}
