/* The keys of a job file by the words that other training programs have for them. */
#ifndef STEPPE_COMMON_JOBSPEC_SYNONYMS_H
#define STEPPE_COMMON_JOBSPEC_SYNONYMS_H

#include <stddef.h>

/* The path that is probably meant by one that no job file has: "batch_size" is "batch", "lr" is
 * "optimizer.lr", "optimizer.type" is "optimizer.name", "numEpochs" is "epochs". NULL: the words of
 * other programs do not tell. */
const char *jobspec_meant(const char *path);

/* The i-th path that the table leads to; NULL behind the last. */
const char *jobspec_synonym(size_t i);

#endif
