/* A request on its way through the server: answered exactly once, now or later. */
#ifndef STEPPE_SERVER_NET_REQUEST_H
#define STEPPE_SERVER_NET_REQUEST_H

#include "common/bounds.h"
#include "common/err.h"
#include "proto/frame.h"
#include "proto/messages.h"
#include "server/net/transport.h"

struct server;
struct http_exchange;

struct request {
    struct server *server;
    struct transport *transport; /* that it came by */
    struct token token;
    uint64_t session, sequence;    /* of a sealed message; session 0: it was plain */
    enum role role;                /* ROLE_NONE until it was judged who sent it */
    char key_name[NAME_MAX_BYTES]; /* of its key; "" when it was plain */
    struct http_exchange *http;    /* came in there instead: it gets the answer */
    struct message message;
    enum message_type type;
    int64_t id;              /* -1: it has none, or none that could be read */
    char sender[UUID_BYTES]; /* "" for ping without one */
    const char *result;      /* task.result: "accepted" or "dropped", static */
};

/* Answers with fields (NULL: none; ownership passes) and tensors; ends and frees the request. */
void request_reply(struct request *rq, cJSON *fields, const struct tensor *tensors, int count);
/* Answers with an error; ends and frees the request. */
__attribute__((format(printf, 3, 4))) void request_error(struct request *rq, enum error_code code,
                                                         const char *fmt, ...);
/* The same for a negative errno of a module that filled why. */
void request_fail(struct request *rq, int rc, const struct errbuf *why);
/* Judges the envelope, the keys and the tensors of a message that was read into rq, and hands it to
 * its handler; rq->id is -1 before. dispatch.c. */
void request_dispatch(struct request *rq);
/* Ends a request without an answer (the server stops). */
void request_drop(struct request *rq);

/* Adds v[n] as an array of decimal texts, each read back as the same float. */
void request_add_decimals(cJSON *out, const char *name, const float *v, uint32_t n);

/* Lets go of the message's body (tensors) early, keeping the JSON: for requests that are held. */
void request_forget_body(struct request *rq);

/* Work of a request on a lane. work runs on the lane's thread and may use its own fields only;
 * done runs on the loop and must answer rq. Both see the op; arg is the handler's. */
struct lane;
struct op {
    struct request *rq; /* NULL when nobody asked */
    struct server *server;
    struct lane *lane; /* it runs on; set by op_run */
    int rc;
    struct errbuf why;
    cJSON *out;     /* fields of the reply, made by work */
    char *text;     /* out as it goes to a browser, printed on the lane; NULL */
    double seconds; /* that work took */
    void *arg;
    void (*work)(struct op *op);
    void (*done)(struct op *op); /* NULL: reply out, or fail with rc */
};
/* Ownership of the op passes; it is freed after done. arg is freed by done. */
void op_run(struct lane *lane, struct op op);

#endif
