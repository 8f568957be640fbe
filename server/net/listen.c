#include "server/net/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/bounds.h"
#include "common/text.h"
#include "proto/address.h"

#define IPC "ipc://"
#define TCP "tcp://"

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

/* Makes the path free. */
static int clear_ipc(const char *url, struct errbuf *why)
{
    const char *path = url + strlen(IPC), *slash = strrchr(path, '/');
    char folder[sizeof(((struct sockaddr_un *)NULL)->sun_path)] = ".";
    struct stat st;

    if (slash)
        snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path) + 1, path);
    if (access(folder, W_OK | X_OK) < 0)
        return err_set(why, -errno, "%s: cannot use the folder %s: %s", url, folder,
                       err_text(errno));
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : err_set(why, -errno, "%s: %s", url, err_text(errno));
    if (!S_ISSOCK(st.st_mode))
        return err_set(why, -EEXIST, "%s: there is another file at this path", url);
    return clear_socket(url, path, why);
}

static int fail(const char *url, int code, struct errbuf *why)
{
    if (code == EADDRINUSE)
        return err_set(why, -code, "%s is in use by another program", url);
    return err_set(why, -code, "cannot serve %s: %s", url, err_text(code));
}

static int open_socket(int family)
{
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static int listen_ipc(const char *url, mode_t mode, int *ret_fd, struct errbuf *why)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int rc = clear_ipc(url, why), fd;

    if (rc < 0)
        return rc;
    fd = open_socket(AF_UNIX);
    if (fd < 0)
        return fail(url, errno, why);
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", url + strlen(IPC));
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
        rc = fail(url, errno, why);
    /* Whoever can write to its file can connect. */
    else if (chmod(at.sun_path, mode) < 0)
        rc = err_set(why, -errno, "%s: cannot protect the socket's file: %s", url, err_text(errno));
    else if (listen(fd, LISTEN_BACKLOG) < 0)
        rc = fail(url, errno, why);
    if (rc < 0)
        close(fd);
    else
        *ret_fd = fd;
    return rc;
}

/* The IPv4 address of tcp://HOST:PORT; '*' is all of this machine's. */
static int read_tcp(const char *url, struct sockaddr_in *ret, struct errbuf *why)
{
    const char *host = url + strlen(TCP), *colon = strrchr(host, ':');
    char text[ADDRESS_BYTES_MAX];
    int64_t port = 0;

    snprintf(text, sizeof(text), "%.*s", (int)(colon - host), host);
    text_i64(colon + 1, 1, UINT16_MAX, &port);
    *ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (strcmp(text, "*") != 0 && inet_pton(AF_INET, text, &ret->sin_addr) != 1)
        return err_set(
            why, -EINVAL,
            "%s: \"%s\" is not an IPv4 address; write one of this machine's, or * for all", url,
            text);
    return 0;
}

static int listen_tcp(const char *url, int *ret_fd, struct errbuf *why)
{
    const int one = 1, buffer = SOCKET_BUFFER_BYTES;
    struct sockaddr_in at;
    int fd, rc = read_tcp(url, &at, why);

    if (rc < 0)
        return rc;
    fd = open_socket(AF_INET);
    if (fd < 0)
        return fail(url, errno, why);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    /* Before it listens: a connection agrees on its window when it begins. */
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, LISTEN_BACKLOG) < 0) {
        rc = fail(url, errno, why);
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

int listen_url(const char *url, mode_t mode, int *ret_fd, struct errbuf *why)
{
    int rc = address_check_bind(url, ADDRESS_SEALED, why);

    if (rc < 0)
        return rc;
    return address_is_ipc(url) ? listen_ipc(url, mode, ret_fd, why) : listen_tcp(url, ret_fd, why);
}
