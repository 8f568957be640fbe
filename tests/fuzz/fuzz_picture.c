/* A PNG, JPEG or WebP as an importer meets it, and scaled. */
#include <stdlib.h>

#include "proto/cli/import/picture.h"
#include "tests/fuzz/fuzz.h"

#define SIDE_MAX 256 /* keeps a run in memory and short */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct errbuf why = {""};
    struct picture p, small;

    if (picture_decode("picture", data, bytes, SIDE_MAX, false, &p, &why) < 0) {
        FUZZ_ASSERT(why.text[0]);
        return 0;
    }
    FUZZ_ASSERT(p.dims.h > 0 && p.dims.h <= SIDE_MAX && p.dims.w > 0 && p.dims.w <= SIDE_MAX);
    FUZZ_ASSERT(p.dims.c == 1 || p.dims.c == 3);
    fuzz_touch(p.pixels, (size_t)p.dims.h * p.dims.w * p.dims.c);
    if (picture_scale(&p, 8, 5, &small) == 0) {
        fuzz_touch(small.pixels, (size_t)8 * 5 * p.dims.c);
        free(small.pixels);
    }
    free(p.pixels);
    return 0;
}
