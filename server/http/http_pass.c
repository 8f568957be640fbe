/* A pass is its own proof: what it says, and a keyed hash of that. The server keeps none, so that
 * they outlive a restart, and ends all of them with another secret. */
#include <sodium.h>
#include <string.h>

#include "common/text.h"
#include "server/http/http_internal.h"

#define BEARER "Bearer "
#define SAID_BYTES 18 /* role, use, two times in seconds, whose it is, and when his key ends */
#define PROOF_BYTES (HTTP_PASS_BYTES - SAID_BYTES)

_Static_assert(PROOF_BYTES >= crypto_generichash_BYTES_MIN, "too short to be a proof");

static void put_u32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void prove(const uint8_t said[SAID_BYTES], const uint8_t secret[HTTP_SECRET_BYTES],
                  uint8_t out[PROOF_BYTES])
{
    static const uint8_t label[] = "steppe http 3";
    crypto_generichash_state h;

    crypto_generichash_init(&h, secret, HTTP_SECRET_BYTES, PROOF_BYTES);
    crypto_generichash_update(&h, label, sizeof(label));
    crypto_generichash_update(&h, said, SAID_BYTES);
    crypto_generichash_final(&h, out, PROOF_BYTES);
    sodium_memzero(&h, sizeof(h));
}

void http_pass_print(const struct http_pass *pass, const uint8_t secret[HTTP_SECRET_BYTES],
                     char out[HTTP_PASS_HEX])
{
    uint8_t bytes[HTTP_PASS_BYTES] = {(uint8_t)pass->role, (uint8_t)pass->use};

    put_u32(bytes + 2, pass->begin_s);
    put_u32(bytes + 6, pass->end_s);
    put_u32(bytes + 10, pass->who);
    put_u32(bytes + 14, pass->key_end_s);
    prove(bytes, secret, bytes + SAID_BYTES);
    text_hex(bytes, sizeof(bytes), out);
}

bool http_pass_read(const char *text, enum http_use use, const uint8_t secret[HTTP_SECRET_BYTES],
                    int64_t now_s, struct http_pass *ret)
{
    uint8_t bytes[HTTP_PASS_BYTES], proof[PROOF_BYTES];

    if (!text || strlen(text) != HTTP_PASS_HEX - 1 || !text_unhex(text, bytes, sizeof(bytes)))
        return false;
    prove(bytes, secret, proof);
    if (sodium_memcmp(proof, bytes + SAID_BYTES, PROOF_BYTES) != 0)
        return false;
    *ret = (struct http_pass){.role = (enum role)bytes[0],
                              .use = (enum http_use)bytes[1],
                              .begin_s = get_u32(bytes + 2),
                              .end_s = get_u32(bytes + 6),
                              .who = get_u32(bytes + 10),
                              .key_end_s = get_u32(bytes + 14)};
    return ret->use == use && now_s < ret->end_s;
}

uint32_t http_pass_who(const char *key, const uint8_t secret[HTTP_SECRET_BYTES])
{
    uint8_t hash[crypto_generichash_BYTES];

    if (!key[0])
        return 0;
    crypto_generichash(hash, sizeof(hash), (const uint8_t *)key, strlen(key), secret,
                       HTTP_SECRET_BYTES);
    return get_u32(hash) | 1; /* never 0 */
}

/* A time, or the end of the key that comes before it. */
static uint32_t within_key(int64_t end_s, uint32_t key_end_s)
{
    return key_end_s && key_end_s < end_s ? key_end_s : (uint32_t)end_s;
}

struct http_pass http_pass_link(enum role role, uint32_t who, uint32_t key_end_s, int64_t now_s)
{
    return (struct http_pass){.role = role,
                              .use = HTTP_LINK,
                              .who = who,
                              .key_end_s = key_end_s,
                              .begin_s = (uint32_t)now_s,
                              .end_s = within_key(now_s + HTTP_LINK_S, key_end_s)};
}

struct http_pass http_pass_session(const struct http_pass *from, int64_t now_s)
{
    struct http_pass to = *from;
    int64_t end_s = now_s + HTTP_SESSION_S;

    to.use = HTTP_SESSION;
    if (from->use == HTTP_LINK)
        to.begin_s = (uint32_t)now_s;
    if (end_s > (int64_t)to.begin_s + HTTP_SESSION_MAX_S)
        end_s = (int64_t)to.begin_s + HTTP_SESSION_MAX_S;
    to.end_s = within_key(end_s, from->key_end_s);
    return to;
}

bool http_pass_is_old(const struct http_pass *pass, int64_t now_s)
{
    const struct http_pass next = http_pass_session(pass, now_s);

    return (int64_t)pass->end_s - now_s < HTTP_SESSION_S / 2 && next.end_s > pass->end_s;
}

const char *http_bearer(const char *authorization)
{
    return authorization && strncmp(authorization, BEARER, strlen(BEARER)) == 0
               ? authorization + strlen(BEARER)
               : NULL;
}

void http_cookie_name(const char *host, char out[HTTP_COOKIE_NAME_BYTES])
{
    const char *colon = strrchr(host, ':');
    int64_t port;

    if (colon && text_i64(colon + 1, 1, 65535, &port))
        snprintf(out, HTTP_COOKIE_NAME_BYTES, "steppe-%d", (int)port);
    else
        snprintf(out, HTTP_COOKIE_NAME_BYTES, "steppe");
}
