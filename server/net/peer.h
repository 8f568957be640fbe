/* Who is at the other end of a connection. */
#ifndef STEPPE_SERVER_NET_PEER_H
#define STEPPE_SERVER_NET_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bounds.h"

/* "tcp 10.0.0.7:51322", or of a local user "ipc user anna pid 71" ("ipc uid 1000 pid 71" when user
 * is ""), of a connected socket; "" when it is not one any more. */
void peer_name(int fd, bool ipc, const char *user, char ret[PEER_BYTES]);
/* What others from there have too: "10.0.0.7", "uid 1000"; "?" when it is not one any more. */
void peer_address(int fd, bool ipc, char ret[PEER_BYTES]);
/* The uid of whoever opened a tcp connection that comes from this machine; fd is the server's end.
 * -ENOENT: it is not open any more at the other end, or comes from elsewhere; or -errno where the
 * kernel does not say. */
int peer_tcp_user(int fd, uint32_t *ret);

#endif
