/* How a session of sealed messages begins. PROTOCOL.md section 6. Pure: no socket, no clock.
 *
 *   client                                server
 *   ask                       ->
 *                             <-          challenge (made without keeping anything)
 *   hello, with the challenge ->          knows now that the key is held, now
 *                             <-          welcome
 *
 * Both sides give a fresh X25519 key; the session's keys come from their shared secret and from the
 * key that both hold: they stay secret when that key is lost later, and neither side can be
 * impersonated without it. The server keeps nothing before the hello has proved the key, and no
 * reply is longer than its request. */
#ifndef STEPPE_PROTO_HANDSHAKE_H
#define STEPPE_PROTO_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/key.h"
#include "proto/seal.h"

#define CHALLENGE_BYTES 24
#define POINT_BYTES 32
#define HELLO_BYTES 176
#define WELCOME_BYTES 80
/* Frames: an ask is as long as a hello. */
#define HELLO_FRAME_BYTES (SEAL_HEAD_BYTES + HELLO_BYTES)
#define CHALLENGE_FRAME_BYTES (SEAL_HEAD_BYTES + CHALLENGE_BYTES)
#define WELCOME_FRAME_BYTES (SEAL_HEAD_BYTES + WELCOME_BYTES)

/* Steps of a handshake: the sequence field of its frames. */
enum { STEP_ASK = 1, STEP_HELLO = 2 };

/* A client's state between its messages. */
struct handshake {
    struct key key;
    uint8_t secret[POINT_BYTES]; /* of its X25519 key */
    uint8_t hello[HELLO_BYTES];
};

/* A hello as a server reads it. */
struct hello {
    uint8_t bytes[HELLO_BYTES];
    uint8_t challenge[CHALLENGE_BYTES];
    uint8_t cluster_id[KEY_CLUSTER_BYTES];
    enum role role;
    unsigned ciphers;
    char name[NAME_MAX_BYTES];
    uint8_t point[POINT_BYTES];
};

/* --- client --- */
void handshake_ask(uint8_t frame[HELLO_FRAME_BYTES]);
/* Reads the challenge and writes the hello. 0 or -EBADMSG. */
int handshake_hello(struct handshake *h, const struct key *key, const void *challenge, size_t bytes,
                    uint8_t frame[HELLO_FRAME_BYTES], struct errbuf *why);
/* -EBADMSG: the answer is not from a holder of the key. */
int handshake_finish(const struct handshake *h, const void *welcome, size_t bytes, struct seal *ret,
                     struct errbuf *why);
void handshake_done(struct handshake *h); /* overwrites secrets */

/* --- server --- */
/* The step of a frame with FRAME_HELLO: STEP_ASK, or STEP_HELLO with ret filled; -EINVAL. */
int handshake_read(const void *frame, size_t bytes, struct hello *ret);
void handshake_challenge(const uint8_t challenge[CHALLENGE_BYTES],
                         uint8_t frame[CHALLENGE_FRAME_BYTES]);
/* Was the hello made by a holder of the key that the cluster key yields for its role and name? */
bool handshake_proves(const struct hello *hello, const struct key *cluster);
/* Answers a proven hello; ret is the session, `session` its number. -EBADMSG: its point gives no
 * secret. */
int handshake_welcome(const struct hello *hello, const struct key *cluster, uint64_t session,
                      unsigned ciphers, struct seal *ret, uint8_t frame[WELCOME_FRAME_BYTES]);

#endif
