#define _GNU_SOURCE /* struct ucred, accept4 */
#include "worker/link.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sodium.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/bounds.h"
#include "common/clock.h"
#include "common/text.h"
#include "proto/address.h"
#include "proto/handshake.h"
#include "proto/key.h"

#define SILENCE_S 10       /* nothing moves for so long: the other side is gone */
#define HANDSHAKE_MS 10000 /* all of it */
#define BYTES_OF_MS 64     /* of a message, at least: a slower line is of no use for vectors */
#define CONNECT_MS 3000
#define BACKLOG 64
#define IPC_PREFIX "ipc://@" /* a name, not a file: it goes with its socket */
#define TCP_PREFIX "tcp://"
/* Of a handshake. */
#define FRAME_BYTES_MAX                                                                            \
    sizeof(                                                                                        \
        union { uint8_t a[HELLO_FRAME_BYTES], b[CHALLENGE_FRAME_BYTES], c[WELCOME_FRAME_BYTES]; })

/* --- bytes --- */

static int set_up(int fd)
{
    const struct timeval silence = {.tv_sec = SILENCE_S};

    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &silence, sizeof(silence)) < 0)
        return -errno;
    return 0;
}

/* Who sends a byte now and then is not silent, but does not hold a thread for long either. When a
 * message of so many bytes, or the handshake, has to be over. */
static int64_t time_for(const struct link *l, uint64_t bytes)
{
    return l->by_ms ? l->by_ms
                    : clock_mono_ms() + SILENCE_S * 1000 + (int64_t)(bytes / BYTES_OF_MS);
}

static int write_all(int fd, int64_t by_ms, const void *data, size_t bytes, int flags)
{
    for (size_t at = 0; at < bytes;) {
        if (clock_mono_ms() > by_ms)
            return -ETIMEDOUT;
        ssize_t n = send(fd, (const char *)data + at, bytes - at, MSG_NOSIGNAL | flags);
        if (n < 0 && errno != EINTR)
            return errno == EAGAIN ? -ETIMEDOUT : -errno;
        at += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int read_all(int fd, int64_t by_ms, void *out, size_t bytes)
{
    for (size_t at = 0; at < bytes;) {
        if (clock_mono_ms() > by_ms)
            return -ETIMEDOUT;
        ssize_t n = recv(fd, (char *)out + at, bytes - at, 0);
        if (n == 0)
            return -ECONNRESET;
        if (n < 0 && errno != EINTR)
            return errno == EAGAIN ? -ETIMEDOUT : -errno;
        at += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int write_body(const struct link *l, const void *body, size_t bytes)
{
    const int64_t by_ms = time_for(l, bytes);
    const uint64_t length = htobe64(bytes);
    int rc = write_all(l->fd, by_ms, &length, sizeof(length), MSG_MORE);

    return rc < 0 ? rc : write_all(l->fd, by_ms, body, bytes, 0);
}

/* At most so many bytes. *ret: malloc. */
static int read_body(const struct link *l, size_t most, void **ret, size_t *ret_bytes)
{
    uint64_t length;
    int rc = read_all(l->fd, time_for(l, sizeof(length)), &length, sizeof(length));

    if (rc < 0)
        return rc;
    length = be64toh(length);
    if (length == 0 || length > most)
        return -EMSGSIZE;
    *ret = malloc(length);
    if (!*ret)
        return -ENOMEM;
    rc = read_all(l->fd, time_for(l, length), *ret, length);
    if (rc < 0)
        free(*ret);
    *ret_bytes = length;
    return rc;
}

/* --- messages --- */

static void *alloc_sealed(size_t bytes)
{
    uint8_t *frame = malloc(bytes + SEAL_BYTES);

    /* cppcheck-suppress memleak; link_say frees it by its beginning */
    return frame ? frame + SEAL_HEAD_BYTES : NULL;
}

int link_say(struct link *l, const cJSON *json, const struct tensor *tensors, int tensor_count,
             struct errbuf *why)
{
    size_t bytes;
    void *body;
    int rc = message_encode(json, tensors, tensor_count, NULL, l->sealed ? alloc_sealed : malloc,
                            &body, &bytes, why);

    if (rc < 0)
        return rc;
    if (l->sealed) {
        body = (uint8_t *)body - SEAL_HEAD_BYTES;
        seal_message(&l->seal, l->sequence, body, bytes);
        bytes += SEAL_BYTES;
    }
    rc = write_body(l, body, bytes);
    free(body);
    return rc < 0 ? err_set(why, rc, "%s", err_text(rc)) : 0;
}

int link_hear(struct link *l, struct message *ret, struct errbuf *why)
{
    void *body;
    size_t bytes;
    int rc = read_body(l, WIRE_BYTES_MAX, &body, &bytes);

    if (rc < 0)
        return err_set(why, rc, "%s", err_text(rc));
    uint8_t *message = body;
    if (l->sealed) {
        rc = seal_open(&l->seal, message, bytes, &l->sequence, why);
        message += SEAL_HEAD_BYTES;
        bytes -= SEAL_BYTES;
    }
    if (rc == 0)
        rc = message_decode(message, bytes, JSON_REQUEST_BYTES_MAX, ret, why);
    if (rc < 0) {
        free(body);
        return rc;
    }
    ret->body = body;
    ret->release = free;
    return 0;
}

void link_close(struct link *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    seal_done(&l->seal);
}

/* --- who is there --- */

static int load_key(const char *path, struct key *ret)
{
    struct keyring keys;
    struct errbuf why;
    int rc = keyring_load(path, &keys, &why);

    if (rc < 0)
        return rc;
    keyring_client_key(&keys, clock_unix_ms(), ret);
    keyring_done(&keys);
    return 0;
}

/* Is the other end of the Unix socket a process of this user? */
static int check_user(int fd)
{
    struct ucred who;
    socklen_t bytes = sizeof(who);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &bytes) < 0)
        return -errno;
    return who.uid == geteuid() ? 0 : -EPERM;
}

/* A frame of the handshake. Who has not proved a key gets no more memory than that. */
static int hear_frame(struct link *l, uint8_t *frame, size_t most, size_t *ret_bytes)
{
    void *body;
    int rc = read_body(l, most, &body, ret_bytes);

    if (rc < 0)
        return rc;
    memcpy(frame, body, *ret_bytes);
    free(body);
    return 0;
}

static int judge_hello(const struct hello *hello, const struct key *ours,
                       const uint8_t challenge[CHALLENGE_BYTES])
{
    struct errbuf why;

    if (sodium_memcmp(hello->challenge, challenge, CHALLENGE_BYTES) != 0 ||
        !handshake_proves(hello, ours->trusted) || !handshake_is_peer(&hello->cert) ||
        cert_in_time(&hello->cert, clock_unix_ms(), &why) < 0)
        return -EPERM;
    return 0;
}

static int welcome(struct link *l, const struct key *ours)
{
    uint8_t frame[FRAME_BYTES_MAX];
    uint8_t challenge[CHALLENGE_BYTES];
    struct hello hello;
    uint64_t session;
    size_t bytes;
    int rc = hear_frame(l, frame, sizeof(frame), &bytes);

    if (rc == 0 && handshake_read(frame, bytes, &hello) != STEP_ASK)
        rc = -EPROTO;
    if (rc < 0)
        return rc;
    randombytes_buf(challenge, sizeof(challenge));
    randombytes_buf(&session, sizeof(session));
    handshake_challenge(challenge, frame);
    rc = write_body(l, frame, CHALLENGE_FRAME_BYTES);
    if (rc == 0)
        rc = hear_frame(l, frame, sizeof(frame), &bytes);
    if (rc == 0 && handshake_read(frame, bytes, &hello) != STEP_HELLO)
        rc = -EPROTO;
    if (rc == 0)
        rc = judge_hello(&hello, ours, challenge);
    if (rc == 0)
        rc = handshake_welcome(&hello, ours, session | 1, seal_ciphers(), &l->seal, frame);
    return rc < 0 ? rc : write_body(l, frame, WELCOME_FRAME_BYTES);
}

static int greet(struct link *l, const struct key *ours)
{
    uint8_t frame[FRAME_BYTES_MAX];
    struct handshake h = {.hello = {0}};
    struct errbuf why;
    size_t bytes;

    handshake_ask(frame);
    int rc = write_body(l, frame, HELLO_FRAME_BYTES);
    if (rc == 0)
        rc = hear_frame(l, frame, sizeof(frame), &bytes);
    if (rc == 0) {
        uint8_t challenge[sizeof(frame)];
        memcpy(challenge, frame, sizeof(frame));
        rc = handshake_hello(&h, ours, challenge, bytes, frame, &why);
        h.peer = true;
    }
    if (rc == 0)
        rc = write_body(l, frame, HELLO_FRAME_BYTES);
    if (rc == 0)
        rc = hear_frame(l, frame, sizeof(frame), &bytes);
    if (rc == 0)
        rc = handshake_finish(&h, frame, bytes, clock_unix_ms(), &l->seal, &why);
    handshake_done(&h);
    return rc;
}

/* Proves both sides to each other. key: NULL over ipc. */
static int meet(struct link *l, const char *path, int (*fn)(struct link *, const struct key *))
{
    struct key key;
    int rc = path ? load_key(path, &key) : check_user(l->fd);

    if (rc < 0 || !path)
        return rc;
    l->by_ms = clock_mono_ms() + HANDSHAKE_MS;
    rc = fn(l, &key);
    l->by_ms = 0;
    key_done(&key);
    l->sealed = rc == 0;
    return rc;
}

int link_accept(struct link *l, int fd, const char *key)
{
    *l = (struct link){.fd = fd};
    int rc = set_up(fd);

    return rc < 0 ? rc : meet(l, key, welcome);
}

/* --- addresses --- */

/* An address of the kernel's own: no file has to be removed. Returns its length. */
static socklen_t name_socket(const char *name, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(ret->sun_path + 1, sizeof(ret->sun_path) - 1, "%s", name);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(ret->sun_path + 1));
}

static int listen_ipc(char *address)
{
    struct sockaddr_un at;
    char name[UUID_BYTES + 16], uuid[UUID_BYTES];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    text_uuid(uuid);
    snprintf(name, sizeof(name), "steppe-%s", uuid);
    const socklen_t bytes = name_socket(name, &at);
    if (bind(fd, (struct sockaddr *)&at, bytes) < 0 || listen(fd, BACKLOG) < 0) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    snprintf(address, ADDRESS_BYTES_MAX, IPC_PREFIX "%s", name);
    return fd;
}

static int resolve(const char *url, struct sockaddr_in *ret)
{
    const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    const char *rest = url + strlen(TCP_PREFIX), *colon = strrchr(rest, ':');
    char host[ADDRESS_BYTES_MAX];
    struct addrinfo *found;

    if (strncmp(url, TCP_PREFIX, strlen(TCP_PREFIX)) != 0 || !colon)
        return -EINVAL;
    snprintf(host, sizeof(host), "%.*s", (int)(colon - rest), rest);
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
        return -EHOSTUNREACH;
    memcpy(ret, found->ai_addr, sizeof(*ret));
    freeaddrinfo(found);
    return 0;
}

/* The address of this host on the way to the server, with no port. Nothing is sent. */
static int own_address(const char *server, struct sockaddr_in *ret)
{
    struct sockaddr_in there;
    socklen_t bytes = sizeof(*ret);
    int rc = resolve(server, &there), fd;

    if (rc < 0)
        return rc;
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&there, sizeof(there)) < 0 ||
        getsockname(fd, (struct sockaddr *)ret, &bytes) < 0)
        rc = -errno;
    close(fd);
    ret->sin_port = 0;
    return rc;
}

static int listen_tcp(const char *server, const char *given, char *address)
{
    struct sockaddr_in at;
    socklen_t bytes = sizeof(at);
    char host[INET_ADDRSTRLEN];
    const int on = 1;
    int rc = given ? resolve(given, &at) : own_address(server, &at), fd;

    if (rc < 0)
        return rc;
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &bytes) < 0 ||
        !inet_ntop(AF_INET, &at.sin_addr, host, sizeof(host))) {
        rc = -errno;
        close(fd);
        return rc;
    }
    snprintf(address, ADDRESS_BYTES_MAX, TCP_PREFIX "%s:%u", host, ntohs(at.sin_port));
    return fd;
}

int link_check(const char *listen, const char *key, struct errbuf *why)
{
    if (strcmp(listen, LINK_NONE) == 0)
        return 0;
    if (strncmp(listen, TCP_PREFIX, strlen(TCP_PREFIX)) != 0)
        return err_set(why, -EINVAL, "\"%.100s\" is neither tcp://HOST:PORT nor " LINK_NONE,
                       listen);
    const int rc = address_check(listen, why); /* others are told of it: no '*' */
    return rc < 0 ? rc : address_check_bind(listen, key ? ADDRESS_SEALED : ADDRESS_NO_TCP, why);
}

int link_listen(const char *server, const char *key, const char *listen, char *address,
                struct errbuf *why)
{
    const bool tcp = key && !address_is_ipc(server);
    int fd = tcp ? listen_tcp(server, listen, address) : listen_ipc(address);

    return fd < 0 ? err_set(why, fd, "cannot listen for other workers: %s", err_text(fd)) : fd;
}

/* --- connecting --- */

static int connect_ipc(const char *address)
{
    struct sockaddr_un at;
    const socklen_t bytes = name_socket(address + strlen(IPC_PREFIX), &at);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc =
        fd < 0 ? -errno : set_up(fd); /* it waits where a worker that stands has many waiting */

    if (rc == 0 && connect(fd, (struct sockaddr *)&at, bytes) < 0)
        rc = errno == EAGAIN ? -ETIMEDOUT : -errno;
    if (rc < 0 && fd >= 0)
        close(fd);
    return rc < 0 ? rc : fd;
}

/* The connection that is being made, in time. */
static int wait_connected(int fd)
{
    struct pollfd wait = {fd, POLLOUT, 0};
    int error = 0;
    socklen_t bytes = sizeof(error);

    if (poll(&wait, 1, CONNECT_MS) <= 0)
        return -ETIMEDOUT;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) < 0)
        return -errno;
    return -error;
}

static int connect_tcp(const char *address)
{
    struct sockaddr_in at;
    const int on = 1, off = 0;
    int rc = resolve(address, &at), fd;

    if (rc < 0)
        return rc;
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
        rc = errno == EINPROGRESS ? wait_connected(fd) : -errno;
    if (rc == 0 && (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
                    ioctl(fd, FIONBIO, &off) < 0))
        rc = -errno;
    if (rc < 0)
        close(fd);
    return rc < 0 ? rc : fd;
}

int link_open(struct link *l, const char *address, const char *key, struct errbuf *why)
{
    const bool ipc = strncmp(address, IPC_PREFIX, strlen(IPC_PREFIX)) == 0;
    int rc;

    *l = (struct link){.fd = -1};
    if (!ipc && !key)
        return err_set(why, -EPERM, "%s takes sealed messages, and there is no key", address);
    rc = ipc ? connect_ipc(address) : connect_tcp(address);
    if (rc >= 0) {
        l->fd = rc;
        rc = set_up(l->fd);
    }
    if (rc == 0)
        rc = meet(l, ipc ? NULL : key, greet);
    if (rc < 0)
        link_close(l);
    return rc < 0 ? err_set(why, rc, "cannot reach the worker at %s: %s", address, err_text(rc))
                  : 0;
}
