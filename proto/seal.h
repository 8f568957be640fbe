/* Sealed messages: a frame header, then one whole message encrypted and authenticated, the header
 * too. PROTOCOL.md section 6. Pure: no socket, no clock.
 *
 * Every message of a session and direction has a number, counted from 1, which is its nonce: no
 * nonce is used twice, since the keys are fresh for every session. A receiver takes growing numbers
 * only. */
#ifndef STEPPE_PROTO_SEAL_H
#define STEPPE_PROTO_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define SEAL_KEY_BYTES 32
#define SEAL_TAG_BYTES 16
#define SEAL_HEAD_BYTES 60                            /* the frame's header */
#define SEAL_BYTES (SEAL_HEAD_BYTES + SEAL_TAG_BYTES) /* more than the message inside */

/* Flags of a frame. */
enum { FRAME_SEALED = 1, FRAME_REPLY = 2, FRAME_HELLO = 4 };

/* The numbers go over the wire. */
enum cipher { CIPHER_XCHACHA, CIPHER_AES_GCM, CIPHER_COUNT };
#define CIPHER_BIT(cipher) (1u << (cipher))

/* One side's view of a session. */
struct seal {
    uint64_t session; /* 0: there is none */
    enum cipher cipher;
    bool server; /* seals replies and opens requests; a client the other way round */
    uint8_t send_key[SEAL_KEY_BYTES], receive_key[SEAL_KEY_BYTES];
    uint64_t sent, received; /* highest numbers */
};

/* The ciphers that this processor does, as CIPHER_BITs. libsodium must have been started. */
unsigned seal_ciphers(void);

/* The flags of a frame; -1: it is not a frame (too short, or another magic). */
int seal_flags(const void *body, size_t bytes);
/* The session that a sealed frame names. bytes >= SEAL_HEAD_BYTES. */
uint64_t seal_session(const void *body);

/* Writes the header of a frame with `rest` bytes behind it. */
void seal_header(uint8_t *frame, int flags, uint64_t session, uint64_t sequence, uint64_t number,
                 size_t rest);
/* Are the lengths, the unused fields and the magic of a frame right? Sets the sequence and the
 * number in its nonce. 0 or -EINVAL. */
int seal_check(const uint8_t *frame, size_t bytes, int flags, uint64_t *ret_sequence,
               uint64_t *ret_number, struct errbuf *why);

/* Seals the message of `bytes` bytes that lies at frame + SEAL_HEAD_BYTES in place; there must be
 * SEAL_TAG_BYTES of room behind it. sequence: a reply has that of its request; a request has its
 * own number. */
void seal_message(struct seal *s, uint64_t sequence, uint8_t *frame, size_t bytes);
/* Opens a frame in place: its message is then at frame + SEAL_HEAD_BYTES, bytes - SEAL_BYTES long.
 * 0, -EINVAL (malformed), -EALREADY (a number that was used or skipped), -EBADMSG (not sealed with
 * this session's keys). On failure the bytes are undefined and s is as it was. */
int seal_open(struct seal *s, uint8_t *frame, size_t bytes, uint64_t *ret_sequence,
              struct errbuf *why);
/* Overwrites the keys; the session is 0 then. */
void seal_done(struct seal *s);

#endif
