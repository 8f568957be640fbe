/* libmicrohttpd on the server's loop. It has no thread: its epoll descriptor is polled by libuv,
 * and whenever it is readable, or its next deadline has come, it runs one turn. A request that is
 * answered later puts its connection to sleep (MHD_suspend_connection), and the answer wakes it, so
 * an exchange lives at least as long as its request.
 *
 * Limits: connections (http_visitors.c), the bytes of a header and of a body, and the time a
 * connection may take from one answer to the next: a client that sends a byte a second is cut off
 * like one that sends none. */
#include "server/http/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "common/secret.h"
#include "common/text.h"
#include "server/http/http_internal.h"

#define SILENT_S 20 /* without a byte */
/* MHD's own bound: those that were hung up count until it has noticed. */
#define CONNECTIONS (2 * HTTP_CONNECTIONS_MAX)
#define NAMED 64 /* keys whose names are kept at hand */
#define SECRET_FILE "http.secret"
#define TOKEN_FILE "http.token" /* of an earlier version: it never changed */

struct http {
    struct net *net;
    struct http_host host;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_timer_t timer;
    struct http_exchange *exchanges; /* all open ones */
    struct visitors visitors;
    unsigned drops; /* files of pictures that are held */
    char url[64];
    struct http_named named[NAMED];
    uint8_t *secret; /* [HTTP_SECRET_BYTES], in memory for secrets; NULL: figures_only */
    bool figures_only;
    struct http_kept kept;
};

/* --- addresses and secret --- */

int http_check(const char *address, struct errbuf *why)
{
    struct sockaddr_in at;

    return strcmp(address, HTTP_NONE) == 0 ? 0 : http_address_dashboard(address, &at, why);
}

int http_check_figures(const char *address, struct errbuf *why)
{
    struct sockaddr_in at;

    return http_address_figures(address, &at, why);
}

/* The secret of this state folder. It is kept, so that sessions go on after a restart; who removes
 * the file ends all of them with the next start. */
static int load_secret(struct http *h, struct errbuf *why)
{
    char *path = xasprintf("%s/%s", h->host.dir, SECRET_FILE), *text = NULL;
    char hex[2 * HTTP_SECRET_BYTES + 1];
    size_t count = 0;
    int rc = file_read(path, sizeof(hex), &text, &count, why);

    if (rc == 0) {
        text[strcspn(text, "\n")] = 0;
        if (!text_unhex(text, h->secret, HTTP_SECRET_BYTES))
            rc =
                err_set(why, -EUCLEAN, "%s does not hold %d hex digits; remove it to get a new one",
                        path, 2 * HTTP_SECRET_BYTES);
        sodium_memzero(text, count);
    } else if (rc == -ENOENT) {
        randombytes_buf(h->secret, HTTP_SECRET_BYTES);
        text_hex(h->secret, HTTP_SECRET_BYTES, hex);
        const struct file_part parts[] = {{hex, strlen(hex)}, {"\n", 1}};
        rc = file_write_atomic(path, 0600, parts, 2, why);
        sodium_memzero(hex, sizeof(hex));
    }
    free(text);
    free(path);
    return rc;
}

static void remove_token(const struct http *h)
{
    char *path = xasprintf("%s/%s", h->host.dir, TOKEN_FILE);

    unlink(path);
    free(path);
}

/* --- answers --- */

static void on_timer(uv_timer_t *timer);

static const struct {
    const char *name, *value;
} headers[] = {
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
     "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
};

/* Takes over the response; wakes the connection when it sleeps. */
static void give(struct http_exchange *x, unsigned status, const char *type,
                 struct MHD_Response *response)
{
    if (!response)
        return;
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        MHD_add_response_header(response, headers[i].name, headers[i].value);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (x->set_cookie[0])
        MHD_add_response_header(response, MHD_HTTP_HEADER_SET_COOKIE, x->set_cookie);
    if (x->response)
        MHD_destroy_response(x->response);
    x->response = response;
    x->status = status;
    if (x->asleep) { /* MHD does not tell the loop */
        MHD_resume_connection(x->connection);
        uv_timer_start(&x->http->timer, on_timer, 0, 0);
    }
    x->asleep = false;
}

void http_set(struct http_exchange *x, unsigned status, const char *type, const void *data,
              size_t bytes, bool is_static)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        bytes, (void *)(uintptr_t)data, is_static ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_COPY);

    if (response)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL,
                                is_static ? "no-cache" : "no-store");
    give(x, status, type, response);
}

static void give_json(struct http_exchange *x, unsigned status, char *text)
{
    struct MHD_Response *response =
        text ? MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE) : NULL;

    if (response)
        MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    give(x, status, "application/json", response);
}

void http_refuse(struct http_exchange *x, unsigned status, enum error_code code, const char *fmt,
                 ...)
{
    struct errbuf why;
    va_list ap;

    va_start(ap, fmt);
    err_vset(&why, fmt, ap);
    va_end(ap);
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "type", "error");
    cJSON_AddStringToObject(json, "code", error_names[code]);
    cJSON_AddStringToObject(json, "error", why.text);
    give_json(x, status, cJSON_PrintUnformatted(json));
    cJSON_Delete(json);
}

unsigned http_status(enum error_code code)
{
    static const unsigned map[ERR_COUNT + 1] = {
        [ERR_NOT_FOUND] = MHD_HTTP_NOT_FOUND,
        [ERR_EXISTS] = MHD_HTTP_CONFLICT,
        [ERR_FORBIDDEN] = MHD_HTTP_FORBIDDEN,
        [ERR_NOT_ALLOWED] = MHD_HTTP_CONFLICT,
        [ERR_GONE] = MHD_HTTP_GONE,
        [ERR_TOO_LARGE] = MHD_HTTP_CONTENT_TOO_LARGE,
        [ERR_LIMIT] = MHD_HTTP_TOO_MANY_REQUESTS,
        [ERR_UNAVAILABLE] = MHD_HTTP_SERVICE_UNAVAILABLE,
        [ERR_TIMEOUT] = MHD_HTTP_SERVICE_UNAVAILABLE,
        [ERR_INTERNAL] = MHD_HTTP_INTERNAL_SERVER_ERROR,
        [ERR_COUNT] = MHD_HTTP_OK,
    };

    return map[code] ? map[code] : MHD_HTTP_BAD_REQUEST;
}

static void give_picture(struct http_exchange *x, struct answer *answer)
{
    struct MHD_Response *response =
        answer->made ? MHD_create_response_from_buffer(answer->made_bytes, answer->made,
                                                       MHD_RESPMEM_MUST_FREE)
                     : NULL;

    if (!response) {
        http_refuse(x, MHD_HTTP_SERVICE_UNAVAILABLE, ERR_UNAVAILABLE, "no memory for the picture");
        return;
    }
    answer->made = NULL;
    /* What a sample looks like never changes. */
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "private, max-age=3600");
    give(x, MHD_HTTP_OK, "image/png", response);
}

void http_answer(struct http_exchange *x, struct answer *answer)
{
    char *text = answer->made;

    x->rq = NULL;
    if (x->picture && answer->code == ERR_COUNT) {
        give_picture(x, answer);
        return;
    }
    answer->made = NULL;
    give_json(x, http_status(answer->code), text ? text : cJSON_PrintUnformatted(answer->json));
}

void http_drop(struct http_exchange *x)
{
    if (!x->rq)
        return;
    x->rq = NULL;
    http_refuse(x, MHD_HTTP_SERVICE_UNAVAILABLE, ERR_UNAVAILABLE, "the server is stopping");
}

/* --- exchanges --- */

/* MHD calls this after the request line, before the headers. */
static void *begin(void *arg, const char *path, struct MHD_Connection *connection)
{
    struct http *h = arg;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct http_exchange *x = xcalloc(1, sizeof(*x));

    x->visitor = info->socket_context;
    x->http = h;
    x->net = h->net;
    x->host = &h->host;
    x->connection = connection;
    x->path = xstrdup(path);
    x->path[strcspn(x->path, "?")] = 0;
    x->next = h->exchanges;
    if (x->next)
        x->next->prev = x;
    h->exchanges = x;
    return x;
}

bool http_drop_begin(struct http_exchange *x)
{
    if (x->http->drops >= DROPPED_MAX)
        return false;
    x->http->drops++;
    x->drops = true;
    return true;
}

static void end(void *arg, struct MHD_Connection *connection, void **context,
                enum MHD_RequestTerminationCode code)
{
    struct http *h = arg;
    struct http_exchange *x = *context;

    (void)connection;
    (void)code;
    if (!x)
        return;
    x->visitor->since_ms = clock_mono_ms();
    x->visitor->begun = false;
    if (x->prev)
        x->prev->next = x->next;
    else
        h->exchanges = x->next;
    if (x->next)
        x->next->prev = x->prev;
    if (x->response)
        MHD_destroy_response(x->response);
    h->drops -= x->drops;
    http_drop_free(x->dropped);
    free(x->path);
    free(x->body);
    free(x);
    *context = NULL;
}

static enum MHD_Result queue(struct http_exchange *x)
{
    struct MHD_Response *response = x->response;

    x->response = NULL;
    metrics_count(&x->net->metrics, x->status < 400   ? COUNT_HTTP_OK
                                    : x->status < 500 ? COUNT_HTTP_REFUSED
                                                      : COUNT_HTTP_FAILED);
    enum MHD_Result result = MHD_queue_response(x->connection, x->status, response);
    MHD_destroy_response(response);
    return result;
}

/* MHD calls this once after the headers, again for each piece of a body, at its end, and when the
 * connection wakes. */
static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *data,
                              size_t *bytes, void **context)
{
    struct http_exchange *x = *context;

    (void)arg;
    (void)connection;
    (void)path;
    (void)version;
    if (!x)
        return MHD_NO;
    if (x->response && *bytes == 0)
        return queue(x);
    if (*bytes > 0) {
        if (!http_take_body(x, data, *bytes))
            return MHD_NO;
        *bytes = 0;
        return MHD_YES;
    }
    if (!x->begun) {
        x->begun = x->visitor->begun = true;
        if (http_admitted(x, method))
            return MHD_YES;
        /* What comes next may be the refused one's body, in whichever way that was meant. */
        MHD_add_response_header(x->response, MHD_HTTP_HEADER_CONNECTION, "close");
        return queue(x);
    }
    http_route(x, method);
    if (x->response)
        return queue(x);
    x->asleep = x->rq;
    if (!x->asleep)
        return MHD_NO;
    MHD_suspend_connection(x->connection);
    return MHD_YES;
}

/* --- connections --- */

static void on_connection(void *arg, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http *h = arg;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        *context = visitors_add(&h->visitors, info ? info->connect_fd : -1);
    } else if (*context) {
        visitors_remove(&h->visitors, *context);
        *context = NULL;
    }
}

void http_known(struct http_exchange *x, uint32_t who)
{
    visitors_know(&x->http->visitors, x->visitor, who);
}

/* --- the loop --- */

static void drive(struct http *h)
{
    MHD_UNSIGNED_LONG_LONG ms;

    MHD_run(h->daemon);
    if (MHD_get_timeout(h->daemon, &ms) == MHD_YES)
        uv_timer_start(&h->timer, on_timer, ms, 0);
    else
        uv_timer_stop(&h->timer);
}

static void on_timer(uv_timer_t *timer)
{
    drive(timer->data);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    drive(poll->data);
}

void http_tick(struct http *h, int64_t now_ms)
{
    if (!h)
        return;
    for (struct http_exchange *x = h->exchanges; x; x = x->next)
        if (x->asleep)
            x->visitor->since_ms = now_ms;
    visitors_tick(&h->visitors, now_ms);
    /* When all places are taken MHD stops listening, and checks for a free one at its next turn.
     */
    drive(h);
}

static int start_daemon(struct http *h, int fd)
{
    const union MHD_DaemonInfo *info;

    h->daemon =
        MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, handle, h,
                         MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
                         (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENT_S,
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_HEADER_BYTES_MAX,
                         MHD_OPTION_URI_LOG_CALLBACK, begin, h, MHD_OPTION_NOTIFY_COMPLETED, end, h,
                         MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_END);
    if (!h->daemon) {
        close(fd);
        return -ENOMEM;
    }
    info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    return info ? uv_poll_init(&h->net->loop, &h->poll, info->epoll_fd) : -ENOTSUP;
}

/* What the dashboard has and the figures alone do not need. */
static int open_secret(struct http *h, struct errbuf *why)
{
    h->secret = secret_alloc(HTTP_SECRET_BYTES);
    if (!h->secret)
        return err_set(why, -ENOMEM, "no memory for the dashboard's secret");
    int rc = load_secret(h, why);
    if (rc == 0)
        remove_token(h);
    return rc;
}

static int start(struct http *h, const struct sockaddr_in *at, struct errbuf *why)
{
    int fd = -1, rc = http_address_listen(at, &fd);

    if (rc == -EADDRINUSE)
        return err_set(why, rc, "%s is in use by another program", h->url);
    if (rc == 0)
        rc = start_daemon(h, fd);
    if (rc < 0)
        return err_set(why, rc, "cannot serve %s: %s", h->url, err_text(rc));
    uv_timer_init(&h->net->loop, &h->timer);
    h->poll.data = h->timer.data = h;
    uv_poll_start(&h->poll, UV_READABLE, on_readable);
    log_info("http.listen", "url=%s%s", h->url, h->figures_only ? " serves=\"metrics\"" : "");
    return 0;
}

static int open_edge(struct http *h, const struct sockaddr_in *at, struct http **ret,
                     struct errbuf *why)
{
    int rc = h->figures_only ? 0 : open_secret(h, why);

    if (rc == 0)
        rc = start(h, at, why);
    if (rc == 0) {
        *ret = h;
        return 0;
    }
    if (h->daemon)
        MHD_stop_daemon(h->daemon);
    secret_free(h->secret);
    free(h);
    return rc;
}

static struct http *new_edge(struct net *net, const struct http_host *host, const char *address)
{
    struct http *h = xcalloc(1, sizeof(*h));

    h->net = net;
    h->host = *host;
    snprintf(h->url, sizeof(h->url), "http://%s", address);
    return h;
}

int http_open(struct net *net, const struct http_host *host, const char *address, struct http **ret,
              struct errbuf *why)
{
    struct sockaddr_in at;
    int rc = http_address_dashboard(address, &at, why);

    return rc < 0 ? rc : open_edge(new_edge(net, host, address), &at, ret, why);
}

int http_open_figures(struct net *net, const struct http_host *host, const char *address,
                      struct http **ret, struct errbuf *why)
{
    struct sockaddr_in at;
    int rc = http_address_figures(address, &at, why);

    if (rc < 0)
        return rc;
    struct http *h = new_edge(net, host, address);
    h->figures_only = true;
    return open_edge(h, &at, ret, why);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct http *h = handle->data;

    secret_free(h->secret);
    free(h->kept.text);
    free(h);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct http *h = handle->data;

    uv_close((uv_handle_t *)&h->timer, on_timer_closed);
}

void http_close(struct http *h)
{
    if (!h)
        return;
    for (struct http_exchange *x = h->exchanges; x; x = x->next)
        if (x->rq) {
            request_orphan(x->rq);
            http_drop(x);
        }
    MHD_run(h->daemon); /* lets the last answers leave */
    uv_poll_stop(&h->poll);
    uv_timer_stop(&h->timer);
    /* The loop must let go of the descriptor before MHD closes it: uv_poll_stop has done that. */
    MHD_stop_daemon(h->daemon);
    uv_close((uv_handle_t *)&h->poll, on_poll_closed);
}

bool http_figures_only(const struct http *h)
{
    return h->figures_only;
}

struct http_kept *http_kept(struct http *h)
{
    return &h->kept;
}

const char *http_url(const struct http *h)
{
    return h->url;
}

struct http_named *http_named(struct http *h, uint32_t who)
{
    return &h->named[who / 2 % NAMED]; /* every number is odd */
}

const uint8_t *http_secret(const struct http *h)
{
    return h->secret;
}

void http_token(const struct http *h, enum role role, const char *key, int64_t key_end_ms,
                char out[HTTP_PASS_HEX])
{
    const int64_t key_end_s = key_end_ms / 1000;
    const struct http_pass pass =
        http_pass_link(role, http_pass_who(key, h->secret),
                       key_end_s < UINT32_MAX ? (uint32_t)key_end_s : 0, clock_unix_ms() / 1000);

    http_pass_print(&pass, h->secret, out);
}
