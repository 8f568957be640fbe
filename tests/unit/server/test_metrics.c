#include "server/net/metrics.h"
#include "tests/harness.h"

TEST(a_time_falls_into_the_bucket_of_its_bound)
{
    struct times t = {0};

    metrics_time(&t, 0);
    metrics_time(&t, 0.0001);
    metrics_time(&t, 0.00011);
    metrics_time(&t, 30);
    metrics_time(&t, 31);
    ASSERT_EQ(5, t.count);
    ASSERT_EQ(2, t.buckets[0]);
    ASSERT_EQ(1, t.buckets[1]);
    ASSERT_EQ(1, t.buckets[TIMES_BUCKETS - 2]);
    ASSERT_EQ(1, t.buckets[TIMES_BUCKETS - 1]);
    ASSERT_NEAR(61.00021, t.sum_s, 1e-9);
}

TEST(a_step_is_timed_from_the_one_before_it_only)
{
    struct metrics m = {0};
    struct step_time a = {0}, b = {0};

    metrics_step(&m, &a, 10, 100.0); /* a job that went on: nothing is known before */
    ASSERT_EQ(0, m.step.count);
    metrics_step(&m, &b, 11, 100.2); /* of another job */
    metrics_step(&m, &a, 11, 100.5);
    ASSERT_EQ(1, m.step.count);
    metrics_step(&m, &b, 13, 102.0); /* one in between was not seen */
    ASSERT_EQ(1, m.step.count);
    ASSERT_NEAR(0.5, m.step.sum_s, 1e-12);
}

TEST(the_lag_of_the_loop_is_what_a_tick_was_late)
{
    struct metrics m = {0};

    metrics_tick(&m, 5000, 100);
    ASSERT_NEAR(0, m.lag_s, 0);
    metrics_tick(&m, 5100, 100);
    ASSERT_NEAR(0, m.lag_s, 0);
    metrics_tick(&m, 5350, 100);
    ASSERT_NEAR(0.15, m.lag_s, 1e-12);
    metrics_tick(&m, 5440, 100);
    ASSERT_NEAR(0, m.lag_s, 0);
    metrics_turn(&m, 0.25);
    metrics_turn(&m, 0.75);
    metrics_turn(&m, 0.5);
    ASSERT_EQ(3, m.turn.count);
    ASSERT_NEAR(0.75, m.longest_s, 0);
}
