/* Addresses: tcp://HOST:PORT and ipc://PATH. */
#ifndef STEPPE_PROTO_ADDRESS_H
#define STEPPE_PROTO_ADDRESS_H

#include <stdbool.h>

#include "common/err.h"

#define ADDRESS_DEFAULT "tcp://127.0.0.1:7500"
#define ADDRESS_BYTES_MAX 128 /* nanomsg's NN_SOCKADDR_MAX */

/* May a client connect to it? Scheme, host, port 1..65535, length of an ipc path (107 bytes). */
int address_check(const char *url, struct errbuf *why);
/* As address_check, for an address to serve: "localhost" is not an interface (the sentence says to
 * write 127.0.0.1), '*' is all of them. Without a key it must be ipc or loopback (127.0.0.0/8):
 * others are refused (-EPERM) with a sentence that says why. */
int address_check_bind(const char *url, bool key, struct errbuf *why);
bool address_is_ipc(const char *url);

#endif
