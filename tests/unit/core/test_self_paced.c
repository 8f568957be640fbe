/* Weights by losses, against the formulas written out. */
#include <math.h>
#include <stdlib.h>

#include "server/core/self_paced.h"
#include "tests/harness.h"
#include "tests/unit/core/schedule_fixture.h"

/* Losses between 0.1 and 3.9; sample i is at place 7 i mod 20 of all. */
static void small_losses(double loss[N])
{
    for (int i = 0; i < N; i++)
        loss[i] = 0.1 + 0.01 * pow(7 * i % 20, 2) + 0.001 * (7 * i % 20);
}

static struct schedule scheduled(const struct jobspec *spec, const double *loss)
{
    struct schedule s;

    ASSERT_EQ(0, schedule_make(spec, loss, labels, CLASSES, N, 0, NULL, &s));
    return s;
}

/* The k-th smallest, from 0. */
static double sorted_at(const double *loss, uint32_t k)
{
    for (int i = 0; i < N; i++) {
        uint32_t below = 0;
        for (int j = 0; j < N; j++)
            below += loss[j] < loss[i];
        if (below == k)
            return loss[i];
    }
    FAIL("no %u-th loss", k);
}

/* The definitions, of a loss below the threshold. */
static double wanted(int mode, double loss, double threshold, double largest)
{
    if (mode == MODE_SPL_HARD)
        return 1;
    if (mode == MODE_SPL_LINEAR)
        return 1 - loss / threshold;
    return log(loss / largest + (1 - threshold / largest)) / log(1 - threshold / largest);
}

TEST(weights_are_those_of_the_formulas_below_the_threshold)
{
    static const double shares[] = {0.3, 0.5, 0.85};

    for (int mode = MODE_SPL_HARD; mode <= MODE_SPL_LOG; mode++)
        for (int p = 0; p < 3; p++) {
            struct jobspec spec = spec_of(mode, BALANCE_NONE, shares[p]);
            const uint32_t count = (uint32_t)floor(shares[p] * N + 0.5);
            double loss[N], sum = 0, want[N] = {0};

            small_losses(loss);
            const double threshold = sorted_at(loss, count), largest = sorted_at(loss, N - 1);
            for (int i = 0; i < N; i++)
                if (loss[i] < threshold)
                    sum += want[i] = wanted(mode, loss[i], threshold, largest);
            struct schedule s = scheduled(&spec, loss);
            ASSERT_EQ(count, s.count);
            for (uint32_t i = 0; i < s.count; i++) {
                ASSERT(loss[s.ids[i]] < threshold);
                ASSERT_NEAR(want[s.ids[i]] * count / sum, s.weights[i], 1e-6);
            }
            schedule_done(&s);
        }
}

TEST(they_fall_from_1_to_0_and_meet_at_both_ends)
{
    for (int mode = MODE_SPL_LINEAR; mode <= MODE_SPL_LOG; mode++) {
        const enum curriculum_mode m = (enum curriculum_mode)mode;
        ASSERT_NEAR(1, self_paced_weight(m, 0, 2, 5), 1e-12);
        ASSERT_NEAR(0, self_paced_weight(m, 2, 2, 5), 1e-12);
        for (int i = 1; i <= 20; i++)
            ASSERT(self_paced_weight(m, 0.1 * i, 2, 5) < self_paced_weight(m, 0.1 * (i - 1), 2, 5));
        ASSERT(self_paced_weight(m, 0, 0, 0) == 1);
        ASSERT(self_paced_weight(m, 0, 0, 5) == 0);
        ASSERT(self_paced_weight(m, 5, 5, 5) == 0);
        ASSERT(self_paced_weight(m, 1e308, 1e308, 1e308) == 0);
    }
    ASSERT(self_paced_weight(MODE_SPL_LOG, 1, 2, 5) < self_paced_weight(MODE_SPL_LINEAR, 1, 2, 5));
}

/* The solution of the paper for a threshold: loss < lambda + gamma / (sqrt(r) + sqrt(r - 1)). */
TEST(diversity_takes_what_the_threshold_of_its_place_in_its_class_allows)
{
    struct jobspec spec = spec_of(MODE_SPL_HARD, BALANCE_NONE, 0.5);
    uint32_t of_class[2][CLASSES] = {{0}};

    for (int d = 0; d < 2; d++) {
        double loss[N], adjusted[N], mean = 0;

        spec.curriculum.diversity = d ? 4 : 0;
        /* Class 0 is easy, 2 is hard. */
        for (int i = 0; i < N; i++) {
            loss[i] = 0.1 + labels[i] + 0.02 * (7 * i % 20);
            mean += loss[i] / N;
        }
        for (int i = 0; i < N; i++) {
            int r = 1;
            for (int j = 0; j < N; j++)
                r += labels[j] == labels[i] && loss[j] < loss[i];
            adjusted[i] = loss[i] - spec.curriculum.diversity * mean / (sqrt(r) + sqrt(r - 1));
        }
        struct schedule s = scheduled(&spec, loss);
        ASSERT_EQ(N / 2, s.count);
        const double lambda = sorted_at(adjusted, s.count);
        for (uint32_t i = 0; i < s.count; i++) {
            ASSERT(adjusted[s.ids[i]] < lambda);
            ASSERT(s.weights[i] == 1);
            of_class[d][labels[s.ids[i]]]++;
        }
        schedule_done(&s);
    }
    ASSERT_EQ(10, of_class[0][0]);
    ASSERT(of_class[1][1] > 0 && of_class[1][2] > 0);
}

/* At 1/2, of 10, 7 and 3: 5, 4 and 1, since the remainder of class 1 comes first. */
TEST(with_balance_each_class_has_a_threshold_of_its_own)
{
    struct jobspec spec = spec_of(MODE_SPL_LINEAR, BALANCE_CLASS, 0.5);
    static const uint32_t ids[10] = {0, 1, 2, 3, 4, 10, 11, 12, 13, 17};
    static const double thresholds[CLASSES] = {6, 15, 19};
    double loss[N], want[10], sum = 0;

    for (int i = 0; i < N; i++)
        loss[i] = 1 + i;
    struct schedule s = scheduled(&spec, loss);
    ASSERT_EQ(10, s.count);
    for (int i = 0; i < 10; i++)
        sum += want[i] = 1 - loss[ids[i]] / thresholds[labels[ids[i]]];
    for (int i = 0; i < 10; i++) {
        ASSERT_EQ(ids[i], s.ids[i]);
        ASSERT_NEAR(want[i] * 10 / sum, s.weights[i], 1e-6);
    }
    schedule_done(&s);
}

/* With every mode: the share is what says how many. */
TEST(as_many_are_scheduled_as_by_selection)
{
    for (int p = 1; p < 10; p++) {
        struct jobspec select = spec_of(MODE_SELECT, BALANCE_CLASS, 0.1 * p);
        double loss[N];

        small_losses(loss);
        struct schedule want = scheduled(&select, loss);
        for (int mode = MODE_SPL_HARD; mode <= MODE_SPL_LOG; mode++) {
            struct jobspec spec = spec_of(mode, BALANCE_CLASS, 0.1 * p);
            struct schedule s = scheduled(&spec, loss);
            ASSERT_EQ(want.count, s.count);
            ASSERT_MEM(want.ids, s.ids, s.count * sizeof(*s.ids));
            for (uint32_t i = 0; i < s.count; i++)
                ASSERT(s.weights[i] > 0);
            schedule_done(&s);
        }
        schedule_done(&want);
    }
}

TEST(losses_that_are_not_known_count_as_the_mean_and_excluded_ones_not_at_all)
{
    struct jobspec spec = spec_of(MODE_SPL_HARD, BALANCE_NONE, 0.5);
    double loss[N];

    for (int i = 0; i < N; i++)
        loss[i] = i < 6 ? 0.5 : i < 12 ? CURRICULUM_UNRANKED : 3.5;
    loss[0] = CURRICULUM_EXCLUDED;
    struct schedule s = scheduled(&spec, loss);
    ASSERT_EQ(10, s.count); /* of 19: the five easy ones, then five that are not known */
    ASSERT_EQ(1, s.ids[0]);
    for (uint32_t i = 0; i < s.count; i++)
        ASSERT(s.ids[i] < 12);
    schedule_done(&s);
    for (int i = 0; i < N; i++)
        loss[i] = CURRICULUM_UNRANKED;
    for (int mode = MODE_SPL_HARD; mode <= MODE_SPL_LOG; mode++) {
        spec.curriculum.mode = mode;
        s = scheduled(&spec, loss);
        ASSERT_EQ(10, s.count);
        for (uint32_t i = 0; i < s.count; i++)
            ASSERT(s.weights[i] == 1);
        schedule_done(&s);
    }
}

TEST(a_rank_is_the_loss_and_smoothed_as_ranks_are)
{
    struct jobspec spec = spec_of(MODE_SPL_LINEAR, BALANCE_NONE, 0.5);
    const struct score scores[3] = {
        {.loss = 4, .flags = SCORE_MEASURED}, {.loss = 2, .flags = SCORE_MEASURED}, {.loss = 7}};
    double rank[3] = {CURRICULUM_UNRANKED, 1, CURRICULUM_UNRANKED};

    spec.curriculum.smoothing = 0.25;
    ASSERT_EQ(0, curriculum_rank(&spec, scores, NULL, 3, NULL, rank));
    ASSERT(rank[0] == 4 && rank[1] == 1.75 && rank[2] == CURRICULUM_UNRANKED);
    rank[1] = CURRICULUM_EXCLUDED;
    ASSERT_EQ(0, curriculum_rank(&spec, scores, NULL, 3, NULL, rank));
    ASSERT(rank[1] == CURRICULUM_EXCLUDED);
}
