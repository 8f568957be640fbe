/* Reads the lists that accompany images or a job file: scores, labels, numbers of samples. Each
 * entry belongs to a certain sample, so nothing is skipped or guessed: an entry that does not say
 * exactly which sample has which number is refused, with its line and text. */
#ifndef STEPPE_PROTO_CLI_IMPORT_NUMBERS_H
#define STEPPE_PROTO_CLI_IMPORT_NUMBERS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

enum numbers_kind {
    NUMBERS_SCORES,  /* finite numbers, one for each sample or for those that are named */
    NUMBERS_SAMPLES, /* numbers of samples, each once */
    NUMBERS_LABELS,  /* 0 .. CLASSES_MAX-1, one for each sample */
};

struct numbers_ask {
    enum numbers_kind kind;
    uint32_t samples;    /* there are */
    const char *dataset; /* where the samples are, for sentences: "dataset g", a path */
};

struct numbers {
    uint32_t count;
    uint32_t *sample; /* [count] ascending, each once */
    double *value;    /* [count]; of NUMBERS_SAMPLES without a meaning */
    bool named; /* the file names its samples, perhaps not all; else it has one entry for each */
};

/* The file is one of:
 * - text, plain or gzip'd: a number a line, perhaps under one line of a name, or for scores
 *   "sample,score" lines under names or not. Lines that begin with # may stand above the first
 *   number only, empty ones behind the last;
 * - a JSON list of numbers;
 * - .npy of shape [N] or [N,1]: integers, for scores also floats, for samples also a mask of bools.
 * 0, -EINVAL, -EFBIG, -ENOMEM or -errno. */
int numbers_read(const char *path, const struct numbers_ask *ask, struct numbers *ret,
                 struct errbuf *why);
void numbers_done(struct numbers *n); /* a zeroed struct is fine */

#endif
