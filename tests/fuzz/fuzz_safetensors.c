/* A safetensors file of anybody, and the same bytes as a dataset. */
#include "common/dataset.h"
#include "tests/fuzz/fuzz.h"

static void check_dataset(const struct dataset *d)
{
    fuzz_touch(d->images, d->samples * d->image_bytes);
    fuzz_touch(d->test_images, d->test_samples * d->image_bytes);
    for (uint32_t i = 0; i < d->samples; i++)
        FUZZ_ASSERT(d->labels[i] < d->classes && (!d->truth || d->truth[i] < d->classes) &&
                    (!d->domains || d->domains[i] < d->domain_count));
    for (uint32_t i = 0; i < d->test_samples; i++)
        FUZZ_ASSERT(d->test_labels[i] < d->classes);
    if (d->planted)
        fuzz_touch(d->planted, d->samples);
    for (uint32_t c = 0; c < d->dims.c; c++)
        FUZZ_ASSERT(d->mean[c] >= 0 && d->mean[c] <= 1 && d->std[c] > 0 && d->std[c] <= 1);
    FUZZ_ASSERT(d->class_names_json && d->source);
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
    if (dataset_open(fuzz_file(data, bytes), &d, &why) < 0) {
        FUZZ_ASSERT(why.text[0]);
        return 0;
    }
    check_dataset(&d);
    dataset_close(&d);
    return 0;
}
