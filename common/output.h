/* The standard streams of a program. main owns this: no other code has to check that its output
 * arrives, and none can forget to. */
#ifndef STEPPE_COMMON_OUTPUT_H
#define STEPPE_COMMON_OUTPUT_H

#include "common/err.h"

struct output {
    int lost; /* errno of the first write to stdout that failed; 0: none */
};

/* The first thing that a program does. Replaces closed standard streams, so that no socket or file
 * gets their number and receives what is printed or logged. stdout keeps its first failure in `o`,
 * which must live until the program ends. Code that prints much may stop once ferror(stdout) is
 * set. */
void output_open(struct output *o);

/* Writes what is left. 0, or -errno with a sentence when anything that was printed did not arrive,
 * however long ago; -EPIPE without one: the reader has left. */
int output_close(struct output *o, struct errbuf *why);

/* The last thing that a program does: prints why it failed, when `status` is not 0, as "program:
 * sentence"; else closes the output; if some of it did not arrive, says so and makes the status 1.
 * Returns the exit status. */
int output_end(struct output *o, const char *program, int status, const struct errbuf *why);

#endif
