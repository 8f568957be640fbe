/* Which page lies at which path, and the conditions for a request before anything is looked up. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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

/* Strangers of a network may ask as often as they like: they share what it was in the same second.
 */
#define KEPT_MS 1000

static void serve_metrics(struct http_exchange *x)
{
    const int64_t now_ms = clock_mono_ms();
    struct http_kept *kept = http_kept(x->http);
    struct figures figures;
    bool made = kept->text && http_figures_only(x->http) && now_ms - kept->made_ms < KEPT_MS;

    if (!made) {
        free(kept->text);
        *kept = (struct http_kept){.made_ms = now_ms};
        FILE *out = open_memstream(&kept->text, &kept->bytes);
        x->host->figures(x->net->service, &figures);
        made = out && http_metrics_print(x->net, &figures, out) == 0;
        made = out && fclose(out) == 0 && made;
    }
    if (made) {
        http_set(x, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", kept->text,
                 kept->bytes, false);
        return;
    }
    free(kept->text);
    kept->text = NULL;
    http_refuse(x, MHD_HTTP_SERVICE_UNAVAILABLE, ERR_UNAVAILABLE, "out of memory");
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

/* Whoever has a pass has a place, too, whatever strangers do; also for the files of the page, which
 * need none. */
static void keep_place(struct http_exchange *x)
{
    struct http_pass pass;

    if (is_api(x))
        http_known(x, x->pass.who);
    else if (http_pass_read(http_cookie(x), HTTP_SESSION, http_secret(x->http),
                            clock_unix_ms() / 1000, &pass))
        http_known(x, pass.who);
}

/* What a server and whoever stands between must not read differently: of two, one would take the
 * first, another the last (RFC 9112, 3.2 and 6.3). */
static const char *const once[] = {MHD_HTTP_HEADER_HOST,
                                   MHD_HTTP_HEADER_CONTENT_LENGTH,
                                   MHD_HTTP_HEADER_TRANSFER_ENCODING,
                                   MHD_HTTP_HEADER_AUTHORIZATION,
                                   MHD_HTTP_HEADER_COOKIE,
                                   MHD_HTTP_HEADER_ORIGIN,
                                   "Sec-Fetch-Site",
                                   NULL};

struct seen {
    unsigned mask;     /* of once[] */
    const char *twice; /* NULL: none */
    bool broken;       /* a name is none */
};

/* "Name : value" is another name than "Name" here, and may be the same elsewhere. */
static bool is_token(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "!#$%&'*+-.^_`|~";

    return name[0] && !name[strspn(name, allowed)];
}

static enum MHD_Result see_header(void *arg, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
    struct seen *seen = arg;

    (void)kind;
    (void)value;
    if (!is_token(name))
        seen->broken = true;
    for (int i = 0; once[i]; i++) {
        if (strcasecmp(name, once[i]) != 0)
            continue;
        if (seen->mask & 1u << i)
            seen->twice = once[i];
        seen->mask |= 1u << i;
    }
    return MHD_YES;
}

/* Can its head be read in one way only? False: x was answered. */
static bool is_plain(struct http_exchange *x)
{
    const char *encoding = header_of(x, MHD_HTTP_HEADER_TRANSFER_ENCODING);
    struct seen seen = {0};

    MHD_get_connection_values(x->connection, MHD_HEADER_KIND, see_header, &seen);
    if (seen.broken)
        http_refuse(x, MHD_HTTP_BAD_REQUEST, ERR_BAD_MESSAGE,
                    "a header's name has characters that no name may have");
    else if (seen.twice)
        http_refuse(x, MHD_HTTP_BAD_REQUEST, ERR_BAD_MESSAGE,
                    "the header %s comes twice, allowed is once", seen.twice);
    else if (encoding && header_of(x, MHD_HTTP_HEADER_CONTENT_LENGTH))
        http_refuse(x, MHD_HTTP_BAD_REQUEST, ERR_BAD_MESSAGE,
                    "the headers Content-Length and Transfer-Encoding exclude each other");
    else if (encoding && strcasecmp(encoding, "chunked") != 0)
        http_refuse(x, MHD_HTTP_BAD_REQUEST, ERR_BAD_MESSAGE,
                    "the header Transfer-Encoding is \"%.40s\", allowed is chunked", encoding);
    else
        return true;
    return false;
}

/* May this method, sent by this page, ask for this path? False: x was answered. */
static bool is_let_in(struct http_exchange *x, const char *method)
{
    const char *host = header_of(x, MHD_HTTP_HEADER_HOST);
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
    else if (is_api(x) && !http_site_ok(header_of(x, "Sec-Fetch-Site")))
        http_refuse(x, MHD_HTTP_FORBIDDEN, ERR_NOT_ALLOWED,
                    "another page asked for this; only the dashboard may");
    else
        return is_api(x) ? has_pass(x, post) : true;
    return false;
}

static const struct {
    const char *path;
    void (*serve)(struct http_exchange *x);
} figures[] = {{"/healthz", serve_health}, {"/metrics", serve_metrics}};
#define FIGURES (sizeof(figures) / sizeof(figures[0]))

/* Of the paths that say nothing of the data. -1: it is another. */
static int figure_at(const char *path)
{
    for (size_t i = 0; i < FIGURES; i++)
        if (strcmp(path, figures[i].path) == 0)
            return (int)i;
    return -1;
}

/* Of an address that is open to whoever reaches it, under whichever name. False: x was answered. */
static bool is_public(struct http_exchange *x, const char *method)
{
    if (figure_at(x->path) < 0)
        http_refuse(x, MHD_HTTP_NOT_FOUND, ERR_NOT_FOUND,
                    "there is no page %.100s here, there are /metrics and /healthz", x->path);
    else if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        http_refuse(x, MHD_HTTP_METHOD_NOT_ALLOWED, ERR_NOT_ALLOWED,
                    "the method is %.20s, allowed are GET and HEAD", method);
    else
        return true;
    return false;
}

/* May whoever asks have what there is at this address? False: x was answered. */
static bool may_ask(struct http_exchange *x, const char *method)
{
    if (http_figures_only(x->http))
        return is_public(x, method);
    if (!is_let_in(x, method))
        return false;
    keep_place(x);
    return true;
}

bool http_admitted(struct http_exchange *x, const char *method)
{
    const char *length = header_of(x, MHD_HTTP_HEADER_CONTENT_LENGTH);
    int64_t bytes;

    if (!is_plain(x) || !may_ask(x, method))
        return false;
    if (strcmp(method, MHD_HTTP_METHOD_POST) == 0 && http_is_drop(x) && !http_drop_begin(x))
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
    int figure = figure_at(x->path);

    if (is_api(x) && http_session(x, post))
        return;
    if (is_api(x))
        http_api(x, method);
    else if (post)
        http_refuse(x, MHD_HTTP_METHOD_NOT_ALLOWED, ERR_NOT_ALLOWED, "%.100s takes no POST",
                    x->path);
    else if (figure >= 0)
        figures[figure].serve(x);
    else
        serve_file(x);
}
