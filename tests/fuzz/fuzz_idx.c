/* An IDX folder, plain or gzip'd: images, labels, and --labels as IDX or text, the parts of the
 * input. */
#include "tests/fuzz/draft.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const char *const names[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                        "labels", NULL};

    fuzz_put_parts(names, data, bytes);
    fuzz_import(NULL, 0);
    fuzz_import(fuzz_path(names[2]), 0);
    return 0;
}
