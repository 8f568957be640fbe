/* Every signature is over a label of its own, so that none can stand for another. */
#define _GNU_SOURCE
#include "proto/cert.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/text.h"
#include "proto/frame_header.h"

#define VERSION 1
#define LABEL "steppe certificate 1"

/* Fields of a certificate. */
enum {
    AT_VERSION = 0,
    AT_ROLE = 1,
    AT_ZERO = 2,
    AT_ID = 8,
    AT_ISSUED = 16,
    AT_EXPIRES = 24,
    AT_NAME = 32,
    AT_KEY = AT_NAME + NAME_MAX_BYTES,
    AT_CLUSTER = AT_KEY + KEY_BYTES,
    AT_SIGNATURE = AT_CLUSTER + KEY_CLUSTER_BYTES,
};
_Static_assert(AT_SIGNATURE + SIGNATURE_BYTES == CERT_BYTES, "the fields fill a certificate");
_Static_assert(SIGNATURE_BYTES == crypto_sign_BYTES, "signatures are Ed25519's");
_Static_assert(KEY_BYTES == crypto_sign_SEEDBYTES, "seeds are Ed25519's");
_Static_assert(KEY_BYTES == crypto_sign_PUBLICKEYBYTES, "keys are Ed25519's");

void pair_new(uint8_t ret_seed[KEY_BYTES])
{
    randombytes_buf(ret_seed, KEY_BYTES);
}

void pair_public(const uint8_t seed[KEY_BYTES], uint8_t ret[KEY_BYTES])
{
    uint8_t secret[crypto_sign_SECRETKEYBYTES];

    crypto_sign_seed_keypair(ret, secret, seed);
    sodium_memzero(secret, sizeof(secret));
}

/* What is signed: BLAKE2b over the label and the data. */
static void digest(const char *label, const void *a, size_t a_bytes, const void *b, size_t b_bytes,
                   uint8_t ret[crypto_generichash_BYTES_MAX])
{
    crypto_generichash_state h;

    crypto_generichash_init(&h, NULL, 0, crypto_generichash_BYTES_MAX);
    crypto_generichash_update(&h, (const uint8_t *)label, strlen(label) + 1);
    crypto_generichash_update(&h, a, a_bytes);
    if (b_bytes > 0)
        crypto_generichash_update(&h, b, b_bytes);
    crypto_generichash_final(&h, ret, crypto_generichash_BYTES_MAX);
}

void pair_sign(const uint8_t seed[KEY_BYTES], const char *label, const void *a, size_t a_bytes,
               const void *b, size_t b_bytes, uint8_t ret[SIGNATURE_BYTES])
{
    uint8_t secret[crypto_sign_SECRETKEYBYTES], public[KEY_BYTES];
    uint8_t hash[crypto_generichash_BYTES_MAX];

    crypto_sign_seed_keypair(public, secret, seed);
    digest(label, a, a_bytes, b, b_bytes, hash);
    crypto_sign_detached(ret, NULL, hash, sizeof(hash), secret);
    sodium_memzero(secret, sizeof(secret));
}

bool pair_verify(const uint8_t key[KEY_BYTES], const char *label, const void *a, size_t a_bytes,
                 const void *b, size_t b_bytes, const uint8_t signature[SIGNATURE_BYTES])
{
    uint8_t hash[crypto_generichash_BYTES_MAX];

    digest(label, a, a_bytes, b, b_bytes, hash);
    return crypto_sign_verify_detached(signature, hash, sizeof(hash), key) == 0;
}

void cluster_name(const uint8_t key[KEY_BYTES], uint8_t ret[KEY_CLUSTER_BYTES])
{
    static const char label[] = "steppe cluster 2";
    uint8_t id[crypto_generichash_BYTES_MIN];

    crypto_generichash(id, sizeof(id), (const uint8_t *)label, sizeof(label), key, KEY_BYTES);
    memcpy(ret, id, KEY_CLUSTER_BYTES);
}

void cert_make(const uint8_t cluster_seed[KEY_BYTES], enum role role, const char *name,
               const uint8_t key[KEY_BYTES], int64_t now_ms, int64_t valid_ms, struct cert *ret)
{
    uint8_t bytes[CERT_BYTES] = {VERSION, (uint8_t)role_number(role)}, cluster[KEY_BYTES];
    uint64_t id;

    randombytes_buf(&id, sizeof(id));
    pair_public(cluster_seed, cluster);
    put_u64(bytes + AT_ID, id);
    put_u64(bytes + AT_ISSUED, (uint64_t)now_ms);
    put_u64(bytes + AT_EXPIRES, (uint64_t)(now_ms + valid_ms));
    memcpy(bytes + AT_NAME, name, strlen(name));
    memcpy(bytes + AT_KEY, key, KEY_BYTES);
    cluster_name(cluster, bytes + AT_CLUSTER);
    pair_sign(cluster_seed, LABEL, bytes, AT_SIGNATURE, NULL, 0, bytes + AT_SIGNATURE);
    cert_read(bytes, ret);
}

/* A name as text_is_name takes it, then zeros. */
static bool read_name(const uint8_t *p, char name[NAME_MAX_BYTES])
{
    memcpy(name, p, NAME_MAX_BYTES);
    if (name[NAME_MAX_BYTES - 1])
        return false;
    for (size_t i = strlen(name); i < NAME_MAX_BYTES; i++)
        if (name[i])
            return false;
    return text_is_name(name);
}

bool cert_read(const uint8_t bytes[CERT_BYTES], struct cert *ret)
{
    const uint64_t issued = get_u64(bytes + AT_ISSUED), expires = get_u64(bytes + AT_EXPIRES);
    struct cert c = {.role = role_of_number(bytes[AT_ROLE]),
                     .id = get_u64(bytes + AT_ID),
                     .issued_ms = (int64_t)issued,
                     .expires_ms = (int64_t)expires};

    if (bytes[AT_VERSION] != VERSION || c.role == ROLE_NONE ||
        !sodium_is_zero(bytes + AT_ZERO, AT_ID - AT_ZERO) || !read_name(bytes + AT_NAME, c.name) ||
        issued >= expires || expires > INT64_MAX || expires - issued > CERT_VALID_MAX_MS)
        return false;
    memcpy(c.key, bytes + AT_KEY, KEY_BYTES);
    memcpy(c.cluster_id, bytes + AT_CLUSTER, KEY_CLUSTER_BYTES);
    memcpy(c.bytes, bytes, CERT_BYTES);
    *ret = c;
    return true;
}

bool cert_proven(const struct cert *c, const uint8_t cluster[KEY_BYTES])
{
    return pair_verify(cluster, LABEL, c->bytes, AT_SIGNATURE, NULL, 0, c->bytes + AT_SIGNATURE);
}

char *cert_time(int64_t unix_ms, char buf[CERT_TIME_BYTES])
{
    const time_t seconds = (time_t)(unix_ms / 1000);
    struct tm tm;

    if (!gmtime_r(&seconds, &tm) ||
        strftime(buf, CERT_TIME_BYTES, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
        snprintf(buf, CERT_TIME_BYTES, "-");
    return buf;
}

int cert_in_time(const struct cert *c, int64_t now_ms, struct errbuf *why)
{
    char at[CERT_TIME_BYTES], now[CERT_TIME_BYTES];

    if (now_ms >= c->issued_ms && now_ms < c->expires_ms)
        return 0;
    cert_time(now_ms, now);
    if (now_ms < c->issued_ms)
        return err_set(why, -EKEYEXPIRED,
                       "the key of %s holds from %s on, and here it is %s; set the clocks", c->name,
                       cert_time(c->issued_ms, at), now);
    return err_set(why, -EKEYEXPIRED, "the key of %s expired at %s; it needs a new one", c->name,
                   cert_time(c->expires_ms, at));
}
