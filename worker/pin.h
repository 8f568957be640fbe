/* Taking on a numerics class. The kernel set and OpenBLAS's core are chosen when the program
 * starts, so a worker that should compute in another class starts itself anew with an environment
 * that gives this class. */
#ifndef STEPPE_WORKER_PIN_H
#define STEPPE_WORKER_PIN_H

#include <stdbool.h>

#include "common/err.h"

/* Has neither the environment nor pin_class chosen a class for this process yet? */
bool pin_free(void);
/* Is `class` the wanted one? The wanted one may leave out the digits. */
bool pin_matches(const char *asked, const char *class);
/* Tries in a process of its own whether this machine can give the class, and if so starts this
 * program (argv) anew in it: returns only on failure, with a sentence and the environment as it
 * was. -EINVAL: not a class; -ENOTSUP: the machine gives another; -errno. */
int pin_class(const char *class, char **argv, struct errbuf *why);

#endif
