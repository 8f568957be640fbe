/* A vertex goes to the ranks [first, end). They are divided where the slower of its two children is
 * done soonest, and where that is no sooner than one rank alone would be, it is that rank's. */
#include "worker/mpi/spread.h"

#include "common/reduce.h"

struct spread {
    const uint32_t *threads;
    struct part *parts;
};

static uint64_t threads_of(const struct spread *s, int first, int end)
{
    uint64_t sum = 0;

    for (int i = first; i < end; i++)
        sum += s->threads[i];
    return sum;
}

/* Shards one after the other on a thread. */
static uint64_t turns(uint64_t shards, uint64_t threads)
{
    return (shards + threads - 1) / threads;
}

/* The first rank of the right child; first: the whole vertex is for one rank. */
static int divide(const struct spread *s, struct node n, int first, int end)
{
    const uint64_t shards = node_size(n);
    uint64_t best = turns(shards, s->threads[first]), left = 0, right = threads_of(s, first, end);
    int at = first;

    if (shards < 2)
        return first;
    const uint64_t before = node_split(n) - n.lo;
    for (int i = first + 1; i < end; i++) {
        left += s->threads[i - 1];
        right -= s->threads[i - 1];
        uint64_t a = turns(before, left), b = turns(shards - before, right);
        uint64_t slower = a > b ? a : b;
        if (slower < best) {
            best = slower;
            at = i;
        }
    }
    return at;
}

static void append(struct spread *s, int parent, int child)
{
    int *at = &s->parts[parent].child;

    while (*at != SPREAD_ROOT)
        at = &s->parts[*at].next;
    *at = child;
    s->parts[child].parent = parent;
}

static void place(struct spread *s, struct node n, int first, int end)
{
    const int mid = divide(s, n, first, end);

    if (mid == first) {
        s->parts[first].first = n.lo;
        s->parts[first].count = node_size(n);
        return;
    }
    const uint32_t split = node_split(n);
    place(s, (struct node){n.lo, split}, first, mid);
    place(s, (struct node){split, n.hi}, mid, end);
    append(s, first, mid);
}

static void clear(struct part *parts, int ranks)
{
    for (int i = 0; i < ranks; i++)
        parts[i] = (struct part){.parent = SPREAD_ROOT, .child = SPREAD_ROOT, .next = SPREAD_ROOT};
}

void spread_tree(uint32_t shards, const uint32_t *threads, int ranks, struct part *ret)
{
    struct spread s = {threads, ret};

    clear(ret, ranks);
    place(&s, (struct node){0, shards}, 0, ranks);
}

void spread_even(uint32_t shards, const uint32_t *threads, int ranks, struct part *ret)
{
    struct spread s = {threads, ret};
    const uint64_t total = threads_of(&s, 0, ranks);
    uint64_t before = 0;

    clear(ret, ranks);
    for (int i = 0; i < ranks; i++) {
        const uint64_t first = turns(shards * before, total);
        before += threads[i];
        ret[i].first = (uint32_t)first;
        ret[i].count = (uint32_t)(turns(shards * before, total) - first);
        if (i > 0) /* what went wrong is collected along a tree as well */
            append(&s, i & (i - 1), i);
    }
}
