#include "proto/handshake.h"

#include <endian.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

#define MAC_BYTES 32
#define HELLO_LABEL "steppe hello 2"
#define WELCOME_LABEL "steppe welcome 2"

/* Fields of a hello. */
enum {
    AT_CHALLENGE = 0,
    AT_CIPHERS = AT_CHALLENGE + CHALLENGE_BYTES,
    AT_ZERO = AT_CIPHERS + 1,
    AT_POINT = AT_ZERO + 7,
    AT_CERT = AT_POINT + POINT_BYTES,
    AT_SIGNATURE = AT_CERT + CERT_BYTES,
    AT_END = AT_SIGNATURE + SIGNATURE_BYTES, /* zeros follow: it is as long as its answer */
};
_Static_assert(AT_END <= HELLO_BYTES, "the fields fit a hello");

/* Fields of a welcome. */
enum {
    AT_SESSION = 0,
    AT_CIPHER = 8,
    AT_SERVER_POINT = 16,
    AT_SERVER_CERT = AT_SERVER_POINT + POINT_BYTES,
    AT_SERVER_SIGNATURE = AT_SERVER_CERT + CERT_BYTES,
    AT_SERVER_MAC = AT_SERVER_SIGNATURE + SIGNATURE_BYTES,
};
_Static_assert(AT_SERVER_MAC + MAC_BYTES == WELCOME_BYTES, "the fields fill a welcome");

static void mac(uint8_t out[MAC_BYTES], const char *label, const uint8_t key[KEY_BYTES],
                const void *data, size_t bytes)
{
    crypto_generichash_state h;

    crypto_generichash_init(&h, key, KEY_BYTES, MAC_BYTES);
    crypto_generichash_update(&h, (const uint8_t *)label, strlen(label) + 1);
    crypto_generichash_update(&h, data, bytes);
    crypto_generichash_final(&h, out, MAC_BYTES);
}

/* Derives the session's two keys, and the one that proves the welcome, from both X25519 keys and
 * all messages so far. False when the other side's point gives no secret. */
struct secrets {
    uint8_t up[SEAL_KEY_BYTES], down[SEAL_KEY_BYTES], proof[KEY_BYTES];
};

static bool agree(const uint8_t secret[POINT_BYTES], const uint8_t their_point[POINT_BYTES],
                  const uint8_t hello[HELLO_BYTES], const uint8_t *welcome, struct secrets *ret)
{
    uint8_t shared[crypto_scalarmult_BYTES], root[KEY_BYTES];
    crypto_generichash_state h;

    if (crypto_scalarmult(shared, secret, their_point) != 0)
        return false;
    crypto_generichash_init(&h, shared, sizeof(shared), KEY_BYTES);
    crypto_generichash_update(&h, hello, HELLO_BYTES);
    crypto_generichash_update(&h, welcome, AT_SERVER_MAC);
    crypto_generichash_final(&h, root, sizeof(root));
    mac(ret->up, "steppe up 2", root, NULL, 0);
    mac(ret->down, "steppe down 2", root, NULL, 0);
    mac(ret->proof, "steppe proof 2", root, NULL, 0);
    sodium_memzero(shared, sizeof(shared));
    sodium_memzero(root, sizeof(root));
    sodium_memzero(&h, sizeof(h));
    return true;
}

static void wipe(struct secrets *s)
{
    sodium_memzero(s, sizeof(*s));
}

/* --- client --- */

void handshake_ask(uint8_t frame[HELLO_FRAME_BYTES])
{
    seal_header(frame, FRAME_HELLO, 0, STEP_ASK, 0, HELLO_BYTES);
    memset(frame + SEAL_HEAD_BYTES, 0, HELLO_BYTES);
}

/* Is it the answer to a step, with so many bytes after its header? */
static bool is_answer(const void *frame, size_t bytes, uint64_t step, size_t rest)
{
    uint64_t sequence, number;

    return bytes == SEAL_HEAD_BYTES + rest &&
           seal_check(frame, bytes, FRAME_HELLO | FRAME_REPLY, &sequence, &number, NULL) == 0 &&
           sequence == step && number == 0 && seal_session(frame) == 0;
}

int handshake_hello(struct handshake *h, const struct key *key, const void *challenge, size_t bytes,
                    uint8_t frame[HELLO_FRAME_BYTES], struct errbuf *why)
{
    uint8_t *p = h->hello;

    if (!is_answer(challenge, bytes, STEP_ASK, CHALLENGE_BYTES))
        return err_set(why, -EBADMSG, "the answer is not a challenge");
    h->peer = false;
    h->key = *key;
    randombytes_buf(h->secret, sizeof(h->secret));
    memset(p, 0, HELLO_BYTES);
    memcpy(p + AT_CHALLENGE, (const uint8_t *)challenge + SEAL_HEAD_BYTES, CHALLENGE_BYTES);
    p[AT_CIPHERS] = (uint8_t)seal_ciphers();
    crypto_scalarmult_base(p + AT_POINT, h->secret);
    memcpy(p + AT_CERT, key->cert.bytes, CERT_BYTES);
    pair_sign(key->seed, HELLO_LABEL, p, AT_SIGNATURE, NULL, 0, p + AT_SIGNATURE);
    seal_header(frame, FRAME_HELLO, 0, STEP_HELLO, 0, HELLO_BYTES);
    memcpy(frame + SEAL_HEAD_BYTES, p, HELLO_BYTES);
    return 0;
}

bool handshake_is_peer(const struct cert *cert)
{
    return cert->role == ROLE_WORKER || cert->role == ROLE_ADMIN;
}

/* Is the welcome signed by a server of the cluster that the client's key trusts? */
static int judge_server(const struct handshake *h, const uint8_t *p, int64_t now_ms,
                        struct errbuf *why)
{
    struct cert cert;

    if (!cert_read(p + AT_SERVER_CERT, &cert) || !cert_proven(&cert, h->key.trusted))
        return err_set(why, -EBADMSG,
                       "the answer does not come from a server of this key's "
                       "cluster");
    if (h->peer && !handshake_is_peer(&cert))
        return err_set(why, -EBADMSG, "the answer comes from %s, who is no worker", cert.name);
    if (!h->peer && cert.role != ROLE_SERVER)
        return err_set(why, -EBADMSG,
                       "the answer comes from the holder of the %s key of %s, who is no server",
                       role_name(cert.role), cert.name);
    if (cert_in_time(&cert, now_ms, why) < 0)
        return err_prefix(why, -EBADMSG, "the server");
    if (!pair_verify(cert.key, WELCOME_LABEL, h->hello, HELLO_BYTES, p, AT_SERVER_SIGNATURE,
                     p + AT_SERVER_SIGNATURE))
        return err_set(why, -EBADMSG, "the answer is not signed by the server that it names");
    return 0;
}

int handshake_finish(const struct handshake *h, const void *welcome, size_t bytes, int64_t now_ms,
                     struct seal *ret, struct errbuf *why)
{
    const uint8_t *p = (const uint8_t *)welcome + SEAL_HEAD_BYTES;
    uint8_t proof[MAC_BYTES];
    struct secrets s;
    uint64_t session;

    if (!is_answer(welcome, bytes, STEP_HELLO, WELCOME_BYTES))
        return err_set(why, -EBADMSG, "the answer is not a welcome");
    int rc = judge_server(h, p, now_ms, why);
    if (rc < 0)
        return rc;
    memcpy(&session, p + AT_SESSION, sizeof(session));
    if (!agree(h->secret, p + AT_SERVER_POINT, h->hello, p, &s))
        return err_set(why, -EBADMSG, "the welcome gives no secret");
    mac(proof, WELCOME_LABEL, s.proof, p, AT_SERVER_MAC);
    bool good = sodium_memcmp(proof, p + AT_SERVER_MAC, MAC_BYTES) == 0 && session != 0 &&
                p[AT_CIPHER] < CIPHER_COUNT && (seal_ciphers() & CIPHER_BIT(p[AT_CIPHER]));
    if (good) {
        *ret = (struct seal){.session = le64toh(session), .cipher = (enum cipher)p[AT_CIPHER]};
        memcpy(ret->send_key, s.up, SEAL_KEY_BYTES);
        memcpy(ret->receive_key, s.down, SEAL_KEY_BYTES);
    }
    wipe(&s);
    return good ? 0 : err_set(why, -EBADMSG, "the welcome is not one of this session");
}

void handshake_done(struct handshake *h)
{
    sodium_memzero(h, sizeof(*h));
}

/* --- server --- */

/* Is it a frame of a client that begins a session, with so many bytes? */
static bool is_hello(const void *frame, size_t bytes, size_t want, uint64_t *ret_step)
{
    uint64_t number;

    return bytes == SEAL_HEAD_BYTES + want &&
           seal_check(frame, bytes, FRAME_HELLO, ret_step, &number, NULL) == 0 && number == 0 &&
           seal_session(frame) == 0;
}

bool handshake_is_old(const void *frame, size_t bytes)
{
    uint64_t step;

    return is_hello(frame, bytes, OLD_HELLO_BYTES, &step);
}

int handshake_read(const void *frame, size_t bytes, struct hello *ret)
{
    const uint8_t *p = (const uint8_t *)frame + SEAL_HEAD_BYTES;
    uint64_t step;

    if (!is_hello(frame, bytes, HELLO_BYTES, &step))
        return -EINVAL;
    if (step == STEP_ASK)
        return STEP_ASK;
    if (step != STEP_HELLO || !cert_read(p + AT_CERT, &ret->cert) ||
        !sodium_is_zero(p + AT_ZERO, AT_POINT - AT_ZERO) ||
        !sodium_is_zero(p + AT_END, HELLO_BYTES - AT_END))
        return -EINVAL;
    memcpy(ret->bytes, p, HELLO_BYTES);
    memcpy(ret->challenge, p + AT_CHALLENGE, CHALLENGE_BYTES);
    ret->ciphers = p[AT_CIPHERS];
    memcpy(ret->point, p + AT_POINT, POINT_BYTES);
    return STEP_HELLO;
}

void handshake_challenge(const uint8_t challenge[CHALLENGE_BYTES],
                         uint8_t frame[CHALLENGE_FRAME_BYTES])
{
    seal_header(frame, FRAME_HELLO | FRAME_REPLY, 0, STEP_ASK, 0, CHALLENGE_BYTES);
    memcpy(frame + SEAL_HEAD_BYTES, challenge, CHALLENGE_BYTES);
}

bool handshake_proves(const struct hello *hello, const uint8_t cluster[KEY_BYTES])
{
    return cert_proven(&hello->cert, cluster) &&
           pair_verify(hello->cert.key, HELLO_LABEL, hello->bytes, AT_SIGNATURE, NULL, 0,
                       hello->bytes + AT_SIGNATURE);
}

int handshake_welcome(const struct hello *hello, const struct key *server, uint64_t session,
                      unsigned ciphers, struct seal *ret, uint8_t frame[WELCOME_FRAME_BYTES])
{
    uint8_t *p = frame + SEAL_HEAD_BYTES, secret[POINT_BYTES];
    uint64_t number = htole64(session);
    struct secrets s;
    bool fast = ciphers & hello->ciphers & CIPHER_BIT(CIPHER_AES_GCM);

    seal_header(frame, FRAME_HELLO | FRAME_REPLY, 0, STEP_HELLO, 0, WELCOME_BYTES);
    memset(p, 0, WELCOME_BYTES);
    memcpy(p + AT_SESSION, &number, sizeof(number));
    p[AT_CIPHER] = fast ? CIPHER_AES_GCM : CIPHER_XCHACHA;
    randombytes_buf(secret, sizeof(secret));
    crypto_scalarmult_base(p + AT_SERVER_POINT, secret);
    memcpy(p + AT_SERVER_CERT, server->cert.bytes, CERT_BYTES);
    pair_sign(server->seed, WELCOME_LABEL, hello->bytes, HELLO_BYTES, p, AT_SERVER_SIGNATURE,
              p + AT_SERVER_SIGNATURE);
    bool good = agree(secret, hello->point, hello->bytes, p, &s);
    sodium_memzero(secret, sizeof(secret));
    if (!good)
        return -EBADMSG;
    mac(p + AT_SERVER_MAC, WELCOME_LABEL, s.proof, p, AT_SERVER_MAC);
    *ret = (struct seal){.session = session, .cipher = (enum cipher)p[AT_CIPHER], .server = true};
    memcpy(ret->send_key, s.down, SEAL_KEY_BYTES);
    memcpy(ret->receive_key, s.up, SEAL_KEY_BYTES);
    wipe(&s);
    return 0;
}
