/* How long `ping` takes over an ipc socket: pings PATH PAUSE_US. A line "sent took waited" for
 * each, in microseconds (CLOCK_MONOTONIC), until standard input ends. waited: of that time, how
 * long the server's loop or this process could run and had no processor, as the kernel counts it:
 * on a machine that has much else to do it is the others' doing. A connection that is lost is made
 * again; what was asked on it does not count. */
#define _GNU_SOURCE
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/text.h"

#define PAUSE_MAX_US 10000000
#define AGAIN_US 2000 /* between two tries to connect */
#define GREETING "\0SP\0\0\x30\0\0"
#define MESSAGE "\1\0\0\0\0\0\0\0\x13\x80\0\0\1{\"type\":\"ping\"}"
#define HEAD_BYTES 13 /* 1, length, number of the request */

static long long now_us(void)
{
    return (long long)(clock_mono_s() * 1e6);
}

/* Microseconds that the process's first thread has waited for a processor; 0 where the kernel does
 * not count them. */
static long long waited_us(long pid)
{
    char path[64], text[128] = "", *second;
    long long waited_ns = 0;

    snprintf(path, sizeof(path), "/proc/%ld/task/%ld/schedstat", pid, pid);
    FILE *f = fopen(path, "r");
    if (f && fgets(text, sizeof(text), f) && (second = strchr(text, ' ')) != NULL)
        waited_ns = strtoll(second, NULL, 10);
    if (f)
        fclose(f);
    return waited_ns / 1000;
}

/* -1: not now. */
static int dial(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    char greeting[8];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
        send(fd, GREETING, 8, MSG_NOSIGNAL) == 8 && recv(fd, greeting, 8, MSG_WAITALL) == 8)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Its process. */
static long server_of(int fd)
{
    struct ucred peer = {.pid = 0};
    socklen_t bytes = sizeof(peer);

    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes);
    return peer.pid;
}

static bool ping(int fd)
{
    const size_t bytes = sizeof(MESSAGE) - 1;
    char reply[4096];
    unsigned char head[HEAD_BYTES];

    if (send(fd, MESSAGE, bytes, MSG_NOSIGNAL) != (ssize_t)bytes ||
        recv(fd, head, sizeof(head), MSG_WAITALL) != sizeof(head))
        return false;
    size_t rest = ((size_t)head[7] << 8 | head[8]) - 4;
    return rest <= sizeof(reply) && recv(fd, reply, rest, MSG_WAITALL) == (ssize_t)rest;
}

static bool ended(long long wait_us)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    const struct timespec wait = {wait_us / 1000000, wait_us % 1000000 * 1000};

    return ppoll(&in, 1, &wait, NULL) > 0;
}

int main(int argc, char **argv)
{
    int64_t pause_us = 0;
    int fd = -1;

    if (argc != 3 || !text_i64(argv[2], 0, PAUSE_MAX_US, &pause_us)) {
        fprintf(stderr, "usage: pings PATH PAUSE_US\n");
        return 2;
    }
    for (bool lost = true; !ended(lost ? AGAIN_US : pause_us);) {
        fd = fd < 0 ? dial(argv[1]) : fd;
        long server = fd < 0 ? 0 : server_of(fd);
        long long before = waited_us(server) + waited_us(getpid()), sent = now_us();
        lost = fd < 0 || !ping(fd);
        if (!lost) {
            long long took = now_us() - sent;
            long long waited = waited_us(server) + waited_us(getpid()) - before;
            printf("%lld %lld %lld\n", sent, took, waited < took ? waited : took);
            fflush(stdout);
        } else if (fd >= 0) {
            close(fd);
            fd = -1;
        }
    }
    return 0;
}
