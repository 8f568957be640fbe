/* Who is at the other end of a connection. */
#ifndef STEPPE_SERVER_NET_PEER_H
#define STEPPE_SERVER_NET_PEER_H

#include <stdbool.h>

#include "common/bounds.h"

/* "tcp 10.0.0.7:51322", or of a local user "ipc user anna pid 71" ("ipc uid 1000 pid 71" when user
 * is ""), of a connected socket; "" when it is not one any more. */
void peer_name(int fd, bool ipc, const char *user, char ret[PEER_BYTES]);
/* What others from there have too: "10.0.0.7", "uid 1000"; "?" when it is not one any more. */
void peer_address(int fd, bool ipc, char ret[PEER_BYTES]);

#endif
