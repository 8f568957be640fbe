/* How a session of sealed messages begins. PROTOCOL.md section 6. Pure: no socket, no clock.
 *
 *   client                                server
 *   ask                       ->
 *                             <-          challenge (made without keeping anything)
 *   hello, with the challenge ->          knows now who it is, now
 *                             <-          welcome: the client knows that it is the server
 *
 * Both sides give a fresh X25519 key, show their certificates, and sign what was said: the hello
 * the challenge and the client's point, the welcome all of the hello and the server's point. The
 * session's keys come from the fresh keys alone: they stay secret when every long-lived key is lost
 * later. Only a key of the role server can welcome, so no client can play the server to another
 * (workers that speak with each other expect one of their own instead).
 * The server keeps nothing before the hello is proven, and no reply is longer than its request. */
#ifndef STEPPE_PROTO_HANDSHAKE_H
#define STEPPE_PROTO_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/key.h"
#include "proto/seal.h"

#define CHALLENGE_BYTES 24
#define POINT_BYTES 32
#define HELLO_BYTES 344
#define WELCOME_BYTES 344
#define OLD_HELLO_BYTES 176 /* of keys that were shared secrets */
/* Frames: an ask is as long as a hello. */
#define HELLO_FRAME_BYTES (SEAL_HEAD_BYTES + HELLO_BYTES)
#define CHALLENGE_FRAME_BYTES (SEAL_HEAD_BYTES + CHALLENGE_BYTES)
#define WELCOME_FRAME_BYTES (SEAL_HEAD_BYTES + WELCOME_BYTES)

/* Steps of a handshake: the sequence field of its frames. */
enum { STEP_ASK = 1, STEP_HELLO = 2 };

/* A client's state between its messages. */
struct handshake {
    bool peer; /* set behind handshake_hello: the other side is no server but a worker */
    struct key key;
    uint8_t secret[POINT_BYTES]; /* of its X25519 key */
    uint8_t hello[HELLO_BYTES];
};

/* A hello as a server reads it. */
struct hello {
    uint8_t bytes[HELLO_BYTES];
    uint8_t challenge[CHALLENGE_BYTES];
    unsigned ciphers;
    uint8_t point[POINT_BYTES];
    struct cert cert;
};

/* --- client --- */
void handshake_ask(uint8_t frame[HELLO_FRAME_BYTES]);
/* Reads the challenge and writes the hello. 0 or -EBADMSG. */
int handshake_hello(struct handshake *h, const struct key *key, const void *challenge, size_t bytes,
                    uint8_t frame[HELLO_FRAME_BYTES], struct errbuf *why);
/* now_ms: unix time. -EBADMSG: the answer is not from a server of the key's cluster, or not from
 * such a peer. */
int handshake_finish(const struct handshake *h, const void *welcome, size_t bytes, int64_t now_ms,
                     struct seal *ret, struct errbuf *why);
void handshake_done(struct handshake *h); /* overwrites secrets */

/* --- server --- */
/* The step of a frame with FRAME_HELLO: STEP_ASK, or STEP_HELLO with ret filled; -EINVAL. */
int handshake_read(const void *frame, size_t bytes, struct hello *ret);
void handshake_challenge(const uint8_t challenge[CHALLENGE_BYTES],
                         uint8_t frame[CHALLENGE_FRAME_BYTES]);
/* Is it an ask or a hello of a version whose keys were shared secrets? */
bool handshake_is_old(const void *frame, size_t bytes);
/* Was the hello made by the holder of its certificate, which this cluster (its public key) has
 * signed? Whether it holds now, and what its role may do, is not looked at. */
bool handshake_proves(const struct hello *hello, const uint8_t cluster[KEY_BYTES]);
/* Is it the certificate of a worker (or of who may be one)? Whether it is proven, and holds now, is
 * not looked at. */
bool handshake_is_peer(const struct cert *cert);
/* Answers a proven hello with the server's key of its cluster; ret is the session, `session` its
 * number. -EBADMSG: its point gives no secret. */
int handshake_welcome(const struct hello *hello, const struct key *server, uint64_t session,
                      unsigned ciphers, struct seal *ret, uint8_t frame[WELCOME_FRAME_BYTES]);

#endif
