/* Completion of a command line of `steppe`: commands, options, their values, and what the server
 * has (offers.h). common/completion.h says what an answer looks like. */
#ifndef STEPPE_PROTO_CLI_COMPLETE_H
#define STEPPE_PROTO_CLI_COMPLETE_H

#include "proto/cli/command.h"

/* Answers for the words behind the program's name, the last of which is being written. `server` and
 * `key` of args are those that count without an option; words with --server and --key replace them.
 * What cannot be had is left out, without a word. */
void complete_words(const struct command *commands, struct args *args, int count, char **words,
                    FILE *out);

#endif
