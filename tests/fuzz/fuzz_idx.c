/* An IDX folder, plain or gzip'd: images, labels, and --labels as IDX or text, the parts of the
 * input. */
#include "tests/fuzz/draft.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const char *const names[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                        "labels"};
    size_t skip;

    for (int i = 0; i < 3; i++) {
        size_t part = fuzz_part(data, bytes, &skip);
        fuzz_put(names[i], data, part);
        data += skip;
        bytes -= skip;
    }
    fuzz_import(NULL, 0);
    fuzz_import(fuzz_path(names[2]), 0);
    return 0;
}
