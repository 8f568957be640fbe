/* Raw, because a cooked REQ frees a late reply twice. The id is sent as the SP header: 4 bytes,
 * big-endian, with the top bit set. */
#include "proto/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/tcp.h>
#include <unistd.h>

#include "common/bounds.h"
#include "proto/address.h"

#define RECONNECT_MS 200
#define RECONNECT_MAX_MS 5000
#define HEADER_BIT 0x80000000u

/* What nanomsg carries beside a message: its SP header, here one request id. */
struct control {
    struct nn_cmsghdr header;
    size_t bytes;
    uint32_t id; /* big-endian */
    uint8_t room[64];
};

void *wire_alloc(size_t bytes)
{
    return nn_allocmsg(bytes, 0);
}

void wire_free(void *body)
{
    if (body)
        nn_freemsg(body);
}

static int get_fd(int socket, int option, int *ret)
{
    size_t bytes = sizeof(*ret);

    return nn_getsockopt(socket, NN_SOL_SOCKET, option, ret, &bytes) < 0 ? -nn_errno() : 0;
}

static int set_options(int socket)
{
    static const struct {
        int level, option, value;
    } options[] = {
        {NN_SOL_SOCKET, NN_RCVMAXSIZE, WIRE_BYTES_MAX},
        {NN_SOL_SOCKET, NN_SNDBUF, SOCKET_BUFFER_BYTES},
        {NN_SOL_SOCKET, NN_RCVBUF, SOCKET_BUFFER_BYTES},
        {NN_SOL_SOCKET, NN_RECONNECT_IVL, RECONNECT_MS},
        {NN_SOL_SOCKET, NN_RECONNECT_IVL_MAX, RECONNECT_MAX_MS},
        {NN_TCP, NN_TCP_NODELAY, 1},
    };

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        if (nn_setsockopt(socket, options[i].level, options[i].option, &options[i].value,
                          sizeof(options[i].value)) < 0)
            return -nn_errno();
    return 0;
}

int wire_may_open(const char *url, struct errbuf *why)
{
    if (!address_is_ipc(url) || access(address_path(url), W_OK) == 0 || errno != EACCES)
        return 0;
    return err_set(why, -EACCES,
                   "%s is closed to this user: only root and whoever runs that server may open it; "
                   "they can let in others with --groups GROUP=ROLE and --listen ipc://PATH",
                   url);
}

int wire_open(struct wire *w, const char *url, struct errbuf *why)
{
    int rc = 0, s = nn_socket(AF_SP_RAW, NN_REQ);

    if (s < 0)
        return err_set(why, -nn_errno(), "cannot open a socket: %s", nn_strerror(nn_errno()));
    if ((rc = set_options(s)) < 0 || (rc = get_fd(s, NN_SNDFD, &w->send_fd)) < 0 ||
        (rc = get_fd(s, NN_RCVFD, &w->receive_fd)) < 0 ||
        (rc = nn_connect(s, url) < 0 ? -nn_errno() : 0) < 0) {
        nn_close(s);
        return err_set(why, rc, "cannot connect to %s: %s", url, nn_strerror(-rc));
    }
    w->socket = s;
    return 0;
}

void wire_close(struct wire *w)
{
    if (w->socket >= 0)
        nn_close(w->socket);
    w->socket = -1;
}

uint64_t wire_count(const struct wire *w, int which)
{
    return nn_get_statistic(w->socket, which);
}

/* nanomsg's codes for "not now". */
static int code_of(int code)
{
    return code == EINTR || code == ETIMEDOUT ? -EAGAIN : -code;
}

int wire_send(const struct wire *w, uint32_t id, void *body)
{
    struct control control = {
        .header = {NN_CMSG_SPACE(sizeof(size_t) + sizeof(uint32_t)), PROTO_SP, SP_HDR},
        .bytes = sizeof(control.id),
        .id = htonl(id | HEADER_BIT),
    };
    struct nn_iovec iov = {&body, NN_MSG};
    struct nn_msghdr header = {&iov, 1, &control, control.header.cmsg_len};

    return nn_sendmsg(w->socket, &header, NN_DONTWAIT) < 0 ? code_of(nn_errno()) : 0;
}

int wire_receive(const struct wire *w, uint32_t *ret_id, void **ret)
{
    struct control control = {.bytes = 0};
    void *body = NULL;
    struct nn_iovec iov = {&body, NN_MSG};
    struct nn_msghdr header = {&iov, 1, &control, sizeof(control)};
    int bytes = nn_recvmsg(w->socket, &header, NN_DONTWAIT);

    if (bytes < 0)
        return code_of(nn_errno());
    uint32_t id = control.bytes == sizeof(control.id) ? ntohl(control.id) : 0;
    *ret_id = id & HEADER_BIT ? id & ~HEADER_BIT : HEADER_BIT;
    *ret = body;
    return bytes;
}
