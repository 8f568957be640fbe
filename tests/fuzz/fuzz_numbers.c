/* A list of scores, samples or labels: what is read of it says for each number which sample it is
 * of. */
#include <math.h>

#include "common/bounds.h"
#include "proto/cli/import/numbers.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const char *path = fuzz_file(data, bytes);

    for (int kind = NUMBERS_SCORES; kind <= NUMBERS_LABELS; kind++) {
        const struct numbers_ask ask = {(enum numbers_kind)kind, 3, "dataset g"};
        struct errbuf why = {""};
        struct numbers n;

        if (numbers_read(path, &ask, &n, &why) < 0) {
            FUZZ_ASSERT(why.text[0]);
            continue;
        }
        FUZZ_ASSERT(n.count >= 1 && n.count <= 3);
        FUZZ_ASSERT(n.count == 3 || n.named || kind == NUMBERS_SAMPLES);
        for (uint32_t i = 0; i < n.count; i++) {
            FUZZ_ASSERT(n.sample[i] < 3 && (i == 0 || n.sample[i] > n.sample[i - 1]));
            FUZZ_ASSERT(isfinite(n.value[i]));
            FUZZ_ASSERT(kind != NUMBERS_LABELS || (n.value[i] >= 0 && n.value[i] < CLASSES_MAX));
        }
        numbers_done(&n);
    }
    return 0;
}
