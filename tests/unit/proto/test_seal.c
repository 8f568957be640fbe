#define _GNU_SOURCE
#include "proto/seal.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

#include "tests/harness.h"

#define MESSAGE "{\"type\":\"ping\"}"
#define MESSAGE_BYTES (sizeof(MESSAGE) - 1)
#define FRAME_BYTES (MESSAGE_BYTES + SEAL_BYTES)

/* Both sides of a session with keys of their own. */
static void make_pair(enum cipher cipher, struct seal *client, struct seal *server)
{
    ASSERT(sodium_init() >= 0);
    if (!(seal_ciphers() & CIPHER_BIT(cipher)))
        SKIP("this processor has no AES instructions");
    *client = (struct seal){.session = 5, .cipher = cipher};
    *server = (struct seal){.session = 5, .cipher = cipher, .server = true};
    memset(client->send_key, 1, SEAL_KEY_BYTES);
    memset(server->receive_key, 1, SEAL_KEY_BYTES);
    memset(client->receive_key, 2, SEAL_KEY_BYTES);
    memset(server->send_key, 2, SEAL_KEY_BYTES);
}

static void seal_text(struct seal *s, uint64_t sequence, uint8_t frame[FRAME_BYTES])
{
    memcpy(frame + SEAL_HEAD_BYTES, MESSAGE, MESSAGE_BYTES);
    seal_message(s, sequence, frame, MESSAGE_BYTES);
}

/* Opens a copy. */
static int open_copy(struct seal *s, const uint8_t *frame, size_t bytes)
{
    uint8_t *copy = malloc(bytes); /* its end is guarded by a sanitizer */
    uint64_t sequence = 0;
    struct errbuf why;

    ASSERT(copy);
    memcpy(copy, frame, bytes);
    int rc = seal_open(s, copy, bytes, &sequence, &why);
    if (rc == 0)
        ASSERT_MEM(MESSAGE, copy + SEAL_HEAD_BYTES, MESSAGE_BYTES);
    free(copy);
    return rc;
}

static void talk(enum cipher cipher)
{
    uint8_t frame[FRAME_BYTES];
    struct seal client, server;
    uint64_t sequence;
    struct errbuf why;

    make_pair(cipher, &client, &server);
    for (uint64_t i = 1; i <= 3; i++) {
        seal_text(&client, 0, frame);
        ASSERT_EQ(FRAME_SEALED, seal_flags(frame, sizeof(frame)));
        ASSERT_EQ(5, seal_session(frame));
        ASSERT(!memmem(frame, sizeof(frame), "ping", 4));
        ASSERT_OK(seal_open(&server, frame, sizeof(frame), &sequence, &why), why);
        ASSERT_EQ(i, sequence);
        ASSERT_MEM(MESSAGE, frame + SEAL_HEAD_BYTES, MESSAGE_BYTES);
        seal_text(&server, sequence, frame);
        ASSERT_EQ(FRAME_SEALED | FRAME_REPLY, seal_flags(frame, sizeof(frame)));
        ASSERT_OK(seal_open(&client, frame, sizeof(frame), &sequence, &why), why);
        ASSERT_EQ(i, sequence);
    }
}

TEST(messages_go_both_ways_with_xchacha)
{
    talk(CIPHER_XCHACHA);
}

TEST(messages_go_both_ways_with_aes)
{
    talk(CIPHER_AES_GCM);
}

/* Whatever is changed, it is not opened, and the next message still is. */
static void tamper(enum cipher cipher)
{
    uint8_t frame[FRAME_BYTES];
    struct seal client, server;

    make_pair(cipher, &client, &server);
    seal_text(&client, 0, frame);
    for (size_t i = 0; i < sizeof(frame); i++) {
        for (int bit = 0; bit < 8; bit++) {
            frame[i] ^= (uint8_t)(1 << bit);
            if (open_copy(&server, frame, sizeof(frame)) == 0)
                FAIL("bit %d of byte %zu was changed and it was opened", bit, i);
            frame[i] ^= (uint8_t)(1 << bit);
        }
    }
    for (size_t bytes = 0; bytes < sizeof(frame); bytes++)
        ASSERT(open_copy(&server, frame, bytes) < 0);
    ASSERT_EQ(0, server.received);
    ASSERT_EQ(0, open_copy(&server, frame, sizeof(frame)));
}

TEST(every_bit_counts_with_xchacha)
{
    tamper(CIPHER_XCHACHA);
}

TEST(every_bit_counts_with_aes)
{
    tamper(CIPHER_AES_GCM);
}

TEST(a_message_is_taken_once_and_in_order)
{
    uint8_t frames[3][FRAME_BYTES], reply[FRAME_BYTES];
    struct seal client, server;

    make_pair(CIPHER_XCHACHA, &client, &server);
    for (int i = 0; i < 3; i++)
        seal_text(&client, 0, frames[i]);
    ASSERT_EQ(0, open_copy(&server, frames[0], FRAME_BYTES));
    ASSERT_EQ(-EALREADY, open_copy(&server, frames[0], FRAME_BYTES));
    ASSERT_EQ(0, open_copy(&server, frames[2], FRAME_BYTES)); /* one may be lost */
    ASSERT_EQ(-EALREADY, open_copy(&server, frames[1], FRAME_BYTES));
    ASSERT_EQ(-EALREADY, open_copy(&server, frames[2], FRAME_BYTES));
    seal_text(&server, 3, reply);
    ASSERT_EQ(0, open_copy(&client, reply, FRAME_BYTES));
    ASSERT_EQ(-EALREADY, open_copy(&client, reply, FRAME_BYTES));
}

TEST(what_was_said_elsewhere_is_not_opened_here)
{
    uint8_t frame[FRAME_BYTES];
    struct seal client, server, other;

    make_pair(CIPHER_XCHACHA, &client, &server);
    seal_text(&client, 0, frame);
    ASSERT_EQ(-EINVAL, open_copy(&client, frame, FRAME_BYTES)); /* sent back to its sender */
    other = server;
    other.receive_key[0] ^= 1;
    ASSERT_EQ(-EBADMSG, open_copy(&other, frame, FRAME_BYTES)); /* another session's keys */
    other = server;
    other.session = 6;
    ASSERT_EQ(-EBADMSG, open_copy(&other, frame, FRAME_BYTES));
    seal_text(&server, 1, frame);
    ASSERT_EQ(-EINVAL, open_copy(&server, frame, FRAME_BYTES));
    ASSERT_EQ(0, open_copy(&client, frame, FRAME_BYTES));
}

TEST(an_empty_message_can_be_sealed_and_nothing_shorter_opened)
{
    uint8_t frame[SEAL_BYTES];
    struct seal client, server;
    uint64_t sequence;
    struct errbuf why;

    make_pair(CIPHER_XCHACHA, &client, &server);
    seal_message(&client, 0, frame, 0);
    ASSERT_EQ(-1, seal_flags(frame, SEAL_HEAD_BYTES - 1));
    ASSERT_EQ(-1, seal_flags("{\"type\":\"ping\"}", 15));
    ASSERT_EQ(-EINVAL, seal_open(&server, frame, SEAL_BYTES - 1, &sequence, &why));
    ASSERT_OK(seal_open(&server, frame, SEAL_BYTES, &sequence, &why), why);
    seal_done(&server);
    ASSERT_EQ(0, server.session);
}
