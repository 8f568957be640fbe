/* The client owns one raw REQ socket, its request ids and the decision to send again.
 *
 * Raw, because a cooked REQ frees a late reply twice. So what the cooked one does is done here: an
 * id goes with every request (the SP header, 4 bytes with the top bit set) and a reply with another
 * id is dropped. The request is not kept in memory for a second sending: it is encoded again from
 * what the caller lends, to the same bytes, and handed to nanomsg without a copy.
 *
 * nanomsg says nothing when a connection breaks, it only counts; so the counter is read before
 * every sending and compared while waiting. A peer that closes right after its greeting leaves
 * nanomsg's endpoint stuck for ever: after MISSES_MAX silent spans the socket is replaced. */
#include "proto/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/field.h"
#include "common/text.h"
#include "proto/address.h"

#define TICK_MS 250 /* how often stop and the connection are looked at */
#define RECONNECT_MS 200
#define RECONNECT_MAX_MS 5000
#define MISSES_MAX 3
#define HEADER_BIT 0x80000000u
#define RECEIVE_BYTES_MAX (MESSAGE_BYTES_MAX + 64) /* nanomsg counts its header too */

struct client {
    char url[ADDRESS_BYTES_MAX];
    char sender[37];
    const volatile sig_atomic_t *stop;
    int socket, send_fd, receive_fd;
    uint32_t id;     /* of the last request: 31 bits */
    uint64_t broken; /* connections lost by this socket before the last sending */
    bool reached;    /* some socket of this client was connected once */
    int misses;      /* silent spans since the last reply */
};

/* One client_call under way. */
struct call {
    cJSON *envelope;
    const struct tensor *tensors;
    int tensor_count;
    void *body; /* encoded and not yet sent; NULL otherwise */
    size_t bytes;
    bool out;         /* sent, on a connection that holds */
    int64_t since_ms; /* start of the silent span: the last sending or miss */
    int64_t give_up_ms, retry_ms;
};

/* What nanomsg carries beside a message: its SP header, here one request id. */
struct control {
    struct nn_cmsghdr header;
    size_t bytes;
    uint32_t id; /* big-endian */
    uint8_t room[64];
};

static void *alloc_chunk(size_t bytes)
{
    return nn_allocmsg(bytes, 0);
}

static void free_chunk(void *chunk)
{
    if (chunk)
        nn_freemsg(chunk);
}

static int set_int(int socket, int level, int option, int value)
{
    return nn_setsockopt(socket, level, option, &value, sizeof(value)) < 0 ? -nn_errno() : 0;
}

static int get_fd(int socket, int option, int *ret)
{
    size_t bytes = sizeof(*ret);

    return nn_getsockopt(socket, NN_SOL_SOCKET, option, ret, &bytes) < 0 ? -nn_errno() : 0;
}

static int set_options(int socket)
{
    static const struct {
        int level, option, value;
    } options[] = {
        {NN_SOL_SOCKET, NN_RCVMAXSIZE, RECEIVE_BYTES_MAX},
        {NN_SOL_SOCKET, NN_SNDBUF, SOCKET_BUFFER_BYTES},
        {NN_SOL_SOCKET, NN_RCVBUF, SOCKET_BUFFER_BYTES},
        {NN_SOL_SOCKET, NN_RECONNECT_IVL, RECONNECT_MS},
        {NN_SOL_SOCKET, NN_RECONNECT_IVL_MAX, RECONNECT_MAX_MS},
        {NN_TCP, NN_TCP_NODELAY, 1},
    };

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        int rc = set_int(socket, options[i].level, options[i].option, options[i].value);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int open_socket(struct client *c, struct errbuf *why)
{
    int rc = 0, s = nn_socket(AF_SP_RAW, NN_REQ);

    if (s < 0)
        return err_set(why, -nn_errno(), "cannot open a socket: %s", nn_strerror(nn_errno()));
    if ((rc = set_options(s)) < 0 || (rc = get_fd(s, NN_SNDFD, &c->send_fd)) < 0 ||
        (rc = get_fd(s, NN_RCVFD, &c->receive_fd)) < 0 ||
        (rc = nn_connect(s, c->url) < 0 ? -nn_errno() : 0) < 0) {
        nn_close(s);
        return err_set(why, rc, "cannot connect to %s: %s", c->url, nn_strerror(-rc));
    }
    c->socket = s;
    c->broken = 0;
    return 0;
}

static void close_socket(struct client *c)
{
    if (c->socket >= 0)
        nn_close(c->socket);
    c->socket = -1;
}

static uint64_t statistic(const struct client *c, int which)
{
    return nn_get_statistic(c->socket, which);
}

int client_open(const char *url, const char *sender, const volatile sig_atomic_t *stop,
                struct client **ret, struct errbuf *why)
{
    struct client *c;
    int rc = address_check(url, why);

    if (rc < 0)
        return rc;
    if (sender && !text_is_uuid(sender))
        return err_set(why, -EINVAL, "the sender is \"%s\", allowed is a UUID", sender);
    c = xcalloc(1, sizeof(*c));
    c->stop = stop;
    c->socket = -1;
    snprintf(c->url, sizeof(c->url), "%s", url);
    if (sender)
        snprintf(c->sender, sizeof(c->sender), "%s", sender);
    else
        text_uuid(c->sender);
    /* A late reply to an earlier process on the same id must not pass for ours. */
    if (getrandom(&c->id, sizeof(c->id), 0) != (ssize_t)sizeof(c->id))
        c->id = (uint32_t)clock_mono_ms();
    rc = open_socket(c, why);
    if (rc < 0) {
        free(c);
        return rc;
    }
    *ret = c;
    return 0;
}

void client_close(struct client *c)
{
    if (!c)
        return;
    close_socket(c);
    free(c);
}

const char *client_sender(const struct client *c)
{
    return c->sender;
}

/* A new object that borrows the values of request. */
static cJSON *make_envelope(const struct client *c, enum message_type type, const cJSON *request)
{
    cJSON *envelope = cJSON_CreateObject();
    cJSON *item;

    cJSON_AddStringToObject(envelope, "type", message_names[type]);
    cJSON_AddNumberToObject(envelope, "v", PROTOCOL_VERSION);
    cJSON_AddNumberToObject(envelope, "id", c->id);
    cJSON_AddStringToObject(envelope, "sender", c->sender);
    cJSON_ArrayForEach(item, request) cJSON_AddItemReferenceToObject(envelope, item->string, item);
    return envelope;
}

static int encode(struct call *call, struct errbuf *why)
{
    if (call->body)
        return 0;
    return message_encode(call->envelope, call->tensors, call->tensor_count, alloc_chunk,
                          &call->body, &call->bytes, why);
}

/* Hands the request to nanomsg when a connection can take it. 0 (see call->out) or -errno. */
static int try_send(struct client *c, struct call *call, struct errbuf *why)
{
    struct control control = {
        .header = {NN_CMSG_SPACE(sizeof(size_t) + sizeof(uint32_t)), PROTO_SP, SP_HDR},
        .bytes = sizeof(control.id),
        .id = htonl(c->id | HEADER_BIT),
    };
    struct nn_iovec iov = {&call->body, NN_MSG};
    struct nn_msghdr header = {&iov, 1, &control, control.header.cmsg_len};
    int rc = encode(call, why);

    if (rc < 0)
        return rc;
    /* Before the sending: a connection that breaks in between is then seen as broken, and the
     * request goes out once too often rather than never. */
    c->broken = statistic(c, NN_STAT_BROKEN_CONNECTIONS);
    if (nn_sendmsg(c->socket, &header, NN_DONTWAIT) < 0) {
        rc = nn_errno();
        if (rc == EAGAIN || rc == EINTR || rc == ETIMEDOUT)
            return 0;
        return err_set(why, -rc, "cannot send to %s: %s", c->url, nn_strerror(rc));
    }
    call->body = NULL;
    call->out = true;
    call->since_ms = clock_mono_ms();
    c->reached = true;
    return 0;
}

/* Takes what has arrived until it is the reply to the request under way. 1: it is there; 0: not
 * yet; -errno. */
static int try_receive(struct client *c, void **ret, size_t *ret_bytes, struct errbuf *why)
{
    for (;;) {
        struct control control = {.bytes = 0};
        void *body = NULL;
        struct nn_iovec iov = {&body, NN_MSG};
        struct nn_msghdr header = {&iov, 1, &control, sizeof(control)};
        int bytes = nn_recvmsg(c->socket, &header, NN_DONTWAIT), code = nn_errno();
        if (bytes < 0 && (code == EAGAIN || code == EINTR || code == ETIMEDOUT))
            return 0;
        if (bytes < 0)
            return err_set(why, -code, "cannot receive from %s: %s", c->url, nn_strerror(code));
        if (control.bytes == sizeof(control.id) && ntohl(control.id) == (c->id | HEADER_BIT)) {
            *ret = body;
            *ret_bytes = (size_t)bytes;
            return 1;
        }
        free_chunk(body);
    }
}

/* Notes a span of silence; replaces the socket when there were too many. */
static int note_miss(struct client *c, struct call *call, int64_t now_ms, struct errbuf *why)
{
    call->out = false;
    call->since_ms = now_ms;
    if (++c->misses < MISSES_MAX)
        return 0;
    c->misses = 0;
    close_socket(c);
    return open_socket(c, why);
}

/* Decides whether the request must be sent again, and sends it when it must and can. */
static int keep_going(struct client *c, struct call *call, int64_t now_ms, struct errbuf *why)
{
    int rc = 0;

    if (statistic(c, NN_STAT_ESTABLISHED_CONNECTIONS) > 0)
        c->reached = true;
    if (call->out && statistic(c, NN_STAT_BROKEN_CONNECTIONS) != c->broken)
        call->out = false;
    if (call->retry_ms > 0 && now_ms - call->since_ms >= call->retry_ms)
        rc = note_miss(c, call, now_ms, why);
    if (rc == 0 && !call->out)
        rc = try_send(c, call, why);
    return rc;
}

static void wait_tick(const struct client *c, const struct call *call, int64_t now_ms)
{
    struct pollfd fds[2] = {{c->receive_fd, POLLIN, 0}, {c->send_fd, POLLIN, 0}};
    int64_t ms = call->give_up_ms - now_ms;

    if (call->retry_ms > 0 && call->since_ms + call->retry_ms - now_ms < ms)
        ms = call->since_ms + call->retry_ms - now_ms;
    if (ms > TICK_MS)
        ms = TICK_MS;
    poll(fds, call->out ? 1 : 2, ms > 0 ? (int)ms : 0);
}

static int timed_out(const struct client *c, enum message_type type, int64_t deadline_ms,
                     struct errbuf *why)
{
    char span[32];

    if (deadline_ms % 1000 == 0)
        snprintf(span, sizeof(span), "%lld s", (long long)deadline_ms / 1000);
    else
        snprintf(span, sizeof(span), "%lld ms", (long long)deadline_ms);
    if (!c->reached)
        return err_set(why, -ETIMEDOUT,
                       "no answer from %s within %s; is steppe-server running there?", c->url,
                       span);
    if ((int64_t)statistic(c, NN_STAT_CURRENT_CONNECTIONS) > 0)
        return err_set(why, -ETIMEDOUT, "%s is connected but did not answer %s within %s", c->url,
                       message_names[type], span);
    return err_set(why, -ETIMEDOUT, "lost the connection to %s and had no answer within %s", c->url,
                   span);
}

/* Sends and waits. The reply's chunk is the caller's. */
static int exchange(struct client *c, enum message_type type, struct call *call,
                    int64_t deadline_ms, void **ret, size_t *ret_bytes, struct errbuf *why)
{
    for (;;) {
        int64_t now_ms = clock_mono_ms();
        if (c->stop && *c->stop)
            return err_set(why, -EINTR, "stopped while waiting for %s", c->url);
        int rc = try_receive(c, ret, ret_bytes, why);
        if (rc == 0 && now_ms >= call->give_up_ms) {
            rc = timed_out(c, type, deadline_ms, why);
            int failed = note_miss(c, call, now_ms, why);
            return failed < 0 ? failed : rc;
        }
        if (rc == 0)
            rc = keep_going(c, call, now_ms, why);
        if (rc < 0)
            return rc;
        if (rc > 0)
            break;
        wait_tick(c, call, now_ms);
    }
    c->misses = 0;
    return 0;
}

static int read_refusal(const cJSON *json, enum error_code *ret_code, struct errbuf *why)
{
    const char *code, *sentence;
    int rc = field_str(json, "the answer", "code", true, 64, &code, why);

    if (rc == 0)
        rc = field_str(json, "the answer", "error", true, JSON_REPLY_BYTES_MAX, &sentence, why);
    if (rc < 0)
        return rc;
    int index = text_index(code, error_names);
    if (ret_code) /* a newer server may know more codes than this client */
        *ret_code = index < 0 ? ERR_INTERNAL : (enum error_code)index;
    return err_set(why, -EREMOTEIO, "%s", sentence);
}

/* Is the decoded message the answer to this request? 0, -EREMOTEIO or -EINVAL. */
static int read_reply(const cJSON *json, enum message_type type, uint32_t id,
                      enum error_code *ret_code, struct errbuf *why)
{
    const char *name;
    int64_t got_id = -1;
    bool ok = false;
    int rc = field_str(json, "the answer", "type", true, 64, &name, why);

    if (rc < 0)
        return rc;
    if (strcmp(name, "error") == 0)
        return read_refusal(json, ret_code, why);
    rc = field_i64(json, "the answer", "id", true, 0, INT64_MAX, &got_id, why);
    if (rc == 0)
        rc = field_bool(json, "the answer", "ok", true, &ok, why);
    if (rc == 0 && (!ok || got_id != id || strcmp(name, message_names[type]) != 0))
        rc = err_set(why, -EINVAL, "the answer is for %s %lld, asked was %s %u", name,
                     (long long)got_id, message_names[type], id);
    return rc;
}

int client_call(struct client *c, enum message_type type, cJSON *request,
                const struct tensor *tensors, int tensor_count, int64_t deadline_ms,
                int64_t retry_ms, struct message *ret, enum error_code *ret_code,
                struct errbuf *why)
{
    int64_t now_ms = clock_mono_ms();
    struct call call = {
        .tensors = tensors,
        .tensor_count = tensor_count,
        .since_ms = now_ms,
        .give_up_ms = now_ms + deadline_ms,
        .retry_ms = retry_ms,
    };
    struct message m = {.json = NULL};
    void *body = NULL;
    size_t bytes = 0;

    if (c->socket < 0) {
        int rc = open_socket(c, why);
        if (rc < 0)
            return rc;
    }
    c->id = (c->id + 1) & ~HEADER_BIT;
    call.envelope = make_envelope(c, type, request);
    int rc = exchange(c, type, &call, deadline_ms, &body, &bytes, why);
    cJSON_Delete(call.envelope);
    free_chunk(call.body);
    if (rc < 0)
        return rc;
    rc = message_decode(body, bytes, JSON_REPLY_BYTES_MAX, &m, why);
    m.body = body;
    m.release = free_chunk;
    if (rc == 0)
        rc = read_reply(m.json, type, c->id, ret_code, why);
    if (rc == 0) {
        *ret = m;
        return 0;
    }
    message_done(&m);
    return rc == -EREMOTEIO ? rc : err_prefix(why, -EBADMSG, "bad answer from %s", c->url);
}
