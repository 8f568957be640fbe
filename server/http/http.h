/* The HTTP edge: the dashboard, the message table as JSON, /metrics and /healthz, on loopback. It
 * lives on the server's loop and computes nothing there: a request runs on the lane of its kind,
 * like any other, while its connection sleeps. deploy/docs/HTTP.md describes it. */
#ifndef STEPPE_SERVER_HTTP_HTTP_H
#define STEPPE_SERVER_HTTP_HTTP_H

#include <stdint.h>

#include "common/err.h"
#include "proto/role.h"

#define HTTP_DEFAULT "127.0.0.1:7580"
#define HTTP_NONE "none" /* of --http: no dashboard */
#define HTTP_PASS_HEX 73 /* digits of what lets somebody in, and a 0 */

struct figures;
struct http;
struct net;
struct service;

/* What the edge serves besides the requests of net. */
struct http_host {
    const char *dir; /* the state folder, where the secret lies */
    const char
        *decoder; /* the program `steppe`, by the pointer of process_enclose; NULL: unknown */
    void (*figures)(struct service *s, struct figures *ret);
};

/* May this be served? HOST:PORT of loopback, or HTTP_NONE. -EINVAL or -EPERM with a sentence. */
int http_check(const char *address, struct errbuf *why);
/* Binds the address and reads or makes the secret; net and what host has are borrowed. 0 or -errno,
 * -EADDRINUSE when it is taken. */
int http_open(struct net *net, const struct http_host *host, const char *address, struct http **ret,
              struct errbuf *why);
/* May --metrics name this? HOST:PORT, or *:PORT. -EINVAL with a sentence. */
int http_check_figures(const char *address, struct errbuf *why);
/* Serves /metrics and /healthz at this address, which need not be of loopback, to whoever asks, and
 * nothing else: neither the page nor /api/. What is borrowed and returned is as of http_open. */
int http_open_figures(struct net *net, const struct http_host *host, const char *address,
                      struct http **ret, struct errbuf *why);
/* Ends all connections, also those that wait for an answer. The handles are freed once the loop has
 * run. NULL is fine. */
void http_close(struct http *h);
/* Ends connections that take too long; called a few times a second. NULL is fine. */
void http_tick(struct http *h, int64_t now_ms);

/* The address for people; borrowed. */
const char *http_url(const struct http *h);
/* A new token, which lets somebody do for a day in the dashboard what this role may do there; the
 * link that opens it is URL/#token=TOKEN. key: the name of theirs, "": none; browsers that were let
 * in by links of one key are one sender. key_end_ms: when that key expires, and everything that
 * comes from it ends; unix time, 0: never. */
void http_token(const struct http *h, enum role role, const char *key, int64_t key_end_ms,
                char out[HTTP_PASS_HEX]);

#endif
