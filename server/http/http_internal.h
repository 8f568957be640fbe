/* Shared by the files of the HTTP edge only. */
#ifndef STEPPE_SERVER_HTTP_HTTP_INTERNAL_H
#define STEPPE_SERVER_HTTP_HTTP_INTERNAL_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "server/http/http.h"
#include "server/net/figures.h"
#include "server/net/net.h"
#include "server/net/request.h"

#define HTTP_PASS_BYTES 36
#define HTTP_SECRET_BYTES 32
#define HTTP_COOKIE_NAME_BYTES 16

/* A link may be opened for a day, wherever a person left it. A session goes on as long as it is
 * used once a day, and ends in any case after a week: then it takes a new link. Neither outlives
 * the key that the link came from. */
#define HTTP_LINK_S 86400
#define HTTP_SESSION_S 86400
#define HTTP_SESSION_MAX_S (7 * 86400)

_Static_assert(HTTP_PASS_HEX == 2 * HTTP_PASS_BYTES + 1, "a pass is written in hex digits");

enum http_use { HTTP_LINK, HTTP_SESSION };

/* What lets somebody in. */
struct http_pass {
    enum role role;
    enum http_use use;
    uint32_t begin_s, end_s; /* unix time; begin: of a session, when its link was opened */
    uint32_t who;            /* stands for the key that asked for the link; 0: there was none */
    uint32_t key_end_s;      /* when that key expires; 0: never */
};

/* The text of /metrics as it was a moment ago. */
struct http_kept {
    char *text; /* owned; NULL: none */
    size_t bytes;
    int64_t made_ms; /* monotonic */
};

/* A connection of a browser. */
struct visitor {
    int fd;
    int64_t since_ms; /* of its start or last answer */
    uint64_t whose;   /* it counts as one of his: a uid or an address, or since it is known a key */
    bool known;       /* it has shown a pass */
    bool begun;       /* a request's head has come since the last answer */
    bool ended;       /* it was hung up; MHD has not noticed */
    struct visitor *prev, *next;
};
struct visitors {
    struct visitor *first;
    uint64_t gave_way; /* to others, since the last line about it */
    int64_t logged_ms;
};
/* A new one on fd (MHD's; -1: unknown), a stranger's; others may give way to it. */
struct visitor *visitors_add(struct visitors *all, int fd);
void visitors_remove(struct visitors *all, struct visitor *v);
/* It has shown the pass of this key. */
void visitors_know(struct visitors *all, struct visitor *v, uint32_t who);
/* Hangs up where there are too many like the newest one. */
void visitors_make_room(struct visitors *all, const struct visitor *newest);
/* Hangs up where it takes too long. */
void visitors_tick(struct visitors *all, int64_t now_ms);

/* A picture's file from a browser, and what became of it. */
struct http_drop {
    uint32_t h, w, c; /* that the model takes */
    bool stored;      /* a JPEG is not turned as its EXIF says */
    /* of http_decode */
    char *answer;            /* of the decoder, owned */
    const uint8_t *pixels;   /* [h, w, c], in answer */
    uint32_t file_h, file_w; /* of the picture in the file */
    char *png_base64;        /* the pixels, for the page; owned; NULL: no memory for it */
};

/* A request of a browser, from its first byte to the last of its answer. */
struct http_exchange {
    struct http *http;
    struct net *net;
    const struct http_host *host;
    struct MHD_Connection *connection;
    struct visitor *visitor; /* whose connection it is */
    char *path;
    struct request *rq;            /* on its way through the server, or NULL */
    bool picture;                  /* it is answered with a picture */
    bool drops;                    /* its body is a picture's file: one of DROPPED_MAX */
    struct http_drop *dropped;     /* what its answer tells of the file; owned */
    struct MHD_Response *response; /* the answer, until it is queued */
    unsigned status;
    char *body; /* of a POST so far, with a 0 behind it; NULL: none, or no memory for it */
    size_t body_bytes;
    struct http_pass pass; /* that let it in; role ROLE_NONE: none was needed */
    char set_cookie[160];  /* header of the answer; "": none */
    bool begun;            /* the headers were judged */
    bool asleep;           /* the connection waits for the answer */
    struct http_exchange *prev, *next;
};

/* A file of the page, held by the program. */
struct http_file {
    const char *path, *type;
    const char *data, *end;
};
/* NULL: there is none at this path. */
const struct http_file *http_file(const char *path);

/* --- addresses (http_address.c) --- */

struct sockaddr_in;
/* HOST:PORT of --http, which is of loopback; of --metrics, which is any of this machine. -EINVAL or
 * -EPERM with a sentence. */
int http_address_dashboard(const char *address, struct sockaddr_in *ret, struct errbuf *why);
int http_address_figures(const char *address, struct sockaddr_in *ret, struct errbuf *why);
/* A listening socket; 0 or -errno. */
int http_address_listen(const struct sockaddr_in *at, int *ret);

/* --- judging what a browser says; pure --- */

/* Is this value of the header Host one that a person types: a loopback address or localhost, with
 * any port (tunnels)? A page under another name that points here is kept out (DNS rebinding). */
bool http_host_ok(const char *host);
/* Did a page of this server send it? origin: header Origin (NULL: a program, not a page). */
bool http_origin_ok(const char *origin, const char *host);
/* Header Sec-Fetch-Site, which browsers send: did this server's page ask, or a person, or no
 * browser at all? A foreign page cannot read an answer, but it could keep the readers busy. */
bool http_site_ok(const char *site);
/* What is known of the key that passes with this number came from. */
struct http_named {
    uint32_t who;
    char name[NAME_MAX_BYTES]; /* "": nobody has been here with it */
    int64_t revoked_ms;        /* 0: never */
    uint64_t changes;          /* as holders_changes was */
};
/* Where what is known of this one is kept; of another, or of nobody, until then. */
struct http_named *http_named(struct http *h, uint32_t who);
/* The name of the key that x's pass came from, as far as it is known; "": of none. Good until the
 * next one is asked for. */
const char *http_holder(const struct http_exchange *x);
/* Was that key revoked since its link was given or its session began? */
bool http_holder_is_revoked(const struct http_exchange *x);
/* TOKEN of the header Authorization: Bearer TOKEN; NULL: it is another, or none. */
const char *http_bearer(const char *authorization);
/* The name of the session's cookie. Cookies know no ports: servers on several, or one behind
 * several tunnels, would share one. host: header Host, that http_host_ok let through. */
void http_cookie_name(const char *host, char out[HTTP_COOKIE_NAME_BYTES]);

/* --- passes; pure --- */

/* A new link; the session that a link opens, or that goes on from a session. */
struct http_pass http_pass_link(enum role role, uint32_t who, uint32_t key_end_s, int64_t now_s);
/* What stands for a key of this name ("": none) in a pass. It tells keys apart, and nobody its
 * name. */
uint32_t http_pass_who(const char *key, const uint8_t secret[HTTP_SECRET_BYTES]);
struct http_pass http_pass_session(const struct http_pass *from, int64_t now_s);
/* Is it time to go on with a new session? */
bool http_pass_is_old(const struct http_pass *pass, int64_t now_s);
void http_pass_print(const struct http_pass *pass, const uint8_t secret[HTTP_SECRET_BYTES],
                     char out[HTTP_PASS_HEX]);
/* False: it is none of ours, or for another use, or it has ended. Takes the same time wherever it
 * is wrong. text may be NULL. */
bool http_pass_read(const char *text, enum http_use use, const uint8_t secret[HTTP_SECRET_BYTES],
                    int64_t now_s, struct http_pass *ret);

/* --- answers --- */

/* Sets the exchange's answer: data is copied, or static and kept. */
void http_set(struct http_exchange *x, unsigned status, const char *type, const void *data,
              size_t bytes, bool is_static);
__attribute__((format(printf, 4, 5))) void http_refuse(struct http_exchange *x, unsigned status,
                                                       enum error_code code, const char *fmt, ...);

/* The status of an answer of the message table. */
unsigned http_status(enum error_code code);
/* Ends the request of x with the answer; what was made of it is taken. */
void http_answer(struct http_exchange *x, struct answer *answer);
/* The request of x ends without an answer. */
void http_drop(struct http_exchange *x);
/* The answer of sample.images as a picture: its only image, grey or RGB. Sets made of the answer,
 * or leaves it NULL when memory is out. On a lane. */
void http_make_picture(struct answer *answer);
/* All of /metrics. 0 or -errno of the stream. */
int http_metrics_print(const struct net *net, const struct figures *f, FILE *out);

/* Are /metrics and /healthz all that is served there, to whoever asks? */
bool http_figures_only(const struct http *h);
/* What such an address told the last one. */
struct http_kept *http_kept(struct http *h);
/* May this request go on? False: x was answered. Looks at the headers only. */
bool http_admitted(struct http_exchange *x, const char *method);
/* May one more file of a picture be held? Counts it until the exchange ends. */
bool http_drop_begin(struct http_exchange *x);
/* x has shown the pass of this key: its connection has a place with those that have. */
void http_known(struct http_exchange *x, uint32_t who);
/* What keeps passes from being made by others; borrowed. */
const uint8_t *http_secret(const struct http *h);
/* The session's cookie that came with x; NULL: none. */
const char *http_cookie(const struct http_exchange *x);
/* The answer of x opens a session, or goes on with the one of x->pass. */
void http_session_give(struct http_exchange *x);
/* GET /api/session: who one is; POST: opens one with a link's token; POST /api/session.end: ends
 * it. False: the path is another. */
bool http_session(struct http_exchange *x, bool post);
/* A piece of a body. False: the body is too long (one that announced its length was refused
 * before). */
bool http_take_body(struct http_exchange *x, const char *data, size_t bytes);
/* Answers x, or hands it on (then x->rq is set). */
void http_route(struct http_exchange *x, const char *method);
/* Most bytes of the exchange's body. */
size_t http_body_max(const struct http_exchange *x);
/* Decodes the file with that program for what d->h, w and c say; on a lane of its own, until the
 * server stops. 0 or -errno with a sentence; d is to be freed in either case. */
int http_decode(struct net *net, const char *program, struct http_drop *d, const void *file,
                size_t file_bytes, struct errbuf *why);
void http_drop_free(struct http_drop *d); /* NULL is fine */
/* POST /api/predict.picture: the body's picture becomes the predict.put that the query describes.
 */
bool http_is_drop(const struct http_exchange *x);
/* rq's keys are those of predict.put beside h, w, c and stored. Answers x, now or later. */
void http_drop_run(struct http_exchange *x, struct request *rq);
/* Adds to an answer what a page cannot read of its tensors, or what it dropped looks like. */
void http_drop_tell(const struct http_exchange *x, const struct request *rq, struct answer *answer);
/* /api/TYPE: hands a request to the message table; the answer comes now or later. */
void http_api(struct http_exchange *x, const char *method);

#endif
