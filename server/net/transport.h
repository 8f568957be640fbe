/* The server's sockets on the libuv loop; they speak like nanomsg's REP. Replies go out in any
 * order, at any time, from the loop's thread. Knows bytes, not messages. */
#ifndef STEPPE_SERVER_NET_TRANSPORT_H
#define STEPPE_SERVER_NET_TRANSPORT_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/bounds.h"
#include "common/err.h"

struct transport;

/* Where a reply goes: connection and request id. The first bytes tell connections apart. */
#define TOKEN_CONNECTION_BYTES 8
struct token {
    uint8_t bytes[60];
    uint32_t count;
};

/* body is owned by the callee: released with transport_release. */
typedef void (*transport_message)(void *arg, const struct token *from, void *body, size_t bytes);

/* Binds every url (address.h, which has judged whether it may be served). The sentence of a failure
 * names the url
 * ("tcp://127.0.0.1:7500 is in use by another program"). An ipc socket file is 0600. 0 or -errno.
 */
int transport_open(uv_loop_t *loop, const char *const *urls, int url_count,
                   transport_message on_message, void *arg, struct transport **ret,
                   struct errbuf *why);
/* Stops reading at once; closes and frees itself 200 ms after the last reply, or when that has left
 * (the loop must run that long, or it may be lost). NULL is fine. */
void transport_close(struct transport *t);

/* Memory for a reply body; transport_reply takes it over. NULL when memory is out. */
void *transport_alloc(size_t bytes);
void transport_release(void *body);
/* Sends body (from transport_alloc, ownership passes in every case). A dead peer is not an error;
 * after transport_close the body is dropped. */
void transport_reply(struct transport *t, const struct token *to, void *body);
/* Who sent a message: "tcp 10.0.0.7:51322", "ipc uid 1000 pid 71"; "" when the connection is gone.
 */
void transport_peer(const struct transport *t, const struct token *from, char ret[PEER_BYTES]);

#endif
