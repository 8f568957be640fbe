/* Jobs that leave out one fold each, so that every label is judged by a model that has not seen it:
 * a study of the job, with a job for each fold. */
#ifndef STEPPE_PROTO_CLI_OUT_OF_SAMPLE_H
#define STEPPE_PROTO_CLI_OUT_OF_SAMPLE_H

#include "common/bounds.h"
#include "proto/cli/command.h"

/* Submits what is missing of them, and says so on stderr. wait: until all are done. *ret_done: all
 * are; study is then the one to ask by. 0; -ECANCELED: one failed or was cancelled; -EINTR: Ctrl-C
 * while waiting; else as client_call. */
int out_of_sample(struct cli *cli, int64_t job, int64_t folds, bool wait,
                  char study[NAME_MAX_BYTES], bool *ret_done, struct errbuf *why);

#endif
