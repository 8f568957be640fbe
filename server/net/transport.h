/* The server's sockets on the libuv loop; they speak like nanomsg's REP. Replies go out in any
 * order, at any time, from the loop's thread. Knows bytes, not messages. */
#ifndef STEPPE_SERVER_NET_TRANSPORT_H
#define STEPPE_SERVER_NET_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/bounds.h"
#include "common/err.h"
#include "server/net/budget.h"

struct local;
struct locals;
struct transport;

/* Where a reply goes: connection and request id. The first bytes tell connections apart. */
#define TOKEN_CONNECTION_BYTES 8
struct token {
    uint8_t bytes[60];
    uint32_t count;
};

/* body is owned by the callee: released with transport_release. The request ends with
 * transport_reply or transport_drop, now or later; nothing more is read from its connection before
 * that. */
typedef void (*transport_message)(void *arg, const struct token *from, void *body, size_t bytes);

/* The peer left with a request in the server; `what` was tied to it. */
typedef void (*transport_gone)(void *arg, void *what);

/* Binds every url (address.h, which has judged whether it may be served). The sentence of a failure
 * names the url ("tcp://127.0.0.1:7500 is in use by another program"). locals (borrowed; NULL where
 * nobody asks for transport_local) tell who comes over ipc; a socket's file is 0600, or 0666 where
 * groups are let in: then it is the kernel's word on the connection that counts. 0 or -errno. */
int transport_open(uv_loop_t *loop, const char *const *urls, int url_count, struct locals *locals,
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
/* The same with descriptors (lent) for the receiver, over ipc. */
#define TRANSPORT_FILES_MAX 4
void transport_reply_files(struct transport *t, const struct token *to, void *body,
                           const int *files, int count);
/* The request ends without a reply. */
void transport_drop(struct transport *t, const struct token *to);

/* on_gone gets `what` if the peer leaves before the request has ended. */
void transport_tie(struct transport *t, const struct token *of, void *what);
void transport_on_gone(struct transport *t, transport_gone on_gone);
/* Does the reply to this request go to people, or to a worker? Those of a kind that leave together
 * have a bound, and so have those of one owner. */
void transport_of_people(struct transport *t, const struct token *of, bool people);
/* The connection's own, for whoever paces it; NULL: it is gone. */
struct bucket *transport_bucket(struct transport *t, const struct token *of);
/* A new connection of this peer: for how many ms nothing is read from it. */
typedef int64_t (*transport_new)(void *arg, const char *peer);
/* From here on the peers are strangers until transport_known: those of one address may have a
 * quarter of all connections, and the ones that were silent longest give way. */
void transport_of_strangers(struct transport *t, transport_new on_new);
/* Its peer has proved to be this owner, or need not; false: the owner has `most` connections
 * already, and this one stays a stranger's. */
bool transport_known(struct transport *t, const struct token *of, const char *owner, uint32_t most);
/* Connections of the owner; NULL: all. */
uint32_t transport_count(const struct transport *t, const char *owner);
/* From now on nothing is read from the connection of the request for so long. */
void transport_rest(struct transport *t, const struct token *of, int64_t ms);
/* Who sent a message: "tcp 10.0.0.7:51322", "ipc user anna pid 71"; "" when the connection is gone.
 */
void transport_peer(const struct transport *t, const struct token *from, char ret[PEER_BYTES]);
/* Who sent a message over ipc, borrowed until the loop goes on; NULL: it came over tcp. */
const struct local *transport_local(const struct transport *t, const struct token *of);
/* What it shares with others from there: "10.0.0.7", "uid 1000"; "?" when it is gone. Borrowed
 * until the loop goes on. */
const char *transport_address(const struct transport *t, const struct token *of);

#endif
