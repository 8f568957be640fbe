#include "server/core/share.h"
#include "tests/harness.h"

#define ASSERT_FIRST(WANT, loaded, ...)                                                            \
    do {                                                                                           \
        const double granted[] = {__VA_ARGS__};                                                    \
        size_t order_[sizeof(granted) / sizeof(granted[0])];                                       \
        share_order(granted, sizeof(granted) / sizeof(granted[0]), loaded, 1, order_);             \
        ASSERT_EQ(WANT, order_[0]);                                                                \
    } while (0)

TEST(the_job_with_the_least_goes_first)
{
    const double granted[] = {500, 100, 300, 100};
    size_t order[4];

    share_order(granted, 4, SIZE_MAX, 1, order);
    ASSERT_EQ(1, order[0]);
    ASSERT_EQ(3, order[1]);
    ASSERT_EQ(2, order[2]);
    ASSERT_EQ(0, order[3]);
    share_order(granted, 0, SIZE_MAX, 1, order);
}

TEST(a_worker_stays_with_its_job_for_a_turn)
{
    ASSERT_FIRST(0, 0, 2000, 0);
    ASSERT_FIRST(1, 0, 2001, 0);
    ASSERT_FIRST(1, 1, 0, 1500);
    ASSERT_FIRST(2, 2, 5000, 3000, 5000);
    ASSERT_FIRST(1, 2, 5000, 2999, 5000);
}

/* One worker, two jobs: it changes every other turn and both get the same. */
TEST(turns_give_equal_shares)
{
    double granted[2] = {0, 0};
    size_t loaded = SIZE_MAX, order[2];
    int changes = 0;

    for (int i = 0; i < 10000; i++) {
        share_order(granted, 2, loaded, 4, order);
        changes += loaded != order[0];
        loaded = order[0];
        granted[loaded] += 4 * 10; /* 10 ms on 4 threads */
    }
    double ahead = granted[0] - granted[1];
    ASSERT(ahead <= 4.0 * SHARE_TURN_MS + 40 && ahead >= -4.0 * SHARE_TURN_MS - 40);
    ASSERT(changes > 20 && changes < 60);
}

TEST(a_job_is_owed_no_more_than_a_while)
{
    const double others[] = {90000, 40000};

    ASSERT(share_level(0, others, 2, 2) == 70000);
    ASSERT(share_level(80000, others, 2, 2) == 80000);
    ASSERT(share_level(100000, others, 2, 2) == 100000);
    ASSERT(share_level(5, others, 0, 2) == 5);
}
