/* SHA-256, which names files and models, and BLAKE2b-256 (libsodium), several times as fast, for
 * pieces in transit. */
#ifndef STEPPE_COMMON_HASH_H
#define STEPPE_COMMON_HASH_H

#include <sodium/crypto_hash_sha256.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define SHA256_BYTES 32
#define BLAKE2B_BYTES 32
#define SHA256_HEX 65 /* with the closing 0 */

struct sha256 {
    crypto_hash_sha256_state state;
};

void sha256_init(struct sha256 *h);
void sha256_add(struct sha256 *h, const void *data, size_t bytes);
void sha256_end(struct sha256 *h, uint8_t out[SHA256_BYTES]);
void sha256_of(const void *data, size_t bytes, uint8_t out[SHA256_BYTES]);
void sha256_hex_of(const void *data, size_t bytes, char out[SHA256_HEX]);
void blake2b_of(const void *data, size_t bytes, uint8_t out[BLAKE2B_BYTES]);
int sha256_file(const char *path, uint8_t out[SHA256_BYTES], struct errbuf *why);
/* -EINTR soon after *stop is set. */
int sha256_file_until(const char *path, const _Atomic bool *stop, uint8_t out[SHA256_BYTES],
                      struct errbuf *why);

#endif
