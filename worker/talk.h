/* Requests of a worker that are repeated until the server has answered them, and the two transfers
 * that need several: parameters that come in pieces, a gradient that goes in pieces. */
#ifndef STEPPE_WORKER_TALK_H
#define STEPPE_WORKER_TALK_H

#include <signal.h>

#include "proto/client.h"

struct talk {
    struct client *client;
    const volatile sig_atomic_t *stop;
};

/* Waits up to ms, until stop is set. */
void talk_pause(const struct talk *t, int ms);
/* Waits longer each time in a row, from half a second to ten, and never as long as the others:
 * *io_ms is 0 the first time. */
void talk_backoff(const struct talk *t, int *io_ms);

/* As client_call, again and again while the server is away or cannot answer now. 0; -EINTR: stop
 * was set; -ENOTCONN: the server does not know us; -ESTALE: what it is about is over ("gone");
 * -EREMOTEIO: another refusal; -errno. */
int talk_call(const struct talk *t, enum message_type type, cJSON *request,
              const struct tensor *tensors, int tensor_count, int64_t deadline_ms, int64_t retry_ms,
              struct message *ret, struct errbuf *why);

/* Has the server write a sentence into the log of a job, if it can now. */
void talk_note(const struct talk *t, int64_t job, const char *text);

/* Fetches a vector of `bytes` bytes, piece after piece, straight to out. key: of params.get
 * (borrowed). As talk_call; -EBADMSG when a piece is not what was asked for. */
int talk_fetch(const struct talk *t, const cJSON *key, size_t bytes, void *out, struct errbuf *why);
/* Sends a vector of `bytes` bytes, when and as far as the server wants it. key: of result.offer
 * (borrowed). 0: it has all of it; -EALREADY: it does not want it; else as talk_call. */
int talk_upload(const struct talk *t, const cJSON *key, size_t bytes, const void *data,
                struct errbuf *why);

#endif
