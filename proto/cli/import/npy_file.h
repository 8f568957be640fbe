/* Reads one .npy file of numpy: images of unsigned bytes, labels of any integer type, numbers. */
#ifndef STEPPE_PROTO_CLI_IMPORT_NPY_FILE_H
#define STEPPE_PROTO_CLI_IMPORT_NPY_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/model.h"
#include "proto/cli/import/npy_layout.h"

struct npy_images {
    uint32_t samples; /* at least 1 */
    struct dims dims;
    uint8_t *data;          /* [samples, h, w, c], to be freed */
    enum npy_layout layout; /* of the file */
};

/* Does the file begin like a .npy file? Also false when it cannot be read. */
bool npy_file_is(const char *path);

/* uint8 of shape [N,H,W] (one channel), [N,H,W,C] or [N,C,H,W], which becomes [N,H,W,C]; layout is
 * passed to npy_layout_judge. Sizes are within common/bounds.h. 0, -EINVAL, -EFBIG or -errno.
 */
int npy_file_images(const char *path, enum npy_layout layout, struct npy_images *ret,
                    struct errbuf *why);

/* The labels (0 .. CLASSES_MAX-1, integers of any width and byte order, of shape [N] or [N,1]) of
 * the `samples` images of images_path, which only appears in sentences. *ret is to be freed. */
int npy_file_labels(const char *path, const char *images_path, uint32_t samples, uint16_t **ret,
                    struct errbuf *why);

enum npy_kind { NPY_INTEGERS = 1, NPY_FLOATS = 2, NPY_BOOLS = 4 };
struct npy_values {
    uint32_t count; /* 1 to SAMPLES_MAX */
    enum npy_kind kind;
    double *value; /* finite; integers as they are, bools as 0 and 1; to be freed */
};
/* Entries of one of `kinds`, of any width up to 64 bits and any byte order, of shape [N] or [N,1].
 * `what` is their name in sentences ("scores"). 0, -EINVAL or -errno. */
int npy_file_values(const char *path, unsigned kinds, const char *what, struct npy_values *ret,
                    struct errbuf *why);

#endif
