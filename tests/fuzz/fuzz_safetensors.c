/* A safetensors file of anybody, and the same bytes as a dataset and as weights. */
#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

#include "common/dataset.h"
#include "tests/fuzz/fuzz.h"

static void check_dataset(const struct dataset *d)
{
    fuzz_touch(d->images, d->samples * d->image_bytes);
    if (!d->manifest)
        fuzz_touch(d->test_images, d->test_samples * d->image_bytes);
    for (uint32_t i = 0; i < d->samples; i++)
        FUZZ_ASSERT(d->labels[i] < d->classes && (!d->truth || d->truth[i] < d->classes) &&
                    (!d->domains || d->domains[i] < d->domain_count));
    for (uint32_t i = 0; i < d->test_samples; i++)
        FUZZ_ASSERT(d->test_labels[i] < d->classes);
    if (d->planted)
        fuzz_touch(d->planted, d->samples);
    for (uint32_t c = 0; !d->manifest && c < d->dims.c; c++)
        FUZZ_ASSERT(d->mean[c] >= 0 && d->mean[c] <= 1 && d->std[c] > 0 && d->std[c] <= 1);
    FUZZ_ASSERT(d->class_names_json && d->source);
}

/* The model of the seed (seed.c); what is taken is finite. */
static void check_weights(const char *path)
{
    static const float mean[] = {0.5f}, std[] = {0.25f};
    cJSON *desc = cJSON_Parse(FUZZ_WEIGHTS_MODEL);
    struct weights_said said = {.class_names = NULL};
    struct errbuf why = {""};
    struct model m;
    float theta[256];

    FUZZ_ASSERT(model_parse(desc, (struct dims){1, 2, 1}, 2, mean, std, &m, &why) == 0);
    FUZZ_ASSERT(m.floats <= sizeof(theta) / sizeof(theta[0]));
    if (model_import(&m, path, "weights", theta, &said, &why) < 0)
        FUZZ_ASSERT(why.text[0]);
    else
        for (size_t i = 0; i < m.floats; i++)
            FUZZ_ASSERT(isfinite(theta[i]));
    if (said.class_names)
        fuzz_touch(said.class_names, strlen(said.class_names));
    if (said.layers)
        fuzz_touch(said.layers, strlen(said.layers));
    for (uint32_t c = 0; c < said.scaling.channels; c++)
        FUZZ_ASSERT(isfinite(said.scaling.mean[c]) && said.scaling.std[c] > 0);
    weights_said_done(&said);
    model_done(&m);
    cJSON_Delete(desc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct errbuf why = {""};
    struct safetensors st;
    struct dataset d;

    if (safetensors_parse(data, bytes, &st, &why) < 0) {
        FUZZ_ASSERT(why.text[0]);
        return 0;
    }
    for (int i = 0; i < st.tensor_count; i++) {
        FUZZ_ASSERT(safetensors_find(&st, st.tensors[i].name) == &st.tensors[i]);
        fuzz_touch(st.tensors[i].data, st.tensors[i].bytes);
    }
    for (int i = 0; i < st.meta_count; i++)
        FUZZ_ASSERT(safetensors_meta_get(&st, st.meta[i].key));
    safetensors_close(&st);
    check_weights(fuzz_file(data, bytes));
    if (dataset_open(fuzz_file(data, bytes), &d, &why) < 0) {
        FUZZ_ASSERT(why.text[0]);
        return 0;
    }
    check_dataset(&d);
    dataset_close(&d);
    return 0;
}
