/* The handshake, byte for byte as an implementation of PROTOCOL.md in another language does it, and
 * what happens to one that was changed. */
#include "proto/handshake.h"

#include <errno.h>
#include <sodium.h>
#include <sys/stat.h>

#include "common/hash.h"
#include "tests/harness.h"

#define SESSION UINT64_C(0x1122334455667788)
#define NOW_MS INT64_C(1795996800000)
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

/* The cluster key 00 01 02 ..., the key of the worker host7 and the server's. */
static void make_keys(struct key *cluster, struct key *worker, struct key *server)
{
    struct keyring ring;
    struct errbuf why;
    FILE *f = fopen(test_path("k"), "w");

    ASSERT(f);
    ASSERT(fputs("cluster-ed25519 "
                 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n",
                 f) >= 0);
    ASSERT_EQ(0, fchmod(fileno(f), 0600));
    ASSERT_EQ(0, fclose(f));
    ASSERT_OK(keyring_load(test_path("k"), &ring, &why), why);
    *cluster = ring.keys[0];
    random_byte = 0x33;
    key_issue(cluster, ROLE_WORKER, "host7", NOW_MS, 1000, worker);
    random_byte = 0x44;
    key_issue(cluster, ROLE_SERVER, "main", NOW_MS, 1000, server);
}

struct bench {
    struct key cluster, worker, server;
    struct handshake client;
    struct hello hello;
    struct seal client_seal, server_seal;
    struct errbuf why;
    uint8_t challenge[CHALLENGE_FRAME_BYTES], hello_frame[HELLO_FRAME_BYTES];
    uint8_t welcome[WELCOME_FRAME_BYTES];
};

/* Up to the welcome; the client has not read it. */
static void greet(struct bench *b, unsigned ciphers)
{
    uint8_t challenge[CHALLENGE_BYTES], ask[HELLO_FRAME_BYTES];
    struct errbuf why;

    make_keys(&b->cluster, &b->worker, &b->server);
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
    ASSERT_EQ(ROLE_WORKER, b->hello.cert.role);
    ASSERT_STR("host7", b->hello.cert.name);
    ASSERT_MEM(challenge, b->hello.challenge, CHALLENGE_BYTES);
    ASSERT(handshake_proves(&b->hello, b->cluster.trusted));
    random_byte = 0x22;
    ASSERT_EQ(
        0, handshake_welcome(&b->hello, &b->server, SESSION, ciphers, &b->server_seal, b->welcome));
}

static int finish_with(struct bench *b, const uint8_t *welcome)
{
    return handshake_finish(&b->client, welcome, WELCOME_FRAME_BYTES, NOW_MS, &b->client_seal,
                            &b->why);
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
    assert_hash("ce4f8ed84dde41cacfc8619e19d88cc39ff19c72a2081150401edb3c1e832c98", b.welcome,
                WELCOME_FRAME_BYTES);
    assert_sealed("0d94bf42a661b1453aadbd2c44a60ec93d2ed8f4bfee75790a9c39b8d41d949c",
                  &b.client_seal);
    assert_sealed("480a02acc24b7ea0f0c127b323e84ae680196030a7c226259f88da4448395ee9",
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
    assert_hash("f73b5fadbfd0d0f9d607685bfc019c78ae367b491bebe19f1458ca8b7ccdb558", b.hello_frame,
                HELLO_FRAME_BYTES);
    assert_hash("40fef5c629370be0dbb73af033c8a4837a0c9048240e90cfce85433367c9c819", b.welcome,
                WELCOME_FRAME_BYTES);
    assert_sealed("f10506596621f3bef56011e4a4cec4bd15f50b45c02026fa5ba4c8b5c8a66603",
                  &b.client_seal);
    assert_sealed("016a6691b91e7d614d5968aab06a2f8efd7959c3613320e77165af1b1d9840d1",
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
            handshake_proves(&hello, b.cluster.trusted))
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

/* Welcomes with this key; what the client says of it. */
static int welcome_with(struct bench *b, const struct key *key)
{
    ASSERT_EQ(0, handshake_welcome(&b->hello, key, SESSION, 1, &b->server_seal, b->welcome));
    return finish_with(b, b->welcome);
}

TEST(another_cluster_proves_nothing_and_welcomes_nobody)
{
    struct bench b;
    struct key other, server;
    struct errbuf why;

    greet(&b, 1);
    ASSERT_OK(key_new(&other, &why), why);
    ASSERT(!handshake_proves(&b.hello, other.trusted));
    key_issue(&other, ROLE_SERVER, "main", NOW_MS, 1000, &server);
    ASSERT_EQ(-EBADMSG, welcome_with(&b, &server));
    ASSERT_HAS("does not come from a server of this key's cluster", b.why.text);
}

/* Whoever holds a key that is no server's plays the server to nobody: not with the very key of the
 * client, and not with an administrator's. */
TEST(only_a_server_welcomes)
{
    static const enum role roles[] = {ROLE_ADMIN, ROLE_SUBMIT, ROLE_READ, ROLE_WORKER};
    struct bench b;
    struct key key;

    greet(&b, 1);
    ASSERT_EQ(-EBADMSG, welcome_with(&b, &b.worker));
    ASSERT_STR("the answer comes from the holder of the worker key of host7, who is no server",
               b.why.text);
    for (int i = 0; i < 4; i++) {
        key_issue(&b.cluster, roles[i], "eve", NOW_MS, 1000, &key);
        ASSERT_EQ(-EBADMSG, welcome_with(&b, &key));
        ASSERT_HAS("who is no server", b.why.text);
    }
    ASSERT_EQ(0, welcome_with(&b, &b.server));
    /* Nor with the server's certificate and a key of its own. */
    key = b.worker;
    key.cert = b.server.cert;
    ASSERT_EQ(-EBADMSG, welcome_with(&b, &key));
    ASSERT_HAS("not signed by the server that it names", b.why.text);
    key_issue(&b.cluster, ROLE_SERVER, "main", NOW_MS - 1000, 1000, &key);
    ASSERT_EQ(-EBADMSG, welcome_with(&b, &key));
    ASSERT_HAS("the key of main expired", b.why.text);
}

/* Eve puts her certificate and signature on the client's point: the server takes her for the
 * client, but the client does not take the welcome. */
TEST(nobody_takes_over_the_hello_of_another)
{
    struct bench b;
    struct handshake eve;
    struct key key;
    uint8_t frame[HELLO_FRAME_BYTES];
    struct hello hello;
    struct errbuf why;

    use_constants();
    greet(&b, 1);
    key_issue(&b.cluster, ROLE_WORKER, "eve", NOW_MS, 1000, &key);
    random_byte = 0x11; /* the same secret, so the same point */
    ASSERT_OK(handshake_hello(&eve, &key, b.challenge, CHALLENGE_FRAME_BYTES, frame, &why), why);
    ASSERT_EQ(STEP_HELLO, handshake_read(frame, sizeof(frame), &hello));
    ASSERT(handshake_proves(&hello, b.cluster.trusted));
    ASSERT_MEM(b.hello.point, hello.point, POINT_BYTES);
    ASSERT_EQ(0, handshake_welcome(&hello, &b.server, SESSION, 1, &b.server_seal, b.welcome));
    ASSERT_EQ(-EBADMSG, finish_with(&b, b.welcome));
}

TEST(a_role_or_name_that_was_not_signed_proves_nothing)
{
    struct bench b;
    struct key liar, other;
    uint8_t frame[HELLO_FRAME_BYTES];
    struct hello hello;
    struct errbuf why;

    greet(&b, 1);
    ASSERT_OK(key_new(&other, &why), why);
    for (int i = 0; i < 2; i++) {
        liar = b.worker;
        /* signed by itself, and by another cluster that claims the name of this one */
        cert_make(i == 0 ? liar.seed : other.seed, ROLE_ADMIN, "host7", liar.cert.key, NOW_MS, 1000,
                  &liar.cert);
        ASSERT_OK(
            handshake_hello(&b.client, &liar, b.challenge, CHALLENGE_FRAME_BYTES, frame, &why),
            why);
        ASSERT_EQ(STEP_HELLO, handshake_read(frame, sizeof(frame), &hello));
        ASSERT(!handshake_proves(&hello, b.cluster.trusted));
    }
}

TEST(a_hello_of_an_earlier_version_is_told_apart)
{
    uint8_t frame[SEAL_HEAD_BYTES + OLD_HELLO_BYTES] = {0};
    struct hello hello;

    for (uint64_t step = STEP_ASK; step <= STEP_HELLO; step++) {
        seal_header(frame, FRAME_HELLO, 0, step, 0, OLD_HELLO_BYTES);
        ASSERT_EQ(-EINVAL, handshake_read(frame, sizeof(frame), &hello));
        ASSERT(handshake_is_old(frame, sizeof(frame)));
        ASSERT(!handshake_is_old(frame, sizeof(frame) - 1));
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
              handshake_welcome(&b.hello, &b.server, SESSION, 1, &b.server_seal, b.welcome));
}

TEST(no_answer_is_longer_than_its_request)
{
    ASSERT(CHALLENGE_FRAME_BYTES <= HELLO_FRAME_BYTES);
    ASSERT(WELCOME_FRAME_BYTES <= HELLO_FRAME_BYTES);
}
