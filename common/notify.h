/* What a service tells the supervisor that started it: ready, reading its files again, stopping,
 * and at times that it is alive. The protocol is systemd's sd_notify: lines of NAME=VALUE in a
 * datagram to the socket of $NOTIFY_SOCKET. Without that variable nothing is told. A supervisor
 * that cannot be reached stops nobody: it will notice. Used by one thread. */
#ifndef STEPPE_COMMON_NOTIFY_H
#define STEPPE_COMMON_NOTIFY_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/err.h"

struct notify {
    int fd; /* -1: nobody wants to know */
    struct sockaddr_un to;
    socklen_t to_bytes;
    int64_t every_ms; /* of signs of life; 0: none is expected */
    int64_t next_ms;  /* when the next one is due */
};

/* Reads $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID. 0, or -errno with a sentence; then *n
 * tells nothing, and may be used all the same. */
int notify_open(struct notify *n, struct errbuf *why);
void notify_close(struct notify *n);

/* It serves, also again after notify_reloading. status: a sentence for people. */
void notify_ready(const struct notify *n, const char *status);
void notify_reloading(const struct notify *n);
void notify_stopping(const struct notify *n);
/* A sign of life, when one is due: as often as the code comes by. NULL is fine. */
void notify_alive(struct notify *n, int64_t now_ms);

#endif
