/* Reads one IDX file, plain or gzip'd: images (3 dimensions) or labels (1 dimension) of unsigned
 * bytes. If the file is something else, the sentence says what. */
#ifndef STEPPE_PROTO_CLI_IMPORT_IDX_FILE_H
#define STEPPE_PROTO_CLI_IMPORT_IDX_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/model.h"

struct idx_images {
    uint32_t samples;
    struct dims dims; /* one channel */
    uint8_t *data;    /* [samples, h, w], to be freed; never NULL once read */
};

/* 0, -EINVAL, -EFBIG or -errno. Sizes are within common/bounds.h; 0 samples are accepted. */
int idx_file_images(const char *path, struct idx_images *ret, struct errbuf *why);

/* Does the file, unpacked, begin like an IDX file? Also false when it cannot be read. */
bool idx_file_is(const char *path);

/* The labels (0 .. CLASSES_MAX-1) of the `samples` images of images_path, which only appears in
 * sentences. *ret is to be freed. */
int idx_file_labels(const char *path, const char *images_path, uint32_t samples, uint16_t **ret,
                    struct errbuf *why);

#endif
