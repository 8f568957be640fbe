#define _GNU_SOURCE
#include "server/net/peer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>

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
