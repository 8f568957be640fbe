#include "server/core/radix.h"

#include <errno.h>
#include <stdlib.h>

#include "common/alloc.h"

#define DIGITS 8 /* bytes of a key */
#define VALUES 256
/* Fewer are sorted by insertion: counting 8 x 256 digits would take longer. */
#define FEW 48

size_t radix_bytes(uint32_t n)
{
    return (size_t)n * 2 * (sizeof(uint64_t) + sizeof(uint32_t));
}

int radix_begin(struct radix *o, uint32_t n, void *room)
{
    *o = (struct radix){0};
    if (!room)
        room = o->made = malloc(n > 0 ? radix_bytes(n) : 1);
    if (!room)
        return -ENOMEM;
    o->keys = room;
    o->spare_keys = o->keys + n;
    o->ids = (uint32_t *)(o->spare_keys + n);
    o->spare_ids = o->ids + n;
    return 0;
}

void radix_done(struct radix *o)
{
    free(o->made);
    *o = (struct radix){0};
}

/* Pairs somewhere. */
struct pairs {
    uint64_t *keys;
    uint32_t *ids;
};

static void insertion(struct pairs p, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        const uint64_t key = p.keys[i];
        const uint32_t id = p.ids[i];
        uint32_t at = i;
        for (; at > 0 && p.keys[at - 1] > key; at--) {
            p.keys[at] = p.keys[at - 1];
            p.ids[at] = p.ids[at - 1];
        }
        p.keys[at] = key;
        p.ids[at] = id;
    }
}

static uint32_t digit(uint64_t key, int d)
{
    return (uint32_t)(key >> 8 * d) & (VALUES - 1);
}

/* One pass, to where the counts of the digit say. */
static void distribute(struct pairs from, struct pairs to, uint32_t n, int d,
                       uint32_t counts[VALUES])
{
    for (uint32_t v = 0, at = 0; v < VALUES; v++) {
        const uint32_t count = counts[v];
        counts[v] = at;
        at += count;
    }
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t at = counts[digit(from.keys[i], d)]++;
        to.keys[at] = from.keys[i];
        to.ids[at] = from.ids[i];
    }
}

/* Lowest digit first. The result may be in the other memory: which is returned. */
static struct pairs sort_pairs(struct pairs from, struct pairs to, uint32_t n)
{
    uint32_t counts[DIGITS][VALUES] = {{0}};

    for (uint32_t i = 0; i < n; i++)
        for (int d = 0; d < DIGITS; d++)
            counts[d][digit(from.keys[i], d)]++;
    for (int d = 0; d < DIGITS; d++) {
        if (counts[d][digit(from.keys[0], d)] == n) /* all alike */
            continue;
        distribute(from, to, n, d, counts[d]);
        const struct pairs swap = from;
        from = to;
        to = swap;
    }
    return from;
}

void radix_sort(struct radix *o)
{
    const struct pairs here = {o->keys, o->ids}, there = {o->spare_keys, o->spare_ids};

    if (o->count < FEW) {
        insertion(here, o->count);
        return;
    }
    const struct pairs sorted = sort_pairs(here, there, o->count);
    if (sorted.keys == here.keys)
        return;
    o->keys = there.keys;
    o->ids = there.ids;
    o->spare_keys = here.keys;
    o->spare_ids = here.ids;
}

void radix_sort_part(struct radix *o, uint32_t first, uint32_t end)
{
    const struct pairs here = {o->keys + first, o->ids + first};
    const struct pairs there = {o->spare_keys + first, o->spare_ids + first};
    const uint32_t n = end - first;

    if (n < FEW) {
        insertion(here, n);
        return;
    }
    const struct pairs sorted = sort_pairs(here, there, n);
    if (sorted.keys == here.keys)
        return;
    memcpy(here.keys, sorted.keys, n * sizeof(*here.keys));
    memcpy(here.ids, sorted.ids, n * sizeof(*here.ids));
}

void radix_group(struct radix *o, const uint16_t *of, uint32_t groups, uint32_t *sizes)
{
    memset(sizes, 0, groups * sizeof(*sizes));
    for (uint32_t i = 0; i < o->count; i++)
        sizes[of[o->ids[i]]]++;
    for (uint32_t g = 0, at = 0; g < groups; g++) {
        const uint32_t size = sizes[g];
        sizes[g] = at;
        at += size;
    }
    for (uint32_t i = 0; i < o->count; i++) {
        const uint32_t at = sizes[of[o->ids[i]]]++;
        o->spare_keys[at] = o->keys[i];
        o->spare_ids[at] = o->ids[i];
    }
    for (uint32_t g = groups; g-- > 1;) /* ends become sizes again */
        sizes[g] -= sizes[g - 1];
    const struct radix was = *o;
    o->keys = was.spare_keys;
    o->ids = was.spare_ids;
    o->spare_keys = was.keys;
    o->spare_ids = was.ids;
}
