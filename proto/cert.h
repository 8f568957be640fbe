/* Certificates: what a cluster key says of the holder of a key pair. PROTOCOL.md section 6. Pure:
 * no file, no clock.
 *
 * A pair is an Ed25519 key, kept as its seed. The cluster key is such a pair too: its public half
 * names the cluster, and whoever trusts it trusts what it has signed. */
#ifndef STEPPE_PROTO_CERT_H
#define STEPPE_PROTO_CERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/bounds.h"
#include "common/err.h"
#include "proto/role.h"

#define KEY_BYTES 32 /* of either half */
#define KEY_CLUSTER_BYTES 8
#define SIGNATURE_BYTES 64
#define CERT_BYTES 200
#define CERT_VALID_MAX_MS (INT64_C(3650) * 86400000) /* nobody remembers a key for longer */

struct cert {
    enum role role;
    char name[NAME_MAX_BYTES];
    uint64_t id;                   /* random, to tell keys of one name apart */
    int64_t issued_ms, expires_ms; /* unix time; it holds in [issued, expires) */
    uint8_t key[KEY_BYTES];        /* the public half of the pair */
    uint8_t cluster_id[KEY_CLUSTER_BYTES];
    uint8_t bytes[CERT_BYTES]; /* as it was signed */
};

/* Random bytes for a new pair. */
void pair_new(uint8_t ret_seed[KEY_BYTES]);
/* The public half. */
void pair_public(const uint8_t seed[KEY_BYTES], uint8_t ret[KEY_BYTES]);
/* Signs a label, with its closing 0, and up to two pieces of data behind it. */
void pair_sign(const uint8_t seed[KEY_BYTES], const char *label, const void *a, size_t a_bytes,
               const void *b, size_t b_bytes, uint8_t ret[SIGNATURE_BYTES]);
bool pair_verify(const uint8_t key[KEY_BYTES], const char *label, const void *a, size_t a_bytes,
                 const void *b, size_t b_bytes, const uint8_t signature[SIGNATURE_BYTES]);

/* What a cluster is called, from its public key. */
void cluster_name(const uint8_t key[KEY_BYTES], uint8_t ret[KEY_CLUSTER_BYTES]);

/* The cluster key signs that the holder of `key` has this role and name from now_ms on for
 * valid_ms. */
void cert_make(const uint8_t cluster_seed[KEY_BYTES], enum role role, const char *name,
               const uint8_t key[KEY_BYTES], int64_t now_ms, int64_t valid_ms, struct cert *ret);
/* Reads the fields; whether they were signed, cert_proven says. False: it is not a certificate. */
bool cert_read(const uint8_t bytes[CERT_BYTES], struct cert *ret);
/* Was it signed with the cluster key whose public half this is? */
bool cert_proven(const struct cert *c, const uint8_t cluster[KEY_BYTES]);
/* Does it hold at now_ms? 0 or -EKEYEXPIRED, with a sentence that names the holder. */
int cert_in_time(const struct cert *c, int64_t now_ms, struct errbuf *why);
/* "2026-11-30 14:05 UTC", into buf. */
#define CERT_TIME_BYTES 32
char *cert_time(int64_t unix_ms, char buf[CERT_TIME_BYTES]);

#endif
