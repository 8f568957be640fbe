/* A connection: what arrives, what leaves, and when it is read. */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/bounds.h"
#include "common/clock.h"
#include "server/net/peer.h"
#include "server/net/transport_internal.h"

#define REST_TICK_MS 20 /* between two looks for connections that have rested */
/* Of a message that takes the loop for milliseconds: one of these a turn, so that whoever asks for
 * little waits for one of them and not for one of each connection. */
#define LARGE_BYTES (128u << 10)

/* What a token holds. */
struct address {
    uint32_t slot, generation, id;
};
_Static_assert(offsetof(struct address, id) == TOKEN_CONNECTION_BYTES, "they name a connection");

/* --- closing connections --- */

void connection_closed(uv_handle_t *handle)
{
    struct connection *c = handle->data;
    struct transport *t = c->transport;

    transport_release(c->leaving);
    free(c);
    transport_let_go(t);
}

static void forget_message(struct connection *c)
{
    c->transport->arriving -= c->in.body_have;
    arrival_forget(&c->in);
    c->arrives_ms = 0;
}

/* The reply has left, or will not. */
static void forget_reply(struct connection *c)
{
    if (c->leaves_ms)
        c->transport->leaving[c->of_people] -= arrival_body_bytes(c->leaving);
    c->leaves_ms = 0;
}

void connection_hang_up(struct connection *c)
{
    struct transport *t = c->transport;
    void *what = c->what;

    if (uv_is_closing(&c->io.handle))
        return;
    forget_message(c);
    forget_reply(c);
    t->slots[c->slot] = NULL;
    t->connection_count--;
    c->what = NULL;
    uv_close(&c->io.handle, connection_closed);
    if (what && t->on_gone)
        t->on_gone(t->arg, what);
}

/* --- what arrives --- */

static bool is_large(const struct connection *c)
{
    return c->in.body && c->in.body_bytes > LARGE_BYTES;
}

/* Is nothing to be read from it now? */
static bool is_waited_for(const struct connection *c)
{
    return c->busy || c->leaving || c->transport->closing || (c->transport->large && is_large(c)) ||
           (c->rest_ms && clock_mono_ms() < c->rest_ms);
}

/* No place, and UV_ENOBUFS for on_read, while nothing is to be read: what has come stays with the
 * kernel. */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct connection *c = handle->data;
    size_t bytes = 0;
    uint8_t *place = is_waited_for(c) ? NULL : arrival_place(&c->in, &bytes);

    (void)suggested;
    *ret = uv_buf_init((char *)place, (unsigned)bytes);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

void connection_go_on(struct connection *c)
{
    struct transport *t = c->transport;

    if (uv_is_closing(&c->io.handle) || t->closing)
        return;
    if (c->rest_ms && !uv_is_active((uv_handle_t *)&t->rest))
        uv_timer_start(&t->rest, transport_on_rest, REST_TICK_MS, REST_TICK_MS);
    if (!c->stopped || is_waited_for(c))
        return;
    c->stopped = false;
    if (uv_read_start(&c->io.stream, on_alloc, on_read) < 0)
        connection_hang_up(c);
}

/* Something came while nothing is to be read. libuv asks for more once behind every message;
 * besides, a peer that waits for its replies sends nothing, and to stop and start reading takes two
 * calls of the kernel. */
static void stop_reading(struct connection *c)
{
    if (!c->asked_for_more) {
        uv_read_stop(&c->io.stream);
        c->stopped = true;
    }
    c->asked_for_more = false;
}

static void hand_over(struct connection *c)
{
    struct transport *t = c->transport;
    const struct address address = {c->slot, c->generation, c->in.id};
    struct token from = {.count = sizeof(address)};
    const size_t bytes = c->in.body_bytes;

    memcpy(from.bytes, &address, sizeof(address));
    t->arriving -= c->in.body_have;
    c->arrives_ms = 0;
    c->heard_ms = clock_mono_ms();
    c->busy = c->asked_for_more = true;
    if (is_large(c)) {
        t->large = true;
        uv_idle_start(&t->turn, transport_on_turn);
    }
    t->on_message(t->arg, &from, arrival_pick(&c->in), bytes);
    connection_go_on(c);
}

/* The connection whose message has been arriving for longest. */
static struct connection *slowest(struct transport *t)
{
    struct connection *found = NULL;

    for (uint32_t i = 0; i < t->slot_count; i++) {
        struct connection *c = t->slots[i];
        if (c && c->in.body_have > 0 && (!found || c->arrives_ms < found->arrives_ms))
            found = c;
    }
    return found;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct connection *c = stream->data;
    struct transport *t = c->transport;
    const bool body = c->in.body;

    (void)buf;
    if (n == UV_ENOBUFS && is_waited_for(c))
        stop_reading(c);
    else if (n < 0)
        connection_hang_up(c);
    if (n <= 0)
        return;
    t->arriving += body ? (size_t)n : 0;
    if (c->in.greeted && !c->arrives_ms)
        c->arrives_ms = clock_mono_ms();
    switch (arrival_took(&c->in, (size_t)n)) {
    case ARRIVED_PART:
        break;
    case ARRIVED_GREETING:
        c->heard_ms = clock_mono_ms();
        break;
    case ARRIVED_MESSAGE:
        hand_over(c);
        break;
    case ARRIVED_NONSENSE:
        connection_hang_up(c);
        break;
    }
    if (t->arriving > ARRIVING_BYTES_MAX)
        connection_hang_up(slowest(t));
}

/* --- replies --- */

static void on_written(uv_write_t *write, int status)
{
    struct connection *c = write->data;

    forget_reply(c);
    transport_release(c->leaving);
    c->leaving = NULL;
    if (status < 0)
        connection_hang_up(c);
    else
        connection_go_on(c);
}

/* The connection whose request this was, now without one; NULL: it is gone. */
static struct connection *end_request(struct transport *t, const struct token *to, uint32_t *ret_id)
{
    struct address address;

    memcpy(&address, to->bytes, sizeof(address));
    struct connection *c = t->slots[address.slot];
    if (!c || c->generation != address.generation || !c->busy)
        return NULL;
    c->busy = false;
    c->what = NULL;
    *ret_id = address.id;
    return t->closing ? NULL : c;
}

/* Does this connection's reply count in the same bound, and as this owner's (NULL: anybody's)? */
static bool counts_with(const struct connection *c, bool of_people, const char *owner)
{
    return c && c->leaves_ms && c->of_people == of_people &&
           (!owner || strcmp(c->owner, owner) == 0);
}

/* The connection of those whose reply has been leaving for longest. */
static struct connection *slowest_receiver(struct transport *t, bool of_people, const char *owner)
{
    struct connection *found = NULL;

    for (uint32_t i = 0; i < t->slot_count; i++) {
        struct connection *c = t->slots[i];
        if (counts_with(c, of_people, owner) && (!found || c->leaves_ms < found->leaves_ms))
            found = c;
    }
    return found;
}

static size_t leaving_to(const struct transport *t, bool of_people, const char *owner)
{
    size_t bytes = 0;

    for (uint32_t i = 0; i < t->slot_count; i++)
        if (counts_with(t->slots[i], of_people, owner))
            bytes += arrival_body_bytes(t->slots[i]->leaving);
    return bytes;
}

/* Hangs up on whoever takes nothing, where that is too much: the owner's own, or anybody. A worker
 * that is there takes its replies at once; one that was hung up comes back and asks again. */
static void bound_leaving(struct transport *t, const struct connection *newest)
{
    const bool people = newest->of_people;
    const size_t most = t->leaving_max[people];
    const char *owner = NULL;

    if (t->leaving[people] <= most / 2)
        return;
    if (leaving_to(t, people, newest->owner) > most / 2)
        owner = newest->owner;
    else if (t->leaving[people] <= most)
        return;
    t->cut++;
    connection_hang_up(slowest_receiver(t, people, owner));
}

/* What could not be written at once leaves when the peer takes it. */
static void write_rest(struct connection *c, void *body, uint8_t *from, size_t bytes)
{
    struct transport *t = c->transport;
    uv_buf_t buf = uv_buf_init((char *)from, (unsigned)bytes);

    c->leaving = body;
    c->leaves_ms = t->reply_ms;
    c->write.data = c;
    t->leaving[c->of_people] += arrival_body_bytes(body);
    if (uv_write(&c->write, &c->io.stream, &buf, 1, on_written) < 0)
        connection_hang_up(c);
    else
        bound_leaving(t, c);
}

void transport_reply(struct transport *t, const struct token *to, void *body)
{
    uint32_t id;
    struct connection *c = end_request(t, to, &id);

    if (!c) {
        transport_release(body);
        return;
    }
    t->reply_ms = clock_mono_ms();
    size_t bytes = arrival_body_bytes(body);
    uint8_t *from = arrival_put_head(c->in.ipc, id, body);
    bytes += (size_t)((uint8_t *)body - from);
    uv_buf_t buf = uv_buf_init((char *)from, (unsigned)bytes);
    int sent = uv_try_write(&c->io.stream, &buf, 1);
    if (sent == (int)bytes || (sent < 0 && sent != UV_EAGAIN)) {
        transport_release(body);
        if (sent < 0)
            connection_hang_up(c);
    } else {
        const size_t done = sent < 0 ? 0 : (size_t)sent;
        write_rest(c, body, from + done, bytes - done);
    }
    connection_go_on(c);
}

/* libuv passes only handles of its own. Nothing waits to be written before a reply. */
static ssize_t send_files(const struct connection *c, void *from, size_t bytes, const int *files,
                          int count)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(TRANSPORT_FILES_MAX * sizeof(int))];
    } control = {.room = {0}};
    struct iovec iov = {from, bytes};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = CMSG_SPACE((size_t)count * sizeof(int))};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    uv_os_fd_t fd = -1;

    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
    memcpy(CMSG_DATA(head), files, (size_t)count * sizeof(int));
    uv_fileno(&c->io.handle, &fd);
    return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void transport_reply_files(struct transport *t, const struct token *to, void *body,
                           const int *files, int count)
{
    uint32_t id;
    struct connection *c = end_request(t, to, &id);

    assert(count <= TRANSPORT_FILES_MAX && (!c || c->in.ipc));
    if (c) {
        size_t bytes = arrival_body_bytes(body);
        uint8_t *from = arrival_put_head(true, id, body);
        bytes += (size_t)((uint8_t *)body - from);
        /* It is short: a peer that does not take it now has taken nothing before either. */
        if (send_files(c, from, bytes, files, count) != (ssize_t)bytes)
            connection_hang_up(c);
        connection_go_on(c);
    }
    transport_release(body);
}

void transport_drop(struct transport *t, const struct token *to)
{
    uint32_t id;
    struct connection *c = end_request(t, to, &id);

    if (c)
        connection_go_on(c);
}

/* The connection of the request; NULL: it is gone. */
static struct connection *find(const struct transport *t, const struct token *of)
{
    struct address address;

    memcpy(&address, of->bytes, sizeof(address));
    struct connection *c = t->slots[address.slot];
    return c && c->generation == address.generation ? c : NULL;
}

void transport_tie(struct transport *t, const struct token *of, void *what)
{
    struct connection *c = find(t, of);

    if (c && c->busy)
        c->what = what;
}

void transport_of_people(struct transport *t, const struct token *of, bool people)
{
    struct connection *c = find(t, of);

    if (c && !c->leaving)
        c->of_people = people;
}

void transport_rest(struct transport *t, const struct token *of, int64_t ms)
{
    struct connection *c = find(t, of);
    int64_t until_ms = clock_mono_ms() + ms;

    if (c && ms > 0 && until_ms > c->rest_ms)
        c->rest_ms = until_ms;
    if (c)
        connection_go_on(c);
}

const char *transport_address(const struct transport *t, const struct token *of)
{
    const struct connection *c = find(t, of);

    return c ? c->address : "?";
}

const struct local *transport_local(const struct transport *t, const struct token *of)
{
    const struct connection *c = find(t, of);

    return c && c->in.ipc && t->locals ? &c->local : NULL;
}

void transport_peer(const struct transport *t, const struct token *from, char ret[PEER_BYTES])
{
    const struct connection *c = find(t, from);
    uv_os_fd_t fd = -1;

    if (c)
        uv_fileno(&c->io.handle, &fd);
    peer_name(fd, fd >= 0 && c->in.ipc, c ? c->local.user : "", ret);
}

struct bucket *transport_bucket(struct transport *t, const struct token *of)
{
    struct connection *c = find(t, of);

    return c ? &c->bucket : NULL;
}

uint32_t transport_count(const struct transport *t, const char *owner)
{
    uint32_t count = 0;

    for (uint32_t i = 0; owner && i < t->slot_count; i++)
        count += t->slots[i] && strcmp(t->slots[i]->owner, owner) == 0;
    return owner ? count : t->connection_count;
}

bool transport_known(struct transport *t, const struct token *of, const char *owner, uint32_t most)
{
    struct connection *c = find(t, of);

    if (!c || strcmp(c->owner, owner) == 0)
        return true;
    if (transport_count(t, owner) >= most)
        return false;
    snprintf(c->owner, sizeof(c->owner), "%s", owner);
    c->known = true;
    return true;
}

void transport_of_strangers(struct transport *t, transport_new on_new)
{
    t->on_new = on_new;
}

void transport_on_gone(struct transport *t, transport_gone on_gone)
{
    t->on_gone = on_gone;
}

int connection_read_start(struct connection *c)
{
    return uv_read_start(&c->io.stream, on_alloc, on_read);
}

void transport_on_turn(uv_idle_t *idle)
{
    struct transport *t = idle->data;

    t->large = false;
    uv_idle_stop(idle);
    for (uint32_t i = 0; i < t->slot_count; i++)
        if (t->slots[i] && t->slots[i]->stopped)
            connection_go_on(t->slots[i]);
}

void transport_on_rest(uv_timer_t *timer)
{
    struct transport *t = timer->data;
    const int64_t now_ms = clock_mono_ms();
    bool some = false;

    for (uint32_t i = 0; i < t->slot_count; i++) {
        struct connection *c = t->slots[i];
        if (!c || !c->rest_ms)
            continue;
        if (now_ms < c->rest_ms) {
            some = true;
            continue;
        }
        c->rest_ms = 0;
        connection_go_on(c);
    }
    if (!some)
        uv_timer_stop(timer);
}
