#include <errno.h>

#include "tests/unit/nn/support.h"
#include "worker/nn/arena.h"

TEST(blocks_are_aligned_zeroed_and_apart)
{
    struct arena a = {0};
    char *one = NULL, *two = NULL, *three = NULL;

    for (int round = 0; round < 2; round++) {
        one = arena_take(&a, 100, 1);
        two = arena_take(&a, 3, sizeof(double));
        three = arena_take(&a, 1 << 20, 4);
        if (round == 0) {
            ASSERT(!one && !two && !three);
            ASSERT_EQ(0, arena_map(&a));
        }
    }
    ASSERT_EQ(0, (uintptr_t)a.base % (2 << 20));
    ASSERT_EQ(0, (uintptr_t)one % 64);
    ASSERT_EQ(0, (uintptr_t)two % 64);
    ASSERT(two >= one + 100 && three >= two + 24 && three + (4 << 20) <= a.base + a.bytes);
    for (size_t i = 0; i < 4 << 20; i++)
        ASSERT(three[i] == 0);
    memset(one, 1, 100);
    memset(two, 2, 24);
    ASSERT(one[99] == 1 && three[0] == 0);
    arena_unmap(&a);
    arena_unmap(&a);
}

TEST(sizes_that_overflow_are_refused)
{
    struct arena a = {0};

    ASSERT(!arena_take(&a, SIZE_MAX / 2, 3));
    ASSERT_EQ(-EOVERFLOW, arena_map(&a));
    a = (struct arena){0};
    arena_take(&a, SIZE_MAX - 100, 1);
    ASSERT_EQ(-EOVERFLOW, arena_map(&a));
}

TEST(more_than_there_is_is_refused)
{
    struct arena a = {0};

    arena_take(&a, (size_t)1 << 50, 1);
    ASSERT_EQ(-ENOMEM, arena_map(&a));
    arena_unmap(&a);
}
