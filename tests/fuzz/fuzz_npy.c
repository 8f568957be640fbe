/* A pair of .npy files, images and labels, and other labels: the parts of the input. */
#include "tests/fuzz/draft.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const char *const names[] = {"train_images.npy", "train_labels.npy", "labels.npy", NULL};

    fuzz_put_parts(names, data, bytes);
    for (enum npy_layout as = NPY_LAYOUT_JUDGE; as <= NPY_LAYOUT_NCHW; as++)
        fuzz_import_as(NULL, 0, as);
    fuzz_import(fuzz_path(names[2]), 0);
    return 0;
}
