/* Which pictures a folder has: CLASS/FILE.png, .jpg, .jpeg or .webp (any case), or
 * DOMAIN/CLASS/FILE; or both below train/, with the test split in test/, else in val/, or as
 * picture_split.h says. No file is opened.
 *
 * Domains are where pictures come from (photo, sketch, a hospital). The depth of the tree shows
 * them, and a tree of both depths is refused. Test pictures may have other domains, which are not
 * kept: a dataset has those of its training pictures.
 *
 * Classes are the class folders of the training split, sorted bytewise, and so are the files in
 * each; samples are numbered in this order, domain by domain and class by class, so that the same
 * files make the same dataset everywhere. Files beside the class folders that are not pictures are
 * left out, and named. Everything else that does not fit is refused: leaving out a picture silently
 * would be worse. */
#ifndef STEPPE_PROTO_CLI_IMPORT_PICTURE_TREE_H
#define STEPPE_PROTO_CLI_IMPORT_PICTURE_TREE_H

#include "proto/cli/import/entries.h"
#include "proto/cli/import/import.h"
#include "proto/cli/import/picture_split.h"

/* The files of one split in the order of their samples. */
struct picture_list {
    struct picture_file {
        char *path;
        uint16_t label, domain;
    } * files;
    uint32_t count, listed, capacity; /* listed: those left out too */
    struct uris uris;
};

struct picture_tree {
    const struct import_request *request; /* borrowed */
    struct picture_split split;
    struct entries classes; /* folders only */
    struct entries domains; /* folders only; none: the tree has no domains */
    struct picture_list train, test;
};

/* Lists the pictures of r->path. 0, -EINVAL or -errno. */
int picture_tree_read(const struct import_request *r, struct picture_tree *ret, struct errbuf *why);
void picture_tree_done(struct picture_tree *t);

#endif
