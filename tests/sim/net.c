#include "tests/sim/net.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "server/net/gate.h"
#include "server/net/transport.h"
#include "tests/sim/journal.h"
#include "tests/sim/life.h"
#include "tests/sim/own.h"
#include "tests/sim/scenario.h"
#include "tests/sim/worker.h"
#include "tests/sim/world.h"

#define HISTORY 64 /* messages that may come again */
#define AGAIN_LEAST_US (2 * SECOND)
#define AGAIN_MOST_US (36 * SECOND)

struct transport {
    transport_message on_message;
    void *arg;
};

/* A message on its way to the server; counted, since it may come more than once. */
struct letter {
    int holders;
    int from;
    int64_t id;
    char what[sizeof(((struct client *)NULL)->what) + 64];
    size_t bytes;
    uint8_t body[];
};

struct reply {
    int to;
    int64_t id;
    size_t bytes;
    uint8_t body[];
};

static struct {
    struct client *clients[CLIENTS_MAX];
    struct transport *transport; /* NULL: nobody listens */
    struct letter *history[HISTORY];
    uint64_t sent;
    int64_t cut_up_us[CLIENTS_MAX], cut_down_us[CLIENTS_MAX]; /* until then */
} net;

static void letter_free(struct letter *l)
{
    if (--l->holders == 0)
        free(l);
}

void net_add(struct client *c)
{
    assert(c->number >= 0 && c->number < CLIENTS_MAX);
    net.clients[c->number] = c;
}

void net_cut(int number, bool up, bool down, int64_t us)
{
    note("cut client=%d up=%d down=%d us=%" PRId64, number, up, down, us);
    for (int i = 0; i < CLIENTS_MAX; i++) {
        if (number >= 0 && i != number)
            continue;
        if (up)
            net.cut_up_us[i] = world_now_us() + us;
        if (down)
            net.cut_down_us[i] = world_now_us() + us;
    }
}

static int64_t travel_us(void)
{
    const struct scenario *p = scenario_get();

    return world_now_us() < p->calm_us ? world_delay(50, p->delay_most_us) : world_delay(50, MS);
}

static bool strikes(unsigned permille)
{
    return world_now_us() < scenario_get()->calm_us && world_chance(permille);
}

/* --- to the server --- */

static void hand_over(void *arg)
{
    const struct letter *l = arg;
    struct token from = {.count = sizeof(l->from) + sizeof(l->id)};
    void *body = transport_alloc(l->bytes);

    if (!body) /* its connection is closed, and it comes again */
        return;
    memcpy(from.bytes, &l->from, sizeof(l->from));
    memcpy(from.bytes + sizeof(l->from), &l->id, sizeof(l->id));
    memcpy(body, l->body, l->bytes);
    net.transport->on_message(net.transport->arg, &from, body, l->bytes);
}

static void arrive(void *arg, int64_t number)
{
    struct letter *l = arg;

    (void)number;
    if (life_up() && net.transport && world_now_us() >= net.cut_up_us[l->from]) {
        note("deliver from=%d %s", l->from, l->what);
        life_enter(hand_over, l);
        note("delivered");
    }
    letter_free(l);
}

static void post(struct letter *l)
{
    l->holders++;
    world_after(travel_us(), arrive, l, 0);
}

void net_replay(void)
{
    struct letter *l = net.history[world_draw(HISTORY)];

    if (l)
        post(l);
}

static void say(const struct client *c)
{
    struct letter *l = xmalloc(sizeof(*l) + c->bytes);
    struct letter **old = &net.history[net.sent++ % HISTORY];

    *l = (struct letter){.holders = 1, .from = c->number, .id = c->id, .bytes = c->bytes};
    memcpy(l->body, c->body, c->bytes);
    snprintf(l->what, sizeof(l->what), "%s id=%" PRId64 " %s", c->type, c->id, c->what);
    if (*old)
        letter_free(*old);
    *old = l;
    if (c->stalled || strikes(scenario_get()->drop_permille))
        return;
    post(l);
    if (strikes(scenario_get()->double_permille))
        post(l);
}

static void send_again(void *arg, int64_t id)
{
    struct client *c = arg;

    if (c->id != id)
        return;
    if (!c->stalled)
        say(c);
    world_after(world_between(AGAIN_LEAST_US, AGAIN_MOST_US), send_again, c, id);
}

void net_ask(struct client *c, const char *type, cJSON *fields, const struct tensor *tensors,
             int count, const char *what)
{
    static int64_t ids;
    struct errbuf why;

    net_stop(c);
    c->id = ++ids;
    c->type = type;
    snprintf(c->what, sizeof(c->what), "%s", what);
    cJSON_AddStringToObject(fields, "type", type);
    cJSON_AddNumberToObject(fields, "v", PROTOCOL_VERSION);
    cJSON_AddNumberToObject(fields, "id", (double)c->id);
    cJSON_AddStringToObject(fields, "sender", c->sender);
    if (message_encode(fields, tensors, count, NULL, xmalloc, &c->body, &c->bytes, &why) < 0)
        abort();
    cJSON_Delete(fields);
    send_again(c, c->id);
}

void net_stop(struct client *c)
{
    free(c->body);
    c->body = NULL;
    c->id = 0;
}

void net_again(struct client *c)
{
    if (c->id)
        say(c);
}

/* --- from the server --- */

static void come_back(void *arg, int64_t number)
{
    struct reply *r = arg;
    struct client *c = net.clients[r->to];
    struct message m;
    struct errbuf why;

    (void)number;
    if (!c || c->stalled || c->id != r->id || world_now_us() < net.cut_down_us[r->to])
        goto out;
    if (message_decode(r->body, r->bytes, JSON_REPLY_BYTES_MAX, &m, &why) < 0) {
        note("bad_reply to=%d error=\"%s\"", r->to, why.text);
        goto out;
    }
    net_stop(c);
    c->reply(c->arg, &m);
    message_done(&m);
out:
    free(r);
}

/* --- from client to client --- */

struct passing {
    int from, to;
    size_t bytes;
    uint8_t body[];
};

static void come_across(void *arg, int64_t number)
{
    struct passing *p = arg;
    struct client *c = net.clients[p->to];

    (void)number;
    if (c && c->hear && !c->stalled && world_now_us() >= net.cut_up_us[p->from] &&
        world_now_us() >= net.cut_down_us[p->to])
        c->hear(c->arg, p->body, p->bytes);
    free(p);
}

void net_pass(const struct client *from, int to, const void *bytes, size_t count)
{
    int times = from->stalled || strikes(scenario_get()->drop_permille) ? 0 : 1;

    times += times && strikes(scenario_get()->double_permille);
    for (int i = 0; i < times; i++) {
        struct passing *p = xmalloc(sizeof(*p) + count);
        *p = (struct passing){.from = from->number, .to = to, .bytes = count};
        memcpy(p->body, bytes, count);
        world_after(travel_us(), come_across, p, 0);
    }
}

static bool is_person(int number)
{
    return number == CLIENT_NAMER || number == CLIENT_PROGRAM || number == CLIENT_PROGRAM + 1;
}

/* Nothing is sealed here: with keys, each worker has one of its own, named after its number, but
 * for those that hoard, who have one together; people and training programs are of the machine. */
bool __real_gate_enter(struct gate *g, struct request *rq, struct caller *caller, uint8_t **io_body,
                       size_t *io_bytes);
bool __wrap_gate_enter(struct gate *g, struct request *rq, struct caller *caller, uint8_t **io_body,
                       size_t *io_bytes);
bool __wrap_gate_enter(struct gate *g, struct request *rq, struct caller *caller, uint8_t **io_body,
                       size_t *io_bytes)
{
    int from = 0;

    if (!__real_gate_enter(g, rq, caller, io_body, io_bytes))
        return false;
    memcpy(&from, rq->token.bytes, sizeof(from));
    if (scenario_get()->keys && from > 0 && !is_person(from)) {
        if (worker_hoards(from))
            snprintf(rq->key_name, sizeof(rq->key_name), "farm");
        else
            snprintf(rq->key_name, sizeof(rq->key_name), "host-%d", from);
        rq->role = ROLE_WORKER;
    }
    return true;
}

/* --- transport.h --- */

int transport_open(uv_loop_t *loop, const char *const *urls, int url_count, struct locals *locals,
                   transport_message on_message, void *arg, struct transport **ret,
                   struct errbuf *why)
{
    (void)loop;
    (void)urls;
    (void)url_count;
    (void)locals;
    (void)why;
    *ret = xcalloc(1, sizeof(**ret));
    **ret = (struct transport){on_message, arg};
    net.transport = *ret;
    return 0;
}

void net_server_gone(void)
{
    net.transport = NULL;
}

void transport_close(struct transport *t)
{
    if (t && net.transport == t)
        net.transport = NULL;
    free(t);
}

/* The length is kept in front of a body, as nanomsg does. */
#define HEAD 16

void *transport_alloc(size_t bytes)
{
    uint8_t *head = malloc(HEAD + bytes);

    if (!head)
        return NULL;
    memcpy(head, &bytes, sizeof(bytes));
    return head + HEAD;
}

void transport_release(void *body)
{
    free((uint8_t *)body - HEAD);
}

void transport_peer(const struct transport *t, const struct token *from, char ret[PEER_BYTES])
{
    int number;

    (void)t;
    memcpy(&number, from->bytes, sizeof(number));
    snprintf(ret, PEER_BYTES, "client %d", number);
}

void transport_reply(struct transport *t, const struct token *to, void *body)
{
    struct reply *r;
    size_t bytes;

    memcpy(&bytes, (uint8_t *)body - HEAD, sizeof(bytes));
    r = own_calloc(1, sizeof(*r) + bytes);
    r->bytes = bytes;
    memcpy(&r->to, to->bytes, sizeof(r->to));
    memcpy(&r->id, to->bytes + sizeof(r->to), sizeof(r->id));
    memcpy(r->body, body, bytes);
    transport_release(body);
    if (t != net.transport || strikes(scenario_get()->drop_permille)) {
        free(r);
        return;
    }
    world_after(travel_us(), come_back, r, 0);
}
