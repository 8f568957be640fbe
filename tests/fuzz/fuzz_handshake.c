/* The unsealed part of a session, both sides: an ask or a hello for the server, a challenge and a
 * welcome for the client. Nobody gets a session without the key; a hello that the target makes of
 * the input with the key passes. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "server/net/sessions.h"
#include "tests/fuzz/fuzz.h"

#define NOW_MS INT64_C(1795996800000)

static struct keyring ring; /* a cluster key, and what the server answers with */
static struct key cluster, worker;
static struct holders *holders;
static struct sessions *sessions; /* kept until its one holder has half of what it may */

static void close_sessions(void)
{
    sessions_close(sessions);
    holders_close(holders);
}

static void open_keys(void)
{
    FUZZ_ASSERT(sodium_init() >= 0);
    atexit(close_sessions);
    FUZZ_ASSERT(key_new(&cluster, NULL) == 0);
    key_issue(&cluster, ROLE_WORKER, "w", NOW_MS, 1000, &worker);
    struct keyring file = {.keys = {cluster}, .count = 1};
    keyring_server_keys(&file, NOW_MS, &ring);
    holders = holders_open();
}

/* As a stranger's frame. */
static void at_server(const uint8_t *data, size_t bytes)
{
    int count = sessions_count(sessions);
    uint8_t frame[HELLO_FRAME_BYTES];
    struct hello hello;

    if (handshake_read(data, bytes, &hello) == STEP_HELLO)
        FUZZ_ASSERT(sessions_hello(sessions, &hello, 5, NOW_MS, frame, NULL) < 0);
    FUZZ_ASSERT(sessions_count(sessions) == count);
}

static void at_client(const uint8_t *data, size_t bytes)
{
    uint8_t frame[HELLO_FRAME_BYTES], challenge[CHALLENGE_FRAME_BYTES];
    const uint8_t fresh[CHALLENGE_BYTES] = {1};
    struct errbuf why = {""};
    struct handshake h;
    struct seal seal;

    if (handshake_hello(&h, &worker, data, bytes, frame, &why) == 0)
        handshake_done(&h);
    handshake_challenge(fresh, challenge);
    FUZZ_ASSERT(handshake_hello(&h, &worker, challenge, sizeof(challenge), frame, &why) == 0);
    FUZZ_ASSERT(handshake_finish(&h, data, bytes, NOW_MS, &seal, &why) < 0 && why.text[0]);
    handshake_done(&h);
}

/* Lays the input over a frame, from a place that it begins with. Is the frame as it was? */
static bool lay_over(uint8_t *frame, size_t frame_bytes, const uint8_t *data, size_t bytes)
{
    size_t at = data[0] | (bytes > 1 ? data[1] : 0) << 8;
    bool same = true;

    for (size_t i = 2; i < bytes && at + i < frame_bytes + 2; i++) {
        frame[at + i - 2] ^= data[i];
        same = same && !data[i];
    }
    return same;
}

/* Whatever a holder of a key signs, it gets a session at most of its own certificate: the changed
 * hello is signed once more. */
static void signed_again(const uint8_t *data, size_t bytes)
{
    enum { SIGNED = CHALLENGE_BYTES + 8 + POINT_BYTES + CERT_BYTES };
    uint8_t challenge[CHALLENGE_BYTES], frame[CHALLENGE_FRAME_BYTES],
        hello_frame[HELLO_FRAME_BYTES], welcome[WELCOME_FRAME_BYTES];
    uint8_t *p = hello_frame + SEAL_HEAD_BYTES;
    struct errbuf why;
    struct handshake h;
    struct hello hello;

    sessions_challenge(sessions, 5, challenge);
    handshake_challenge(challenge, frame);
    FUZZ_ASSERT(handshake_hello(&h, &worker, frame, sizeof(frame), hello_frame, &why) == 0);
    lay_over(p, HELLO_BYTES, data, bytes);
    pair_sign(worker.seed, "steppe hello 2", p, SIGNED, NULL, 0, p + SIGNED);
    if (handshake_read(hello_frame, sizeof(hello_frame), &hello) == STEP_HELLO &&
        sessions_hello(sessions, &hello, 6, NOW_MS, welcome, NULL) == 0)
        FUZZ_ASSERT(memcmp(hello.cert.bytes, worker.cert.bytes, CERT_BYTES) == 0);
    handshake_done(&h);
}

/* A certificate that was changed was not signed; a true welcome that was changed welcomes nobody.
 */
static void changed_answer(const uint8_t *data, size_t bytes)
{
    uint8_t challenge[CHALLENGE_FRAME_BYTES], hello_frame[HELLO_FRAME_BYTES],
        welcome[WELCOME_FRAME_BYTES], cert[CERT_BYTES];
    const uint8_t fresh[CHALLENGE_BYTES] = {1};
    struct errbuf why;
    struct handshake h;
    struct hello hello;
    struct seal client, server;
    struct cert read;

    memcpy(cert, worker.cert.bytes, sizeof(cert));
    bool same = lay_over(cert, sizeof(cert), data, bytes);
    FUZZ_ASSERT(same == (cert_read(cert, &read) && cert_proven(&read, cluster.trusted)));
    handshake_challenge(fresh, challenge);
    FUZZ_ASSERT(handshake_hello(&h, &worker, challenge, sizeof(challenge), hello_frame, &why) == 0);
    FUZZ_ASSERT(handshake_read(hello_frame, sizeof(hello_frame), &hello) == STEP_HELLO);
    FUZZ_ASSERT(handshake_welcome(&hello, &ring.keys[0], 7, 1, &server, welcome) == 0);
    same = lay_over(welcome, sizeof(welcome), data, bytes);
    int rc = handshake_finish(&h, welcome, sizeof(welcome), NOW_MS, &client, &why);
    FUZZ_ASSERT(same == (rc == 0));
    handshake_done(&h);
}

/* A true hello, changed at one place by the input, is no true one. */
static void changed(const uint8_t *data, size_t bytes)
{
    uint8_t challenge[CHALLENGE_BYTES], frame[CHALLENGE_FRAME_BYTES],
        hello_frame[HELLO_FRAME_BYTES], welcome[WELCOME_FRAME_BYTES];
    struct errbuf why;
    struct handshake h;
    struct hello hello;

    sessions_challenge(sessions, 5, challenge);
    handshake_challenge(challenge, frame);
    FUZZ_ASSERT(handshake_hello(&h, &worker, frame, sizeof(frame), hello_frame, &why) == 0);
    bool same = lay_over(hello_frame, sizeof(hello_frame), data, bytes);
    int step = handshake_read(hello_frame, sizeof(hello_frame), &hello);
    int rc = step == STEP_HELLO ? sessions_hello(sessions, &hello, 6, NOW_MS, welcome, NULL) : -1;
    FUZZ_ASSERT(same == (rc == 0));
    handshake_done(&h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (!ring.count)
        open_keys();
    if (!sessions || sessions_count(sessions) > SESSIONS_OF_ONE_MAX / 2) {
        sessions_close(sessions);
        sessions = sessions_open(&ring, holders);
    }
    at_server(data, bytes);
    at_client(data, bytes);
    if (bytes > 0)
        changed(data, bytes);
    if (bytes > 0)
        signed_again(data, bytes);
    if (bytes > 0)
        changed_answer(data, bytes);
    return 0;
}
