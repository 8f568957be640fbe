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

#define HTTP_TOKEN_BYTES 32
#define HTTP_TOKEN_HEX (2 * HTTP_TOKEN_BYTES + 1)

/* A request of a browser, from its first byte to the last of its answer. */
struct http_exchange {
    struct http *http;
    struct net *net;
    const struct http_host *host;
    struct MHD_Connection *connection;
    char *path;
    struct request *rq;            /* on its way through the server, or NULL */
    bool picture;                  /* it is answered with a picture */
    struct MHD_Response *response; /* the answer, until it is queued */
    unsigned status;
    char *body; /* of a POST so far, with a 0 behind it; NULL: none, or no memory for it */
    size_t body_bytes;
    bool begun;  /* the headers were judged */
    bool asleep; /* the connection waits for the answer */
    struct http_exchange *prev, *next;
};

/* A file of the page, held by the program. */
struct http_file {
    const char *path, *type;
    const char *data, *end;
};
/* NULL: there is none at this path. */
const struct http_file *http_file(const char *path);

/* --- judging what a browser says; pure --- */

/* Is this value of the header Host one that a person types: a loopback address or localhost, with
 * any port (tunnels)? A page under another name that points here is kept out (DNS rebinding). */
bool http_host_ok(const char *host);
/* Did a page of this server send it? origin: header Origin (NULL: a program, not a page). */
bool http_origin_ok(const char *origin, const char *host);
/* Header Sec-Fetch-Site, which browsers send: did this server's page ask, or a person, or no
 * browser at all? A foreign page cannot read an answer, but it could keep the readers busy. */
bool http_site_ok(const char *site);
/* Header Authorization is "Bearer TOKEN"; takes the same time wherever they differ. */
bool http_token_ok(const char *authorization, const char *token);

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

/* May this request go on? False: x was answered. Looks at the headers only. */
bool http_admitted(struct http_exchange *x, const char *method);
/* A piece of a body. False: the body is too long (one that announced its length was refused
 * before). */
bool http_take_body(struct http_exchange *x, const char *data, size_t bytes);
/* Answers x, or hands it on (then x->rq is set). */
void http_route(struct http_exchange *x, const char *method);
/* /api/TYPE: hands a request to the message table; the answer comes now or later. */
void http_api(struct http_exchange *x, const char *method);

#endif
