#define _GNU_SOURCE
#include "server/net/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void name_user(int fd, const char *user, char ret[PEER_BYTES])
{
    struct ucred who;
    socklen_t bytes = sizeof(who);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &bytes) < 0)
        return;
    if (user[0])
        snprintf(ret, PEER_BYTES, "ipc user %.40s pid %d", user, who.pid);
    else
        snprintf(ret, PEER_BYTES, "ipc uid %u pid %d", who.uid, who.pid);
}

static void name_address(int fd, char ret[PEER_BYTES])
{
    struct sockaddr_in at = {.sin_family = AF_UNSPEC};
    socklen_t bytes = sizeof(at);
    char host[INET_ADDRSTRLEN];

    if (getpeername(fd, (struct sockaddr *)&at, &bytes) == 0 && at.sin_family == AF_INET &&
        inet_ntop(AF_INET, &at.sin_addr, host, sizeof(host)))
        snprintf(ret, PEER_BYTES, "tcp %s:%u", host, ntohs(at.sin_port));
}

void peer_name(int fd, bool ipc, const char *user, char ret[PEER_BYTES])
{
    ret[0] = 0;
    if (ipc)
        name_user(fd, user, ret);
    else
        name_address(fd, ret);
}

void peer_address(int fd, bool ipc, char ret[PEER_BYTES])
{
    struct sockaddr_in at = {0};
    struct ucred who;
    socklen_t at_bytes = sizeof(at), who_bytes = sizeof(who);

    snprintf(ret, PEER_BYTES, "?");
    if (ipc && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &who_bytes) == 0)
        snprintf(ret, PEER_BYTES, "uid %u", who.uid);
    else if (!ipc && getpeername(fd, (struct sockaddr *)&at, &at_bytes) == 0)
        inet_ntop(AF_INET, &at.sin_addr, ret, PEER_BYTES);
}

/* Asks for the socket at the other end, which is one of this machine's own. */
static int describe_other_end(int fd, struct inet_diag_req_v2 *ret)
{
    struct sockaddr_in own = {0}, other = {0};
    socklen_t own_bytes = sizeof(own), other_bytes = sizeof(other);

    if (getsockname(fd, (struct sockaddr *)&own, &own_bytes) < 0 ||
        getpeername(fd, (struct sockaddr *)&other, &other_bytes) < 0)
        return -errno;
    if (other.sin_family != AF_INET)
        return -EAFNOSUPPORT;
    *ret =
        (struct inet_diag_req_v2){.sdiag_family = AF_INET,
                                  .sdiag_protocol = IPPROTO_TCP,
                                  .idiag_states = 1u << TCP_ESTABLISHED,
                                  .id = {.idiag_sport = other.sin_port,
                                         .idiag_dport = own.sin_port,
                                         .idiag_src = {other.sin_addr.s_addr},
                                         .idiag_dst = {own.sin_addr.s_addr},
                                         .idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}};
    return 0;
}

int peer_tcp_user(int fd, uint32_t *ret)
{
    struct {
        struct nlmsghdr head;
        struct inet_diag_req_v2 body;
    } ask = {.head = {.nlmsg_len = sizeof(ask),
                      .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                      .nlmsg_flags = NLM_F_REQUEST}};
    struct {
        struct nlmsghdr head;
        struct inet_diag_msg body;
        uint8_t more[512]; /* attributes, which nobody reads */
    } answer;
    int rc = describe_other_end(fd, &ask.body);

    if (rc < 0)
        return rc;
    /* The kernel answers within the call that asks. */
    int kernel = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (kernel < 0)
        return -errno;
    memset(&answer, 0, sizeof(answer));
    if (send(kernel, &ask, sizeof(ask), 0) < 0 ||
        recv(kernel, &answer, sizeof(answer), MSG_DONTWAIT) < 0)
        rc = -errno;
    else if (answer.head.nlmsg_type != SOCK_DIAG_BY_FAMILY ||
             answer.body.idiag_state != TCP_ESTABLISHED)
        rc = -ENOENT;
    else
        *ret = answer.body.idiag_uid;
    close(kernel);
    return rc;
}
