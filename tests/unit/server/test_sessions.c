#include "server/net/sessions.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/harness.h"

#define START_MS 1000000

struct bench {
    struct sessions *sessions;
    struct keyring ring;
};

static void set_up(struct bench *b)
{
    struct errbuf why;

    b->ring = (struct keyring){.count = 1};
    ASSERT_OK(key_new(&b->ring.keys[0], &why), why);
    b->sessions = sessions_open(&b->ring);
}

/* A hello to a challenge of then_ms. */
static void make_hello(struct bench *b, const struct key *cluster, int64_t then_ms,
                       struct handshake *h, struct hello *ret)
{
    uint8_t challenge[CHALLENGE_BYTES], frame[HELLO_FRAME_BYTES];
    struct errbuf why;
    struct key key;

    key_derive(cluster, ROLE_READ, "ann", &key);
    sessions_challenge(b->sessions, then_ms, challenge);
    handshake_challenge(challenge, frame);
    ASSERT_OK(handshake_hello(h, &key, frame, CHALLENGE_FRAME_BYTES, frame, &why), why);
    ASSERT_EQ(STEP_HELLO, handshake_read(frame, HELLO_FRAME_BYTES, ret));
}

/* Makes a session; returns its number. */
static uint64_t begin(struct bench *b, const struct key *cluster, int64_t now_ms)
{
    uint8_t frame[WELCOME_FRAME_BYTES];
    struct handshake h;
    struct hello hello;
    struct seal seal;
    struct errbuf why;

    make_hello(b, cluster, now_ms, &h, &hello);
    ASSERT_EQ(0, sessions_hello(b->sessions, &hello, now_ms, frame));
    ASSERT_OK(handshake_finish(&h, frame, WELCOME_FRAME_BYTES, &seal, &why), why);
    return seal.session;
}

TEST(who_proves_a_key_gets_a_session_of_its_role_and_name)
{
    struct bench b;

    set_up(&b);
    uint64_t number = begin(&b, &b.ring.keys[0], START_MS);
    const struct session *s = sessions_find(b.sessions, number, START_MS);
    ASSERT(s);
    ASSERT_EQ(ROLE_READ, s->role);
    ASSERT_STR("ann", s->name);
    ASSERT_EQ(1, sessions_count(b.sessions));
    ASSERT(!sessions_find(b.sessions, number ^ ((uint64_t)1 << 40), START_MS));
    ASSERT(!sessions_find(b.sessions, 0, START_MS));
    sessions_close(b.sessions);
}

TEST(a_hello_counts_once_and_soon)
{
    uint8_t frame[WELCOME_FRAME_BYTES];
    struct bench b;
    struct handshake h;
    struct hello hello;

    set_up(&b);
    make_hello(&b, &b.ring.keys[0], START_MS, &h, &hello);
    ASSERT_EQ(-ESTALE, sessions_hello(b.sessions, &hello, START_MS + CHALLENGE_MS + 1, frame));
    ASSERT_EQ(-ESTALE, sessions_hello(b.sessions, &hello, START_MS - 1, frame));
    ASSERT_EQ(0, sessions_hello(b.sessions, &hello, START_MS + CHALLENGE_MS, frame));
    ASSERT_EQ(-ESTALE, sessions_hello(b.sessions, &hello, START_MS + CHALLENGE_MS, frame));
    ASSERT_EQ(1, sessions_count(b.sessions));
    sessions_close(b.sessions);
}

TEST(a_challenge_of_an_earlier_server_is_none)
{
    uint8_t frame[WELCOME_FRAME_BYTES];
    struct bench b;
    struct handshake h;
    struct hello hello;

    set_up(&b);
    make_hello(&b, &b.ring.keys[0], START_MS, &h, &hello);
    sessions_close(b.sessions);
    b.sessions = sessions_open(&b.ring);
    ASSERT_EQ(-ESTALE, sessions_hello(b.sessions, &hello, START_MS, frame));
    sessions_close(b.sessions);
}

TEST(a_stranger_leaves_nothing_behind)
{
    uint8_t frame[WELCOME_FRAME_BYTES];
    struct bench b;
    struct handshake h;
    struct hello hello;
    struct key other;
    struct errbuf why;

    set_up(&b);
    ASSERT_OK(key_new(&other, &why), why);
    make_hello(&b, &other, START_MS, &h, &hello);
    ASSERT_EQ(-EACCES, sessions_hello(b.sessions, &hello, START_MS, frame));
    memcpy(hello.cluster_id, b.ring.keys[0].cluster_id, KEY_CLUSTER_BYTES);
    ASSERT_EQ(-EACCES, sessions_hello(b.sessions, &hello, START_MS, frame));
    ASSERT_EQ(0, sessions_count(b.sessions));
    sessions_close(b.sessions);
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
    sessions_close(b.sessions);
}

TEST(a_key_that_is_taken_away_ends_its_sessions_and_no_others)
{
    struct bench b;
    struct keyring both;
    struct errbuf why;

    set_up(&b);
    uint64_t old = begin(&b, &b.ring.keys[0], START_MS);
    both = b.ring;
    ASSERT_OK(key_new(&both.keys[both.count++], &why), why);
    ASSERT_EQ(0, sessions_set_keys(b.sessions, &both));
    ASSERT(sessions_find(b.sessions, old, START_MS));
    uint64_t new = begin(&b, &both.keys[1], START_MS);
    both.keys[0] = both.keys[1];
    both.count = 1;
    ASSERT_EQ(1, sessions_set_keys(b.sessions, &both));
    ASSERT(!sessions_find(b.sessions, old, START_MS));
    ASSERT(sessions_find(b.sessions, new, START_MS));
    sessions_close(b.sessions);
}

TEST(a_full_table_lets_the_longest_idle_session_go)
{
    uint8_t frame[WELCOME_FRAME_BYTES];
    struct bench b;
    struct handshake h;
    struct hello hello;

    set_up(&b);
    uint64_t first = begin(&b, &b.ring.keys[0], START_MS);
    for (int i = 1; i < SESSIONS_MAX; i++)
        begin(&b, &b.ring.keys[0], START_MS + 1);
    ASSERT_EQ(SESSIONS_MAX, sessions_count(b.sessions));
    make_hello(&b, &b.ring.keys[0], START_MS + SESSION_YIELD_MS, &h, &hello);
    ASSERT_EQ(-ERANGE, sessions_hello(b.sessions, &hello, START_MS + SESSION_YIELD_MS, frame));
    ASSERT_EQ(0, sessions_hello(b.sessions, &hello, START_MS + SESSION_YIELD_MS + 1, frame));
    ASSERT(!sessions_find(b.sessions, first, START_MS + SESSION_YIELD_MS + 1));
    ASSERT_EQ(SESSIONS_MAX, sessions_count(b.sessions));
    sessions_close(b.sessions);
}
