/* Flatness on the page of a job's report. */
#ifndef STEPPE_PROTO_CLI_REPORT_FLATNESS_H
#define STEPPE_PROTO_CLI_REPORT_FLATNESS_H

#include <stdio.h>

#include "proto/cli/command.h"

/* Asks for the measurements of a job; message_done(ret). 0 or as connection_call. */
int report_flatness_ask(struct cli *cli, int64_t job, struct message *ret, struct errbuf *why);
/* A table of all epochs and the lines of the last one; nothing when the job measured none. */
void report_flatness_print(FILE *out, const struct message *m);

#endif
