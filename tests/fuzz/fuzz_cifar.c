/* CIFAR's binary files: the names of the classes and the records, the parts of the input. Every
 * second input is taken as CIFAR-100, whose records have one byte more. */
#include <stdio.h>
#include <unistd.h>

#include "tests/fuzz/draft.h"

static void put_ten(const uint8_t *records, size_t bytes)
{
    for (int i = 1; i <= 5; i++) {
        char name[32];
        snprintf(name, sizeof(name), "data_batch_%d.bin", i);
        fuzz_put(name, records, bytes);
    }
    fuzz_put("test_batch.bin", records, bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    size_t skip, part = fuzz_part(data, bytes, &skip);

    fuzz_put("batches.meta.txt", data, part);
    fuzz_put("fine_label_names.txt", data, part);
    put_ten(data + skip, bytes - skip);
    fuzz_import(NULL, 0);
    unlink(fuzz_path("data_batch_1.bin"));
    fuzz_put("train.bin", data + skip, bytes - skip);
    fuzz_put("test.bin", data + skip, bytes - skip);
    fuzz_import(NULL, 0);
    unlink(fuzz_path("train.bin"));
    return 0;
}
