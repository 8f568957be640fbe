/* The gate with real keys, handshakes and seals; only the socket is missing. */
#include "server/net/gate.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/text.h"
#include "proto/seal.h"
#include "server/net/local.h"
#include "server/net/sessions.h"
#include "tests/unit/server/answer_fixture.h"

#define FRAME_MAX 1024
#define VALID_MS (INT64_C(30) * 86400000)
#define MESSAGE "{\"type\": \"ping\"}"

/* A gate and whoever stands before it. */
struct door {
    struct net net;
    struct gate *gate;
    struct keyring ring;
    struct request *let_in; /* by the last knock; NULL: it was not */
    struct told *told;      /* what the last one was answered */
    uint8_t frame[FRAME_MAX];
    uint8_t *body;    /* in frame, of the message that was let in */
    const char *peer; /* NULL: any */
    const struct local *local;
    struct bucket bucket;
    struct caller caller;
    size_t bytes;
};

/* The frame that the gate answers with, which is no message. */
static uint8_t *answered;

void __wrap_transport_reply(struct transport *t, const struct token *to, void *body);
void __wrap_transport_reply(struct transport *t, const struct token *to, void *body)
{
    (void)t;
    (void)to;
    if (answered)
        transport_release(answered);
    answered = body;
}

static void write_keys(const struct keyring *ring)
{
    struct errbuf why;

    unlink(test_path("keys"));
    ASSERT_OK(keyring_create(test_path("keys"), ring, &why), why);
}

static void door_open(struct door *d, bool with_keys)
{
    struct errbuf why;

    *d = (struct door){.ring = {.count = 1}};
    ASSERT_OK(key_new(&d->ring.keys[0], &why), why);
    write_keys(&d->ring);
    ASSERT_OK(gate_open(with_keys ? test_path("keys") : NULL, NULL, &d->gate, &why), why);
}

static void door_leave(struct door *d)
{
    if (d->let_in)
        request_drop(d->let_in);
    d->let_in = NULL;
}

static void door_close(struct door *d)
{
    door_leave(d);
    gate_close(d->gate);
    keyring_done(&d->ring);
    if (answered)
        transport_release(answered);
    answered = NULL;
    told_forget();
}

/* A copy of the frame comes to the gate. Is it let in? */
static bool knock(struct door *d, const void *frame, size_t bytes, bool sealed_only)
{
    door_leave(d);
    told_forget();
    struct request *rq = request_of(&d->net, MSG_PING, "", NULL, &d->told);
    ASSERT(bytes <= FRAME_MAX);
    memcpy(d->frame, frame, bytes);
    d->body = d->frame;
    d->bytes = bytes;
    d->caller = (struct caller){.sealed_only = sealed_only,
                                .plain = ROLE_ADMIN,
                                .local = d->local,
                                .peer = d->peer ? d->peer : "10.0.0.1",
                                .bucket = &d->bucket};
    bool in = gate_enter(d->gate, rq, &d->caller, &d->body, &d->bytes);
    d->let_in = in ? rq : NULL;
    return in;
}

static uint64_t counted(const struct door *d, const char *reason)
{
    for (int i = 0; gate_reason_names[i]; i++)
        if (strcmp(gate_reason_names[i], reason) == 0)
            return gate_count(d->gate, i);
    FAIL("there is no reason %s", reason);
}

static uint64_t counted_all(const struct door *d)
{
    uint64_t sum = 0;

    for (int i = 0; gate_reason_names[i]; i++)
        sum += gate_count(d->gate, i);
    return sum;
}

/* Asks for a challenge and makes the hello that answers it. */
static void make_hello(struct door *d, const struct key *cluster, enum role role, const char *name,
                       struct handshake *h, uint8_t hello[HELLO_FRAME_BYTES])
{
    struct errbuf why;
    struct key key;

    key_issue(cluster, role, name, clock_unix_ms() - 5000, VALID_MS, &key);
    handshake_ask(hello);
    ASSERT(!knock(d, hello, HELLO_FRAME_BYTES, true));
    ASSERT(answered);
    ASSERT_OK(handshake_hello(h, &key, answered, CHALLENGE_FRAME_BYTES, hello, &why), why);
}

static struct seal session_of(struct door *d, enum role role, const char *name)
{
    uint8_t hello[HELLO_FRAME_BYTES];
    struct handshake h;
    struct errbuf why;
    struct seal seal;

    make_hello(d, &d->ring.keys[0], role, name, &h, hello);
    ASSERT(!knock(d, hello, sizeof(hello), true));
    ASSERT_EQ(0, d->told->answers);
    ASSERT_OK(handshake_finish(&h, answered, WELCOME_FRAME_BYTES, clock_unix_ms(), &seal, &why),
              why);
    return seal;
}

/* Seals MESSAGE as the next one of the session; returns the bytes. */
static size_t sealed(struct seal *s, uint8_t frame[FRAME_MAX])
{
    memcpy(frame + SEAL_HEAD_BYTES, MESSAGE, strlen(MESSAGE));
    seal_message(s, s->sent + 1, frame, strlen(MESSAGE));
    return strlen(MESSAGE) + SEAL_BYTES;
}

static bool send_sealed(struct door *d, struct seal *s)
{
    uint8_t frame[FRAME_MAX];
    size_t bytes = sealed(s, frame);

    return knock(d, frame, bytes, true);
}

TEST(a_plain_message_is_let_in_where_plain_ones_may_come)
{
    struct door d;

    for (int keys = 0; keys < 2; keys++) {
        door_open(&d, keys);
        ASSERT(knock(&d, MESSAGE, strlen(MESSAGE), false));
        ASSERT_EQ(ROLE_ADMIN, d.let_in->role);
        ASSERT_STR("", d.let_in->key_name);
        ASSERT_EQ(0, d.let_in->session);
        ASSERT(d.body == d.frame);
        ASSERT_EQ(strlen(MESSAGE), d.bytes);
        ASSERT_EQ(0, counted_all(&d));
        door_close(&d);
    }
}

/* A local user knocks over ipc with a plain message. */
static bool knock_as(struct door *d, const struct local *who)
{
    d->local = who;
    bool in = knock(d, MESSAGE, strlen(MESSAGE), false);
    d->local = NULL;
    return in;
}

TEST(over_ipc_the_user_says_who_it_is)
{
    const struct local owner = {.uid = 0, .role = ROLE_ADMIN, .owner = true, .user = "root"},
                       member = {.uid = 7, .role = ROLE_READ, .user = "anna"},
                       stranger = {.uid = 8, .role = ROLE_NONE, .user = "bob"};
    struct locals *locals;
    struct errbuf why;
    struct door d;

    for (int with_keys = 0; with_keys < 2; with_keys++) {
        door_open(&d, with_keys);
        gate_close(d.gate);
        ASSERT_OK(locals_open("0=read", &locals, &why), why);
        ASSERT_OK(gate_open(with_keys ? test_path("keys") : NULL, locals, &d.gate, &why), why);
        ASSERT(knock_as(&d, &owner));
        ASSERT_EQ(ROLE_ADMIN, d.let_in->role);
        ASSERT_STR("", d.let_in->key_name);
        ASSERT(knock_as(&d, &member));
        ASSERT_EQ(ROLE_READ, d.let_in->role);
        ASSERT_STR("user anna", d.let_in->key_name);
        ASSERT(!knock_as(&d, &stranger));
        ASSERT_REFUSED("forbidden", d.told);
        ASSERT_HAS("the user bob may not", told_text(d.told, "error"));
        ASSERT_EQ(1, counted(&d, "user"));
        ASSERT_EQ(1, counted_all(&d));
        door_close(&d);
        locals_close(locals);
    }
}

TEST(an_address_of_sealed_messages_takes_no_plain_one)
{
    struct door d;

    door_open(&d, true);
    ASSERT(!knock(&d, MESSAGE, strlen(MESSAGE), true));
    ASSERT_REFUSED("key_needed", d.told);
    ASSERT_HAS("--key", told_text(d.told, "error"));
    ASSERT_EQ(1, counted(&d, "plain"));
    ASSERT_EQ(1, counted_all(&d));
    /* One byte is no frame, and is let in nowhere either. */
    ASSERT(!knock(&d, "x", 1, true));
    ASSERT_EQ(2, counted(&d, "plain"));
    door_close(&d);
}

TEST(a_server_without_a_key_says_so_to_who_has_one)
{
    uint8_t ask[HELLO_FRAME_BYTES], frame[FRAME_MAX];
    struct door with, without;

    door_open(&with, true);
    struct seal seal = session_of(&with, ROLE_READ, "ann");
    size_t bytes = sealed(&seal, frame);
    door_close(&with);
    door_open(&without, false);
    handshake_ask(ask);
    ASSERT(!knock(&without, ask, sizeof(ask), false));
    ASSERT_REFUSED("wrong_key", without.told);
    ASSERT_HAS("omit --key", told_text(without.told, "error"));
    ASSERT(!knock(&without, frame, bytes, false));
    ASSERT_REFUSED("wrong_key", without.told);
    ASSERT_EQ(2, counted(&without, "wrong_key"));
    door_close(&without);
}

TEST(a_session_has_the_role_and_the_name_of_its_key)
{
    static const enum role roles[] = {ROLE_ADMIN, ROLE_SUBMIT, ROLE_READ, ROLE_WORKER};
    struct door d;

    door_open(&d, true);
    for (int i = 0; i < 4; i++) {
        struct seal seal = session_of(&d, roles[i], "ann");
        ASSERT(send_sealed(&d, &seal));
        ASSERT_EQ(roles[i], d.let_in->role);
        ASSERT_STR("ann", d.let_in->key_name);
        ASSERT_EQ(seal.session, d.let_in->session);
        ASSERT_EQ(1, d.let_in->sequence);
        ASSERT_EQ(strlen(MESSAGE), d.bytes);
        ASSERT_MEM(MESSAGE, d.body, d.bytes);
        ASSERT(send_sealed(&d, &seal));
        ASSERT_EQ(2, d.let_in->sequence);
    }
    ASSERT_EQ(0, counted_all(&d));
    door_close(&d);
}

TEST(a_reply_is_sealed_for_the_request_that_it_answers)
{
    uint8_t frame[FRAME_MAX];
    struct errbuf why;
    uint64_t sequence;
    struct door d;

    door_open(&d, true);
    struct seal seal = session_of(&d, ROLE_READ, "ann"), other = session_of(&d, ROLE_READ, "ben");
    ASSERT(send_sealed(&d, &seal));
    ASSERT(send_sealed(&d, &seal));
    memcpy(frame + SEAL_HEAD_BYTES, "reply", 5);
    ASSERT(gate_seal(d.gate, d.let_in, frame, 5));
    uint8_t copy[FRAME_MAX];
    memcpy(copy, frame, sizeof(copy));
    ASSERT(seal_open(&other, copy, 5 + SEAL_BYTES, &sequence, &why) < 0);
    ASSERT_OK(seal_open(&seal, frame, 5 + SEAL_BYTES, &sequence, &why), why);
    ASSERT_EQ(2, sequence);
    ASSERT_MEM("reply", frame + SEAL_HEAD_BYTES, 5);
    /* Behind the end of the session there is nothing to seal it with. */
    now_ms += SESSION_IDLE_MS + 1;
    ASSERT(!gate_seal(d.gate, d.let_in, frame, 5));
    door_close(&d);
}

TEST(a_message_that_came_already_is_not_heard_again)
{
    uint8_t first[FRAME_MAX], second[FRAME_MAX];
    struct door d;

    door_open(&d, true);
    struct seal seal = session_of(&d, ROLE_ADMIN, "ann");
    size_t bytes = sealed(&seal, first);
    sealed(&seal, second);
    ASSERT(knock(&d, second, bytes, true));
    ASSERT(!knock(&d, second, bytes, true));
    ASSERT_EQ(0, d.told->answers); /* nobody that it is owed to */
    ASSERT_EQ(1, d.told->drops);
    ASSERT(!knock(&d, first, bytes, true));
    ASSERT_EQ(2, counted(&d, "replayed"));
    ASSERT_EQ(2, counted_all(&d));
    ASSERT(send_sealed(&d, &seal)); /* the session goes on */
    door_close(&d);
}

TEST(a_message_that_was_changed_or_cut_gets_no_answer)
{
    uint8_t frame[FRAME_MAX], changed[FRAME_MAX];
    struct door d;

    door_open(&d, true);
    struct seal seal = session_of(&d, ROLE_ADMIN, "ann");
    size_t bytes = sealed(&seal, frame);
    for (size_t at = SEAL_HEAD_BYTES; at < bytes; at++) {
        memcpy(changed, frame, bytes);
        changed[at] ^= 1;
        ASSERT(!knock(&d, changed, bytes, true));
        ASSERT_EQ(0, d.told->answers);
        ASSERT_EQ(1, d.told->drops);
    }
    ASSERT_EQ(bytes - SEAL_HEAD_BYTES, counted(&d, "changed"));
    ASSERT(!knock(&d, frame, bytes - 1, true));
    ASSERT_EQ(0, d.told->answers);
    ASSERT_EQ(1, counted(&d, "broken"));
    /* The whole one is the first of its number that was let in. */
    ASSERT(knock(&d, frame, bytes, true));
    door_close(&d);
}

TEST(a_session_ends_when_it_is_idle_and_after_a_day)
{
    struct door d;

    door_open(&d, true);
    struct seal seal = session_of(&d, ROLE_READ, "ann");
    for (int64_t end_ms = now_ms + SESSION_LIFE_MS; now_ms + SESSION_IDLE_MS <= end_ms;) {
        ASSERT(send_sealed(&d, &seal));
        now_ms += SESSION_IDLE_MS;
    }
    ASSERT_EQ(0, counted_all(&d));
    now_ms += SESSION_IDLE_MS;
    ASSERT(!send_sealed(&d, &seal));
    ASSERT_REFUSED("no_session", d.told);
    struct seal next = session_of(&d, ROLE_READ, "ann");
    ASSERT(next.session != seal.session);
    ASSERT(send_sealed(&d, &next));
    now_ms += SESSION_IDLE_MS + 1;
    ASSERT(!send_sealed(&d, &next));
    ASSERT_REFUSED("no_session", d.told);
    ASSERT_EQ(2, counted(&d, "no_session"));
    door_close(&d);
}

TEST(a_hello_counts_once_soon_and_with_a_key_of_this_server)
{
    uint8_t hello[HELLO_FRAME_BYTES], other[HELLO_FRAME_BYTES];
    struct handshake h;
    struct errbuf why;
    struct door d;
    struct key stranger;

    door_open(&d, true);
    ASSERT_OK(key_new(&stranger, &why), why);
    make_hello(&d, &stranger, ROLE_ADMIN, "eve", &h, hello);
    ASSERT(!knock(&d, hello, sizeof(hello), true));
    ASSERT_REFUSED("wrong_key", d.told);
    ASSERT_EQ(1, counted(&d, "wrong_key"));
    make_hello(&d, &d.ring.keys[0], ROLE_READ, "ann", &h, hello);
    ASSERT(!knock(&d, hello, sizeof(hello), true));
    ASSERT_EQ(0, d.told->answers);
    ASSERT(!knock(&d, hello, sizeof(hello), true));
    ASSERT_REFUSED("no_session", d.told);
    make_hello(&d, &d.ring.keys[0], ROLE_READ, "ann", &h, other);
    now_ms += CHALLENGE_MS + 1;
    ASSERT(!knock(&d, other, sizeof(other), true));
    ASSERT_REFUSED("no_session", d.told);
    ASSERT_EQ(2, counted(&d, "no_session"));
    other[SEAL_HEAD_BYTES - 1] ^= 255;
    ASSERT(!knock(&d, other, sizeof(other) - 1, true));
    ASSERT_REFUSED("bad_message", d.told);
    ASSERT_EQ(1, counted(&d, "broken"));
    door_close(&d);
}

TEST(a_revoked_key_is_out_at_once)
{
    uint8_t hello[HELLO_FRAME_BYTES];
    struct handshake h;
    struct errbuf why;
    struct door d;
    int ended = -1;
    int64_t used_ms;

    door_open(&d, true);
    struct seal ann = session_of(&d, ROLE_SUBMIT, "ann"), ben = session_of(&d, ROLE_READ, "ben");
    ASSERT(send_sealed(&d, &ann));
    ASSERT_EQ(1, gate_sessions_of(d.gate, "ann", "submit", &used_ms));
    make_hello(&d, &d.ring.keys[0], ROLE_SUBMIT, "ann", &h, hello);
    ASSERT_OK(gate_revoke(d.gate, "ann", clock_unix_ms(), &ended, &why), why);
    ASSERT_EQ(1, ended);
    ASSERT_EQ(0, gate_sessions_of(d.gate, "ann", "submit", &used_ms));
    ASSERT(!send_sealed(&d, &ann));
    ASSERT_REFUSED("no_session", d.told);
    ASSERT(!knock(&d, hello, sizeof(hello), true));
    ASSERT_REFUSED("wrong_key", d.told);
    ASSERT_HAS("the key of ann was revoked", told_text(d.told, "error"));
    ASSERT_EQ(1, counted(&d, "wrong_key"));
    ASSERT(send_sealed(&d, &ben));
    door_close(&d);
}

TEST(a_hello_of_an_earlier_version_is_told_what_to_do)
{
    uint8_t frame[SEAL_HEAD_BYTES + OLD_HELLO_BYTES] = {0};
    struct door d;

    door_open(&d, true);
    seal_header(frame, FRAME_HELLO, 0, STEP_ASK, 0, OLD_HELLO_BYTES);
    ASSERT(!knock(&d, frame, sizeof(frame), true));
    ASSERT_REFUSED("wrong_key", d.told);
    ASSERT_HAS("takes no keys of earlier versions", told_text(d.told, "error"));
    door_close(&d);
}

TEST(a_key_is_renewed_for_who_holds_it)
{
    uint8_t seed[KEY_BYTES], public[KEY_BYTES], trusted[KEY_BYTES];
    struct errbuf why;
    struct cert cert;
    struct key key;
    struct door d;

    door_open(&d, true);
    pair_new(seed);
    pair_public(seed, public);
    struct seal ann = session_of(&d, ROLE_SUBMIT, "ann");
    ASSERT(send_sealed(&d, &ann));
    const int64_t now = clock_unix_ms();
    ASSERT_OK(gate_renew(d.gate, d.let_in, public, now, &cert, trusted, &why), why);
    ASSERT(key_take(seed, cert.bytes, trusted, &key));
    ASSERT_STR("ann", cert.name);
    ASSERT_EQ(ROLE_SUBMIT, cert.role);
    ASSERT_EQ(now, cert.issued_ms);
    ASSERT_EQ(now + VALID_MS, cert.expires_ms);
    ASSERT_MEM(d.ring.keys[0].trusted, trusted, KEY_BYTES);
    /* Not for who came without a key, or with the cluster key itself. */
    ASSERT(knock(&d, MESSAGE, strlen(MESSAGE), false));
    ASSERT_EQ(-EPERM, gate_renew(d.gate, d.let_in, public, now, &cert, trusted, &why));
    struct seal admin = session_of(&d, ROLE_ADMIN, KEY_CLUSTER_NAME);
    ASSERT(send_sealed(&d, &admin));
    ASSERT_EQ(-EPERM, gate_renew(d.gate, d.let_in, public, now, &cert, trusted, &why));
    ASSERT_HAS("steppe key add", why.text);
    door_close(&d);
}

/* The cluster key may stay elsewhere: the server then has a key that it signed. */
TEST(a_server_does_with_a_key_of_its_role)
{
    struct keyring own = {.count = 1};
    uint8_t trusted[KEY_BYTES];
    struct errbuf why;
    struct cert cert;
    struct door d;

    door_open(&d, true);
    gate_close(d.gate);
    key_issue(&d.ring.keys[0], ROLE_SERVER, "main", clock_unix_ms(), VALID_MS, &own.keys[0]);
    write_keys(&own);
    ASSERT_OK(gate_open(test_path("keys"), NULL, &d.gate, &why), why);
    struct seal ann = session_of(&d, ROLE_READ, "ann");
    ASSERT(send_sealed(&d, &ann));
    ASSERT_EQ(-EPERM, gate_renew(d.gate, d.let_in, own.keys[0].cert.key, 5, &cert, trusted, &why));
    ASSERT_HAS("has no cluster key", why.text);
    door_close(&d);
}

TEST(keys_are_read_again_while_sessions_go_on)
{
    struct errbuf why;
    struct door d;

    door_open(&d, true);
    d.ring.count = 2;
    ASSERT_OK(key_new(&d.ring.keys[1], &why), why);
    write_keys(&d.ring);
    ASSERT_OK(gate_reload(d.gate, &why), why);
    struct seal old = session_of(&d, ROLE_READ, "ann");
    struct key first = d.ring.keys[0];
    d.ring.keys[0] = d.ring.keys[1];
    struct seal new = session_of(&d, ROLE_READ, "ben");
    d.ring.count = 1;
    write_keys(&d.ring);
    ASSERT(send_sealed(&d, &old)); /* nobody has read the file yet */
    ASSERT_OK(gate_reload(d.gate, &why), why);
    ASSERT(!send_sealed(&d, &old));
    ASSERT_REFUSED("no_session", d.told);
    ASSERT(send_sealed(&d, &new));
    uint8_t hello[HELLO_FRAME_BYTES];
    struct handshake h;
    make_hello(&d, &first, ROLE_ADMIN, "ann", &h, hello);
    ASSERT(!knock(&d, hello, sizeof(hello), true));
    ASSERT_REFUSED("wrong_key", d.told);
    door_close(&d);
}

TEST(a_key_file_that_cannot_be_read_leaves_the_keys_as_they_were)
{
    struct errbuf why;
    struct gate *none;
    struct door d;

    door_open(&d, true);
    struct seal seal = session_of(&d, ROLE_READ, "ann");
    ASSERT_EQ(0, chmod(test_path("keys"), 0644));
    ASSERT_EQ(-EPERM, gate_reload(d.gate, &why));
    ASSERT_EQ(-EPERM, gate_open(test_path("keys"), NULL, &none, &why));
    ASSERT_EQ(0, unlink(test_path("keys")));
    ASSERT_EQ(-ENOENT, gate_reload(d.gate, &why));
    ASSERT(send_sealed(&d, &seal));
    session_of(&d, ROLE_READ, "ben");
    door_close(&d);
    door_open(&d, false);
    ASSERT_EQ(-EINVAL, gate_reload(d.gate, &why));
    ASSERT_HAS("no key file", why.text);
    door_close(&d);
}

TEST(a_stranger_is_always_answered_and_rests_when_it_asks_too_much)
{
    struct door d;
    int rested = 0;

    door_open(&d, true);
    for (int i = 0; i < 2500; i++) {
        ASSERT(!knock(&d, MESSAGE, strlen(MESSAGE), true));
        ASSERT_REFUSED("key_needed", d.told);
        rested += d.caller.rest_ms > 0;
        ASSERT(d.caller.rest_ms <= 6000);
    }
    ASSERT_EQ(2500, counted(&d, "plain")); /* all of them count */
    ASSERT(rested > 2400);
    ASSERT_EQ(rested, counted(&d, "paced"));
    /* Another connection has a pace of its own. */
    d.bucket = (struct bucket){0};
    ASSERT(!knock(&d, MESSAGE, strlen(MESSAGE), true));
    ASSERT_EQ(0, d.caller.rest_ms);
    door_close(&d);
}

TEST(an_address_that_floods_slows_down_itself_only)
{
    struct door d;

    door_open(&d, true);
    d.peer = "10.0.0.66";
    for (int i = 0; i < 11000; i++) {
        d.bucket = (struct bucket){0}; /* each on a connection of its own */
        ASSERT(!knock(&d, MESSAGE, strlen(MESSAGE), true));
    }
    ASSERT(d.caller.rest_ms > 1000);
    ASSERT(gate_newcomer(d.gate, d.peer) > 1000);
    ASSERT_EQ(0, gate_newcomer(d.gate, "10.0.0.7"));
    now_ms += 60000;
    ASSERT_EQ(0, gate_newcomer(d.gate, d.peer));
    /* A session goes on at any pace. */
    d.bucket = (struct bucket){0};
    struct seal seal = session_of(&d, ROLE_READ, "ann");
    for (int i = 0; i < 100; i++) {
        ASSERT(send_sealed(&d, &seal));
        ASSERT_EQ(0, d.caller.rest_ms);
    }
    door_close(&d);
}
