/* A request on its way through the server: answered exactly once, now or later. */
#ifndef STEPPE_SERVER_NET_REQUEST_H
#define STEPPE_SERVER_NET_REQUEST_H

#include <stdatomic.h>

#include "common/bounds.h"
#include "common/err.h"
#include "proto/frame.h"
#include "proto/messages.h"
#include "server/net/transport.h"
#include "server/net/waits.h"

struct net;
struct request;
struct service;

/* Of whoever asks, for what is shared out fairly; with the closing 0. */
#define REQUEST_ASKER_BYTES 96

/* What goes back to whoever asked. */
struct answer {
    cJSON *json;                  /* with its envelope */
    const struct tensor *tensors; /* [tensor_count] */
    int tensor_count;
    const int *files; /* [file_count] descriptors that go with it, which only ipc can */
    int file_count;
    enum error_code code; /* ERR_COUNT: it is no error */
    void *made;           /* by prepare; from malloc, owned by whoever holds it; NULL: nothing */
    size_t made_bytes;
};

/* Whoever brought a request and takes its answer back. */
struct carrier {
    /* Sends the answer, whose parts are lent; may take `made` (and set it to NULL). */
    void (*reply)(struct request *rq, struct answer *answer);
    /* The request ends without an answer. */
    void (*drop)(struct request *rq);
    /* Makes of an answer that is no error what takes long to make; on a lane, where the loop does
     * not wait for it. NULL: nothing does. */
    void (*prepare)(const struct request *rq, struct answer *answer);
    /* Where the request comes from, as text. */
    void (*peer)(const struct request *rq, char ret[PEER_BYTES]);
};

struct request {
    struct net *net;
    struct service *service;
    const struct carrier *carrier;
    void *from;                  /* the carrier's own */
    struct transport *transport; /* of a socket: that it came by */
    struct token token;
    uint64_t session, sequence;    /* of a sealed message; session 0: it was plain */
    enum role role;                /* ROLE_NONE until its sender was judged */
    char key_name[NAME_MAX_BYTES]; /* of its key, or "user anna" of a local user in a group; else ""
                                    */
    char owner[OWNER_BYTES];       /* with whom it shares what is bounded: a key, or an address */
    atomic_bool orphan;            /* nobody hears its answer */
    size_t weight;                 /* about how much memory it takes while it waits */
    enum wait_line wait;           /* the line that it is in */
    struct turn turn;
    struct message message;
    enum message_type type;
    int64_t id;              /* -1: it has none, or an unreadable one */
    char sender[UUID_BYTES]; /* "" for a ping without one */
    /* Its answer waits until it is recorded: key of the request, or of its reply, that says what it
     * changes; "": nothing says it. NULL: it is not recorded. Static. */
    const char *changes;
    char peer[PEER_BYTES]; /* where it comes from, when it is recorded */
    const char *result;    /* task.result: "accepted" or "dropped", static */
};

/* A request without a message, a sender or an id; from is the carrier's own. */
struct request *request_new(struct net *net, const struct carrier *carrier, void *from);
/* Answers with fields (NULL: none; ownership passes) and tensors; ends and frees the request. */
void request_reply(struct request *rq, cJSON *fields, const struct tensor *tensors, int count);
/* The same with descriptors, lent, to a request that came plain and over ipc. */
void request_reply_files(struct request *rq, cJSON *fields, const int *files, int count);
/* Answers with an error; ends and frees the request. */
__attribute__((format(printf, 3, 4))) void request_error(struct request *rq, enum error_code code,
                                                         const char *fmt, ...);
/* Answers `unavailable`, and when to ask again. */
__attribute__((format(printf, 3, 4))) void request_busy(struct request *rq, int64_t retry_ms,
                                                        const char *fmt, ...);
/* The same for a negative errno of a module that filled why. */
void request_fail(struct request *rq, int rc, const struct errbuf *why);
/* The code of what made a message unreadable: an rc of message_decode or field_parse. */
enum error_code request_unread(int rc);
/* The JSON of an error, with its envelope; owned by the caller. */
cJSON *request_error_json(const struct request *rq, enum error_code code, const char *text);
/* Makes ready, on a lane too, what a handler answers with: the envelope, and what the carrier takes
 * its time for. answer->json may be NULL. */
void request_prepare(const struct request *rq, struct answer *answer);
/* From now on its answer waits until it is recorded (net->record); changes: as above. */
void request_record(struct request *rq, const char *changes);
/* Answers with what was made ready; ends and frees the request, and the answer's parts. */
void request_answer(struct request *rq, struct answer *answer);
/* Ends a request without an answer (the server stops). */
void request_drop(struct request *rq);
/* Whoever brought it is gone: it ends at once if it waits for its handler, else as others do, and
 * nobody hears of it. */
void request_orphan(struct request *rq);

/* Not of a worker, whose requests are the work: its role says so; of this machine's administrator,
 * who runs workers and asks, the type. */
bool request_is_of_people(const struct request *rq);

/* Adds v[n] as an array of decimal texts; each reads back as the same float. */
void request_add_decimals(cJSON *out, const char *name, const float *v, uint32_t n);

/* Who asks: the name of a key, or without one the connection; the browsers that came by links of
 * one key, or of none, are one. */
void request_asker(const struct request *rq, char ret[REQUEST_ASKER_BYTES]);
/* The same for what is kept for ever: the name of a key, KEY_BROWSER_NAME, or "". A key that has
 * that name, from when it was not refused, is "key browser". */
const char *request_who(const struct request *rq);

/* Frees the message's body (tensors) early and keeps the JSON: for requests that are held. */
void request_forget_body(struct request *rq);

#endif
