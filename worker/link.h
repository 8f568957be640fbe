/* A connection between two workers: one side asks, the other answers. Messages as everywhere, each
 * behind its length; over tcp they are sealed, and both sides have keys of workers; over ipc the
 * kernel says that both have one user. Blocking, with a limit on how long, however slowly the other
 * side sends. */
#ifndef STEPPE_WORKER_LINK_H
#define STEPPE_WORKER_LINK_H

#include "proto/frame.h"
#include "proto/seal.h"

struct link {
    int fd;        /* -1: closed */
    int64_t by_ms; /* the handshake is over by then; 0: there is none any more */
    bool sealed;
    uint64_t sequence; /* sealed, of the request that is being answered */
    struct seal seal;
};

#define LINK_NONE "none" /* nowhere */

/* May a worker listen there? A tcp address of its own, where messages are sealed; or LINK_NONE. */
int link_check(const char *listen, const char *key, struct errbuf *why);
/* Listens where other workers reach this one: a name of the kernel's when the server is reached by
 * ipc or without a key, else (key: its file) `listen` or (NULL) a free port of the interface that
 * leads to the server.
 * address[ADDRESS_BYTES_MAX]: what to tell them. Returns the socket, or -errno. */
int link_listen(const char *server, const char *key, const char *listen, char *address,
                struct errbuf *why);
/* Makes a link of a connection that was accepted; key: NULL over ipc. 0 or -errno; link_close in
 * either case. */
int link_accept(struct link *l, int fd, const char *key);
/* Connects to a worker. 0 or -errno. */
int link_open(struct link *l, const char *address, const char *key, struct errbuf *why);
void link_close(struct link *l);

/* Sends a message; json is borrowed. 0 or -errno: the link is of no use any more. */
int link_say(struct link *l, const cJSON *json, const struct tensor *tensors, int tensor_count,
             struct errbuf *why);
/* Waits for one, which message_done frees. 0 or -errno, likewise. */
int link_hear(struct link *l, struct message *ret, struct errbuf *why);

#endif
