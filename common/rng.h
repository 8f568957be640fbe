/* Counter-based randomness: Philox4x32-10 (Salmon et al., SC'11). Every draw is a pure function of
 * (seed, purpose, a, b, index); no generator state exists anywhere but in a cursor on the stack. */
#ifndef STEPPE_COMMON_RNG_H
#define STEPPE_COMMON_RNG_H

#include <stdint.h>

/* Never renumber: results depend on the numbers. */
enum rng_purpose {
    RNG_INIT = 1,         /* a = parameter number */
    RNG_PERMUTATION = 2,  /* a = epoch, b = pass */
    RNG_TIE = 3,          /* a = sample */
    RNG_RANDOM_SCORE = 4, /* a = sample */
    RNG_FLIP = 5,         /* a = sample */
    RNG_GLYPH = 6,        /* a = sample, b = split */
    RNG_AUGMENT = 7,      /* a = step, b = slot */
    RNG_DROPOUT = 8,
    RNG_ATTACK = 9, /* a = step, b = slot in training, sample in a sweep */
    RNG_CANARY = 10,
    RNG_TEST = 11,
    RNG_VALIDATION = 12,   /* a = sample */
    RNG_FLATNESS = 13,     /* a = enum flatness_draw, b = number */
    RNG_FOLD = 14,         /* a = sample */
    RNG_CLASS_ORDER = 15,  /* a = epoch, b = round */
    RNG_CLASS_STREAM = 16, /* a = epoch, b = pass * groups + group */
    RNG_STUDY = 20,        /* a = hash of the key, b = trial */
    RNG_MIXUP = 21,        /* a = step, b = first slot of the shard */
};

/* One Philox4x32-10 block: out = f(counter, key). */
void rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* A cursor over the draws of one key. */
struct rng {
    uint32_t key[2], counter[4], block[4];
    int used; /* words of block already given */
};

struct rng rng_at(uint64_t seed, enum rng_purpose purpose, uint32_t a, uint32_t b);
uint32_t rng_u32(struct rng *r);
uint64_t rng_u64(struct rng *r);
double rng_unit(struct rng *r); /* [0,1), 53 bits */
double rng_range(struct rng *r, double lo, double hi);
uint64_t rng_below(struct rng *r, uint64_t n); /* unbiased, 0..n-1; n >= 1 */
/* Fisher-Yates over ids, in place. */
void rng_shuffle(struct rng *r, uint32_t *ids, uint32_t n);

#endif
