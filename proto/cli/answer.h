/* What a person answers: one key on a terminal, a line from anything else (a pipe, a file). */
#ifndef STEPPE_PROTO_CLI_ANSWER_H
#define STEPPE_PROTO_CLI_ANSWER_H

#include "proto/cli/command.h"

#define ANSWER_AWAY "." /* a line that a person thought better of; Escape is one */

struct answers {
    const struct cli *cli;
    bool keys;  /* standard input is a terminal, and so is stdout */
    char *text; /* of the last answer, owned */
    size_t room;
    int64_t line; /* its number when it was a line, from 1 */
};

void answers_open(struct answers *a, const struct cli *cli);
void answers_close(struct answers *a);
/* The next answer (borrowed until the next call), without blanks around it; NULL at the end of the
 * input. whole: a line is wanted on a terminal too, where Escape is ANSWER_AWAY. The arrows to the
 * left and right are < and >. The terminal is as it was whenever this does not wait. 0, -EINTR
 * (Ctrl-C) or -errno. */
int answers_next(struct answers *a, bool whole, const char **ret, struct errbuf *why);

#endif
