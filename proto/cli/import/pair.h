/* Formats whose splits are pairs of files in one folder, images and labels: which files are pairs,
 * and which pair is the training and which the test set. */
#ifndef STEPPE_PROTO_CLI_IMPORT_PAIR_H
#define STEPPE_PROTO_CLI_IMPORT_PAIR_H

#include <stdbool.h>

#include "proto/cli/import/entries.h"
#include "proto/cli/import/import.h"

/* A file's name taken apart. */
struct pair_name {
    size_t word_at, word_bytes; /* the word of its split: "train" */
    bool is_labels;
};

/* How a format names its files. */
struct pair_scheme {
    const char *train; /* the training images, for a sentence */
    bool sure;         /* only this format has such names, whatever their word is */
    bool (*parse)(const char *name, struct pair_name *ret);
    /* The expected partner of an existing file, for a sentence; to be freed. */
    char *(*partner)(const char *name);
};

struct pair {
    char *word;
    char *images, *labels; /* names; NULL: there is none */
    char *twin;            /* NULL, or a second file for one of them */
};

struct pairs {
    struct pair *at;
    int count;
    struct entries entries; /* of the folder */
    const struct pair *train, *test;
};

/* The pairs of r->path. 0 or -errno. */
int pairs_read(const struct import_request *r, const struct pair_scheme *scheme, struct pairs *ret,
               struct errbuf *why);
void pairs_done(struct pairs *p);

/* Sets train and, if there is one, test, by r->train and r->test or by the words in names; notes
 * what is left out. -ENOENT when a file is missing, -EINVAL when names do not tell. */
int pairs_choose(const struct import_request *r, const struct pair_scheme *scheme, struct pairs *p,
                 struct errbuf *why);

/* Has the folder a file whose name fits the scheme, with the word of a split unless the scheme is
 * sure without? */
bool pairs_detect(const char *folder, const struct pair_scheme *scheme);
/* The file with the test labels of r, to be freed; NULL: none. */
char *pairs_test_labels(const struct import_request *r, const struct pair_scheme *scheme);

#endif
