/* The files that a job file names: read here, sent to the server, and named in the job by the hash
 * of what was sent. */
#ifndef STEPPE_PROTO_CLI_ATTACH_H
#define STEPPE_PROTO_CLI_ATTACH_H

#include <cjson/cJSON.h>

#include "proto/cli/command.h"

/* Sends every file that spec, which jobspec_parse has passed, names, and adds its sha256 there.
 * Names are relative to the folder of the job file at job_path ("-": to the working folder). A hash
 * that spec has already must be that of the file. 0 or -errno. */
int attach_files(struct cli *cli, const char *job_path, cJSON *spec, struct errbuf *why);

#endif
