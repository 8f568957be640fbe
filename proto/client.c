/* The client owns one raw REQ socket, its request ids and the decision to resend.
 *
 * It does the work of nanomsg's cooked REQ: every request has an id, and a reply with another id is
 * dropped. The request is not kept in memory for resending: it is encoded again from what the
 * caller lends, and handed to nanomsg without a copy.
 *
 * nanomsg does not report a broken connection, it only counts; so the counter is read before every
 * sending and compared while waiting. A peer that closes right after its greeting leaves nanomsg's
 * endpoint stuck for ever: after MISSES_MAX silent spans or one long one the socket is replaced. */
#include "proto/client.h"

#include <errno.h>
#include <nanomsg/nn.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/field.h"
#include "common/notify.h"
#include "common/secret.h"
#include "common/text.h"
#include "proto/address.h"
#include "proto/handshake.h"
#include "proto/reply.h"
#include "proto/wire.h"

#define TICK_MS 250 /* how often stop and the connection are checked */
#define MISSES_MAX 3
#define SILENCE_MS 30000 /* longer than any reply is held: counts as that many misses */
#define ID_MASK 0x7fffffffu
#define HANDSHAKE_RETRY_MS 2000
#define HANDSHAKES_MAX 3 /* for one call: a server that restarts ends the first session */

/* In memory for secrets: it holds the keys of a session. */
struct client {
    char url[ADDRESS_BYTES_MAX];
    char sender[UUID_BYTES];
    const _Atomic sig_atomic_t *stop;
    struct wire wire;
    uint32_t id;           /* of the last request: 31 bits */
    uint64_t broken;       /* connections lost by this socket before the last sending */
    bool reached;          /* some socket of this client has been connected */
    bool abandoned;        /* a request of this socket is still in the server's hands */
    bool known;            /* the server has proved that it holds our key */
    int misses;            /* silent spans since the last reply */
    const char *key_path;  /* NULL: messages are plain */
    struct seal seal;      /* the session; its number is 0 without one */
    struct halves *halves; /* NULL: none */
    struct notify *notify; /* NULL: nobody wants signs of life */
};

/* One client_call under way. */
struct call {
    enum message_type type;
    const cJSON *request;
    cJSON *envelope;
    const struct tensor *tensors;
    int tensor_count;
    const uint8_t *frame; /* part of a handshake, HELLO_FRAME_BYTES, instead of an envelope */
    uint64_t first; /* number of its first sealed message: replies answer that one or a later one */
    void *body;     /* encoded and not yet sent; NULL otherwise */
    size_t bytes;
    bool out;         /* sent, on a connection that holds */
    int64_t since_ms; /* start of the silent span: the last sending or miss */
    int64_t give_up_ms, retry_ms, deadline_ms;
};

/* A chunk of nanomsg and the message in it, perhaps all of it. */
struct reply {
    void *chunk;
    uint8_t *message;
    size_t bytes;
    bool plain; /* plain, though the request was sealed or part of a handshake */
};

/* Memory for a message with room for its seal around it. */
static void *alloc_sealed(size_t bytes)
{
    uint8_t *frame = wire_alloc(bytes + SEAL_BYTES);

    return frame ? frame + SEAL_HEAD_BYTES : NULL;
}

static int reopen(struct client *c, struct errbuf *why)
{
    wire_close(&c->wire);
    c->broken = 0;
    c->abandoned = false;
    return wire_open(&c->wire, c->url, why);
}

int client_open(const char *url, const char *sender, const _Atomic sig_atomic_t *stop,
                struct client **ret, struct errbuf *why)
{
    struct client *c;
    int rc = address_check(url, why);

    if (rc < 0)
        return rc;
    if (sender && !text_is_uuid(sender))
        return err_set(why, -EINVAL, "the sender is \"%s\", allowed is a UUID", sender);
    c = secret_alloc(sizeof(*c));
    if (!c)
        return err_set(why, -ENOMEM, "no memory for a connection to %s", url);
    c->stop = stop;
    c->wire.socket = -1;
    snprintf(c->url, sizeof(c->url), "%s", url);
    if (sender)
        snprintf(c->sender, sizeof(c->sender), "%s", sender);
    else
        text_uuid(c->sender);
    /* A late reply to an earlier process with the same id must not pass for ours. */
    if (getrandom(&c->id, sizeof(c->id), 0) != (ssize_t)sizeof(c->id))
        c->id = (uint32_t)clock_mono_ms();
    rc = reopen(c, why);
    if (rc < 0) {
        secret_free(c);
        return rc;
    }
    *ret = c;
    return 0;
}

void client_close(struct client *c)
{
    if (!c)
        return;
    wire_close(&c->wire);
    secret_free(c);
}

void client_halves(struct client *c, struct halves *h)
{
    c->halves = h;
}

void client_supervised(struct client *c, struct notify *n)
{
    c->notify = n;
}

const char *client_sender(const struct client *c)
{
    return c->sender;
}

int client_use_key(struct client *c, const char *path, struct errbuf *why)
{
    struct keyring keys;
    int rc = keyring_load(path, &keys, why);

    if (rc < 0)
        return rc;
    keyring_done(&keys);
    if (!address_is_ipc(c->url))
        c->key_path = path;
    return 0;
}

/* A new object that borrows the values of the request, with the next id. */
static void make_envelope(const struct client *c, struct call *call)
{
    cJSON *envelope = cJSON_CreateObject();
    cJSON *item;

    cJSON_AddStringToObject(envelope, "type", message_names[call->type]);
    cJSON_AddNumberToObject(envelope, "v", PROTOCOL_VERSION);
    cJSON_AddNumberToObject(envelope, "id", c->id);
    cJSON_AddStringToObject(envelope, "sender", c->sender);
    cJSON_ArrayForEach(item, call->request)
        cJSON_AddItemReferenceToObject(envelope, item->string, item);
    cJSON_Delete(call->envelope);
    call->envelope = envelope;
    wire_free(call->body);
    call->body = NULL;
}

/* Makes call->body when there is none. A sealed body is a new message each time. */
static int encode(struct client *c, struct call *call, struct errbuf *why)
{
    void *body;

    if (call->body)
        return 0;
    if (call->frame) {
        call->body = wire_alloc(HELLO_FRAME_BYTES);
        if (!call->body)
            return err_set(why, -ENOMEM, "out of memory for a message");
        memcpy(call->body, call->frame, HELLO_FRAME_BYTES);
        return 0;
    }
    int rc = message_encode(call->envelope, call->tensors, call->tensor_count, c->halves,
                            c->key_path ? alloc_sealed : wire_alloc, &body, &call->bytes, why);
    if (rc < 0)
        return rc;
    call->body = c->key_path ? (uint8_t *)body - SEAL_HEAD_BYTES : body;
    if (c->key_path)
        seal_message(&c->seal, 0, call->body, call->bytes);
    return 0;
}

/* Hands the request to nanomsg when a connection can take it. 0 (see call->out) or -errno. */
static int try_send(struct client *c, struct call *call, struct errbuf *why)
{
    int rc = encode(c, call, why);

    if (rc < 0)
        return rc;
    /* Read before the sending: if the connection breaks in between, the request is sent once too
     * often rather than never. */
    c->broken = wire_count(&c->wire, NN_STAT_BROKEN_CONNECTIONS);
    rc = wire_send(&c->wire, c->id, call->body);
    if (rc == -EAGAIN)
        return 0;
    if (rc < 0)
        return err_set(why, rc, "cannot send to %s: %s", c->url, nn_strerror(-rc));
    call->body = NULL;
    call->out = true;
    call->since_ms = clock_mono_ms();
    c->reached = true;
    return 0;
}

static enum error_code plain_code(const struct reply *r)
{
    struct message m = {.json = NULL};
    struct errbuf why;
    const char *code = "";
    int index = -1;

    if (message_decode(r->message, r->bytes, JSON_REQUEST_BYTES_MAX, &m, &why) == 0 &&
        field_str(m.json, "the answer", "code", true, 64, &code, &why) == 0)
        index = text_index(code, error_names);
    message_done(&m);
    return index < 0 ? ERR_INTERNAL : (enum error_code)index;
}

/* Opens what came back to a sealed request. True: the message in *r is the server's. Anybody on the
 * way can send anything, so whatever is not sealed for this call is ignored, except the plain
 * refusals that a server's gate gives to strangers. To be turned away for being too many is none
 * for whoever had a session: such a client asks again until its deadline. */
static bool is_from_server(struct client *c, const struct call *call, struct reply *r)
{
    uint64_t sequence;

    if (!c->key_path)
        return true;
    r->plain = r->bytes > 0 && r->message[0] == '{';
    if (r->plain)
        return !c->known || plain_code(r) != ERR_LIMIT;
    if (call->frame)
        return seal_flags(r->message, r->bytes) == (FRAME_HELLO | FRAME_REPLY);
    if (seal_open(&c->seal, r->message, r->bytes, &sequence, NULL) < 0 || sequence < call->first)
        return false;
    r->message += SEAL_HEAD_BYTES;
    r->bytes -= SEAL_BYTES;
    return true;
}

/* Takes what has arrived until the reply to the current request is found. 1: it is there; 0: not
 * yet; -errno. */
static int try_receive(struct client *c, const struct call *call, struct reply *ret,
                       struct errbuf *why)
{
    for (;;) {
        uint32_t id;
        void *body;
        int bytes = wire_receive(&c->wire, &id, &body);
        if (bytes == -EAGAIN)
            return 0;
        if (bytes < 0)
            return err_set(why, bytes, "cannot receive from %s: %s", c->url, nn_strerror(-bytes));
        *ret = (struct reply){body, body, (size_t)bytes, false};
        if (id == c->id && is_from_server(c, call, ret))
            return 1;
        wire_free(body);
    }
}

/* Notes a span of silence; replaces the socket when there were too many. */
static int note_miss(struct client *c, struct call *call, int64_t now_ms, struct errbuf *why)
{
    c->misses += now_ms - call->since_ms >= SILENCE_MS ? MISSES_MAX : 1;
    call->out = false;
    call->since_ms = now_ms;
    if (c->misses < MISSES_MAX)
        return 0;
    c->misses = 0;
    return reopen(c, why);
}

/* Decides whether the request must be resent, and resends it when possible. */
static int keep_going(struct client *c, struct call *call, int64_t now_ms, struct errbuf *why)
{
    int rc = 0;

    if (wire_count(&c->wire, NN_STAT_ESTABLISHED_CONNECTIONS) > 0)
        c->reached = true;
    if (call->out && wire_count(&c->wire, NN_STAT_BROKEN_CONNECTIONS) != c->broken)
        call->out = false;
    if (call->retry_ms > 0 && now_ms - call->since_ms >= call->retry_ms)
        rc = note_miss(c, call, now_ms, why);
    if (rc == 0 && !call->out)
        rc = try_send(c, call, why);
    return rc;
}

static void wait_tick(const struct client *c, const struct call *call, int64_t now_ms)
{
    struct pollfd fds[2] = {{c->wire.receive_fd, POLLIN, 0}, {c->wire.send_fd, POLLIN, 0}};
    int64_t ms = call->give_up_ms - now_ms;

    if (call->retry_ms > 0 && call->since_ms + call->retry_ms - now_ms < ms)
        ms = call->since_ms + call->retry_ms - now_ms;
    if (ms > TICK_MS)
        ms = TICK_MS;
    poll(fds, call->out ? 1 : 2, ms > 0 ? (int)ms : 0);
}

static int timed_out(const struct client *c, const struct call *call, struct errbuf *why)
{
    long long deadline_ms = call->deadline_ms;
    char span[32];

    if (deadline_ms % 1000 == 0)
        snprintf(span, sizeof(span), "%lld s", deadline_ms / 1000);
    else
        snprintf(span, sizeof(span), "%lld ms", deadline_ms);
    if (!c->reached)
        return err_set(why, -ETIMEDOUT,
                       "no answer from %s within %s; is steppe-server running there?", c->url,
                       span);
    if ((int64_t)wire_count(&c->wire, NN_STAT_CURRENT_CONNECTIONS) > 0)
        return err_set(why, -ETIMEDOUT, "%s is connected but did not answer %s within %s", c->url,
                       message_names[call->type], span);
    return err_set(why, -ETIMEDOUT, "lost the connection to %s and had no answer within %s", c->url,
                   span);
}

/* Sends and waits. The reply's chunk is the caller's. */
static int exchange(struct client *c, struct call *call, struct reply *ret, struct errbuf *why)
{
    for (;;) {
        int64_t now_ms = clock_mono_ms();
        notify_alive(c->notify, now_ms);
        if (c->stop && *c->stop) {
            c->abandoned |= call->out;
            return err_set(why, -EINTR, "stopped while waiting for %s", c->url);
        }
        int rc = try_receive(c, call, ret, why);
        if (rc == 0 && now_ms >= call->give_up_ms) {
            rc = timed_out(c, call, why);
            c->abandoned |= call->out;
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

/* A refusal of the gate, the only plain answer that counts when messages are sealed: it tells
 * nothing about the request itself. Errors as reply_refusal. */
static int read_plain_refusal(const struct reply *r, enum error_code *ret_code, struct errbuf *why)
{
    struct message m = {.json = NULL};
    enum error_code code = ERR_INTERNAL;
    const char *type;
    int64_t retry_ms;
    int rc = message_decode(r->message, r->bytes, JSON_REQUEST_BYTES_MAX, &m, why);

    if (rc == 0)
        rc = field_str(m.json, "the answer", "type", true, 64, &type, why);
    if (rc == 0 && strcmp(type, "error") == 0)
        rc = reply_refusal(m.json, &code, &retry_ms, why);
    if (rc != -EREMOTEIO || (code != ERR_NO_SESSION && code != ERR_WRONG_KEY &&
                             code != ERR_KEY_NEEDED && code != ERR_LIMIT))
        rc = err_set(why, -EBADMSG,
                     rc == -EREMOTEIO && code == ERR_BAD_MESSAGE
                         ? "it does not know this handshake; is it of an earlier version?"
                         : "the answer is not sealed");
    message_done(&m);
    if (rc == -EREMOTEIO && ret_code)
        *ret_code = code;
    return rc;
}

/* One step of a handshake: sends frame and waits for its answer, a frame. */
static int handshake_step(struct client *c, const struct call *of, const uint8_t *frame,
                          struct reply *ret, enum error_code *ret_code, struct errbuf *why)
{
    struct call call = {
        .type = of->type,
        .frame = frame,
        .bytes = HELLO_FRAME_BYTES,
        .since_ms = clock_mono_ms(),
        .give_up_ms = of->give_up_ms,
        .deadline_ms = of->deadline_ms,
        .retry_ms = HANDSHAKE_RETRY_MS,
    };

    c->id = (c->id + 1) & ID_MASK;
    int rc = exchange(c, &call, ret, why);
    wire_free(call.body);
    if (rc == 0 && ret->plain) {
        rc = read_plain_refusal(ret, ret_code, why);
        wire_free(ret->chunk);
    }
    return rc;
}

/* Begins a session with the key in the file as it is now. */
static int begin_session(struct client *c, const struct call *of, enum error_code *ret_code,
                         struct errbuf *why)
{
    uint8_t frame[HELLO_FRAME_BYTES];
    struct handshake h = {.hello = {0}};
    struct keyring keys;
    struct reply r;
    struct key key;
    int rc = keyring_load(c->key_path, &keys, why);

    if (rc < 0)
        return rc;
    keyring_client_key(&keys, clock_unix_ms(), &key);
    keyring_done(&keys);
    handshake_ask(frame);
    rc = handshake_step(c, of, frame, &r, ret_code, why);
    if (rc == 0) {
        rc = handshake_hello(&h, &key, r.message, r.bytes, frame, why);
        wire_free(r.chunk);
    }
    if (rc == 0)
        rc = handshake_step(c, of, frame, &r, ret_code, why);
    if (rc == 0) {
        rc = handshake_finish(&h, r.message, r.bytes, clock_unix_ms(), &c->seal, why);
        c->known |= rc == 0;
        wire_free(r.chunk);
    }
    handshake_done(&h);
    key_done(&key);
    return rc == -EBADMSG ? err_prefix(why, rc, "no sealed answer from %s", c->url) : rc;
}

/* Sends the request until its answer comes. When messages are sealed, it may begin a new session:
 * the server may have ended the previous one. */
static int converse(struct client *c, struct call *call, struct reply *ret,
                    enum error_code *ret_code, struct errbuf *why)
{
    enum error_code code = ERR_INTERNAL;
    int rc = 0;

    for (int tries = 0; tries < HANDSHAKES_MAX; tries++) {
        if (c->key_path && !c->seal.session)
            rc = begin_session(c, call, &code, why);
        if (rc == 0) {
            c->id = (c->id + 1) & ID_MASK;
            make_envelope(c, call);
            call->first = c->seal.sent + 1;
            call->out = false;
            call->since_ms = clock_mono_ms();
            rc = exchange(c, call, ret, why);
        }
        if (rc == 0 && ret->plain) {
            rc = read_plain_refusal(ret, &code, why);
            wire_free(ret->chunk);
        }
        if (rc != -EREMOTEIO)
            break;
        seal_done(&c->seal);
        if (code != ERR_NO_SESSION)
            break;
    }
    if (rc == -EREMOTEIO && ret_code)
        *ret_code = code;
    return rc;
}

/* Waits before the next try, as long as the server asked for and a random part of that, so that
 * many clients do not come back at the same time. 0 or -EINTR. */
static int wait_for_turn(const struct client *c, int64_t ms, struct errbuf *why)
{
    uint32_t random = 0;

    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random))
        random = 0;
    const int64_t until_ms = clock_mono_ms() + ms + random % (ms + 1);
    for (int64_t left; (left = until_ms - clock_mono_ms()) > 0;) {
        if (c->stop && *c->stop)
            return err_set(why, -EINTR, "stopped while waiting for %s", c->url);
        poll(NULL, 0, left < TICK_MS ? (int)left : TICK_MS);
    }
    return 0;
}

/* Sends the request once, in the sense of the server: until it has judged it. Errors as
 * client_call; *ret_retry_ms: the server was too busy, and says when to try again. */
static int ask(struct client *c, struct call *call, struct message *ret, enum error_code *ret_code,
               int64_t *ret_retry_ms, struct errbuf *why)
{
    struct message m = {.json = NULL};
    struct reply reply = {.chunk = NULL};

    *ret_retry_ms = 0;
    int rc = converse(c, call, &reply, ret_code, why);
    if (rc < 0)
        return rc;
    rc = message_decode(reply.message, reply.bytes, JSON_REPLY_BYTES_MAX, &m, why);
    m.body = reply.chunk;
    m.release = wire_free;
    if (rc == 0)
        rc = reply_read(m.json, call->type, c->id, ret_code, ret_retry_ms, why);
    if (rc == 0) {
        *ret = m;
        return 0;
    }
    message_done(&m);
    return rc == -EREMOTEIO ? rc : err_prefix(why, -EBADMSG, "bad answer from %s", c->url);
}

int client_call(struct client *c, enum message_type type, cJSON *request,
                const struct tensor *tensors, int tensor_count, int64_t deadline_ms,
                int64_t retry_ms, struct message *ret, enum error_code *ret_code,
                struct errbuf *why)
{
    struct call call = {
        .type = type,
        .request = request,
        .tensors = tensors,
        .tensor_count = tensor_count,
        .give_up_ms = clock_mono_ms() + deadline_ms,
        .deadline_ms = deadline_ms,
        .retry_ms = retry_ms,
    };
    int64_t retry_in_ms = 0;
    int rc = 0;

    if (c->wire.socket < 0 || c->abandoned) /* the server reads a new connection at once */
        rc = reopen(c, why);
    if (rc == 0 && !c->reached)
        rc = wire_may_open(c->url, why);
    if (rc < 0)
        return rc;
    while ((rc = ask(c, &call, ret, ret_code, &retry_in_ms, why)) == -EREMOTEIO &&
           retry_in_ms > 0 && clock_mono_ms() + 2 * retry_in_ms < call.give_up_ms) {
        rc = wait_for_turn(c, retry_in_ms, why);
        if (rc < 0)
            break;
    }
    cJSON_Delete(call.envelope);
    wire_free(call.body);
    return rc;
}
