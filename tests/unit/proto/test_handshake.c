/* The handshake, byte for byte as an implementation of PROTOCOL.md in another language does it, and
 * what happens to one that was changed. */
#include "proto/handshake.h"

#include <errno.h>
#include <sodium.h>
#include <sys/stat.h>

#include "common/hash.h"
#include "tests/harness.h"

#define SESSION UINT64_C(0x1122334455667788)
#define PING "{\"type\":\"ping\"}"

static uint8_t random_byte;

static const char *generator_name(void)
{
    return "constant";
}

static uint32_t generator_random(void)
{
    return 0x01010101u * random_byte;
}

static void generator_buf(void *buf, size_t bytes)
{
    memset(buf, random_byte, bytes);
}

static void use_constants(void)
{
    static randombytes_implementation constant = {
        .implementation_name = generator_name, .random = generator_random, .buf = generator_buf};

    ASSERT(sodium_init() >= 0);
    ASSERT_EQ(0, randombytes_set_implementation(&constant));
}

/* The cluster key 00 01 02 ..., and the key of the worker host7. */
static void make_keys(struct key *cluster, struct key *worker)
{
    struct keyring ring;
    struct errbuf why;
    FILE *f = fopen(test_path("k"), "w");

    ASSERT(f);
    ASSERT(fputs("cluster 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n", f) >=
           0);
    ASSERT_EQ(0, fchmod(fileno(f), 0600));
    ASSERT_EQ(0, fclose(f));
    ASSERT_OK(keyring_load(test_path("k"), &ring, &why), why);
    *cluster = ring.keys[0];
    key_derive(cluster, ROLE_WORKER, "host7", worker);
}

struct bench {
    struct key cluster, worker;
    struct handshake client;
    struct hello hello;
    struct seal client_seal, server_seal;
    uint8_t challenge[CHALLENGE_FRAME_BYTES], hello_frame[HELLO_FRAME_BYTES];
    uint8_t welcome[WELCOME_FRAME_BYTES];
};

/* Up to the welcome; the client has not read it. */
static void greet(struct bench *b, unsigned ciphers)
{
    uint8_t challenge[CHALLENGE_BYTES], ask[HELLO_FRAME_BYTES];
    struct errbuf why;

    make_keys(&b->cluster, &b->worker);
    for (size_t i = 0; i < sizeof(challenge); i++)
        challenge[i] = (uint8_t)(100 + i);
    handshake_ask(ask);
    ASSERT_EQ(STEP_ASK, handshake_read(ask, sizeof(ask), &b->hello));
    handshake_challenge(challenge, b->challenge);
    random_byte = 0x11;
    ASSERT_OK(handshake_hello(&b->client, &b->worker, b->challenge, CHALLENGE_FRAME_BYTES,
                              b->hello_frame, &why),
              why);
    ASSERT_EQ(STEP_HELLO, handshake_read(b->hello_frame, HELLO_FRAME_BYTES, &b->hello));
    ASSERT_EQ(ROLE_WORKER, b->hello.role);
    ASSERT_STR("host7", b->hello.name);
    ASSERT_MEM(challenge, b->hello.challenge, CHALLENGE_BYTES);
    ASSERT(handshake_proves(&b->hello, &b->cluster));
    random_byte = 0x22;
    ASSERT_EQ(0, handshake_welcome(&b->hello, &b->cluster, SESSION, ciphers, &b->server_seal,
                                   b->welcome));
}

static int finish_with(struct bench *b, const uint8_t *welcome)
{
    struct errbuf why;

    return handshake_finish(&b->client, welcome, WELCOME_FRAME_BYTES, &b->client_seal, &why);
}

static void assert_hash(const char *want, const void *data, size_t bytes)
{
    char got[SHA256_HEX];

    sha256_hex_of(data, bytes, got);
    ASSERT_STR(want, got);
}

static void assert_sealed(const char *want, struct seal *s)
{
    uint8_t frame[sizeof(PING) - 1 + SEAL_BYTES];

    memcpy(frame + SEAL_HEAD_BYTES, PING, sizeof(PING) - 1);
    seal_message(s, 1, frame, sizeof(PING) - 1);
    assert_hash(want, frame, sizeof(frame));
}

TEST(a_session_with_xchacha_is_that_of_the_protocol)
{
    struct bench b;

    use_constants();
    greet(&b, CIPHER_BIT(CIPHER_XCHACHA));
    ASSERT_EQ(0, finish_with(&b, b.welcome));
    assert_hash("aa7f373e6e6cc1e909815b1090ceab17691a4210cd15db2ff8831d2679306e86", b.welcome,
                WELCOME_FRAME_BYTES);
    assert_sealed("c4dc02dd3af8d9812d7205dbce8d65b98f8d5ed88dd2ed466d5ec6e0018f5c78",
                  &b.client_seal);
    assert_sealed("57d3ad507c0043c974d5a18556c58d2ef1a4152a3bc68cf12d9ab14cca2753ca",
                  &b.server_seal);
}

TEST(a_session_with_aes_is_that_of_the_protocol)
{
    struct bench b;

    use_constants();
    if (!(seal_ciphers() & CIPHER_BIT(CIPHER_AES_GCM)))
        SKIP("this processor has no AES instructions");
    greet(&b, seal_ciphers());
    ASSERT_EQ(0, finish_with(&b, b.welcome));
    assert_hash("8fee12277bb69a520c7f4a4610e26ac2b68f17cce8148c829dd1d1fbb1c28d0b", b.hello_frame,
                HELLO_FRAME_BYTES);
    assert_hash("f87eb8c17ba0aca1788aeebd4aa6e8ec74020718c38d4c38f9252f0223db2e5f", b.welcome,
                WELCOME_FRAME_BYTES);
    assert_sealed("49b41558c09dc5afcf766569098d0d9a1e46d6172cc4f2201b0663b5507703a1",
                  &b.client_seal);
    assert_sealed("8fc85a6e06453b781b40f637a0cb86bda3ce0efb8ac1a6d4947c4d5d171725a1",
                  &b.server_seal);
}

TEST(a_hello_that_was_changed_proves_nothing)
{
    struct bench b;
    struct hello hello;

    greet(&b, 1);
    for (size_t i = 0; i < HELLO_FRAME_BYTES; i++) {
        b.hello_frame[i] ^= 0x40;
        if (handshake_read(b.hello_frame, HELLO_FRAME_BYTES, &hello) == STEP_HELLO &&
            handshake_proves(&hello, &b.cluster))
            FAIL("byte %zu was changed", i);
        b.hello_frame[i] ^= 0x40;
    }
    for (size_t bytes = 0; bytes < HELLO_FRAME_BYTES; bytes++)
        ASSERT_EQ(-EINVAL, handshake_read(b.hello_frame, bytes, &hello));
}

TEST(a_welcome_that_was_changed_begins_nothing)
{
    struct bench b;

    greet(&b, 1);
    b.client_seal.session = 0;
    for (size_t i = 0; i < WELCOME_FRAME_BYTES; i++) {
        b.welcome[i] ^= 0x40;
        if (finish_with(&b, b.welcome) != -EBADMSG)
            FAIL("byte %zu was changed", i);
        b.welcome[i] ^= 0x40;
    }
    ASSERT_EQ(0, b.client_seal.session);
    ASSERT_EQ(0, finish_with(&b, b.welcome));
    ASSERT_EQ(SESSION, b.client_seal.session);
}

TEST(another_key_proves_nothing_and_welcomes_nobody)
{
    struct bench b;
    struct key other;
    struct errbuf why;

    greet(&b, 1);
    ASSERT_OK(key_new(&other, &why), why);
    ASSERT(!handshake_proves(&b.hello, &other));
    ASSERT_EQ(0, handshake_welcome(&b.hello, &other, SESSION, 1, &b.server_seal, b.welcome));
    ASSERT_EQ(-EBADMSG, finish_with(&b, b.welcome));
}

TEST(a_role_or_name_that_the_key_is_not_for_proves_nothing)
{
    struct bench b;
    struct key liar;
    uint8_t frame[HELLO_FRAME_BYTES];
    struct hello hello;
    struct errbuf why;

    greet(&b, 1);
    for (int i = 0; i < 2; i++) {
        liar = b.worker;
        if (i == 0)
            liar.role = ROLE_ADMIN;
        else
            strcpy(liar.name, "host8");
        ASSERT_OK(
            handshake_hello(&b.client, &liar, b.challenge, CHALLENGE_FRAME_BYTES, frame, &why),
            why);
        ASSERT_EQ(STEP_HELLO, handshake_read(frame, sizeof(frame), &hello));
        ASSERT(!handshake_proves(&hello, &b.cluster));
    }
}

/* Both sides know the long-lived key; the sessions' keys differ all the same. */
TEST(every_session_has_keys_of_its_own)
{
    struct bench a, b;

    greet(&a, 1);
    greet(&b, 1);
    ASSERT_EQ(0, finish_with(&a, a.welcome));
    ASSERT_EQ(0, finish_with(&b, b.welcome));
    ASSERT(memcmp(a.client_seal.send_key, b.client_seal.send_key, SEAL_KEY_BYTES) != 0);
    ASSERT(memcmp(a.client_seal.send_key, a.client_seal.receive_key, SEAL_KEY_BYTES) != 0);
    ASSERT_MEM(a.client_seal.send_key, a.server_seal.receive_key, SEAL_KEY_BYTES);
    ASSERT_MEM(a.client_seal.receive_key, a.server_seal.send_key, SEAL_KEY_BYTES);
    ASSERT_EQ(-EBADMSG, finish_with(&a, b.welcome));
}

/* A point of small order makes the shared secret 0 whatever the other side has. */
TEST(a_point_without_a_secret_is_refused)
{
    struct bench b;

    greet(&b, 1);
    memset(b.hello.point, 0, POINT_BYTES);
    ASSERT_EQ(-EBADMSG,
              handshake_welcome(&b.hello, &b.cluster, SESSION, 1, &b.server_seal, b.welcome));
}

TEST(no_answer_is_longer_than_its_request)
{
    ASSERT(CHALLENGE_FRAME_BYTES <= HELLO_FRAME_BYTES);
    ASSERT(WELCOME_FRAME_BYTES <= HELLO_FRAME_BYTES);
}
