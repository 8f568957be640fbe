/* New pictures for a model: files, folders, numpy files; read, decoded and scaled by the code of
 * the import. */
#ifndef STEPPE_PROTO_CLI_PREDICT_SOURCE_H
#define STEPPE_PROTO_CLI_PREDICT_SOURCE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/model.h"
#include "proto/cli/import/import_notes.h"
#include "proto/cli/import/npy_file.h"

#define NO_LABEL (-1)      /* it lies in no class folder */
#define UNKNOWN_LABEL (-2) /* its folder is named as no class of the model */

struct predict_item {
    char *path;     /* as shown: of numpy's images "FILE[17]"; owned */
    int npy;        /* index into arrays; -1: the file `path` */
    uint32_t index; /* in that array */
    int32_t label;  /* a class of the model, NO_LABEL or UNKNOWN_LABEL */
};

struct predict_source {
    struct dims dims; /* of the model */
    bool stored;      /* JPEGs are not turned as EXIF says */
    bool skip_bad;    /* pictures that cannot be read are left out */
    char **class_names;
    uint32_t classes;
    struct predict_item *items;
    uint32_t count, room;
    struct npy_images *arrays;
    int array_count;
    uint32_t scaled;           /* pictures that had another size, so far */
    uint32_t labelled;         /* items with a label of the model */
    uint32_t left_out;         /* files in folders that are no pictures */
    char unknown[200];         /* names of class folders that are no classes; "": none */
    struct import_notes notes; /* the pictures that cannot be read */
};

/* Lists the pictures of one path more: a file, or a folder with all below it. What lies in a folder
 * of a folder that was named has that folder's name as its class. dims, stored, skip_bad,
 * class_names and classes are set, the rest was zeroed. 0 or -errno with a sentence that names the
 * file. */
int predict_source_add(struct predict_source *s, const char *path, struct errbuf *why);
void predict_source_done(struct predict_source *s);

/* Reads items from `first` on to out [most, h, w, c], up to `most`; *ret is how many, 0: there are
 * none any more. A picture of another size is scaled to the model's, a grey one becomes RGB where
 * the model wants it; a coloured one for a grey model is refused. One that cannot be read is noted
 * and taken out of the items; without skip_bad the others are then only looked at, and all of them
 * together are -EINVAL. -EINTR when *stop is set. */
int predict_source_read(struct predict_source *s, uint32_t first, uint32_t most,
                        const _Atomic sig_atomic_t *stop, uint8_t *out, uint32_t *ret,
                        struct errbuf *why);

#endif
