/* Very many samples in an order: pairs of a key and a sample, sorted by the bits of the keys, a
 * byte at a time (radix sort). All sorting here is stable, so that those added in ascending order
 * stay ascending where their keys are equal. Pure. */
#ifndef STEPPE_SERVER_CORE_RADIX_H
#define STEPPE_SERVER_CORE_RADIX_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct radix {
    uint64_t *keys; /* [count] */
    uint32_t *ids;  /* [count] */
    uint32_t count;
    /* As many again, free between two calls; sorting swaps them with those above. */
    uint64_t *spare_keys;
    uint32_t *spare_ids;
    void *made; /* the memory, if it is its own */
};

/* Memory of an order of up to n samples. */
size_t radix_bytes(uint32_t n);
/* An empty one, in room, which has radix_bytes(n) bytes and is aligned for doubles, or, where that
 * is NULL, in memory of its own. 0 or -ENOMEM. */
int radix_begin(struct radix *o, uint32_t n, void *room);
void radix_done(struct radix *o); /* a zeroed struct is fine */

/* A number as a key: the same order, 0 and -0 alike. No NaN. */
static inline uint64_t radix_key(double x)
{
    const uint64_t sign = UINT64_C(1) << 63;
    uint64_t bits;

    x += 0.0; /* -0 becomes 0 */
    memcpy(&bits, &x, sizeof(bits));
    return bits & sign ? ~bits : bits | sign;
}

/* The number of a key. */
static inline double radix_value(uint64_t key)
{
    const uint64_t sign = UINT64_C(1) << 63;
    double x;

    key = key & sign ? key ^ sign : ~key;
    memcpy(&x, &key, sizeof(x));
    return x;
}

static inline void radix_add(struct radix *o, uint64_t key, uint32_t id)
{
    o->keys[o->count] = key;
    o->ids[o->count++] = id;
}

/* The end of the run of equal keys that begins at `first`. */
static inline uint32_t radix_run(const struct radix *o, uint32_t first)
{
    uint32_t end = first + 1;

    while (end < o->count && o->keys[end] == o->keys[first])
        end++;
    return end;
}

/* Sorts by key. */
void radix_sort(struct radix *o);
/* Sorts the pairs from `first` to `end` only. */
void radix_sort_part(struct radix *o, uint32_t first, uint32_t end);
/* Sorts by of[id], each below `groups`; sizes[groups] becomes how many there are of each. */
void radix_group(struct radix *o, const uint16_t *of, uint32_t groups, uint32_t *sizes);

#endif
