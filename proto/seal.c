#include "proto/seal.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "proto/frame_header.h"

_Static_assert(SEAL_HEAD_BYTES == HEADER_BYTES, "a sealed frame begins as every frame does");

unsigned seal_ciphers(void)
{
    unsigned ciphers = CIPHER_BIT(CIPHER_XCHACHA);

    return crypto_aead_aes256gcm_is_available() ? ciphers | CIPHER_BIT(CIPHER_AES_GCM) : ciphers;
}

int seal_flags(const void *body, size_t bytes)
{
    const uint8_t *p = body;

    if (bytes < SEAL_HEAD_BYTES || memcmp(p, frame_magic, sizeof(frame_magic)) != 0)
        return -1;
    return p[AT_FLAGS] | p[AT_FLAGS + 1] << 8;
}

uint64_t seal_session(const void *body)
{
    return get_u64((const uint8_t *)body + AT_SESSION);
}

void seal_header(uint8_t *frame, int flags, uint64_t session, uint64_t sequence, uint64_t number,
                 size_t rest)
{
    memset(frame, 0, SEAL_HEAD_BYTES);
    memcpy(frame, frame_magic, sizeof(frame_magic));
    frame[AT_HEADER_BYTES] = SEAL_HEAD_BYTES;
    frame[AT_FLAGS] = (uint8_t)flags;
    put_u64(frame + AT_SESSION, session);
    put_u64(frame + AT_ATTACHMENT_BYTES, rest);
    put_u64(frame + AT_SEQUENCE, sequence);
    put_u64(frame + AT_NONCE, number);
}

int seal_check(const uint8_t *frame, size_t bytes, int flags, uint64_t *ret_sequence,
               uint64_t *ret_number, struct errbuf *why)
{
    uint8_t want[SEAL_HEAD_BYTES];

    if (seal_flags(frame, bytes) != flags)
        return err_set(why, -EINVAL, "it is not a frame with flags 0x%x", (unsigned)flags);
    *ret_sequence = get_u64(frame + AT_SEQUENCE);
    *ret_number = get_u64(frame + AT_NONCE);
    /* Every other field has exactly one right value. */
    seal_header(want, flags, seal_session(frame), *ret_sequence, *ret_number,
                bytes - SEAL_HEAD_BYTES);
    if (memcmp(frame, want, SEAL_HEAD_BYTES) != 0)
        return err_set(why, -EINVAL, "its header is malformed");
    return 0;
}

/* The nonce is the number; AES-GCM takes the first 12 of its 24 bytes. */
void seal_message(struct seal *s, uint64_t sequence, uint8_t *frame, size_t bytes)
{
    uint8_t *at = frame + SEAL_HEAD_BYTES;
    uint64_t number = ++s->sent;

    seal_header(frame, FRAME_SEALED | (s->server ? FRAME_REPLY : 0), s->session,
                s->server ? sequence : number, number, bytes + SEAL_TAG_BYTES);
    if (s->cipher == CIPHER_AES_GCM)
        crypto_aead_aes256gcm_encrypt(at, NULL, at, bytes, frame, SEAL_HEAD_BYTES, NULL,
                                      frame + AT_NONCE, s->send_key);
    else
        crypto_aead_xchacha20poly1305_ietf_encrypt(at, NULL, at, bytes, frame, SEAL_HEAD_BYTES,
                                                   NULL, frame + AT_NONCE, s->send_key);
}

int seal_open(struct seal *s, uint8_t *frame, size_t bytes, uint64_t *ret_sequence,
              struct errbuf *why)
{
    uint8_t *at = frame + SEAL_HEAD_BYTES;
    uint64_t number;
    int rc = seal_check(frame, bytes, FRAME_SEALED | (s->server ? 0 : FRAME_REPLY), ret_sequence,
                        &number, why);

    if (rc < 0)
        return rc;
    if (bytes < SEAL_BYTES || (s->server && *ret_sequence != number))
        return err_set(why, -EINVAL, "its header is malformed");
    if (number <= s->received)
        return err_set(why, -EALREADY, "message %llu of its session came before",
                       (unsigned long long)number);
    size_t sealed = bytes - SEAL_HEAD_BYTES;
    if (s->cipher == CIPHER_AES_GCM)
        rc = crypto_aead_aes256gcm_decrypt(at, NULL, NULL, at, sealed, frame, SEAL_HEAD_BYTES,
                                           frame + AT_NONCE, s->receive_key);
    else
        rc = crypto_aead_xchacha20poly1305_ietf_decrypt(
            at, NULL, NULL, at, sealed, frame, SEAL_HEAD_BYTES, frame + AT_NONCE, s->receive_key);
    if (rc != 0 || seal_session(frame) != s->session)
        return err_set(why, -EBADMSG, "it was not sealed in this session, or it was changed");
    s->received = number;
    return 0;
}

void seal_done(struct seal *s)
{
    sodium_memzero(s, sizeof(*s));
}
