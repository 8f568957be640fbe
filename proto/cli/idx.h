/* Reads IDX files (the format of MNIST and its family), plain or .gz, into a dataset. */
#ifndef STEPPE_PROTO_CLI_IDX_H
#define STEPPE_PROTO_CLI_IDX_H

#include "common/dataset.h"

/* path is a folder with train-images-idx3-ubyte, train-labels-idx1-ubyte and, optionally,
 * t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte (each plain or with .gz behind it; also with
 * '.' before idx), or one images file with its labels file beside it ("images" and "idx3" in the
 * name become "labels" and "idx1"), which makes a dataset without test samples.
 * labels_path (NULL: none) is an IDX labels file, or text with one number a line, that takes the
 * place of the training labels; the old ones are kept as truth.
 * There are as many classes as the largest label says, at least 2. *ret is freed with
 * dataset_draft_done. 0, -EINVAL, -EFBIG or -errno; the sentence names the file, what is wrong with
 * it and what is allowed. */
int idx_import(const char *path, const char *labels_path, struct dataset_draft *ret,
               struct errbuf *why);

#endif
