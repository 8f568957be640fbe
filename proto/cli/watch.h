/* Watching a job until it ends. */
#ifndef STEPPE_PROTO_CLI_WATCH_H
#define STEPPE_PROTO_CLI_WATCH_H

#include "proto/cli/command.h"

#define WATCH_DOING_BYTES 96

/* Follows the job, from its first epoch on: on a terminal with a progress line that is redrawn,
 * else with a line an epoch and a line a minute within it; with --json prints only the last row.
 * Survives a restart of the server of up to 60 s. 0 when the job is done; -ECANCELED when it failed
 * or was cancelled; -EINTR on Ctrl-C (the job goes on, the sentence says so); else as client_call.
 */
int watch_job(struct cli *cli, int64_t job, struct errbuf *why);
/* The same of a job on the way to something else: what it waits for and how far it is are notices
 * on stderr (with --json too); its epochs and that it is done are not told. */
int watch_measurement(struct cli *cli, int64_t job, struct errbuf *why);

/* What a job of this row does instead of training, "" for training: its state, or such as
 * "measuring flatness, round 3 of at most 110". */
const char *watch_doing(const cJSON *row, char text[WATCH_DOING_BYTES]);

#endif
