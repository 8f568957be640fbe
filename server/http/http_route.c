/* Which page lies at which path, and the conditions for a request before anything is looked up. */
#include <stdlib.h>
#include <string.h>

#include "common/bounds.h"
#include "common/clock.h"
#include "common/text.h"
#include "server/http/http_internal.h"

static bool is_api(const struct http_exchange *x)
{
    return strncmp(x->path, "/api/", 5) == 0;
}

static void serve_health(struct http_exchange *x)
{
    if (x->net->stopping)
        http_set(x, MHD_HTTP_SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", "stopping\n", 9,
                 true);
    else
        http_set(x, MHD_HTTP_OK, "text/plain; charset=utf-8", "ok\n", 3, true);
}

static void serve_metrics(struct http_exchange *x)
{
    char *text = NULL;
    size_t bytes = 0;
    struct figures figures;
    FILE *out = open_memstream(&text, &bytes);

    x->host->figures(x->net->service, &figures);
    if (!out || http_metrics_print(x->net, &figures, out) < 0 || fclose(out) != 0)
        http_refuse(x, MHD_HTTP_SERVICE_UNAVAILABLE, ERR_UNAVAILABLE, "out of memory");
    else
        http_set(x, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", text, bytes, false);
    free(text);
}

static void serve_file(struct http_exchange *x)
{
    const struct http_file *file = http_file(x->path);

    if (file)
        http_set(x, MHD_HTTP_OK, file->type, file->data, (size_t)(file->end - file->data), true);
    else
        http_refuse(x, MHD_HTTP_NOT_FOUND, ERR_NOT_FOUND, "there is no page %.100s", x->path);
}

static const char *header_of(struct http_exchange *x, const char *name)
{
    return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

static bool refuse_revoked(struct http_exchange *x)
{
    const bool revoked = http_holder_is_revoked(x);

    if (revoked)
        http_refuse(x, MHD_HTTP_UNAUTHORIZED, ERR_NOT_ALLOWED,
                    "the key that this link was asked for with was revoked");
    return revoked;
}

/* A program shows a link's token, a browser its session's cookie. A browser says with every POST
 * whose page sent it: cookies of this address go with the requests of any port's page. False: x was
 * answered. */
static bool has_pass(struct http_exchange *x, bool post)
{
    const int64_t now_s = clock_unix_ms() / 1000;
    const char *bearer = http_bearer(header_of(x, MHD_HTTP_HEADER_AUTHORIZATION));

    if (bearer && http_pass_read(bearer, HTTP_LINK, http_secret(x->http), now_s, &x->pass))
        return !refuse_revoked(x);
    if (bearer) {
        http_refuse(x, MHD_HTTP_UNAUTHORIZED, ERR_NOT_ALLOWED,
                    "this token is not the server's, or it has expired: steppe dashboard prints a "
                    "new one");
        return false;
    }
    if (!http_pass_read(http_cookie(x), HTTP_SESSION, http_secret(x->http), now_s, &x->pass)) {
        http_refuse(x, MHD_HTTP_UNAUTHORIZED, ERR_NOT_ALLOWED,
                    "this needs the server's token: open the link that steppe dashboard prints");
        return false;
    }
    if (refuse_revoked(x))
        return false;
    if (post && !header_of(x, MHD_HTTP_HEADER_ORIGIN)) {
        http_refuse(x, MHD_HTTP_FORBIDDEN, ERR_NOT_ALLOWED,
                    "a POST with a cookie needs the header Origin");
        return false;
    }
    if (http_pass_is_old(&x->pass, now_s))
        http_session_give(x);
    return true;
}

bool http_admitted(struct http_exchange *x, const char *method)
{
    const char *host = header_of(x, MHD_HTTP_HEADER_HOST);
    const char *site = header_of(x, "Sec-Fetch-Site");
    const char *length = header_of(x, MHD_HTTP_HEADER_CONTENT_LENGTH);
    int64_t bytes;
    bool post = strcmp(method, MHD_HTTP_METHOD_POST) == 0;

    if (!http_host_ok(host))
        http_refuse(x, MHD_HTTP_MISDIRECTED_REQUEST, ERR_NOT_ALLOWED,
                    "the header Host is \"%.80s\", allowed are 127.0.0.1 and localhost",
                    host ? host : "");
    else if (!post && strcmp(method, MHD_HTTP_METHOD_GET) != 0 &&
             strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        http_refuse(x, MHD_HTTP_METHOD_NOT_ALLOWED, ERR_NOT_ALLOWED,
                    "the method is %.20s, allowed are GET, HEAD and POST", method);
    else if (post && !http_origin_ok(header_of(x, MHD_HTTP_HEADER_ORIGIN), host))
        http_refuse(x, MHD_HTTP_FORBIDDEN, ERR_NOT_ALLOWED,
                    "another page's script sent this; only the dashboard may");
    else if (is_api(x) && !http_site_ok(site))
        http_refuse(x, MHD_HTTP_FORBIDDEN, ERR_NOT_ALLOWED,
                    "another page asked for this; only the dashboard may");
    else if (is_api(x) && !has_pass(x, post))
        return false;
    else if (post && http_is_drop(x) && !http_drop_begin(x))
        http_refuse(x, MHD_HTTP_TOO_MANY_REQUESTS, ERR_LIMIT,
                    "%d pictures are being read, allowed is %d; try again in a moment", DROPPED_MAX,
                    DROPPED_MAX);
    else if (length && !text_i64(length, 0, (int64_t)http_body_max(x), &bytes))
        http_refuse(x, MHD_HTTP_CONTENT_TOO_LARGE, ERR_TOO_LARGE,
                    "the body has %.20s bytes, allowed are %zu", length, http_body_max(x));
    else
        return true;
    return false;
}

void http_route(struct http_exchange *x, const char *method)
{
    bool post = strcmp(method, MHD_HTTP_METHOD_POST) == 0;

    if (is_api(x) && http_session(x, post))
        return;
    if (is_api(x))
        http_api(x, method);
    else if (post)
        http_refuse(x, MHD_HTTP_METHOD_NOT_ALLOWED, ERR_NOT_ALLOWED, "%.100s takes no POST",
                    x->path);
    else if (strcmp(x->path, "/healthz") == 0)
        serve_health(x);
    else if (strcmp(x->path, "/metrics") == 0)
        serve_metrics(x);
    else
        serve_file(x);
}
