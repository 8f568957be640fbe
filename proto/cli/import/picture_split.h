/* Which folders of a tree of pictures are its training and its test set, and which are neither. */
#ifndef STEPPE_PROTO_CLI_IMPORT_PICTURE_SPLIT_H
#define STEPPE_PROTO_CLI_IMPORT_PICTURE_SPLIT_H

#include "proto/cli/import/entries.h"
#include "proto/cli/import/import.h"

struct picture_split {
    char *train;            /* the folder with the training pictures: the request's, or one in it */
    char *test;             /* NULL: there are no test pictures */
    char *test_name;        /* of its folder, as --test takes it */
    struct entries outside; /* folders in `train` that are not of it: the test set, what is left */
};

/* Chooses by the names of the folders in r->path, or as r->train and r->test say. What is left out
 * is noted. Where more than one reading is possible, and one of them would train on test pictures,
 * -EINVAL with the readings and the option for each. */
int picture_split_find(const struct import_request *r, struct picture_split *ret,
                       struct errbuf *why);
void picture_split_done(struct picture_split *s);

/* Refuses folders of the training set that are called as a test set is, unless r->train says that
 * they belong there: CLASS/train/ and CLASS/test/ would be trained on as classes. */
int picture_split_check(const struct import_request *r, const char *root,
                        const struct entries *folders, struct errbuf *why);

#endif
