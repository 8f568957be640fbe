/* Philox4x32-10 and the stream layout that every result depends on. Never change the layout:
 *   key     = {low 32 bits of seed, high 32 bits of seed}
 *   counter = {block index, a, b, purpose}; block index counts from 0
 *   words of a block are given in order 0, 1, 2, 3; a 64-bit draw is first word low, second high.
 * A stream holds 2^32 blocks (2^34 words), then repeats. */
#include "common/rng.h"

#include <assert.h>

#define ROUNDS 10
#define MULTIPLIER_0 0xD2511F53u
#define MULTIPLIER_1 0xCD9E8D57u
#define WEYL_0 0x9E3779B9u /* golden ratio */
#define WEYL_1 0xBB67AE85u /* sqrt(3) - 1 */
#define BLOCK_WORDS 4
#define AHEAD 32 /* swaps of a shuffle */

void rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];

    for (int round = 0; round < ROUNDS; round++) {
        uint64_t p0 = (uint64_t)MULTIPLIER_0 * c0, p1 = (uint64_t)MULTIPLIER_1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        k0 += WEYL_0;
        k1 += WEYL_1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

struct rng rng_at(uint64_t seed, enum rng_purpose purpose, uint32_t a, uint32_t b)
{
    return (struct rng){
        .key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
        .counter = {0, a, b, (uint32_t)purpose},
        .used = BLOCK_WORDS,
    };
}

uint32_t rng_u32(struct rng *r)
{
    if (r->used == BLOCK_WORDS) {
        rng_philox(r->counter, r->key, r->block);
        r->counter[0]++;
        r->used = 0;
    }
    return r->block[r->used++];
}

uint64_t rng_u64(struct rng *r)
{
    uint64_t low = rng_u32(r);

    return low | (uint64_t)rng_u32(r) << 32;
}

double rng_unit(struct rng *r)
{
    return (double)(rng_u64(r) >> 11) * 0x1p-53;
}

double rng_range(struct rng *r, double lo, double hi)
{
    return lo + (hi - lo) * rng_unit(r);
}

/* Lemire, "Fast Random Integer Generation in an Interval" (2019): the high half of draw x n is
 * uniform once the draws whose low half falls below 2^64 mod n are rejected. */
uint64_t rng_below(struct rng *r, uint64_t n)
{
    assert(n >= 1);
    unsigned __int128 product = (unsigned __int128)rng_u64(r) * n;
    if ((uint64_t)product < n) {
        uint64_t reject_below = -n % n;
        while ((uint64_t)product < reject_below)
            product = (unsigned __int128)rng_u64(r) * n;
    }
    return (uint64_t)(product >> 64);
}

/* The places of a few swaps are drawn before the first of them, so that those of a long list are
 * on their way from memory. */
void rng_shuffle(struct rng *r, uint32_t *ids, uint32_t n)
{
    uint32_t to[AHEAD];

    while (n > 1) {
        const uint32_t count = n - 1 < AHEAD ? n - 1 : AHEAD;
        for (uint32_t k = 0; k < count; k++) {
            to[k] = (uint32_t)rng_below(r, n - k);
            __builtin_prefetch(&ids[to[k]], 1);
        }
        for (uint32_t k = 0; k < count; k++, n--) {
            uint32_t id = ids[n - 1];
            ids[n - 1] = ids[to[k]];
            ids[to[k]] = id;
        }
    }
}
