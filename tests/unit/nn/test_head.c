#include "tests/unit/nn/support.h"
#include "worker/nn/head.h"

/* exp(-40) */
#define EXP_MINUS_40 4.248354255291589e-18

static struct head head_of(const real *z, uint32_t classes, uint32_t label, double *delta)
{
    struct head h;

    head_sample(z, classes, label, &h, delta);
    return h;
}

TEST(two_logits_with_margin_40_keep_their_precision)
{
    const real z[2] = {40, 0};
    double delta[2];
    const struct head h = head_of(z, 2, 0, delta);

    ASSERT_NEAR(4.248e-18, h.loss, 4.248e-18 * 1e-4);
    ASSERT_NEAR(EXP_MINUS_40, h.loss, EXP_MINUS_40 * 1e-12);
    ASSERT_NEAR(EXP_MINUS_40, h.wrong, EXP_MINUS_40 * 1e-12);
    ASSERT_NEAR(-EXP_MINUS_40, delta[0], EXP_MINUS_40 * 1e-12);
    ASSERT_NEAR(EXP_MINUS_40, delta[1], EXP_MINUS_40 * 1e-12);
    ASSERT_NEAR(EXP_MINUS_40 * sqrt(2), h.el2n, EXP_MINUS_40 * 1e-12);
    ASSERT_EQ(0, h.predicted);
}

TEST(ten_logits_with_margin_40_lose_nine_times_as_much)
{
    const real z[10] = {-40, -40, -40, 0, -40, -40, -40, -40, -40, -40};
    double delta[10];
    const struct head h = head_of(z, 10, 3, delta);

    ASSERT_NEAR(9 * EXP_MINUS_40, h.loss, EXP_MINUS_40 * 1e-11);
    ASSERT_NEAR(-9 * EXP_MINUS_40, delta[3], EXP_MINUS_40 * 1e-11);
    ASSERT_NEAR(EXP_MINUS_40 * sqrt(90), h.el2n, EXP_MINUS_40 * 1e-11);
}

TEST(a_wrong_class_ahead_by_200_costs_200)
{
    const real z[3] = {0, 200, -5};
    double delta[3];
    const struct head h = head_of(z, 3, 0, delta);

    ASSERT_NEAR(200, h.loss, 1e-12);
    ASSERT_NEAR(-1, delta[0], 1e-15);
    ASSERT_NEAR(1, delta[1], 1e-15);
    ASSERT_NEAR(exp(-205), delta[2], exp(-205) * 1e-12);
    ASSERT_NEAR(sqrt(2), h.el2n, 1e-15);
    ASSERT_EQ(1, h.predicted);
}

TEST(el2n_of_a_margin_of_500_does_not_underflow)
{
    const real z[3] = {500, 0, 0};
    const struct head h = head_of(z, 3, 0, NULL);

    ASSERT_NEAR(2 * exp(-500), h.loss, exp(-500) * 1e-9);
    ASSERT_NEAR(sqrt(6) * exp(-500), h.el2n, exp(-500) * 1e-9);
}

TEST(el2n_of_an_ordinary_sample_is_the_norm_of_softmax_minus_onehot)
{
    const real z[4] = {1, -2, 0.5, 3};
    double sum = 0, squares = 0;
    const struct head h = head_of(z, 4, 2, NULL);

    for (int j = 0; j < 4; j++)
        sum += exp((double)z[j]);
    for (int j = 0; j < 4; j++)
        squares += pow(exp((double)z[j]) / sum - (j == 2), 2);
    ASSERT_NEAR(sqrt(squares), h.el2n, 1e-14);
    ASSERT_NEAR(log(sum) - 0.5, h.loss, 1e-14);
}

TEST(ties_go_to_the_lowest_class)
{
    const real z[4] = {1, 7, 7, 7};

    ASSERT_EQ(1, head_of(z, 4, 3, NULL).predicted);
    ASSERT_NEAR(log(3 + exp(-6)), head_of(z, 4, 3, NULL).loss, 1e-14);
}

TEST(delta_is_the_gradient_of_the_loss)
{
    enum { CLASSES = 7 };
    const double step = 1.0 / 1024; /* exact in float32 */

    for (uint32_t trial = 0; trial < 50; trial++) {
        real *z = uniform(trial, CLASSES, -6, 6);
        double delta[CLASSES];
        const uint32_t label = trial % CLASSES;
        for (int j = 0; j < CLASSES; j++)
            z[j] = (real)(round((double)z[j] * 1024) / 1024);
        head_of(z, CLASSES, label, delta);
        for (int j = 0; j < CLASSES; j++) {
            const real at = z[j];
            z[j] = (real)((double)at + step);
            const double up = head_of(z, CLASSES, label, NULL).loss;
            z[j] = (real)((double)at - step);
            const double down = head_of(z, CLASSES, label, NULL).loss;
            z[j] = at;
            ASSERT_NEAR((up - down) / (2 * step), delta[j], 1e-7);
        }
        free(z);
    }
}

/* (1 - a)*loss_y + a/C * sum_j loss_j, by one head a class. */
static double smoothed(const real *z, uint32_t classes, uint32_t label, double a)
{
    double sum = 0;

    for (uint32_t j = 0; j < classes; j++)
        sum += head_of(z, classes, j, NULL).loss;
    return (1 - a) * head_of(z, classes, label, NULL).loss + a / classes * sum;
}

TEST(smoothed_loss_and_delta_are_those_of_the_smoothed_target)
{
    enum { CLASSES = 7 };
    static const double amounts[] = {0.05, 0.1, 0.5, 0.99};
    const double step = 1.0 / 1024;

    for (uint32_t trial = 0; trial < 40; trial++) {
        real *z = uniform(trial, CLASSES, -6, 6);
        const double a = amounts[trial % COUNT(amounts)];
        const uint32_t label = trial % CLASSES;
        double delta[CLASSES];
        for (int j = 0; j < CLASSES; j++)
            z[j] = (real)(round((double)z[j] * 1024) / 1024);
        const struct head plain = head_of(z, CLASSES, label, delta);
        struct head h = plain;
        head_smooth(z, CLASSES, label, a, &h, delta);
        ASSERT_NEAR(smoothed(z, CLASSES, label, a), h.loss, 1e-12);
        ASSERT(h.wrong == plain.wrong && h.el2n == plain.el2n && h.predicted == plain.predicted);
        for (int j = 0; j < CLASSES; j++) {
            const real at = z[j];
            z[j] = (real)((double)at + step);
            const double up = smoothed(z, CLASSES, label, a);
            z[j] = (real)((double)at - step);
            const double down = smoothed(z, CLASSES, label, a);
            z[j] = at;
            ASSERT_NEAR((up - down) / (2 * step), delta[j], 1e-7);
        }
        free(z);
    }
}

TEST(a_smoothed_target_is_met_by_a_finite_margin)
{
    const double a = 0.1, want = log((1 - a + a / 10) / (a / 10)); /* of the softmax that is it */
    real z[10] = {0};
    double delta[10];
    struct head h;

    z[3] = (real)want;
    h = head_of(z, 10, 3, delta);
    head_smooth(z, 10, 3, a, &h, delta);
    for (int j = 0; j < 10; j++)
        ASSERT_NEAR(0, delta[j], 1e-7);
    z[3] = 40;
    h = head_of(z, 10, 3, delta);
    head_smooth(z, 10, 3, a, &h, delta);
    ASSERT_NEAR(a / 10 * 9 * 40, h.loss, 1e-12);
    ASSERT(delta[3] > 0);
}

TEST(delta_sums_to_zero_and_asking_for_it_changes_nothing)
{
    real *z = uniform(1, 10, -20, 20);
    double delta[10], sum = 0;
    const struct head with = head_of(z, 10, 4, delta), without = head_of(z, 10, 4, NULL);

    for (int j = 0; j < 10; j++)
        sum += delta[j];
    ASSERT_NEAR(0, sum, 1e-15);
    ASSERT_NEAR(with.loss, without.loss, 0);
    ASSERT_NEAR(with.el2n, without.el2n, 0);
    free(z);
}

TEST(nothing_is_not_a_number_when_the_other_classes_vanish)
{
    const real z[2] = {2000, -2000}, one[1] = {3};
    double delta[2];
    struct head h = head_of(z, 2, 0, delta);

    ASSERT(h.loss == 0 && h.wrong == 0 && h.el2n == 0 && delta[0] == 0 && delta[1] == 0);
    ASSERT_EQ(0, head_exponent(&h));
    h = head_of(one, 1, 0, delta);
    ASSERT(h.loss == 0 && h.wrong == 0 && h.el2n == 0 && delta[0] == 0);
}

TEST(exponent_scales_the_largest_delta_into_one_to_two)
{
    for (int margin = -30; margin <= 600; margin += 7) {
        const real z[3] = {(real)margin, 0, -1};
        double delta[3];
        const struct head h = head_of(z, 3, 0, delta);
        const double scaled = ldexp(-delta[0], -head_exponent(&h));
        ASSERT(scaled >= 1 && scaled < 2);
        ASSERT_NEAR(-delta[0], ldexp(scaled, head_exponent(&h)), 0);
    }
}

TEST(not_a_number_stays_visible_and_predicts_a_class)
{
    const real z[3] = {(real)NAN, 1, 2};
    double delta[3];
    const struct head h = head_of(z, 3, 1, delta);

    ASSERT(isnan(h.loss));
    ASSERT(h.predicted >= 0 && h.predicted < 3);
    ASSERT_EQ(0, head_exponent(&h));
}

TEST(probabilities_are_the_softmax_and_keep_what_a_float_can_hold)
{
    const real z[4] = {100, 98, 40, 100};
    const double sum = 2 + exp(-2) + exp(-60);
    float p[4];

    head_probabilities(z, 4, p);
    ASSERT_NEAR(1 / sum, p[0], 1e-7);
    ASSERT_NEAR(exp(-2) / sum, p[1], 1e-8);
    ASSERT_NEAR(exp(-60) / sum, p[2], 1e-32);
    ASSERT(p[2] > 0 && p[0] == p[3]);
}
