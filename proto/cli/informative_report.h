/* report --informative: a page on how much each measure of difficulty still tells over the epochs
 * of a job, or of two side by side. */
#ifndef STEPPE_PROTO_CLI_INFORMATIVE_REPORT_H
#define STEPPE_PROTO_CLI_INFORMATIVE_REPORT_H

#include "proto/cli/command.h"

/* Writes the page to words[1] and a table (or with --json all figures) to standard output. Options:
 * --beside, --hardness. 0 or -errno. */
int informative_report(struct cli *cli, int64_t job, struct errbuf *why);

#endif
