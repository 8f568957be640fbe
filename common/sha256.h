/* The compression function of SHA-256 (FIPS 180-4) by the processor's own instructions: four times
 * as fast as libsodium's portable code, which the caller uses on processors without them. */
#ifndef STEPPE_COMMON_SHA256_H
#define STEPPE_COMMON_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHA256_BLOCK_BYTES 64u

/* Has this processor such instructions, and this program the code for them? */
bool sha256_is_native(void);
/* Takes count blocks of 64 bytes into state, its eight words in host order. Only if
 * sha256_is_native(). */
void sha256_compress(uint32_t state[8], const uint8_t *blocks, size_t count);

#endif
