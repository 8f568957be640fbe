#define _GNU_SOURCE
#include "server/cell/record.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

int record_send(int fd, enum record_kind kind, const void *a, size_t a_bytes, const void *b,
                size_t b_bytes, int flags)
{
    char whole[1 + RECORD_BYTES_MAX];

    if (a_bytes > RECORD_BYTES_MAX || b_bytes > RECORD_BYTES_MAX - a_bytes)
        return -EMSGSIZE;
    whole[0] = (char)kind;
    if (a_bytes > 0)
        memcpy(whole + 1, a, a_bytes);
    if (b_bytes > 0)
        memcpy(whole + 1 + a_bytes, b, b_bytes);
    for (;;) {
        if (send(fd, whole, 1 + a_bytes + b_bytes, flags | MSG_NOSIGNAL) >= 0)
            return 0;
        if (errno != EINTR)
            return -errno;
    }
}

int record_send_text(int fd, enum record_kind kind, const char *text, size_t bytes)
{
    int rc = 0;

    while (rc == 0 && bytes > 0) {
        size_t n = bytes < RECORD_BYTES_MAX ? bytes : RECORD_BYTES_MAX;
        rc = record_send(fd, kind, text, n, NULL, 0, 0);
        text += n;
        bytes -= n;
    }
    return rc;
}

int record_receive(int fd, struct record *ret)
{
    struct iovec parts[] = {{&ret->kind, 1}, {ret->data, sizeof(ret->data)}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t n;

    /* A cell that died before it had read its question: the kernel says so once, ahead of what the
     * keeper says of its end. */
    do
        n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    while (n < 0 && (errno == EINTR || errno == ECONNRESET));
    if (n <= 0)
        return n < 0 ? -errno : 0;
    if (message.msg_flags & MSG_TRUNC)
        return -EBADMSG;
    ret->bytes = (size_t)n - 1;
    return 1;
}

bool record_number(const struct record *r, int32_t *ret)
{
    if (r->bytes < sizeof(*ret))
        return false;
    memcpy(ret, r->data, sizeof(*ret));
    return true;
}
