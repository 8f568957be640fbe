/* Addresses are judged here before nanomsg sees them: nanomsg accepts a bad host without an error
 * and tries to reach it for ever, and a stray '*' would bind to all interfaces. */
#include "proto/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "common/alloc.h"
#include "common/file.h"
#include "common/text.h"

#define TCP "tcp://"
#define IPC "ipc://"
#define IPC_PATH_MAX (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)

static bool starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Splits tcp://HOST:PORT; takes any host that is not empty, also '*'. */
static int split_tcp(const char *url, char host[ADDRESS_BYTES_MAX], struct errbuf *why)
{
    const char *rest = url + strlen(TCP), *colon = strrchr(rest, ':');
    int64_t port;

    if (rest[0] == '[')
        return err_set(why, -EINVAL, "%s: IPv6 is not supported; use an IPv4 address", url);
    if (!colon)
        return err_set(why, -EINVAL, "%s has no port: write tcp://HOST:PORT", url);
    if (colon == rest)
        return err_set(why, -EINVAL, "%s has no host: write tcp://HOST:PORT", url);
    if (!text_i64(colon + 1, 1, UINT16_MAX, &port))
        return err_set(why, -EINVAL, "%s: the port is \"%s\", allowed is 1 to 65535", url,
                       colon + 1);
    memcpy(host, rest, (size_t)(colon - rest));
    host[colon - rest] = '\0';
    return 0;
}

static int check_host(const char *url, const char *host, struct errbuf *why)
{
    struct in_addr ip;

    if (host[strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")])
        return err_set(why, -EINVAL,
                       "%s: the host is \"%s\", allowed are a name or an IPv4 address", url, host);
    if (!host[strspn(host, "0123456789.")] && inet_pton(AF_INET, host, &ip) != 1)
        return err_set(why, -EINVAL, "%s: \"%s\" is not an IPv4 address (four numbers of 0 to 255)",
                       url, host);
    return 0;
}

static int check_ipc(const char *url, struct errbuf *why)
{
    size_t bytes = strlen(url + strlen(IPC));

    if (bytes == 0)
        return err_set(why, -EINVAL, "%s has no path: write ipc://PATH", url);
    if (bytes > IPC_PATH_MAX)
        return err_set(why, -EINVAL, "%s: the path is %zu bytes long, allowed are %zu", url, bytes,
                       IPC_PATH_MAX);
    return 0;
}

static int check_scheme(const char *url, struct errbuf *why)
{
    size_t bytes = strlen(url);

    if (!starts_with(url, TCP) && !starts_with(url, IPC))
        return err_set(why, -EINVAL,
                       "\"%.100s\" is not an address: write tcp://HOST:PORT or ipc://PATH", url);
    if (bytes >= ADDRESS_BYTES_MAX)
        return err_set(why, -EINVAL, "%.100s... is %zu bytes long, allowed are %d", url, bytes,
                       ADDRESS_BYTES_MAX - 1);
    return 0;
}

int address_check(const char *url, struct errbuf *why)
{
    char host[ADDRESS_BYTES_MAX];
    int rc = check_scheme(url, why);

    if (rc < 0 || starts_with(url, IPC))
        return rc < 0 ? rc : check_ipc(url, why);
    rc = split_tcp(url, host, why);
    return rc < 0 ? rc : check_host(url, host, why);
}

bool address_is_ipc(const char *url)
{
    return starts_with(url, IPC);
}

const char *address_path(const char *url)
{
    return url + strlen(IPC);
}

static bool is_loopback(const char *host)
{
    struct in_addr ip;

    return inet_pton(AF_INET, host, &ip) == 1 && ntohl(ip.s_addr) >> 24 == IN_LOOPBACKNET;
}

static int refuse_plain(const char *url, bool loopback, struct errbuf *why)
{
    if (loopback)
        return err_set(why, -EPERM,
                       "%s is not allowed without a key: every user of this machine could command "
                       "the server there; make a key with `steppe key new FILE` and start with "
                       "--key FILE, or say --insecure-loopback if they all may",
                       url);
    return err_set(why, -EPERM,
                   "%s is not allowed without a key: beyond loopback (127.0.0.0/8) and ipc:// "
                   "messages must be sealed; make a key with `steppe key new FILE` and start with "
                   "--key FILE",
                   url);
}

int address_check_bind(const char *url, enum address_guard guard, struct errbuf *why)
{
    char host[ADDRESS_BYTES_MAX];
    int rc = check_scheme(url, why);

    if (rc < 0 || starts_with(url, IPC))
        return rc < 0 ? rc : check_ipc(url, why);
    rc = split_tcp(url, host, why);
    if (rc == 0 && strcmp(host, "*") != 0)
        rc = check_host(url, host, why);
    if (rc < 0)
        return rc;
    if (strcmp(host, "localhost") == 0)
        return err_set(
            why, -EPERM,
            "%s is not allowed: localhost is a name, not an address; write %s127.0.0.1%s", url, TCP,
            strrchr(url, ':'));
    if (guard == ADDRESS_NO_TCP || (guard == ADDRESS_LOOPBACK && !is_loopback(host)))
        return refuse_plain(url, is_loopback(host), why);
    return 0;
}

char *address_default(void)
{
    char *folder = file_xdg("XDG_STATE_HOME", ".local/state");
    char *url = folder ? xasprintf(IPC "%s/" ADDRESS_SOCKET, folder) : NULL;

    free(folder);
    return url;
}
