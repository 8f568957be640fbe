/* Listening sockets for addresses; plain descriptors, no loop. */
#ifndef STEPPE_SERVER_NET_LISTEN_H
#define STEPPE_SERVER_NET_LISTEN_H

#include <sys/types.h>

#include "common/err.h"

/* Connections that the kernel holds until they are accepted: after a restart of the server so many
 * workers may connect at once. */
#define LISTEN_BACKLOG 1024

/* A socket that listens at url (address.h, which has judged whether it may be served). It is not
 * inherited and does not block; an ipc socket's file is of this mode before anybody can connect.
 * The sentence names the url ("tcp://127.0.0.1:7500 is in use by another program"). 0 or -errno. */
int listen_url(const char *url, mode_t mode, int *ret_fd, struct errbuf *why);

#endif
