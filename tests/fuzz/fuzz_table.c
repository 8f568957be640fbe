/* A table of the samples of a manifest: what is read of it is a manifest that can be written. */
#include <string.h>

#include "proto/cli/import/import.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const struct import_request request = {.path = fuzz_file(data, bytes), .manifest = true};
    uint8_t sha256[SHA256_BYTES];
    struct dataset_draft d;
    struct errbuf why = {""};

    if (import_files(&request, &d, &why) < 0) {
        FUZZ_ASSERT(why.text[0]);
        return 0;
    }
    FUZZ_ASSERT(d.manifest && d.samples > 0 && d.uris.count == d.samples);
    FUZZ_ASSERT(dataset_write(&d, fuzz_path("m"), sha256, &why) == 0);
    dataset_draft_done(&d);
    return 0;
}
