/* Which part of a dataset a folder or a file is, by its name in upper or lower case: "train",
 * "Training", "training_set", "val", "x_test". */
#ifndef STEPPE_PROTO_CLI_IMPORT_SPLIT_H
#define STEPPE_PROTO_CLI_IMPORT_SPLIT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

/* SPLIT_HELD is not for training, but its name does not say what it is for. */
enum split_kind { SPLIT_NONE, SPLIT_TRAIN, SPLIT_HELD, SPLIT_VAL, SPLIT_TEST };

#define SPLIT_WHOLE "." /* as --train: everything */
#define SPLIT_NO "none" /* as --test: no test part */

/* A name means a part when one of its words does and the others mean nothing (set, data,
 * digits). */
enum split_kind split_kind_of(const char *name);

/* The part that any word of the name means, whatever the others are: "mnist_test". */
enum split_kind split_word_in(const char *name);
/* Does `held` differ from `train` only in having "test" or "val" for "train" or a word like it:
 * "mnist_train" and "mnist_test", "trainA" and "testA"? */
bool split_is_pair(const char *train, const char *held);

/* Indices of names; -1: none. where is named in sentences. */
struct split_choice {
    const char *where;
    const char *const *names;
    int count;
    int train, test;
};

/* "a, b or c" of the names of a kind, or with SPLIT_NONE of all, into buf; returns buf. */
#define SPLIT_NAMES_BYTES 160
const char *split_names(const struct split_choice *c, enum split_kind kind,
                        char buf[SPLIT_NAMES_BYTES]);

/* Sets c->train to the name `given`, or when that is NULL to the only one of a training part. 0, or
 * -EINVAL: there is no such name, or there are several. */
int split_choose_train(struct split_choice *c, const char *given, struct errbuf *why);
/* Sets c->test to the name `given` (SPLIT_NO: to none), or when that is NULL to the only test part,
 * else to the only validation part. */
int split_choose_test(struct split_choice *c, const char *given, struct errbuf *why);

#endif
