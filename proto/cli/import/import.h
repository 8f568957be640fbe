/* From files to a dataset: finds out which format a path is in, reads it, and does what is the same
 * for every format (other labels, the number of classes, the sentence on the origin). A new format
 * is one row of the table in import.c. */
#ifndef STEPPE_PROTO_CLI_IMPORT_IMPORT_H
#define STEPPE_PROTO_CLI_IMPORT_IMPORT_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/dataset.h"
#include "proto/cli/import/import_notes.h"
#include "proto/cli/import/npy_layout.h"

/* What the labels are that replace a dataset's own. */
enum labels_are {
    LABELS_NOISY, /* noisy, for an experiment: the old ones are the truth */
    LABELS_TRUE,  /* a correction: they are the truth, the old ones are dropped */
};

extern const char *const labels_are_names[]; /* NULL-terminated */

struct import_request {
    const char *path;
    const char *root; /* uris begin below it; NULL: below path. Set when path is a folder in it */
    /* NULL, or labels that replace the training labels: IDX or a list (numbers.h). */
    const char *labels_path;
    enum labels_are labels_are;
    bool manifest; /* no pictures: a list of samples; size: of its thumbnails, 0: it has none */
    uint32_t size; /* pictures are scaled to size x size; 0: as they are */
    bool stored;   /* pictures are not turned as EXIF says */
    bool skip_bad; /* pictures that cannot be read are left out, with a note */
    /* NULL, or which folder (of pictures) or which word in file names is the training set (".": all
     * folders) and the test set ("none": there is none). */
    const char *train, *test;
    enum npy_layout layout;           /* of numpy's arrays of images */
    struct import_notes *notes;       /* NULL, or notes are added to it */
    const _Atomic sig_atomic_t *stop; /* NULL, or set when the user wants to stop */
};

/* A format. import fills samples, dims, images, labels and uris of both splits, and either classes
 * and class_names or neither; and source if it has a name more exact than the format's. On an error
 * *ret is untouched. */
struct import_format {
    const char *name;
    const char *needs; /* the files that make a folder this format, for a sentence */
    bool pictures;     /* request.size, stored and skip_bad are meant for it */
    bool lays_out;     /* request.layout is meant for it */
    bool (*detect)(const char *path, bool is_folder);
    int (*import)(const struct import_request *r, struct dataset_draft *ret, struct errbuf *why);
    /* The file with the test labels, if any; to be freed. NULL in formats whose import gives names:
     * it has judged the labels itself. */
    char *(*test_labels)(const struct import_request *r);
};
extern const struct import_format idx_format, cifar_format, npy_format, picture_format;
extern const struct import_format table_format; /* of a manifest only: a CSV file */

/* Reads the files of a path. Without names there are as many classes as the largest training label
 * (old or new) says, at least 2, and a test label beyond them is refused; with names any label
 * beyond them is. *ret is freed with dataset_draft_done. 0, -EINVAL, -EFBIG, -EINTR or -errno; the
 * sentence names the file, what is wrong with it and what is allowed. */
int import_files(const struct import_request *r, struct dataset_draft *ret, struct errbuf *why);

/* Is the path in a format whose images can be scaled? */
bool import_scales(const struct import_request *r);

/* folder/name, to be freed. */
char *import_path(const char *folder, const char *name);
/* Has the name of a class or a domain (`what`), which lies in `place`, at most CLASS_NAME_BYTES_MAX
 * bytes? Importers ask before they read any image. 0 or -EINVAL. */
int import_name_check(const char *what, const char *place, const char *name, struct errbuf *why);
/* Adds the uri of a file that was read: its path below the folder that people named; of a path that
 * they named itself its last part. Those of the first `count` images in it: FILE[0], FILE[1]..
 * -EINVAL: it is too long. */
int import_uri(const struct import_request *r, const char *path, struct uris *u,
               struct errbuf *why);
int import_uris(const struct import_request *r, const char *path, uint32_t count, struct uris *u,
                struct errbuf *why);
/* -EINTR with a sentence once the user wants to stop. */
int import_stopped(const struct import_request *r, struct errbuf *why);

#endif
