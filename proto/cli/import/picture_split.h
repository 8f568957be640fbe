/* Which folders of a tree of pictures are its training and its test set, and which are neither. */
#ifndef STEPPE_PROTO_CLI_IMPORT_PICTURE_SPLIT_H
#define STEPPE_PROTO_CLI_IMPORT_PICTURE_SPLIT_H

#include "proto/cli/import/entries.h"
#include "proto/cli/import/import.h"

struct picture_split {
    char *train;            /* the folder with the training pictures: the request's, or one in it */
    char *test;             /* NULL: there are no test pictures */
    char *test_name;        /* the name of its folder, as --test takes it */
    struct entries outside; /* folders in `train` that are not part of it, the test set's too */
};

/* Chooses by the names of the folders in r->path, or by r->train and r->test. Notes what is left
 * out. -EINVAL when there are several readings, one of which would train on test pictures; the
 * sentence has the readings and the option for each. */
int picture_split_find(const struct import_request *r, struct picture_split *ret,
                       struct errbuf *why);
void picture_split_done(struct picture_split *s);

/* Refuses folders of the training set that are named like a test set, unless r->train says that
 * they belong there: CLASS/train/ and CLASS/test/ would be trained on as classes. */
int picture_split_check(const struct import_request *r, const char *root,
                        const struct entries *folders, struct errbuf *why);

#endif
