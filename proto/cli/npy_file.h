/* Reads one .npy file of numpy: images of unsigned bytes, labels of any integer type, numbers. */
#ifndef STEPPE_PROTO_CLI_NPY_FILE_H
#define STEPPE_PROTO_CLI_NPY_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/model.h"

struct npy_images {
    uint32_t samples; /* at least 1 */
    struct dims dims;
    uint8_t *data; /* [samples, h, w, c], to be freed */
};

/* Whether the file begins as a .npy file does; false also when it cannot be read. */
bool npy_file_is(const char *path);

/* uint8 of shape [N,H,W] (one channel) or [N,H,W,C]. Sizes are within common/bounds.h.
 * 0, -EINVAL, -EFBIG or -errno. */
int npy_file_images(const char *path, struct npy_images *ret, struct errbuf *why);

/* The labels (0 .. CLASSES_MAX-1, little-endian integers of shape [N] or [N,1]) of the `samples`
 * images of images_path, which is only named in sentences. *ret is to be freed. */
int npy_file_labels(const char *path, const char *images_path, uint32_t samples, uint16_t **ret,
                    struct errbuf *why);

/* Numbers of any little-endian integer or float type, of shape [N] or [N,1], 1 <= N <= SAMPLES_MAX.
 * *ret is to be freed. */
int npy_file_numbers(const char *path, double **ret, uint32_t *ret_count, struct errbuf *why);

#endif
