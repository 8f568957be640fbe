/* The transport owns its listening sockets, the connections and the messages in transit.
 *
 * It speaks the wire format of nanomsg's REP: both sides greet with 8 bytes, then every message is
 * a length of 8 bytes (over ipc behind a byte 1), a request id of 4 and the body. libnanomsg is not
 * used here because strangers can harm it: it aborts on some bytes, keeps every connection for
 * ever, spins when descriptors run out, and has no bound for what arrives.
 *
 * Of a connection one request is in the server at a time: nothing more is read from it before the
 * reply has left, and while it rests. Its peer may send on until the kernel's buffers are full. As
 * nobody reads, a peer that leaves meanwhile is noticed by the sweep.
 *
 * A connection costs a few hundred bytes. A greeting, a message that has begun and a reply that has
 * begun must end in time. Bodies take memory as they arrive, all together at most
 * ARRIVING_BYTES_MAX: then the message that has taken longest is dropped. Likewise replies whose
 * receivers are slow: to people LEAVING_BYTES_MAX, to workers a share of the memory, of either half
 * for one key or address. At CONNECTIONS_MAX connections the one that
 * has been silent longest is closed, if it was silent for SILENT_MS. */
#define _GNU_SOURCE
#include "server/net/transport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/machine.h"
#include "proto/address.h"
#include "server/net/listen.h"
#include "server/net/peer.h"
#include "server/net/transport_internal.h"

#define LINGER_MS 200      /* for the last replies to leave */
#define LINGER_MAX_MS 5000 /* when they are long and the network is slow */
#define SWEEP_MS 1000      /* between two checks for what is overdue */
#define GREETING_MS 5000   /* from a connection to its greeting */
#define PASSING_MS 120000  /* one message, in or out: 8 MiB at 0.6 Mbit/s */
#define SILENT_MS 60000    /* longer than a reply is held */
#define STRANGER_MS 5000   /* likewise, of whoever has not proved a key when all are in use */
#define STRANGERS_SHARE                                                                            \
    4                /* of all connections, the part that the strangers of one address have        \
                      */
#define LOG_MS 10000 /* between two lines about connections that were refused */
#define KEEPALIVE_S 60

static const uint8_t greeting_rep[GREETING_BYTES] = {0, 'S', 'P', 0, 0, 0x31, 0, 0};

void transport_let_go(struct transport *t)
{
    if (--t->handles > 0)
        return;
    free(t->listeners);
    free(t->slots);
    free(t->watched);
    free(t);
}

/* --- connections --- */

/* Who has been silent for longest of those that wait for nothing: of all, or of the strangers (of
 * one peer: at most so many). NULL: none. */
static struct connection *most_silent(struct transport *t, bool strangers, const char *peer,
                                      uint32_t *ret_count)
{
    struct connection *found = NULL;

    *ret_count = 0;
    for (uint32_t i = 0; i < t->slot_count; i++) {
        struct connection *c = t->slots[i];
        if (!c || (strangers && c->known) || (peer && strcmp(c->address, peer) != 0))
            continue;
        ++*ret_count;
        if (!c->busy && (!found || c->heard_ms < found->heard_ms))
            found = c;
    }
    return found;
}

/* Makes room for one more of this peer. False: all are in use. */
static bool make_room(struct transport *t, const char *peer, bool stranger)
{
    const int64_t now_ms = clock_mono_ms();
    uint32_t count;

    if (stranger) {
        struct connection *other = most_silent(t, true, peer, &count);
        if (count >= t->slot_count / STRANGERS_SHARE && !other)
            return false;
        if (count >= t->slot_count / STRANGERS_SHARE)
            connection_hang_up(other);
    }
    if (t->connection_count < t->slot_count)
        return true;
    struct connection *found = most_silent(t, false, NULL, &count);
    if (!found || now_ms < found->heard_ms + SILENT_MS) {
        found = most_silent(t, true, NULL, &count);
        if (found && now_ms < found->heard_ms + STRANGER_MS)
            found = NULL;
    }
    if (found)
        connection_hang_up(found);
    return found != NULL;
}

static int init_stream(uv_loop_t *loop, union io *io, bool ipc)
{
    return ipc ? uv_pipe_init(loop, &io->pipe, 0) : uv_tcp_init(loop, &io->tcp);
}

static void find_peer(struct connection *c)
{
    struct locals *locals = c->transport->locals;
    uv_os_fd_t fd = -1;

    uv_fileno(&c->io.handle, &fd);
    peer_address(fd, c->in.ipc, c->address);
    if (c->in.ipc && locals)
        local_judge(locals, fd, &c->local);
    c->known = !c->transport->on_new && (!c->in.ipc || !locals || c->local.role != ROLE_NONE);
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
    if (!c->in.ipc) {
        uv_tcp_nodelay(&c->io.tcp, 1);
        uv_tcp_keepalive(&c->io.tcp, 1, KEEPALIVE_S);
    }
    if (uv_try_write(&c->io.stream, &greeting, 1) != GREETING_BYTES || connection_read_start(c) < 0)
        connection_hang_up(c);
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
    c->in.ipc = l->ipc;
    if (init_stream(stream->loop, &c->io, l->ipc) < 0) {
        free(c);
        return;
    }
    c->io.handle.data = c;
    t->handles++;
    if (uv_accept(stream, &c->io.stream) < 0) {
        uv_close(&c->io.handle, connection_closed);
        return;
    }
    find_peer(c);
    if (!make_room(t, c->address, !c->known)) {
        t->refused++;
        uv_close(&c->io.handle, connection_closed);
    } else {
        settle_in(t, c);
    }
}

static bool is_overdue(const struct connection *c, int64_t now_ms)
{
    return (!c->in.greeted && now_ms > c->heard_ms + GREETING_MS) ||
           (c->arrives_ms && now_ms > c->arrives_ms + PASSING_MS) ||
           (c->leaves_ms && now_ms > c->leaves_ms + PASSING_MS);
}

/* Hangs up where the peer has left while nobody reads from it. */
static void find_gone(struct transport *t)
{
    nfds_t count = 0;
    int fd;

    for (uint32_t i = 0; i < t->slot_count; i++) {
        struct connection *c = t->slots[i];
        if (c && c->stopped && uv_fileno(&c->io.handle, &fd) == 0)
            t->watched[count++] = (struct pollfd){.fd = fd, .events = POLLRDHUP};
    }
    if (count == 0 || poll(t->watched, count, 0) <= 0)
        return;
    for (uint32_t i = t->slot_count; i-- > 0;) {
        struct connection *c = t->slots[i];
        if (c && c->stopped && uv_fileno(&c->io.handle, &fd) == 0 && t->watched[--count].revents)
            connection_hang_up(c);
    }
}

static void on_sweep(uv_timer_t *timer)
{
    struct transport *t = timer->data;
    int64_t now_ms = clock_mono_ms();

    find_gone(t);
    for (uint32_t i = 0; i < t->slot_count; i++)
        if (t->slots[i] && is_overdue(t->slots[i], now_ms))
            connection_hang_up(t->slots[i]);
    if ((t->refused || t->cut) && now_ms >= t->logged_ms + LOG_MS) {
        log_warn("transport.full", "connections=%u refused=%llu unread=%llu", t->connection_count,
                 (unsigned long long)t->refused, (unsigned long long)t->cut);
        t->refused = t->cut = 0;
        t->logged_ms = now_ms;
    }
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

/* Most bytes of replies to workers that have not left. */
static size_t most_to_workers(void)
{
    struct machine machine;

    machine_here(&machine);
    const uint64_t share = (uint64_t)machine_memory(&machine) / LEAVING_WORKERS_SHARE;
    return share < LEAVING_WORKERS_MIN ? LEAVING_WORKERS_MIN : (size_t)share;
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

int transport_open(uv_loop_t *loop, const char *const *urls, int url_count, struct locals *locals,
                   transport_message on_message, void *arg, struct transport **ret,
                   struct errbuf *why)
{
    const mode_t mode = locals && locals_have_groups(locals) ? 0666 : 0600;
    int *fds, count = 0, rc = 0;

    if (url_count < 1)
        return err_set(why, -EINVAL, "there is no address to serve");
    fds = xcalloc((size_t)url_count, sizeof(*fds));
    while (rc == 0 && count < url_count)
        if ((rc = listen_url(urls[count], mode, &fds[count], why)) == 0)
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
    t->locals = locals;
    t->reply_ms = clock_mono_ms() - LINGER_MS;
    t->leaving_max[false] = most_to_workers();
    t->leaving_max[true] = LEAVING_BYTES_MAX;
    t->slot_count = most_connections();
    t->slots = xcalloc(t->slot_count, sizeof(*t->slots));
    t->watched = xcalloc(t->slot_count, sizeof(*t->watched));
    t->listeners = xcalloc((size_t)count, sizeof(*t->listeners));
    t->listener_count = count;
    for (int i = 0; i < count; i++)
        start_listener(loop, t, &t->listeners[i], fds[i], address_is_ipc(urls[i]));
    free(fds);
    uv_timer_init(loop, &t->sweep);
    uv_timer_init(loop, &t->linger);
    uv_timer_init(loop, &t->rest);
    uv_idle_init(loop, &t->turn);
    t->handles += 4;
    t->sweep.data = t->linger.data = t->rest.data = t->turn.data = t;
    uv_timer_start(&t->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    *ret = t;
    return 0;
}

static void on_own_closed(uv_handle_t *handle)
{
    transport_let_go(handle->data);
}

static void on_listener_closed(uv_handle_t *handle)
{
    const struct listener *l = handle->data;

    transport_let_go(l->transport);
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
            connection_hang_up(t->slots[i]);
    uv_close((uv_handle_t *)&t->linger, on_own_closed);
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
    uv_close((uv_handle_t *)&t->sweep, on_own_closed);
    uv_close((uv_handle_t *)&t->rest, on_own_closed);
    uv_close((uv_handle_t *)&t->turn, on_own_closed);
    left_ms = t->reply_ms + LINGER_MS - clock_mono_ms();
    uv_timer_start(&t->linger, end_linger, left_ms > 0 ? (uint64_t)left_ms : 0, 0);
}
