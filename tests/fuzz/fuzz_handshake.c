/* The unsealed part of a session, both sides: an ask or a hello for the server, a challenge and a
 * welcome for the client. Nobody gets a session without the key; a hello that the target makes of
 * the input with the key passes. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "server/net/sessions.h"
#include "tests/fuzz/fuzz.h"

static struct keyring ring;
static struct key worker;
static struct sessions *sessions; /* a table of a megabyte: kept until it is half full */

static void close_sessions(void)
{
    sessions_close(sessions);
}

static void open_keys(void)
{
    FUZZ_ASSERT(sodium_init() >= 0);
    atexit(close_sessions);
    ring.keys[0] = (struct key){.cluster = true};
    ring.count = 1;
    key_derive(&ring.keys[0], ROLE_WORKER, "w", &worker);
}

/* As a stranger's frame. */
static void at_server(const uint8_t *data, size_t bytes)
{
    int count = sessions_count(sessions);
    uint8_t frame[HELLO_FRAME_BYTES];
    struct hello hello;

    if (handshake_read(data, bytes, &hello) == STEP_HELLO)
        FUZZ_ASSERT(sessions_hello(sessions, &hello, 5, frame) < 0);
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
    FUZZ_ASSERT(handshake_finish(&h, data, bytes, &seal, &why) < 0 && why.text[0]);
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
    bool same = true;

    sessions_challenge(sessions, 5, challenge);
    handshake_challenge(challenge, frame);
    FUZZ_ASSERT(handshake_hello(&h, &worker, frame, sizeof(frame), hello_frame, &why) == 0);
    for (size_t i = 2; i < bytes && data[0] + i < sizeof(hello_frame) + 2; i++) {
        hello_frame[data[0] + i - 2] ^= data[i];
        same = same && !data[i];
    }
    int step = handshake_read(hello_frame, sizeof(hello_frame), &hello);
    int rc = step == STEP_HELLO ? sessions_hello(sessions, &hello, 6, welcome) : -1;
    FUZZ_ASSERT(same == (rc == 0));
    handshake_done(&h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (!ring.count)
        open_keys();
    if (!sessions || sessions_count(sessions) > SESSIONS_MAX / 2) {
        sessions_close(sessions);
        sessions = sessions_open(&ring);
    }
    at_server(data, bytes);
    at_client(data, bytes);
    if (bytes > 0)
        changed(data, bytes);
    return 0;
}
