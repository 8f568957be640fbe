#include "server/core/pace.h"
#include "tests/harness.h"

TEST(a_lease_lasts_ten_times_the_slowest_recent_time)
{
    struct pace p = {{0}};

    pace_note(&p, 0, 8, 2, 4000); /* 1 s a shard and thread */
    ASSERT_EQ(40000, pace_lease_ms(&p, 0, 4, 1, false));
    ASSERT_EQ(20000, pace_lease_ms(&p, 0, 4, 2, false));
    ASSERT_EQ(20000, pace_lease_ms(&p, 0, 3, 2, false));
    pace_note(&p, 0, 1, 1, 2000);
    ASSERT_EQ(20000, pace_lease_ms(&p, 0, 1, 1, false));
    for (int i = 0; i < 200; i++) /* the slow one has left */
        pace_note(&p, 0, 1, 1, 1000);
    ASSERT_EQ(10, (pace_lease_ms(&p, 0, 1, 1, false) + 500) / 1000);
}

TEST(a_lease_is_neither_shorter_nor_longer_than_this)
{
    struct pace p = {{0}};

    pace_note(&p, 0, 1, 1, 1);
    ASSERT_EQ(3000, pace_lease_ms(&p, 0, 1, 1, false));
    ASSERT_EQ(600000, pace_lease_ms(&p, 0, UINT32_MAX, 1, false));
}

TEST(an_unknown_time_is_given_a_minute)
{
    struct pace p = {{0}};

    ASSERT_EQ(60000, pace_lease_ms(&p, 0, 2, 2, false));
    ASSERT_EQ(300000, pace_lease_ms(&p, 0, 10, 2, false));
    ASSERT_EQ(2000, pace_patience_ms(&p, 0, 10, 2));
    pace_note(&p, 3, 1, 1, 500); /* of another phase: twice that */
    ASSERT_EQ(10000, pace_lease_ms(&p, 0, 1, 1, false));
    ASSERT_EQ(60000, pace_lease_ms(&p, 0, 1, 1, true)); /* it has to fetch the dataset first */
}

TEST(others_wait_three_times_as_long_as_it_takes)
{
    struct pace p = {{0}};

    pace_note(&p, 4, 1, 1, 1000);
    ASSERT_EQ(3000, pace_patience_ms(&p, 4, 1, 1));
    ASSERT_EQ(12000, pace_patience_ms(&p, 4, 8, 2));
    pace_note(&p, 3, 1, 1, 1);
    ASSERT_EQ(300, pace_patience_ms(&p, 3, 1, 1));
}

TEST(a_lease_is_renewed_several_times_but_not_for_ever)
{
    ASSERT_EQ(600000 + 6 * 3000, pace_most_ms(3000, 0));
    ASSERT_EQ(600000 + 6 * 60000 + 2000000, pace_most_ms(60000, 1000000000)); /* a gigabyte */
}
