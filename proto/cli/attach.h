/* The files that a job file names. They are read here and sent to the server; the job names them by
 * the hash of what was sent. */
#ifndef STEPPE_PROTO_CLI_ATTACH_H
#define STEPPE_PROTO_CLI_ATTACH_H

#include <cjson/cJSON.h>

#include "proto/cli/command.h"

/* Sends every file that spec names, and adds its sha256 to spec, which jobspec_parse has passed.
 * Names are relative to the folder of the job file at job_path ("-": to the working folder). If
 * spec already has a hash, it must be the file's. 0 or -errno. */
int attach_files(struct cli *cli, const char *job_path, cJSON *spec, struct errbuf *why);

#endif
