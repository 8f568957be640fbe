/* A socket of the protocol: from the bytes of a message to a request, and from an answer to bytes,
 * sealed where its session is. */
#ifndef STEPPE_SERVER_NET_SOCKET_H
#define STEPPE_SERVER_NET_SOCKET_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/role.h"
#include "server/net/transport.h"

struct net;

/* ipc, and loopback where that was asked for, take plain messages. */
struct socket {
    struct net *net;
    struct transport *transport; /* NULL: it has no address */
    bool sealed_only;
    enum role plain; /* of plain messages over tcp; ROLE_NONE: there are none */
};

/* A transport_message: arg is the struct socket, body is owned. */
void socket_message(void *arg, const struct token *from, void *body, size_t bytes);
/* A transport_new, where only sealed messages are taken. */
int64_t socket_newcomer(void *arg, const char *peer);
/* A transport_gone: what is the request. */
void socket_gone(void *arg, void *what);

#endif
