/* A process that is about to read what a stranger sent gives up what it does not need. */
#ifndef STEPPE_PROTO_CLI_CONFINE_H
#define STEPPE_PROTO_CLI_CONFINE_H

#include "common/err.h"

/* From here on this process can read and write the descriptors 0 to 2, get memory that no code runs
 * in, and end. All other descriptors are closed, all other system calls kill it; memory and
 * processor time are bounded, and where memory is short it is the first to go. There is no way
 * back. 0, or -errno with a sentence: the kernel cannot (then nothing foreign may be read). */
int confine(struct errbuf *why);

#endif
