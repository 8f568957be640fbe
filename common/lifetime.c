#include "common/lifetime.h"

#include <assert.h>
#include <stdbool.h>

static bool meet(const struct block *a, const struct block *b)
{
    return a->born <= b->dies && b->born <= a->dies;
}

static bool overlap(const struct block *a, const struct block *b)
{
    return a->place < b->place + b->size && b->place < a->place + a->size;
}

/* Among the blocks placed before b, one that is in its way; NULL: none. */
static const struct block *obstacle(const struct block *blocks, const int *placed, int count,
                                    const struct block *b)
{
    for (int i = 0; i < count; i++) {
        const struct block *other = &blocks[placed[i]];
        if (meet(b, other) && overlap(b, other))
            return other;
    }
    return NULL;
}

/* The largest block that is not among the placed ones, of equal ones the first. */
static int next_block(const struct block *blocks, int count, const bool *done)
{
    int best = -1;

    for (int i = 0; i < count; i++)
        if (!done[i] && (best < 0 || blocks[i].size > blocks[best].size))
            best = i;
    return best;
}

size_t lifetime_place(struct block *blocks, int count)
{
    bool done[BLOCKS_MAX] = {false};
    int placed[BLOCKS_MAX];
    size_t end = 0;

    assert(count <= BLOCKS_MAX);
    for (int n = 0; n < count; n++) {
        const int at = next_block(blocks, count, done);
        struct block *b = &blocks[at];
        const struct block *other;
        size_t best = 0;
        /* The lowest free place: behind one of the other blocks, or at the beginning. */
        b->place = 0;
        if (obstacle(blocks, placed, n, b)) {
            best = (size_t)-1;
            for (int i = 0; i < n; i++) {
                other = &blocks[placed[i]];
                b->place = other->place + other->size;
                if (meet(b, other) && b->place < best && !obstacle(blocks, placed, n, b))
                    best = b->place;
            }
        }
        b->place = best;
        if (b->place + b->size > end)
            end = b->place + b->size;
        done[at] = true;
        placed[n] = at;
    }
    return end;
}
