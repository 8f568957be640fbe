#include "proto/cli/informative.h"

#include <math.h>

#include "common/score.h"
#include "tests/harness.h"

TEST(adm_is_the_normalised_gap)
{
    const double loss[] = {1, 2, 0.5, 3, 1}, adv[] = {2, 5, 0.25, 3.5, NAN};
    const int32_t flags[] = {1, 1, 1, 1 | SCORE_NO_DIRECTION, 1};
    double population[5], sample[5];

    informative_adm(loss, adv, flags, 5, population, sample);
    /* gaps 1, 3, 0 (negative), and 0.5 that is left out of the mean (1 + 3 + 0) / 3 */
    const double mean = 4.0 / 3;
    ASSERT_NEAR(1 / (1 + mean), population[0], 1e-15);
    ASSERT_NEAR(3 / (3 + mean), population[1], 1e-15);
    ASSERT(population[2] == 0);
    ASSERT_NEAR(0.5 / (0.5 + mean), population[3], 1e-15);
    ASSERT_NEAR(0.5, sample[0], 1e-15);
    ASSERT_NEAR(0.6, sample[1], 1e-15);
    ASSERT(sample[2] == 0);
    ASSERT_NEAR(0.5 / 3.5, sample[3], 1e-15);
    ASSERT(isnan(population[4]) && isnan(sample[4]));
}

TEST(a_scale_has_quantiles_spread_and_ties_of_float32)
{
    double column[12];
    struct informative_scale s;

    for (int i = 0; i < 11; i++)
        column[i] = 11 - i;
    column[11] = NAN;
    ASSERT_EQ(0, informative_scale(column, 12, &s));
    ASSERT_NEAR(2, s.p10, 0);
    ASSERT_NEAR(6, s.median, 0);
    ASSERT_NEAR(10, s.p90, 0);
    ASSERT_NEAR(8.0 / 6, s.spread, 1e-15);
    ASSERT_NEAR(0, s.tied, 0);
    column[0] = 1 + 1e-9; /* beside the 1 at the end: one number in float32 */
    ASSERT_EQ(0, informative_scale(column, 12, &s));
    ASSERT_NEAR(2.0 / 11, s.tied, 1e-15);

    const double zeros[] = {0, 0, 0};
    ASSERT_EQ(0, informative_scale(zeros, 3, &s));
    ASSERT(isnan(s.spread) && s.tied == 1);
    const double none[] = {NAN};
    ASSERT_EQ(0, informative_scale(none, 1, &s));
    ASSERT(isnan(s.median) && isnan(s.tied));
}

TEST(agreement_is_spearman_over_what_both_have)
{
    const double a[] = {1, 2, 3, 4, NAN, 9}, same[] = {10, 20, 30, 400, 5, NAN},
                 against[] = {4, 3, 2, 1, 7, NAN}, ties[] = {1, 1, 2, 2, 0, NAN},
                 equal[] = {3, 3, 3, 3, 3, 3};
    double r;

    ASSERT_EQ(0, informative_agreement(a, same, 6, &r));
    ASSERT_NEAR(1, r, 1e-15);
    ASSERT_EQ(0, informative_agreement(a, against, 6, &r));
    ASSERT_NEAR(-1, r, 1e-15);
    ASSERT_EQ(0, informative_agreement(a, ties, 6, &r));
    /* ranks 1 2 3 4 and 1.5 1.5 3.5 3.5: 4 / sqrt(5 * 4) */
    ASSERT_NEAR(4 / sqrt(20), r, 1e-15);
    ASSERT_EQ(0, informative_agreement(a, equal, 6, &r));
    ASSERT(isnan(r));
    ASSERT_EQ(0, informative_agreement(a, same, 2, &r));
    ASSERT(isnan(r));
}

TEST(auroc_counts_pairs_and_halves_ties)
{
    const double column[] = {0.1, 0.4, 0.4, 0.8, NAN};
    const uint8_t positive[] = {0, 1, 0, 1, 1}, none[] = {0, 0, 0, 0, 1};
    double r;

    ASSERT_EQ(0, informative_auroc(column, positive, 5, &r));
    ASSERT_NEAR(3.5 / 4, r, 1e-15);
    ASSERT_EQ(0, informative_auroc(column, none, 5, &r));
    ASSERT(isnan(r));
}
