/* export --pred-probs: what a job says of each sample, for cleanlab. */
#ifndef STEPPE_PROTO_CLI_PRED_PROBS_H
#define STEPPE_PROTO_CLI_PRED_PROBS_H

#include "proto/cli/command.h"

/* Writes float32 [samples, classes] of the newest sweep as .npy; a sample that it did not measure
 * has a row of NaN, and how many those are is said. */
int pred_probs_export(struct cli *cli, int64_t job, const char *path, struct errbuf *why);

#endif
