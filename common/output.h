/* The standard streams of a program. main owns this: nobody else has to look at whether what it
 * prints arrives, and nobody can forget to. */
#ifndef STEPPE_COMMON_OUTPUT_H
#define STEPPE_COMMON_OUTPUT_H

#include "common/err.h"

struct output {
    int lost; /* errno of the first write to stdout that failed; 0: none */
};

/* The first thing that a program does. Standard streams that are closed are replaced, so that no
 * socket and no file gets their number and with it what is printed or logged. stdout keeps its
 * first failure in `o`, which must live until the program ends; ferror(stdout) tells who prints
 * much that it may stop. */
void output_open(struct output *o);

/* Writes what is left. 0, or -errno with a sentence when anything that was printed did not arrive,
 * however long ago; -EPIPE without one: who reads has left, and wants to hear no more. */
int output_close(struct output *o, struct errbuf *why);

/* The last thing that a program does: prints why it failed, when `status` is not 0, as "program:
 * sentence"; else closes the output, and what did not arrive is told and makes it 1. Returns the
 * exit status. */
int output_end(struct output *o, const char *program, int status, const struct errbuf *why);

#endif
