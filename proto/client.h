/* The client library: one connection, one request at a time (raw REQ with its own ids and retry,
 * because a cooked REQ frees twice after a late reply). Used by the CLI and the workers. Not
 * thread-safe. */
#ifndef STEPPE_PROTO_CLIENT_H
#define STEPPE_PROTO_CLIENT_H

#include <signal.h>
#include <stdint.h>

#include "proto/frame.h"
#include "proto/messages.h"

struct client;
struct notify;

/* Checks the address and opens a socket; connects in the background. sender: UUID (37 bytes) or
 * NULL for a fresh one. stop: polled while waiting; NULL or set by a signal handler. 0 or -errno.
 */
int client_open(const char *url, const char *sender, const _Atomic sig_atomic_t *stop,
                struct client **ret, struct errbuf *why);
void client_close(struct client *c); /* NULL is fine */
const char *client_sender(const struct client *c);
/* Seals everything with the key in a file (keyring_load; path is borrowed). The file is read again
 * for every session, so that a new key needs no restart. An ipc address is never sealed. */
int client_use_key(struct client *c, const char *path, struct errbuf *why);

/* From now on shows who supervises this process that it is alive, at least every quarter of a
 * second while a call waits. Borrowed; NULL: nobody does. */
void client_supervised(struct client *c, struct notify *n);
/* From now on copies long tensors of requests with these halves. Borrowed; NULL: none. */
void client_halves(struct client *c, struct halves *h);

/* Sends `request` (NULL: no keys; the envelope's type, v, id and sender are added; borrowed, left
 * as it was) and waits for its reply until deadline_ms from now. Resends the message when the
 * connection broke or after retry_ms without an answer (0: only when it broke). Missing retry_ms or
 * the deadline is a miss; the third miss in a row, or one of half a minute, replaces the socket. 0:
 * ret holds the reply (message_done by the caller). -EREMOTEIO: the server refused; ret_code (may
 * be NULL) and why have its code and sentence. A server that is too busy says when to try again;
 * that is done here. -ETIMEDOUT: no answer; why says whether the server was ever reached. -EINTR:
 * stop was set. -EBADMSG: the reply is not one. -EMSGSIZE: the request is longer than a message may
 * be. -EACCES: this user may not open the ipc socket. With a key also -EKEYREJECTED: the server
 * does not hold it, and the errors of keyring_load.
 */
int client_call(struct client *c, enum message_type type, cJSON *request,
                const struct tensor *tensors, int tensor_count, int64_t deadline_ms,
                int64_t retry_ms, struct message *ret, enum error_code *ret_code,
                struct errbuf *why);

#endif
