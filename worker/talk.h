/* A worker's requests, repeated until the server has answered them, and the two transfers that need
 * several requests: parameters arrive in pieces, a gradient leaves in pieces. */
#ifndef STEPPE_WORKER_TALK_H
#define STEPPE_WORKER_TALK_H

#include <signal.h>

#include "proto/client.h"

struct talk {
    struct client *client;
    const _Atomic sig_atomic_t *stop;
};

/* Waits up to ms, until stop is set. */
void talk_pause(const struct talk *t, int ms);
/* Waits longer each time in a row, from half a second to ten seconds, with a random share, so that
 * workers spread out: *io_ms is 0 the first time. */
void talk_backoff(const struct talk *t, int *io_ms);

/* As client_call, again and again while the server is away or cannot answer now. 0; -EINTR: stop
 * was set; -ENOTCONN: the server does not know us; -ESTALE: its subject is gone ("gone");
 * -EREMOTEIO: another refusal; -errno. */
int talk_call(const struct talk *t, enum message_type type, cJSON *request,
              const struct tensor *tensors, int tensor_count, int64_t deadline_ms, int64_t retry_ms,
              struct message *ret, struct errbuf *why);

/* What a refusal (-EREMOTEIO) with this code is to a worker, as talk_call has it; another rc stays.
 */
int talk_refusal(int rc, enum error_code code);

/* Asks the server to write a sentence into a job's log, if it can now. */
void talk_note(const struct talk *t, int64_t job, const char *text);

/* Fetches `bytes` bytes of a vector from offset on, at most one piece. As talk_fetch. */
int talk_fetch_piece(const struct talk *t, const cJSON *key, size_t offset, size_t bytes, void *out,
                     struct errbuf *why);
/* Fetches a vector of `bytes` bytes, piece after piece, straight to out. key: of params.get
 * (borrowed). As talk_call; -EBADMSG when a piece is not what was asked for. */
int talk_fetch(const struct talk *t, const cJSON *key, size_t bytes, void *out, struct errbuf *why);
/* Sends those pieces of a vector of `bytes` bytes that the server wants, when it wants them. key:
 * of result.offer (borrowed). 0: the server has all of it; -EALREADY: it does not want it; else as
 * talk_call. */
int talk_upload(const struct talk *t, const cJSON *key, size_t bytes, const void *data,
                struct errbuf *why);

#endif
