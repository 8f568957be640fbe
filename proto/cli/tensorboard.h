/* export --format tensorboard: a job as a run of TensorBoard. */
#ifndef STEPPE_PROTO_CLI_TENSORBOARD_H
#define STEPPE_PROTO_CLI_TENSORBOARD_H

#include "proto/cli/command.h"

/* Writes the metrics of all committed epochs, and a histogram of each measure of the scored ones,
 * into a file of the folder, which is created if need be; the same job has the same file name, and
 * its file is replaced. -EEXIST: the folder has events of something else. */
int tensorboard_export(struct cli *cli, int64_t job, const char *folder, struct errbuf *why);

#endif
