/* Addresses: tcp://HOST:PORT and ipc://PATH. */
#ifndef STEPPE_PROTO_ADDRESS_H
#define STEPPE_PROTO_ADDRESS_H

#include <stdbool.h>

#include "common/err.h"

#define ADDRESS_SOCKET "steppe.sock" /* in the state folder of every server */
#define ADDRESS_BYTES_MAX 128        /* nanomsg's NN_SOCKADDR_MAX */

/* May a client connect to it? Scheme, host, port 1..65535, length of an ipc path (107 bytes). */
int address_check(const char *url, struct errbuf *why);
/* What a server lets in over tcp. ipc is always served: there the kernel says who connects. */
enum address_guard {
    ADDRESS_NO_TCP,   /* nobody: no key was given */
    ADDRESS_LOOPBACK, /* every user of this machine: that was said aloud */
    ADDRESS_SEALED    /* whoever has a key */
};
/* As address_check, for an address to serve: "localhost" is not an interface (the sentence says to
 * write 127.0.0.1), '*' is all of them. What the guard does not allow is refused (-EPERM) with a
 * sentence that says why, and what would allow it. Loopback is 127.0.0.0/8. */
int address_check_bind(const char *url, enum address_guard guard, struct errbuf *why);
bool address_is_ipc(const char *url);
const char *address_path(const char *url); /* of the socket's file, of ipc */
/* The socket of a server that this user started without --state; malloc, perhaps too long to be an
 * address. NULL: HOME is not set. */
char *address_default(void);

#endif
