/* The transport owns the socket, its place in the loop and the files of its ipc addresses.
 *
 * The readiness descriptor of nanomsg behaves like a level: it stays readable while a message
 * waits, so it is polled and never read, and a bounded number of messages is taken a time: one
 * flooding peer cannot keep the loop. A malformed message makes one nn_recvmsg return EAGAIN
 * although more wait; the level brings the loop back.
 *
 * nn_close drops what is still on its way out, so closing waits a little after the last reply.
 *
 * Option values: a finite NN_RCVMAXSIZE (without one a peer can make nanomsg abort), NN_MAXTTL 1
 * (no devices in between, so that a header is 8 bytes). nn_term is never called. */
#include "server/transport.h"

#include <errno.h>
#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/clock.h"
#include "proto/address.h"

#define MESSAGES_PER_WAKE 64
#define HEADER_BYTES_MIN 8 /* connection and request id */
#define LINGER_MS 200 /* for the last reply to leave; 8 MiB take a tenth of it on one machine */
#define IPC "ipc://"

struct transport {
    uv_poll_t poll;
    uv_timer_t linger;
    int socket;
    bool closing;
    int64_t reply_ms; /* time of the last reply */
    transport_message on_message;
    void *arg;
};

/* What nanomsg carries beside a message: the SP header that routes the reply. */
struct control {
    struct nn_cmsghdr header;
    size_t bytes;
    uint8_t data[sizeof(((struct token *)NULL)->bytes)];
};

void *transport_alloc(size_t bytes)
{
    return nn_allocmsg(bytes, 0);
}

void transport_release(void *body)
{
    if (body)
        nn_freemsg(body);
}

/* Takes one message. False when there is none. */
static bool receive(struct transport *t)
{
    struct control control = {.bytes = 0};
    void *body = NULL;
    struct nn_iovec iov = {&body, NN_MSG};
    struct nn_msghdr header = {&iov, 1, &control, sizeof(control)};
    struct token from;
    int bytes = nn_recvmsg(t->socket, &header, NN_DONTWAIT);

    if (bytes < 0)
        return false;
    if (control.bytes < HEADER_BYTES_MIN || control.bytes > sizeof(from.bytes)) {
        transport_release(body);
        return true;
    }
    from.count = (uint32_t)control.bytes;
    memcpy(from.bytes, control.data, control.bytes);
    t->on_message(t->arg, &from, body, (size_t)bytes);
    return true;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct transport *t = poll->data;

    (void)status; /* whatever happened, nn_recvmsg knows */
    (void)events;
    for (int i = 0; i < MESSAGES_PER_WAKE && !t->closing; i++)
        if (!receive(t))
            return;
}

static int set_options(int socket)
{
    static const struct {
        int level, option, value;
    } options[] = {
        {NN_SOL_SOCKET, NN_RCVMAXSIZE, WIRE_BYTES_MAX},
        {NN_SOL_SOCKET, NN_SNDBUF, SOCKET_BUFFER_BYTES},
        {NN_SOL_SOCKET, NN_RCVBUF, SOCKET_BUFFER_BYTES},
        {NN_SOL_SOCKET, NN_MAXTTL, 1},
        {NN_TCP, NN_TCP_NODELAY, 1},
    };

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        if (nn_setsockopt(socket, options[i].level, options[i].option, &options[i].value,
                          sizeof(options[i].value)) < 0)
            return -nn_errno();
    return 0;
}

/* Removes the file when the server that made it is gone. */
static int clear_socket(const char *url, const char *path, struct errbuf *why)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return err_set(why, -errno, "%s: %s", url, err_text(errno));
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    int rc = connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ? errno : 0;
    close(fd);
    if (rc != ECONNREFUSED)
        return err_set(why, -EADDRINUSE, "%s is in use by another program", url);
    if (unlink(path) < 0)
        return err_set(why, -errno, "%s: cannot remove the file of an earlier server: %s", url,
                       err_text(errno));
    return 0;
}

/* Makes the path free. nanomsg would do that too, but it takes any file for that of a dead server,
 * aborts when it cannot remove it and leaks when the folder is missing. */
static int clear_ipc(const char *url, struct errbuf *why)
{
    const char *path = url + strlen(IPC), *slash = strrchr(path, '/');
    char folder[sizeof(((struct sockaddr_un *)NULL)->sun_path)] = ".";
    struct stat st;

    if (slash)
        snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path) + 1, path);
    if (access(folder, W_OK | X_OK) < 0)
        return err_set(why, -errno, "%s: the folder %s cannot be used: %s", url, folder,
                       err_text(errno));
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : err_set(why, -errno, "%s: %s", url, err_text(errno));
    if (!S_ISSOCK(st.st_mode))
        return err_set(why, -EEXIST, "%s: there is another file at this path", url);
    return clear_socket(url, path, why);
}

static int bind_failed(const char *url, int code, struct errbuf *why)
{
    if (code == EADDRINUSE)
        return err_set(why, -code, "%s is in use by another program", url);
    return err_set(why, -code, "cannot serve %s: %s", url, err_text(code));
}

static int bind_url(int socket, const char *url, struct errbuf *why)
{
    bool ipc = strncmp(url, IPC, strlen(IPC)) == 0;
    int rc = address_check_bind(url, true, why);

    if (rc == 0 && ipc)
        rc = clear_ipc(url, why);
    if (rc < 0)
        return rc;
    if (nn_bind(socket, url) < 0)
        return bind_failed(url, nn_errno(), why);
    /* Whoever may write to the socket may command the server. */
    if (ipc && chmod(url + strlen(IPC), 0600) < 0)
        return err_set(why, -errno, "%s: cannot protect the socket's file: %s", url,
                       err_text(errno));
    return 0;
}

static int start_poll(struct transport *t, uv_loop_t *loop)
{
    size_t bytes = sizeof(int);
    int fd, rc;

    if (nn_getsockopt(t->socket, NN_SOL_SOCKET, NN_RCVFD, &fd, &bytes) < 0)
        return -nn_errno();
    rc = uv_poll_init(loop, &t->poll, fd);
    if (rc < 0)
        return rc;
    uv_timer_init(loop, &t->linger);
    t->poll.data = t->linger.data = t;
    /* Cannot fail for a descriptor that uv_poll_init has taken. */
    return uv_poll_start(&t->poll, UV_READABLE, on_readable);
}

int transport_open(uv_loop_t *loop, const char *const *urls, int url_count,
                   transport_message on_message, void *arg, struct transport **ret,
                   struct errbuf *why)
{
    struct transport *t;
    int rc;

    if (url_count < 1)
        return err_set(why, -EINVAL, "there is no address to serve");
    t = xcalloc(1, sizeof(*t));
    t->on_message = on_message;
    t->arg = arg;
    t->reply_ms = clock_mono_ms() - LINGER_MS;
    t->socket = nn_socket(AF_SP_RAW, NN_REP);
    if (t->socket < 0) {
        rc = err_set(why, -nn_errno(), "cannot open a socket: %s", nn_strerror(nn_errno()));
        goto fail;
    }
    rc = set_options(t->socket);
    if (rc < 0) {
        err_set(why, rc, "cannot set up a socket: %s", nn_strerror(-rc));
        goto fail;
    }
    for (int i = 0; i < url_count; i++) {
        rc = bind_url(t->socket, urls[i], why);
        if (rc < 0)
            goto fail;
    }
    rc = start_poll(t, loop);
    if (rc < 0) {
        err_set(why, rc, "cannot watch a socket: %s", uv_strerror(rc));
        goto fail;
    }
    *ret = t;
    return 0;

fail:
    if (t->socket >= 0)
        nn_close(t->socket);
    free(t);
    return rc;
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct transport *t = handle->data;

    uv_close((uv_handle_t *)&t->linger, on_timer_closed);
}

static void end_linger(uv_timer_t *timer)
{
    struct transport *t = timer->data;

    /* The loop lets go of the descriptor first: nn_close closes it. */
    uv_close((uv_handle_t *)&t->poll, on_poll_closed);
    nn_close(t->socket);
}

void transport_close(struct transport *t)
{
    int64_t left_ms;

    if (!t || t->closing)
        return;
    t->closing = true;
    uv_poll_stop(&t->poll);
    uv_update_time(t->poll.loop);
    left_ms = t->reply_ms + LINGER_MS - clock_mono_ms();
    if (left_ms > 0)
        uv_timer_start(&t->linger, end_linger, (uint64_t)left_ms, 0);
    else
        end_linger(&t->linger);
}

void transport_reply(struct transport *t, const struct token *to, void *body)
{
    struct control control = {
        .header = {NN_CMSG_SPACE(sizeof(size_t) + to->count), PROTO_SP, SP_HDR},
        .bytes = to->count,
    };
    struct nn_iovec iov = {&body, NN_MSG};
    struct nn_msghdr header = {&iov, 1, &control, control.header.cmsg_len};

    memcpy(control.data, to->bytes, to->count);
    t->reply_ms = clock_mono_ms();
    if (t->closing || nn_sendmsg(t->socket, &header, NN_DONTWAIT) < 0)
        transport_release(body);
}
