/* The gate: which messages each address lets in, and who may make which request.
 *
 * A network address takes only sealed messages. ipc takes plain ones, of users of this machine whom
 * the server lets in: they have a role, as the holder of a key has. Loopback does where that was
 * asked for, and there they may make every request. Refused messages are counted, and logged at
 * most once in LOG_MS.
 *
 * What has no session costs its connection and its address: beyond their pace each message is still
 * answered, and then nothing is read from the connection for a while. So an address that floods the
 * gate slows down itself, and another one, or another connection of its own, still gets a session.
 * Over tcp an address cannot be forged (its connection would not come about), so that it needs no
 * further proof, as a cookie would be over udp. */
#ifndef STEPPE_SERVER_NET_GATE_H
#define STEPPE_SERVER_NET_GATE_H

#include <stdbool.h>

#include "server/net/request.h"

struct cert;
struct gate;
struct holders;
struct locals;

/* key_path NULL: a server without a key. locals say who is let in; borrowed. Errors as
 * keyring_load_server. */
int gate_open(const char *key_path, const struct locals *locals, struct gate **ret,
              struct errbuf *why);
void gate_close(struct gate *g); /* NULL is fine */
/* Reads the key file again; on failure the old keys stay. */
int gate_reload(struct gate *g, struct errbuf *why);
/* Who has been here, and which names are revoked; the gate's own. */
struct holders *gate_holders(struct gate *g);
/* Keys of this name that were issued up to unix_ms are not accepted any more, and their sessions
 * end; *ret_ended is how many. Errors as holders_revoke. */
int gate_revoke(struct gate *g, const char *name, int64_t unix_ms, int *ret_ended,
                struct errbuf *why);
/* Signs a new public key for the holder of the key that sealed rq: the same name, role and span.
 * trusted is the public half of the cluster key that signed. -EPERM: rq was not sealed, or with a
 * cluster key itself, or the server has no cluster key. */
int gate_renew(struct gate *g, const struct request *rq, const uint8_t key[], int64_t unix_ms,
               struct cert *ret, uint8_t trusted[], struct errbuf *why);
/* When the key that sealed rq expires, unix time in ms; 0: never, or none did. */
int64_t gate_key_end(const struct gate *g, const struct request *rq);
/* How many sessions keys of this name and role have open, and as sessions_of. */
int gate_sessions_of(const struct gate *g, const char *name, const char *role,
                     int64_t *ret_used_ms);
/* Logs what was counted. */
void gate_tick(struct gate *g, int64_t now_ms);
#define GATE_REASONS 9
extern const char *const gate_reason_names[]; /* why messages are refused, NULL-terminated */
/* How many were refused for the reason with this index. */
uint64_t gate_count(const struct gate *g, int reason);

/* Who stands before the gate. */
struct caller {
    bool sealed_only;          /* its address takes only sealed messages */
    enum role plain;           /* of its plain messages over tcp; ROLE_NONE: they are refused */
    const struct local *local; /* who he is, over ipc; else NULL */
    const char *peer;          /* where it comes from, as transport_peer */
    struct bucket *bucket;     /* its connection's; NULL: it is gone */
    int64_t rest_ms;           /* by gate_enter: how long nothing is to be read from it */
};
/* Judges a message before it is decoded. True: *io_body and *io_bytes are the message itself, and
 * rq knows who sent it. False: rq was ended; body is still the caller's. */
bool gate_enter(struct gate *g, struct request *rq, struct caller *caller, uint8_t **io_body,
                size_t *io_bytes);
/* A new connection from there, where only sealed messages are taken: how long nothing is to be read
 * from it. */
int64_t gate_newcomer(struct gate *g, const char *peer);
/* What an owner's request took of the loop, in ms of the processor: for how many ms nothing is to
 * be read from its connection. */
int64_t gate_spend(struct gate *g, const char *owner, double ms);
/* How much of its budget an owner has used up: 0 to 1, above 1 it rests. */
double gate_spent(struct gate *g, const char *owner);
int gate_sessions(const struct gate *g, const char *name); /* of the key; NULL: of all */
/* May the sender of rq send rq->type? 0 or -EACCES with a sentence. */
int gate_judge(const struct request *rq, struct errbuf *why);
/* Seals the reply to a request of a session, as seal_message. False: the session is over. */
bool gate_seal(struct gate *g, const struct request *rq, uint8_t *frame, size_t bytes);

#endif
