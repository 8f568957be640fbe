/* What the tables of `steppe` say for manual pages (common/manual.h). */
#ifndef STEPPE_PROTO_CLI_MANPAGE_H
#define STEPPE_PROTO_CLI_MANPAGE_H

#include <stdio.h>

#include "proto/cli/command.h"

/* Answers for the words behind --manual:
 *
 *   pages             the pages about commands and groups, each below a line "@page dataset
 * import"; what is said of it in prose goes where a line says @text, and behind its end commands an
 * entry for each command options           an entry for each option of every command job an entry
 * for each key of a job file
 *
 * EXIT_USAGE with a sentence when they are none of these. */
int manpage_write(const struct command *commands, int count, char **words, FILE *out,
                  struct errbuf *why);

#endif
