#include "common/difficulty.h"

#include <float.h>
#include <math.h>

#include "common/rng.h"
#include "tests/harness.h"

#define N 6

static const uint32_t ids[N] = {40, 7, 19, 3, 88, 21};

static void weigh(enum measure measure, bool hard_first, const struct score *s, const float *places,
                  float *weights)
{
    const struct shard_order order = {.measure = measure, .hard_first = hard_first};
    struct ranked rows[N];

    difficulty_weigh(&order, 5, s, ids, places, N, rows, weights);
}

TEST(a_weight_is_that_of_the_place)
{
    const struct score s[N] = {{.loss = 3}, {.loss = 0.5}, {.loss = 9},
                               {.loss = 1}, {.loss = 2},   {.loss = 0}};
    static const float places[N] = {1, 0.5f, 0.25f, 0.125f, 0, 0};
    static const float easy[N] = {0, 0.5f, 0, 0.25f, 0.125f, 1};
    static const float hard[N] = {0.5f, 0, 1, 0.125f, 0.25f, 0};
    float weights[N];

    weigh(MEASURE_LOSS, false, s, places, weights);
    ASSERT_MEM(easy, weights, sizeof(easy));
    weigh(MEASURE_LOSS, true, s, places, weights);
    ASSERT_MEM(hard, weights, sizeof(hard));
}

TEST(equal_keys_go_by_the_tie_and_hard_first_keeps_it)
{
    const struct score s[N] = {{.el2n = 1}, {.el2n = 1}, {.el2n = 1},
                               {.el2n = 1}, {.el2n = 1}, {.el2n = 1}};
    static const float places[N] = {0, 1, 2, 3, 4, 5};
    float weights[N], again[N];

    weigh(MEASURE_EL2N, false, s, places, weights);
    for (int i = 0; i < N; i++) {
        uint32_t before = 0;
        for (int j = 0; j < N; j++)
            before += difficulty_tie(5, ids[j]) < difficulty_tie(5, ids[i]);
        ASSERT(weights[i] == (float)before);
    }
    weigh(MEASURE_EL2N, true, s, places, again);
    ASSERT_MEM(weights, again, sizeof(weights));
}

TEST(a_key_that_is_no_number_comes_last)
{
    const struct score s[N] = {{.loss = 3},   {.loss = NAN}, {.loss = INFINITY},
                               {.loss = NAN}, {.loss = 2},   {.loss = 0}};
    static const float places[N] = {0, 1, 2, 3, 4, 5};

    for (int hard = 0; hard < 2; hard++) {
        float weights[N];
        weigh(MEASURE_LOSS, hard, s, places, weights);
        ASSERT(weights[1] >= 4 && weights[3] >= 4);
        ASSERT(weights[2] == (hard ? 0 : 3));
    }
}

/* Threads that compute flush denormals; the key of an exact 0 is the same there. */
TEST(a_loss_of_0_counts_as_the_smallest_double)
{
    const struct score s = {.loss = 0, .adv_loss = 1}, both = {.loss = 0, .adv_loss = 0};

    ASSERT(difficulty_key(MEASURE_ADM, NORM_SAMPLE, 0, &s, 0) == -log(DBL_TRUE_MIN));
    ASSERT(difficulty_key(MEASURE_ADM, NORM_SAMPLE, 0, &both, 0) == 0);
}

TEST(what_a_measure_needs)
{
    ASSERT_EQ(NEED_TWIN, difficulty_need(MEASURE_ADM));
    ASSERT_EQ(NEED_GRADIENT, difficulty_need(MEASURE_GRAD_NORM));
    ASSERT_EQ(NEED_LOSS, difficulty_need(MEASURE_LOSS));
    ASSERT_EQ(NEED_LOSS, difficulty_need(MEASURE_EL2N));
    ASSERT_EQ(NEED_LOSS, difficulty_need(MEASURE_MARGIN));
    ASSERT_EQ(NEED_LOSS, difficulty_need(MEASURE_FORGETTING));
    ASSERT_EQ(NEED_NOTHING, difficulty_need(MEASURE_GIVEN));
    ASSERT_EQ(NEED_NOTHING, difficulty_need(MEASURE_RANDOM));
    ASSERT_EQ(NEED_NOTHING, difficulty_need(MEASURE_NONE));
}

/* A sample that stands in a shard twice has one key and one tie. */
TEST(what_is_equal_in_key_and_tie_goes_by_sample_then_position)
{
    struct ranked rows[] = {{.key = 1, .tie = 4, .sample = 9, .position = 0},
                            {.key = 1, .tie = 4, .sample = 2, .position = 3},
                            {.key = 1, .tie = 4, .sample = 9, .position = 2},
                            {.key = 1, .tie = 4, .sample = 2, .position = 1}};
    static const uint32_t want[] = {1, 3, 0, 2};

    difficulty_sort(rows, 4);
    for (int i = 0; i < 4; i++)
        ASSERT_EQ(want[i], rows[i].position);
}
