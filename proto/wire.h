/* The raw REQ socket of a client: bytes and request ids, no messages. Its only user is client.c. */
#ifndef STEPPE_PROTO_WIRE_H
#define STEPPE_PROTO_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct wire {
    int socket; /* -1: closed */
    int send_fd, receive_fd;
};

/* Over ipc the kernel says who may not connect, but nanomsg tries again for ever. 0 or -EACCES. */
int wire_may_open(const char *url, struct errbuf *why);
/* Opens a socket that connects in the background. 0 or -errno. */
int wire_open(struct wire *w, const char *url, struct errbuf *why);
void wire_close(struct wire *w);
/* A counter of nanomsg (NN_STAT_...). */
uint64_t wire_count(const struct wire *w, int which);

/* Memory for a body; passes to nanomsg with wire_send. */
void *wire_alloc(size_t bytes);
void wire_free(void *body); /* NULL is fine */
/* Sends body (from wire_alloc) as the request with an id of 31 bits. 0 (ownership passes), -EAGAIN
 * (no connection can take it now) or -errno. */
int wire_send(const struct wire *w, uint32_t id, void *body);
/* Takes what has arrived; *ret is freed with wire_free. Its bytes, -EAGAIN (nothing) or -errno. An
 * id of 0 with the top bit set belongs to no request: the message came without an id. */
int wire_receive(const struct wire *w, uint32_t *ret_id, void **ret);

#endif
