/* The fuzz targets: each file fuzz_NAME.c has one function that takes bytes from outside and must
 * come back, whatever they are. libFuzzer (`make fuzz`) invents the bytes; replay.c runs the
 * targets over files, as `make test` does. Beside what a sanitizer sees, a target asserts what must
 * hold of everything that its reader accepts: FUZZ_ASSERT. */
#ifndef STEPPE_TESTS_FUZZ_H
#define STEPPE_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* libFuzzer's name for it. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* The path of a file that holds these bytes, valid until the next call. It lives in memory. */
const char *fuzz_file(const uint8_t *data, size_t bytes);
/* A folder of this process in memory (or where temporary files go), made at the first call and
 * removed at exit; and the path of a file in it, in a static buffer (eight are kept in turn). */
const char *fuzz_folder(void);
const char *fuzz_path(const char *name);
/* Writes a file of that folder. */
void fuzz_put(const char *name, const uint8_t *data, size_t bytes);
/* Reads every byte, so that a sanitizer sees those that are not there. */
void fuzz_touch(const void *data, size_t bytes);
/* The length of what lies before the first "\n--\n", which separates the parts of an input; all of
 * it without one. *ret_skip is where the next part begins. */
size_t fuzz_part(const uint8_t *data, size_t bytes, size_t *ret_skip);
/* Writes the parts of an input to the files of these names, NULL-terminated. */
void fuzz_put_parts(const char *const *names, const uint8_t *data, size_t bytes);

void fuzz_failed(const char *file, int line, const char *what) __attribute__((noreturn));
#define FUZZ_ASSERT(cond)                                                                          \
    do {                                                                                           \
        if (!(cond))                                                                               \
            fuzz_failed(__FILE__, __LINE__, #cond);                                                \
    } while (0)

/* Weights of this model are among the seeds of target safetensors: 1 x 2 x 1 pixels, 2 classes. */
#define FUZZ_WEIGHTS_MODEL "{\"layers\":[{\"type\":\"flatten\"},{\"type\":\"dense\"}]}"

#endif
