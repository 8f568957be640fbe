/* What must hold of everything that an importer hands on. */
#ifndef STEPPE_TESTS_FUZZ_DRAFT_H
#define STEPPE_TESTS_FUZZ_DRAFT_H

#include "proto/cli/import/import.h"
#include "tests/fuzz/fuzz.h"

/* Imports the folder of the target and frees what came of it. */
static inline void fuzz_import_as(const char *labels, uint32_t size, enum npy_layout layout)
{
    const struct import_request request = {
        .path = fuzz_folder(), .labels_path = labels, .size = size, .layout = layout};
    struct dataset_draft d;
    struct errbuf why = {""};

    if (import_files(&request, &d, &why) < 0) {
        FUZZ_ASSERT(why.text[0]);
        return;
    }
    const size_t image_bytes = (size_t)d.dims.h * d.dims.w * d.dims.c;
    FUZZ_ASSERT(d.samples > 0 && image_bytes > 0 && d.classes >= 2);
    fuzz_touch(d.images, d.samples * image_bytes);
    fuzz_touch(d.test_images, d.test_samples * image_bytes);
    for (uint32_t i = 0; i < d.samples; i++)
        FUZZ_ASSERT(d.labels[i] < d.classes && (!d.truth || d.truth[i] < d.classes));
    for (uint32_t i = 0; i < d.test_samples; i++)
        FUZZ_ASSERT(d.test_labels[i] < d.classes);
    dataset_draft_done(&d);
}

static inline void fuzz_import(const char *labels, uint32_t size)
{
    fuzz_import_as(labels, size, NPY_LAYOUT_JUDGE);
}

#endif
