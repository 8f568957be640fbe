#include "common/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/text.h"

#define TEXT_BYTES 512
/* Signs of life in the time after which the supervisor takes this process for hung. */
#define SIGNS 4
#define PATIENCE_S 1 /* with a supervisor that does not read */

/* A path, or with '@' a name of the abstract space, where names begin with a NUL. */
static int find_socket(struct notify *n, const char *name, struct errbuf *why)
{
    const size_t bytes = strlen(name);

    if (name[0] != '/' && name[0] != '@')
        return err_set(why, -EINVAL, "NOTIFY_SOCKET is \"%.100s\", allowed is /PATH or @NAME",
                       name);
    if (bytes >= sizeof(n->to.sun_path))
        return err_set(why, -ENAMETOOLONG, "NOTIFY_SOCKET has %zu bytes, allowed are %zu", bytes,
                       sizeof(n->to.sun_path) - 1);
    n->to.sun_family = AF_UNIX;
    memcpy(n->to.sun_path, name, bytes + 1);
    if (name[0] == '@')
        n->to.sun_path[0] = '\0';
    n->to_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes + (name[0] == '/'));
    return 0;
}

/* How often signs of life are wanted of this process; one that it started inherits the wish, but
 * not its number. */
static int64_t read_watchdog(void)
{
    const char *span = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    int64_t span_us = 0, of = getpid();

    if (!span || !text_i64(span, 1, INT64_MAX, &span_us))
        return 0;
    if (pid && (!text_i64(pid, 1, INT32_MAX, &of) || of != getpid()))
        return 0;
    return span_us / 1000 / SIGNS > 0 ? span_us / 1000 / SIGNS : 1;
}

void notify_close(struct notify *n)
{
    if (n->fd >= 0)
        close(n->fd);
    n->fd = -1;
}

int notify_open(struct notify *n, struct errbuf *why)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    const char *name = getenv("NOTIFY_SOCKET");

    *n = (struct notify){.fd = -1};
    if (!name || !*name)
        return 0;
    int rc = find_socket(n, name, why);
    if (rc < 0)
        return rc;
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (n->fd < 0)
        return err_set(why, -errno, "cannot make a socket to the supervisor: %s", err_text(-errno));
    if (setsockopt(n->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0) {
        rc = -errno;
        notify_close(n);
        return err_set(why, rc, "cannot bound what is told to the supervisor: %s", err_text(rc));
    }
    n->every_ms = read_watchdog();
    return 0;
}

/* A supervisor whose queue is full is waited for, PATIENCE_S: what is told, but for signs of life,
 * is told once. */
static void tell(const struct notify *n, const char *text, int flags)
{
    ssize_t sent;

    if (n->fd < 0)
        return;
    do
        sent = sendto(n->fd, text, strlen(text), MSG_NOSIGNAL | flags,
                      (const struct sockaddr *)&n->to, n->to_bytes);
    while (sent < 0 && errno == EINTR);
}

void notify_ready(const struct notify *n, const char *status)
{
    char text[TEXT_BYTES];

    snprintf(text, sizeof(text), "READY=1\nSTATUS=%s", status);
    tell(n, text, 0);
}

void notify_reloading(const struct notify *n)
{
    char text[TEXT_BYTES];

    snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld",
             (long long)clock_mono_ms() * 1000);
    tell(n, text, 0);
}

void notify_stopping(const struct notify *n)
{
    tell(n, "STOPPING=1", 0);
}

void notify_alive(struct notify *n, int64_t now_ms)
{
    if (!n || !n->every_ms || now_ms < n->next_ms)
        return;
    tell(n, "WATCHDOG=1", MSG_DONTWAIT);
    n->next_ms = now_ms + n->every_ms;
}
