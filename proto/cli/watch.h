/* Watching a job until it ends. */
#ifndef STEPPE_PROTO_CLI_WATCH_H
#define STEPPE_PROTO_CLI_WATCH_H

#include "proto/cli/command.h"

/* Follows the job: on a terminal with a progress line that is redrawn, else with a line an epoch
 * and a line a minute within it; with --json prints only the last row. Survives a restart of the
 * server of up to 60 s. 0 when the job is done; -ECANCELED when it failed or was cancelled; -EINTR
 * on Ctrl-C (the job goes on, the sentence says so); else as client_call. */
int watch_job(struct cli *cli, int64_t job, struct errbuf *why);

#endif
