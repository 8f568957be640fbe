/* The transport owns its listening sockets, the connections and the messages in transit.
 *
 * It speaks the wire format of nanomsg's REP: both sides greet with 8 bytes, then every message is
 * a length of 8 bytes (over ipc behind a byte 1), a request id of 4 and the body. libnanomsg is not
 * used here because strangers can harm it: it aborts on some bytes, keeps every connection for
 * ever, spins when descriptors run out, and has no bound for what arrives.
 *
 * A connection costs a few hundred bytes. A greeting, a message that has begun and a reply that has
 * begun must end in time. Bodies take memory as they arrive, all together at most
 * ARRIVING_BYTES_MAX: then the message that has taken longest is dropped. At CONNECTIONS_MAX
 * connections the one that has been silent longest is closed, if it was silent for SILENT_MS. */
#include "server/net/transport.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/clock.h"
#include "common/log.h"
#include "proto/address.h"
#include "server/net/listen.h"
#include "server/net/peer.h"

#define LINGER_MS 200      /* for the last replies to leave */
#define LINGER_MAX_MS 5000 /* when they are long and the network is slow */
#define SWEEP_MS 1000      /* between two checks for what is overdue */
#define GREETING_MS 5000   /* from a connection to its greeting */
#define PASSING_MS 120000  /* one message, in or out: 8 MiB at 0.6 Mbit/s */
#define SILENT_MS 60000    /* longer than a reply is held */
#define LOG_MS 10000       /* between two lines about connections that were refused */
#define SCRATCH_BYTES 65536
#define GREETING_BYTES 8
#define LENGTH_BYTES 8
#define ID_BYTES 4
#define MARK 1 /* the byte before every message over ipc */
#define ID_BIT 0x80000000u
#define KEEPALIVE_S 60

/* A body lies behind its size and the room for what precedes it on the wire, 4 bytes after a
 * multiple of 16 as in PROTOCOL.md, so that tensors are aligned. */
#define BLOCK_HEAD_BYTES 36

static const uint8_t greeting_rep[GREETING_BYTES] = {0, 'S', 'P', 0, 0, 0x31, 0, 0};
static const uint8_t greeting_req[GREETING_BYTES] = {0, 'S', 'P', 0, 0, 0x30, 0, 0};

union io {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
};

struct listener {
    union io io;
    struct transport *transport;
    bool ipc;
};

/* The meaning of a connection's next bytes. */
enum stage { AT_GREETING, AT_LENGTH, AT_ID, AT_BODY };

struct connection {
    union io io;
    uv_write_t write;
    struct transport *transport;
    uint32_t slot, generation;
    bool ipc;
    enum stage stage;
    int64_t heard_ms;   /* the connection, its greeting or the end of its last message */
    int64_t arrives_ms; /* start of the arriving message; 0: none */
    int64_t leaves_ms;  /* start of the leaving reply; 0: none */
    uint8_t head[1 + LENGTH_BYTES + ID_BYTES];
    size_t head_have;
    uint32_t id;
    void *body; /* of the arriving message, once its length is known */
    size_t body_bytes, body_have;
    void *leaving; /* body of the leaving reply */
};

struct transport {
    uv_timer_t sweep, linger;
    struct listener *listeners;
    int listener_count, handles; /* of libuv that are not closed yet */
    struct connection **slots;   /* NULL: free */
    uint32_t slot_count;         /* most connections */
    uint32_t connection_count;
    size_t arriving;  /* bytes of incomplete messages */
    uint64_t refused; /* connections, since the last line about them */
    int64_t logged_ms;
    int64_t reply_ms; /* time of the last reply */
    bool closing;
    uint32_t generation; /* of the last connection */
    uint8_t scratch[SCRATCH_BYTES];
    transport_message on_message;
    void *arg;
};

/* What a token holds. */
struct address {
    uint32_t slot, generation, id;
};
_Static_assert(offsetof(struct address, id) == TOKEN_CONNECTION_BYTES, "they name a connection");

void *transport_alloc(size_t bytes)
{
    uint8_t *block = malloc(BLOCK_HEAD_BYTES + bytes);

    if (!block)
        return NULL;
    memcpy(block, &bytes, sizeof(bytes));
    return block + BLOCK_HEAD_BYTES;
}

static size_t body_bytes(const void *body)
{
    size_t bytes;

    memcpy(&bytes, (const uint8_t *)body - BLOCK_HEAD_BYTES, sizeof(bytes));
    return bytes;
}

void transport_release(void *body)
{
    if (body)
        free((uint8_t *)body - BLOCK_HEAD_BYTES);
}

/* --- closing connections --- */

static void let_go(struct transport *t)
{
    if (--t->handles > 0)
        return;
    free(t->listeners);
    free(t->slots);
    free(t);
}

static void on_connection_closed(uv_handle_t *handle)
{
    struct connection *c = handle->data;
    struct transport *t = c->transport;

    transport_release(c->leaving);
    free(c);
    let_go(t);
}

static void forget_message(struct connection *c)
{
    c->transport->arriving -= c->body_have;
    transport_release(c->body);
    c->body = NULL;
    c->body_have = c->head_have = 0;
    c->arrives_ms = 0;
}

static void hang_up(struct connection *c)
{
    struct transport *t = c->transport;

    if (uv_is_closing(&c->io.handle))
        return;
    forget_message(c);
    t->slots[c->slot] = NULL;
    t->connection_count--;
    uv_close(&c->io.handle, on_connection_closed);
}

/* --- what arrives --- */

/* Bytes of the head up to the end of this stage. */
static size_t head_bytes(const struct connection *c)
{
    if (c->stage == AT_GREETING)
        return GREETING_BYTES;
    return (size_t)c->ipc + LENGTH_BYTES + (c->stage == AT_ID ? ID_BYTES : 0);
}

/* A part of the head is complete; goes on to the next stage. False: the peer does not speak this
 * protocol, or its message is too long. */
static bool judge_head(struct connection *c)
{
    const uint8_t *p = c->head + c->ipc;
    uint64_t length;

    if (c->stage == AT_GREETING) {
        c->stage = AT_LENGTH;
        c->head_have = 0;
        c->heard_ms = clock_mono_ms();
        return memcmp(c->head, greeting_req, GREETING_BYTES) == 0;
    }
    if (c->stage == AT_LENGTH) {
        memcpy(&length, p, LENGTH_BYTES);
        length = be64toh(length);
        c->stage = AT_ID;
        c->body_bytes = (size_t)length - ID_BYTES;
        return (!c->ipc || c->head[0] == MARK) && length >= ID_BYTES && length <= WIRE_BYTES_MAX;
    }
    memcpy(&c->id, p + LENGTH_BYTES, ID_BYTES);
    c->id = ntohl(c->id);
    c->stage = AT_BODY;
    c->body = transport_alloc(c->body_bytes);
    /* An id without its top bit came through a device, and others follow it. */
    return c->body && (c->id & ID_BIT);
}

static void hand_over(struct connection *c)
{
    struct transport *t = c->transport;
    const struct address address = {c->slot, c->generation, c->id};
    struct token from = {.count = sizeof(address)};
    void *body = c->body;

    memcpy(from.bytes, &address, sizeof(address));
    c->body = NULL;
    t->arriving -= c->body_have;
    c->body_have = c->head_have = 0;
    c->stage = AT_LENGTH;
    c->arrives_ms = 0;
    c->heard_ms = clock_mono_ms();
    t->on_message(t->arg, &from, body, c->body_bytes);
}

/* Puts bytes where they belong; hands over every complete message. */
static void take(struct connection *c, const uint8_t *data, size_t bytes)
{
    while (!uv_is_closing(&c->io.handle) && !c->transport->closing) {
        if (!c->body) {
            size_t n = head_bytes(c) - c->head_have;
            n = n < bytes ? n : bytes;
            if (n > 0 && c->stage != AT_GREETING && !c->arrives_ms)
                c->arrives_ms = clock_mono_ms();
            memcpy(c->head + c->head_have, data, n);
            c->head_have += n;
            data += n;
            bytes -= n;
            if (c->head_have < head_bytes(c))
                return;
            if (!judge_head(c)) {
                hang_up(c);
                return;
            }
            if (!c->body)
                continue;
        }
        size_t n = c->body_bytes - c->body_have;
        n = n < bytes ? n : bytes;
        memcpy((uint8_t *)c->body + c->body_have, data, n);
        c->body_have += n;
        c->transport->arriving += n;
        data += n;
        bytes -= n;
        if (c->body_have < c->body_bytes)
            return;
        hand_over(c);
    }
}

/* Whose message has been arriving for longest. */
static struct connection *slowest(struct transport *t)
{
    struct connection *found = NULL;

    for (uint32_t i = 0; i < t->slot_count; i++) {
        struct connection *c = t->slots[i];
        if (c && c->body_have > 0 && (!found || c->arrives_ms < found->arrives_ms))
            found = c;
    }
    return found;
}

/* A body is read into its place, everything else into the scratch. */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct connection *c = handle->data;
    char *to = c->body ? (char *)c->body + c->body_have : (char *)c->transport->scratch;

    (void)suggested;
    *ret = uv_buf_init(to, c->body ? (unsigned)(c->body_bytes - c->body_have) : SCRATCH_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct connection *c = stream->data;
    struct transport *t = c->transport;

    if (n < 0) {
        hang_up(c);
        return;
    }
    if (n > 0 && c->body) {
        c->body_have += (size_t)n;
        t->arriving += (size_t)n;
        if (c->body_have == c->body_bytes)
            hand_over(c);
    } else if (n > 0) {
        take(c, (const uint8_t *)buf->base, (size_t)n);
    }
    if (t->arriving > ARRIVING_BYTES_MAX)
        hang_up(slowest(t));
}

/* --- connections --- */

/* Makes room for one more. False: all are in use. */
static bool make_room(struct transport *t)
{
    struct connection *found = NULL;

    if (t->connection_count < t->slot_count)
        return true;
    for (uint32_t i = 0; i < t->slot_count; i++) {
        struct connection *c = t->slots[i];
        if (!found || c->heard_ms < found->heard_ms)
            found = c;
    }
    if (clock_mono_ms() < found->heard_ms + SILENT_MS)
        return false;
    hang_up(found);
    return true;
}

static int init_stream(uv_loop_t *loop, union io *io, bool ipc)
{
    return ipc ? uv_pipe_init(loop, &io->pipe, 0) : uv_tcp_init(loop, &io->tcp);
}

static void settle_in(struct transport *t, struct connection *c)
{
    int buffer = SOCKET_BUFFER_BYTES;
    uv_buf_t greeting = uv_buf_init((char *)greeting_rep, GREETING_BYTES);

    while (t->slots[c->slot])
        c->slot++;
    t->slots[c->slot] = c;
    t->connection_count++;
    c->generation = ++t->generation;
    c->heard_ms = clock_mono_ms();
    uv_send_buffer_size(&c->io.handle, &buffer);
    uv_recv_buffer_size(&c->io.handle, &buffer);
    if (!c->ipc) {
        uv_tcp_nodelay(&c->io.tcp, 1);
        uv_tcp_keepalive(&c->io.tcp, 1, KEEPALIVE_S);
    }
    if (uv_try_write(&c->io.stream, &greeting, 1) != GREETING_BYTES ||
        uv_read_start(&c->io.stream, on_alloc, on_read) < 0)
        hang_up(c);
}

static void on_connect(uv_stream_t *stream, int status)
{
    struct listener *l = stream->data;
    struct transport *t = l->transport;
    struct connection *c;

    if (status < 0 || t->closing)
        return;
    c = xcalloc(1, sizeof(*c));
    c->transport = t;
    c->ipc = l->ipc;
    if (init_stream(stream->loop, &c->io, l->ipc) < 0) {
        free(c);
        return;
    }
    c->io.handle.data = c;
    t->handles++;
    if (uv_accept(stream, &c->io.stream) < 0) {
        uv_close(&c->io.handle, on_connection_closed);
    } else if (!make_room(t)) {
        t->refused++;
        uv_close(&c->io.handle, on_connection_closed);
    } else {
        settle_in(t, c);
    }
}

static bool is_overdue(const struct connection *c, int64_t now_ms)
{
    return (c->stage == AT_GREETING && now_ms > c->heard_ms + GREETING_MS) ||
           (c->arrives_ms && now_ms > c->arrives_ms + PASSING_MS) ||
           (c->leaves_ms && now_ms > c->leaves_ms + PASSING_MS);
}

static void on_sweep(uv_timer_t *timer)
{
    struct transport *t = timer->data;
    int64_t now_ms = clock_mono_ms();

    for (uint32_t i = 0; i < t->slot_count; i++)
        if (t->slots[i] && is_overdue(t->slots[i], now_ms))
            hang_up(t->slots[i]);
    if (t->refused && now_ms >= t->logged_ms + LOG_MS) {
        log_warn("transport.full", "connections=%u refused=%llu", t->connection_count,
                 (unsigned long long)t->refused);
        t->refused = 0;
        t->logged_ms = now_ms;
    }
}

/* --- replies --- */

static void on_written(uv_write_t *write, int status)
{
    struct connection *c = write->data;

    transport_release(c->leaving);
    c->leaving = NULL;
    c->leaves_ms = 0;
    if (status < 0)
        hang_up(c);
}

/* Writes the head in front of the body; returns where the head begins. */
static uint8_t *put_head(const struct connection *c, uint32_t id, uint8_t *body)
{
    const size_t bytes = (size_t)c->ipc + LENGTH_BYTES + ID_BYTES;
    uint64_t length = htobe64(body_bytes(body) + ID_BYTES);
    uint8_t *head = body - bytes, *p = head;

    id = htonl(id);
    if (c->ipc)
        *p++ = MARK;
    memcpy(p, &length, LENGTH_BYTES);
    memcpy(p + LENGTH_BYTES, &id, ID_BYTES);
    return head;
}

void transport_reply(struct transport *t, const struct token *to, void *body)
{
    struct address address;
    struct connection *c;

    memcpy(&address, to->bytes, sizeof(address));
    c = t->slots[address.slot];
    /* The peer is gone, or still receiving the previous reply; a peer that asks twice at once may
     * lose a reply. */
    if (t->closing || !c || c->generation != address.generation || c->leaving) {
        transport_release(body);
        return;
    }
    t->reply_ms = clock_mono_ms();
    size_t bytes = body_bytes(body);
    uint8_t *from = put_head(c, address.id, body);
    bytes += (size_t)((uint8_t *)body - from);
    uv_buf_t buf = uv_buf_init((char *)from, (unsigned)bytes);
    int sent = uv_try_write(&c->io.stream, &buf, 1);
    if (sent == (int)bytes || (sent < 0 && sent != UV_EAGAIN)) {
        transport_release(body);
        if (sent < 0)
            hang_up(c);
        return;
    }
    sent = sent < 0 ? 0 : sent;
    buf = uv_buf_init((char *)from + sent, (unsigned)(bytes - (size_t)sent));
    c->leaving = body;
    c->leaves_ms = t->reply_ms;
    c->write.data = c;
    if (uv_write(&c->write, &c->io.stream, &buf, 1, on_written) < 0)
        hang_up(c);
}

void transport_peer(const struct transport *t, const struct token *from, char ret[PEER_BYTES])
{
    struct address at;
    uv_os_fd_t fd = -1;

    memcpy(&at, from->bytes, sizeof(at));
    const struct connection *c = t->slots[at.slot];
    if (c && c->generation == at.generation)
        uv_fileno(&c->io.handle, &fd);
    peer_name(fd, fd >= 0 && c->ipc, ret);
}

/* --- opening and closing --- */

/* Most connections of one transport: half of the descriptors left for connections. */
static uint32_t most_connections(void)
{
    const rlim_t others = 256; /* databases, datasets, browsers */
    struct rlimit files = {0};

    getrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur == RLIM_INFINITY || files.rlim_cur >= 2 * CONNECTIONS_MAX + others)
        return CONNECTIONS_MAX;
    return files.rlim_cur > others + 32 ? (uint32_t)(files.rlim_cur - others) / 2 : 16;
}

static void start_listener(uv_loop_t *loop, struct transport *t, struct listener *l, int fd,
                           bool ipc)
{
    l->transport = t;
    l->ipc = ipc;
    init_stream(loop, &l->io, ipc);
    l->io.handle.data = l;
    t->handles++;
    if (ipc)
        uv_pipe_open(&l->io.pipe, fd);
    else
        uv_tcp_open(&l->io.tcp, fd);
    /* It already listens; this watches it. */
    uv_listen(&l->io.stream, LISTEN_BACKLOG, on_connect);
}

int transport_open(uv_loop_t *loop, const char *const *urls, int url_count,
                   transport_message on_message, void *arg, struct transport **ret,
                   struct errbuf *why)
{
    int *fds, count = 0, rc = 0;

    if (url_count < 1)
        return err_set(why, -EINVAL, "there is no address to serve");
    fds = xcalloc((size_t)url_count, sizeof(*fds));
    while (rc == 0 && count < url_count)
        if ((rc = listen_url(urls[count], &fds[count], why)) == 0)
            count++;
    if (rc < 0) {
        while (count > 0)
            close(fds[--count]);
        free(fds);
        return rc;
    }
    struct transport *t = xcalloc(1, sizeof(*t));
    t->on_message = on_message;
    t->arg = arg;
    t->reply_ms = clock_mono_ms() - LINGER_MS;
    t->slot_count = most_connections();
    t->slots = xcalloc(t->slot_count, sizeof(*t->slots));
    t->listeners = xcalloc((size_t)count, sizeof(*t->listeners));
    t->listener_count = count;
    for (int i = 0; i < count; i++)
        start_listener(loop, t, &t->listeners[i], fds[i], address_is_ipc(urls[i]));
    free(fds);
    uv_timer_init(loop, &t->sweep);
    uv_timer_init(loop, &t->linger);
    t->handles += 2;
    t->sweep.data = t->linger.data = t;
    uv_timer_start(&t->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    *ret = t;
    return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
    let_go(handle->data);
}

static void on_listener_closed(uv_handle_t *handle)
{
    const struct listener *l = handle->data;

    let_go(l->transport);
}

static bool is_leaving(const struct transport *t)
{
    for (uint32_t i = 0; i < t->slot_count; i++)
        if (t->slots[i] && t->slots[i]->leaving)
            return true;
    return false;
}

static void end_linger(uv_timer_t *timer)
{
    struct transport *t = timer->data;

    if (is_leaving(t) && clock_mono_ms() < t->reply_ms + LINGER_MAX_MS) {
        uv_timer_start(timer, end_linger, LINGER_MS, 0);
        return;
    }
    for (uint32_t i = 0; i < t->slot_count; i++)
        if (t->slots[i])
            hang_up(t->slots[i]);
    uv_close((uv_handle_t *)&t->linger, on_timer_closed);
}

void transport_close(struct transport *t)
{
    int64_t left_ms;

    if (!t || t->closing)
        return;
    t->closing = true;
    for (int i = 0; i < t->listener_count; i++)
        uv_close(&t->listeners[i].io.handle, on_listener_closed);
    for (uint32_t i = 0; i < t->slot_count; i++)
        if (t->slots[i])
            uv_read_stop(&t->slots[i]->io.stream);
    uv_update_time(t->linger.loop);
    uv_close((uv_handle_t *)&t->sweep, on_timer_closed);
    left_ms = t->reply_ms + LINGER_MS - clock_mono_ms();
    uv_timer_start(&t->linger, end_linger, left_ms > 0 ? (uint64_t)left_ms : 0, 0);
}
