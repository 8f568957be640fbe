/* What the server has that a word on a command line may stand for: jobs, studies, datasets and
 * their revisions, classes, keys, uploads. For completion: a server that does not answer has
 * nothing. */
#ifndef STEPPE_PROTO_CLI_OFFERS_H
#define STEPPE_PROTO_CLI_OFFERS_H

#include "common/completion.h"
#include "proto/cli/command.h"

/* Writes what the word of the command that --help calls `stands` ("JOB", "NAME") may be. */
void offers_of_word(struct cli *cli, const struct completion *c, const struct command *command,
                    const char *stands, FILE *out);
/* The classes of the job's dataset, by name. */
void offers_of_classes(struct cli *cli, const struct completion *c, const char *job, FILE *out);
/* The revisions of the job's dataset, as photos@2. */
void offers_of_revisions(struct cli *cli, const struct completion *c, const char *job, FILE *out);

#endif
