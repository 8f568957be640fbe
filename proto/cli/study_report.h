/* report --study: a page about a study that needs no other file: for each figure its table and the
 * differences to the control, and learning curves. */
#ifndef STEPPE_PROTO_CLI_STUDY_REPORT_H
#define STEPPE_PROTO_CLI_STUDY_REPORT_H

#include "proto/cli/command.h"

/* Writes the page about the study of that name to the file `path`. 0 or -errno. */
int study_report(struct cli *cli, const char *study, const char *path, struct errbuf *why);

#endif
