#include "server/net/sessions.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/harness.h"

#define START_MS 1000000
#define UNIX_MS INT64_C(1795996800000)
#define VALID_MS (INT64_C(30) * 86400000)

struct bench {
    struct sessions *sessions;
    struct holders *holders;
    struct keyring ring, server; /* cluster keys, and what the server answers with */
    struct errbuf why;
    const char *name; /* of the key; NULL: "ann" */
};

static void set_keys(struct bench *b)
{
    keyring_server_keys(&b->ring, UNIX_MS, &b->server);
}

static void set_up(struct bench *b)
{
    struct errbuf why;

    b->name = NULL;
    b->ring = (struct keyring){.count = 1};
    ASSERT_OK(key_new(&b->ring.keys[0], &why), why);
    set_keys(b);
    b->holders = holders_open();
    b->sessions = sessions_open(&b->server, b->holders);
}

static void tear_down(struct bench *b)
{
    sessions_close(b->sessions);
    holders_close(b->holders);
}

/* A hello with this key to a challenge of then_ms. */
static void hello_with(struct bench *b, const struct key *key, int64_t then_ms, struct handshake *h,
                       struct hello *ret)
{
    uint8_t challenge[CHALLENGE_BYTES], frame[HELLO_FRAME_BYTES];
    struct errbuf why;

    sessions_challenge(b->sessions, then_ms, challenge);
    handshake_challenge(challenge, frame);
    ASSERT_OK(handshake_hello(h, key, frame, CHALLENGE_FRAME_BYTES, frame, &why), why);
    ASSERT_EQ(STEP_HELLO, handshake_read(frame, HELLO_FRAME_BYTES, ret));
}

static void make_hello(struct bench *b, const struct key *cluster, int64_t then_ms,
                       struct handshake *h, struct hello *ret)
{
    struct key key;

    key_issue(cluster, ROLE_READ, b->name ? b->name : "ann", UNIX_MS, VALID_MS, &key);
    hello_with(b, &key, then_ms, h, ret);
}

static int answer_at(struct bench *b, const struct hello *hello, int64_t now_ms, int64_t unix_ms,
                     uint8_t frame[WELCOME_FRAME_BYTES])
{
    return sessions_hello(b->sessions, hello, now_ms, unix_ms, frame, &b->why);
}

static int answer(struct bench *b, const struct hello *hello, int64_t now_ms)
{
    uint8_t frame[WELCOME_FRAME_BYTES];

    return answer_at(b, hello, now_ms, UNIX_MS, frame);
}

/* Makes a session; returns its number. */
static uint64_t begin_with(struct bench *b, const struct key *key, int64_t now_ms)
{
    uint8_t frame[WELCOME_FRAME_BYTES];
    struct handshake h;
    struct hello hello;
    struct seal seal;
    struct errbuf why;

    hello_with(b, key, now_ms, &h, &hello);
    ASSERT_OK(answer_at(b, &hello, now_ms, UNIX_MS, frame), b->why);
    ASSERT_OK(handshake_finish(&h, frame, WELCOME_FRAME_BYTES, UNIX_MS, &seal, &why), why);
    return seal.session;
}

static uint64_t begin(struct bench *b, const struct key *cluster, int64_t now_ms)
{
    struct key key;

    key_issue(cluster, ROLE_READ, b->name ? b->name : "ann", UNIX_MS, VALID_MS, &key);
    return begin_with(b, &key, now_ms);
}

TEST(who_proves_a_key_gets_a_session_of_its_role_and_name)
{
    struct bench b;
    int64_t used_ms;

    set_up(&b);
    uint64_t number = begin(&b, &b.ring.keys[0], START_MS);
    const struct session *s = sessions_find(b.sessions, number, START_MS);
    ASSERT(s);
    ASSERT_EQ(ROLE_READ, s->cert.role);
    ASSERT_STR("ann", s->cert.name);
    ASSERT_EQ(1, sessions_of(b.sessions, "ann", "read", &used_ms));
    ASSERT_EQ(START_MS, used_ms);
    ASSERT_EQ(0, sessions_of(b.sessions, "ann", "admin", &used_ms));
    ASSERT_EQ(-1, used_ms);
    ASSERT_EQ(1, sessions_count(b.sessions));
    ASSERT(!sessions_find(b.sessions, number ^ ((uint64_t)1 << 40), START_MS));
    ASSERT(!sessions_find(b.sessions, 0, START_MS));
    tear_down(&b);
}

TEST(a_hello_counts_once_and_soon)
{
    struct bench b;
    struct handshake h;
    struct hello hello;

    set_up(&b);
    make_hello(&b, &b.ring.keys[0], START_MS, &h, &hello);
    ASSERT_EQ(-ESTALE, answer(&b, &hello, START_MS + CHALLENGE_MS + 1));
    ASSERT_EQ(-ESTALE, answer(&b, &hello, START_MS - 1));
    ASSERT_EQ(0, answer(&b, &hello, START_MS + CHALLENGE_MS));
    ASSERT_EQ(-ESTALE, answer(&b, &hello, START_MS + CHALLENGE_MS));
    ASSERT_EQ(1, sessions_count(b.sessions));
    tear_down(&b);
}

TEST(a_challenge_of_an_earlier_server_is_none)
{
    struct bench b;
    struct handshake h;
    struct hello hello;

    set_up(&b);
    make_hello(&b, &b.ring.keys[0], START_MS, &h, &hello);
    sessions_close(b.sessions);
    b.sessions = sessions_open(&b.server, b.holders);
    ASSERT_EQ(-ESTALE, answer(&b, &hello, START_MS));
    tear_down(&b);
}

TEST(a_stranger_leaves_nothing_behind)
{
    struct bench b;
    struct handshake h;
    struct hello hello;
    struct key other;
    struct errbuf why;

    set_up(&b);
    ASSERT_OK(key_new(&other, &why), why);
    make_hello(&b, &other, START_MS, &h, &hello);
    ASSERT_EQ(-EACCES, answer(&b, &hello, START_MS));
    ASSERT_HAS("this server does not accept this key", b.why.text);
    memcpy(hello.cert.cluster_id, b.ring.keys[0].cluster_id, KEY_CLUSTER_BYTES);
    ASSERT_EQ(-EACCES, answer(&b, &hello, START_MS));
    ASSERT_EQ(0, sessions_count(b.sessions));
    tear_down(&b);
}

TEST(a_session_ends_when_it_is_idle_or_a_day_old)
{
    struct bench b;

    set_up(&b);
    uint64_t number = begin(&b, &b.ring.keys[0], START_MS);
    ASSERT(sessions_find(b.sessions, number, START_MS + SESSION_IDLE_MS));
    ASSERT(!sessions_find(b.sessions, number, START_MS + SESSION_IDLE_MS + 1));
    ASSERT_EQ(0, sessions_count(b.sessions));
    number = begin(&b, &b.ring.keys[0], START_MS);
    for (int64_t ms = START_MS; ms <= START_MS + SESSION_LIFE_MS; ms += SESSION_IDLE_MS) {
        struct session *s = sessions_find(b.sessions, number, ms);
        ASSERT(s);
        s->used_ms = ms;
    }
    ASSERT(!sessions_find(b.sessions, number, START_MS + SESSION_LIFE_MS + 1));
    tear_down(&b);
}

TEST(a_key_that_is_taken_away_ends_its_sessions_and_no_others)
{
    struct bench b;
    struct errbuf why;

    set_up(&b);
    uint64_t old = begin(&b, &b.ring.keys[0], START_MS);
    ASSERT_OK(key_new(&b.ring.keys[b.ring.count++], &why), why);
    set_keys(&b);
    ASSERT_EQ(0, sessions_set_keys(b.sessions, &b.server));
    ASSERT(sessions_find(b.sessions, old, START_MS));
    uint64_t new = begin(&b, &b.ring.keys[1], START_MS);
    b.ring.keys[0] = b.ring.keys[1];
    b.ring.count = 1;
    set_keys(&b);
    ASSERT_EQ(1, sessions_set_keys(b.sessions, &b.server));
    ASSERT(!sessions_find(b.sessions, old, START_MS));
    ASSERT(sessions_find(b.sessions, new, START_MS));
    tear_down(&b);
}

TEST(one_key_does_not_have_all_sessions_and_gives_way_to_itself)
{
    struct bench b;
    struct handshake h;
    struct hello hello;

    set_up(&b);
    b.name = "ben";
    uint64_t other = begin(&b, &b.ring.keys[0], START_MS - 1); /* the longest idle of all */
    b.name = "ann";
    uint64_t first = begin(&b, &b.ring.keys[0], START_MS);
    for (int i = 1; i < SESSIONS_OF_ONE_MAX; i++)
        begin(&b, &b.ring.keys[0], START_MS + 1);
    ASSERT_EQ(SESSIONS_OF_ONE_MAX, sessions_count_of(b.sessions, "ann"));
    make_hello(&b, &b.ring.keys[0], START_MS + SESSION_YIELD_MS, &h, &hello);
    ASSERT_EQ(-EDQUOT, answer(&b, &hello, START_MS + SESSION_YIELD_MS));
    ASSERT_EQ(0, answer(&b, &hello, START_MS + SESSION_YIELD_MS + 1));
    ASSERT(!sessions_find(b.sessions, first, START_MS + SESSION_YIELD_MS + 1));
    ASSERT(sessions_find(b.sessions, other, START_MS + SESSION_YIELD_MS + 1));
    ASSERT_EQ(SESSIONS_OF_ONE_MAX, sessions_count_of(b.sessions, "ann"));
    b.name = "ben";
    begin(&b, &b.ring.keys[0], START_MS + 2);
    tear_down(&b);
}

TEST(a_full_table_lets_the_longest_idle_session_go)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    struct bench b;
    struct handshake h;
    struct hello hello;

    set_up(&b);
    uint64_t first = begin(&b, &b.ring.keys[0], START_MS);
    for (int i = 1; i < SESSIONS_MAX; i++) {
        b.name = names[i % 8];
        begin(&b, &b.ring.keys[0], START_MS + 1);
    }
    ASSERT_EQ(SESSIONS_MAX, sessions_count(b.sessions));
    make_hello(&b, &b.ring.keys[0], START_MS + SESSION_YIELD_MS, &h, &hello);
    ASSERT_EQ(-ERANGE, answer(&b, &hello, START_MS + SESSION_YIELD_MS));
    ASSERT_EQ(0, answer(&b, &hello, START_MS + SESSION_YIELD_MS + 1));
    ASSERT(!sessions_find(b.sessions, first, START_MS + SESSION_YIELD_MS + 1));
    ASSERT_EQ(SESSIONS_MAX, sessions_count(b.sessions));
    tear_down(&b);
}

TEST(a_revoked_name_ends_its_sessions_and_begins_none)
{
    struct bench b;
    struct handshake h;
    struct hello hello;
    struct key ann, new;

    set_up(&b);
    key_issue(&b.ring.keys[0], ROLE_WORKER, "ann", UNIX_MS - 1000, VALID_MS, &ann);
    uint64_t first = begin_with(&b, &ann, START_MS), second = begin_with(&b, &ann, START_MS);
    key_issue(&b.ring.keys[0], ROLE_READ, "ben", UNIX_MS - 1000, VALID_MS, &new);
    uint64_t other = begin_with(&b, &new, START_MS);
    ASSERT_OK(holders_revoke(b.holders, "ann", UNIX_MS - 500, &b.why), b.why);
    ASSERT_EQ(2, sessions_revoke(b.sessions));
    ASSERT(!sessions_find(b.sessions, first, START_MS));
    ASSERT(!sessions_find(b.sessions, second, START_MS));
    ASSERT(sessions_find(b.sessions, other, START_MS));
    hello_with(&b, &ann, START_MS, &h, &hello);
    ASSERT_EQ(-EACCES, answer(&b, &hello, START_MS));
    ASSERT_HAS("the key of ann was revoked at 2026-11-29 23:59:59 UTC", b.why.text);
    /* Whatever its role, and up to that very moment; a later one is a new key. */
    key_issue(&b.ring.keys[0], ROLE_ADMIN, "ann", UNIX_MS - 500, VALID_MS, &new);
    hello_with(&b, &new, START_MS, &h, &hello);
    ASSERT_EQ(-EACCES, answer(&b, &hello, START_MS));
    key_issue(&b.ring.keys[0], ROLE_WORKER, "ann", UNIX_MS - 499, VALID_MS, &new);
    begin_with(&b, &new, START_MS);
    ASSERT_EQ(0, sessions_revoke(b.sessions));
    tear_down(&b);
}

TEST(a_key_holds_from_its_issue_to_its_expiry)
{
    uint8_t frame[WELCOME_FRAME_BYTES];
    struct bench b;
    struct handshake h;
    struct hello hello;
    struct key key;

    set_up(&b);
    key_issue(&b.ring.keys[0], ROLE_READ, "ann", UNIX_MS, 5000, &key);
    hello_with(&b, &key, START_MS, &h, &hello);
    ASSERT_EQ(-EACCES, answer_at(&b, &hello, START_MS, UNIX_MS - 1, frame));
    ASSERT_HAS("set the clocks", b.why.text);
    ASSERT_EQ(-EACCES, answer_at(&b, &hello, START_MS, UNIX_MS + 5000, frame));
    ASSERT_HAS("the key of ann expired at", b.why.text);
    ASSERT_EQ(0, sessions_count(b.sessions));
    /* A session ends with its key. */
    uint64_t number = begin_with(&b, &key, START_MS);
    ASSERT(sessions_find(b.sessions, number, START_MS + 5000));
    ASSERT(!sessions_find(b.sessions, number, START_MS + 5001));
    tear_down(&b);
}

TEST(a_servers_key_makes_no_requests)
{
    struct bench b;
    struct handshake h;
    struct hello hello;

    set_up(&b);
    hello_with(&b, &b.server.keys[0], START_MS, &h, &hello);
    ASSERT_EQ(-EACCES, answer(&b, &hello, START_MS));
    ASSERT_HAS("is a server's, which makes no requests", b.why.text);
    tear_down(&b);
}
