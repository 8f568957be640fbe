/* The addresses of the edge: which ones the options may name, and sockets on them. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/text.h"
#include "server/http/http_internal.h"

#define BACKLOG 64
#define ALL "*"

/* HOST and port of "HOST:PORT". */
static int split(const char *option, const char *address, const char *others,
                 char host[INET_ADDRSTRLEN], struct sockaddr_in *ret, struct errbuf *why)
{
    const char *colon = strrchr(address, ':');
    int64_t port;

    if (!colon || !text_i64(colon + 1, 1, UINT16_MAX, &port))
        return err_set(
            why, -EINVAL,
            "%s is \"%.80s\", allowed are HOST:PORT, with a port of 1 to 65535 (as in %s", option,
            address, others);
    snprintf(host, INET_ADDRSTRLEN, "%.*s", (int)(colon - address), address);
    *ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    return 0;
}

int http_address_dashboard(const char *address, struct sockaddr_in *ret, struct errbuf *why)
{
    char host[INET_ADDRSTRLEN];
    int rc = split("--http", address, HTTP_DEFAULT ") and " HTTP_NONE, host, ret, why);

    if (rc < 0)
        return rc;
    if (inet_pton(AF_INET, host, &ret->sin_addr) != 1)
        return err_set(why, -EINVAL, "--http %.80s: the host must be an IPv4 address of loopback",
                       address);
    if (ntohl(ret->sin_addr.s_addr) >> 24 != IN_LOOPBACKNET)
        return err_set(why, -EPERM,
                       "--http %.80s is not allowed: the dashboard is served on loopback only "
                       "(127.0.0.0/8); from another machine use ssh -L 7580:" HTTP_DEFAULT
                       " SERVER",
                       address);
    return 0;
}

int http_address_figures(const char *address, struct sockaddr_in *ret, struct errbuf *why)
{
    char host[INET_ADDRSTRLEN];
    int rc = split("--metrics", address, "10.0.0.1:7581 or *:7581)", host, ret, why);

    if (rc == 0 && strcmp(host, ALL) != 0 && inet_pton(AF_INET, host, &ret->sin_addr) != 1)
        rc = err_set(why, -EINVAL,
                     "--metrics %.80s: the host must be an IPv4 address of this machine, or * for "
                     "all",
                     address);
    return rc;
}

int http_address_listen(const struct sockaddr_in *at, int *ret)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), rc;

    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        bind(fd, (const struct sockaddr *)at, sizeof(*at)) < 0 || listen(fd, BACKLOG) < 0) {
        rc = -errno;
        close(fd);
        return rc;
    }
    *ret = fd;
    return 0;
}
