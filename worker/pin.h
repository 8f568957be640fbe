/* Taking on a numerics class: the kernel set and OpenBLAS's core are chosen when the program
 * starts, so a worker that should compute in another class runs itself once more with the
 * environment that gives it. */
#ifndef STEPPE_WORKER_PIN_H
#define STEPPE_WORKER_PIN_H

#include <stdbool.h>

#include "common/err.h"

/* Has nobody chosen a class for this process yet, by its environment or by pin_class? */
bool pin_free(void);
/* Is `class` the one that was asked for? Its digits may be left out there. */
bool pin_matches(const char *asked, const char *class);
/* Tries in a process of its own whether this machine can give the class, and if so starts this
 * program (argv) anew in it: returns only on failure, with a sentence and the environment as it
 * was. -EINVAL: not a class; -ENOTSUP: the machine gives another; -errno. */
int pin_class(const char *class, char **argv, struct errbuf *why);

#endif
