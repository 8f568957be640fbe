/* A checkpoint whose SHA-256 is the recorded one, whatever it holds: what is read goes into a run,
 * which starts from it. */
#include "common/hash.h"
#include "tests/fuzz/small_run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const char *path = fuzz_file(data, bytes);
    struct errbuf why = {""};
    struct small_run small;
    struct checkpoint *c;
    char sha256[SHA256_HEX];
    float theta[4];

    small_run_open(&small);
    const struct checkpoint_shape shape = small_run_shape(&small);
    checkpoint_read_model(path, &shape, 4, sizeof(theta), theta, &why);
    sha256_hex_of(data, bytes, sha256);
    int rc = checkpoint_read(path, sha256, &shape, NULL, &c, &why);
    FUZZ_ASSERT(rc == 0 || why.text[0]);
    if (rc == 0) {
        checkpoint_model_hash(c, sha256);
        checkpoint_restore(c, small.run);
        run_start(small.run, 0);
        run_progress(small.run);
        checkpoint_free(c);
    }
    small_run_close(&small);
    return 0;
}
