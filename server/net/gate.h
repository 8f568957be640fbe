/* The gate: which messages each address lets in, and who may make which request.
 *
 * A network address takes only sealed messages. ipc (whose file is the owner's alone) and, in a
 * server without a key, loopback take plain ones, which may make every request. Refused messages
 * are counted, and logged at most once in LOG_MS; answers to them are bounded. */
#ifndef STEPPE_SERVER_NET_GATE_H
#define STEPPE_SERVER_NET_GATE_H

#include <stdbool.h>

#include "server/net/request.h"

struct gate;

/* key_path NULL: a server without a key. Errors as keyring_load_cluster. */
int gate_open(const char *key_path, struct gate **ret, struct errbuf *why);
void gate_close(struct gate *g); /* NULL is fine */
/* Reads the key file again; on failure the old keys stay. */
int gate_reload(struct gate *g, struct errbuf *why);
/* Logs what was counted. */
void gate_tick(struct gate *g, int64_t now_ms);
#define GATE_REASONS 7
extern const char *const gate_reason_names[]; /* why messages are refused, NULL-terminated */
/* How many were refused for the reason with this index. */
uint64_t gate_count(const struct gate *g, int reason);

/* Judges a message before it is decoded. sealed_only: its address takes only sealed ones. True:
 * *io_body and *io_bytes are the message itself, and rq knows who sent it. False: rq was ended;
 * body is still the caller's. */
bool gate_enter(struct gate *g, struct request *rq, bool sealed_only, uint8_t **io_body,
                size_t *io_bytes);
/* May the sender of rq send rq->type? 0 or -EACCES with a sentence. */
int gate_judge(const struct request *rq, struct errbuf *why);
/* Seals the reply to a request of a session, as seal_message. False: the session is over. */
bool gate_seal(struct gate *g, const struct request *rq, uint8_t *frame, size_t bytes);

#endif
