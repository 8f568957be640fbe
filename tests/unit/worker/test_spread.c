#include <stdlib.h>

#include "common/alloc.h"
#include "common/reduce.h"
#include "common/rng.h"
#include "tests/harness.h"
#include "worker/mpi/spread.h"

enum { RANKS_MAX = 12 };

/* A sum of entries, of which that of shard i is the text "i": what was added to what can be read
 * off it. */
static char *text_of(struct node n)
{
    if (node_size(n) == 1)
        return xasprintf("%u", n.lo);
    char *left = text_of((struct node){n.lo, node_split(n)});
    char *right = text_of((struct node){node_split(n), n.hi});
    char *both = xasprintf("(%s+%s)", left, right);

    free(left);
    free(right);
    return both;
}

/* What rank r sends to its parent, as run_finish adds. */
static char *sum_of(const struct part *parts, int r)
{
    char *sum = text_of((struct node){parts[r].first, parts[r].first + parts[r].count});

    for (int child = parts[r].child; child != SPREAD_ROOT; child = parts[child].next) {
        char *own = sum, *theirs = sum_of(parts, child);

        ASSERT_EQ(r, parts[child].parent);
        sum = xasprintf("(%s+%s)", own, theirs);
        free(own);
        free(theirs);
    }
    return sum;
}

/* Every shard is somebody's, in the order of ranks. */
static void assert_whole(const struct part *parts, int ranks, uint32_t shards)
{
    uint32_t at = 0;

    for (int i = 0; i < ranks; i++) {
        if (parts[i].count)
            ASSERT_EQ(at, parts[i].first);
        at += parts[i].count;
    }
    ASSERT_EQ(shards, at);
    ASSERT(parts[0].count > 0);
    ASSERT_EQ(SPREAD_ROOT, parts[0].parent);
}

TEST(the_sum_of_all_ranks_is_that_of_the_tree)
{
    struct rng rng = rng_at(1, RNG_TEST, 0, 0);
    struct part parts[RANKS_MAX];
    uint32_t threads[RANKS_MAX];

    for (uint32_t shards = 1; shards < 70; shards++)
        for (int ranks = 1; ranks <= RANKS_MAX; ranks++) {
            const bool alike = rng_below(&rng, 2);
            for (int i = 0; i < ranks; i++)
                threads[i] = alike ? 1 : 1 + (uint32_t)rng_below(&rng, 9);
            spread_tree(shards, threads, ranks, parts);
            assert_whole(parts, ranks, shards);
            char *want = text_of((struct node){0, shards}), *got = sum_of(parts, 0);
            if (strcmp(want, got) != 0)
                FAIL("%u shards on %d ranks: %s, wanted %s", shards, ranks, got, want);
            free(want);
            free(got);
        }
}

static void assert_parts(const struct part *parts, const uint32_t *want, int ranks)
{
    for (int i = 0; i < ranks; i++)
        if (parts[i].count != want[i])
            FAIL("rank %d has %u shards, wanted %u", i, parts[i].count, want[i]);
}

TEST(shards_are_divided_by_threads)
{
    struct part parts[4];

    spread_tree(8, (uint32_t[]){2, 2, 2, 2}, 4, parts);
    assert_parts(parts, (uint32_t[]){2, 2, 2, 2}, 4);
    spread_tree(8, (uint32_t[]){4, 2, 2}, 3, parts);
    assert_parts(parts, (uint32_t[]){4, 2, 2}, 3);
    spread_tree(6, (uint32_t[]){1, 1, 1}, 3, parts);
    assert_parts(parts, (uint32_t[]){2, 2, 2}, 3);
    spread_even(10, (uint32_t[]){3, 1, 1}, 3, parts);
    assert_parts(parts, (uint32_t[]){6, 2, 2}, 3);
    spread_even(1, (uint32_t[]){1, 1, 1}, 3, parts);
    assert_parts(parts, (uint32_t[]){1, 0, 0}, 3);
}

TEST(ranks_that_would_make_nothing_faster_have_no_part)
{
    struct part parts[4];

    spread_tree(4, (uint32_t[]){4, 4}, 2, parts);
    assert_parts(parts, (uint32_t[]){4, 0}, 2);
    spread_tree(1, (uint32_t[]){1, 1, 1, 1}, 4, parts);
    assert_parts(parts, (uint32_t[]){1, 0, 0, 0}, 4);
}

TEST(without_a_sum_all_shards_are_done_once)
{
    struct rng rng = rng_at(2, RNG_TEST, 0, 0);
    struct part parts[RANKS_MAX];
    uint32_t threads[RANKS_MAX];

    for (uint32_t shards = 1; shards < 50; shards++)
        for (int ranks = 1; ranks <= RANKS_MAX; ranks++) {
            int below = 1;
            for (int i = 0; i < ranks; i++)
                threads[i] = 1 + (uint32_t)rng_below(&rng, 9);
            spread_even(shards, threads, ranks, parts);
            assert_whole(parts, ranks, shards);
            for (int i = 1; i < ranks; i++)
                below += parts[i].parent >= 0 && parts[i].parent < i;
            ASSERT_EQ(ranks, below);
        }
    spread_even(UINT32_MAX, (uint32_t[]){256, 256}, 2, parts);
    ASSERT_EQ(UINT32_MAX / 2 + 1, parts[0].count);
}
