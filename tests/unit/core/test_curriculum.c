#include <math.h>
#include <stdlib.h>

#include "common/difficulty.h"
#include "common/rng.h"
#include "server/core/curriculum.h"
#include "tests/harness.h"

static struct jobspec spec_of(int measure)
{
    return (struct jobspec){
        .epochs = 20,
        .batch = 4,
        .seed = 3,
        .curriculum = {.measure = measure, .initial = 0.2, .final = 1, .full_at = 0.5, .warmup = 2},
    };
}

static struct score measured(double loss, double adv_loss)
{
    return (struct score){.loss = loss, .adv_loss = adv_loss, .flags = SCORE_MEASURED};
}

TEST(mean_gap_leaves_out_what_was_not_measured_or_has_no_direction)
{
    struct score s[] = {measured(1, 2), measured(1, 4), measured(5, 9), measured(0, 100),
                        measured(2, 1)};

    ASSERT_NEAR(0, score_mean_gap(s, 0), 0);
    s[2].flags = 0;
    s[3].flags |= SCORE_NO_DIRECTION;
    ASSERT_NEAR(4.0 / 3, score_mean_gap(s, 5), 1e-15); /* (1 + 3 + 0) / 3 */
    s[0].flags = s[1].flags = s[4].flags = SCORE_NO_DIRECTION | SCORE_MEASURED;
    ASSERT_NEAR(0, score_mean_gap(s, 5), 0);
}

TEST(adm_is_the_gap_against_the_mean_gap_or_the_own_loss)
{
    struct score s = measured(1, 4), negative = measured(2, 1), zero = measured(0, 0);

    ASSERT_NEAR(0.75, score_adm(&s, NORM_POPULATION, 1), 0);
    ASSERT_NEAR(0.5, score_adm(&s, NORM_POPULATION, 3), 0);
    ASSERT_NEAR(0.75, score_adm(&s, NORM_SAMPLE, 1), 0);
    ASSERT_NEAR(0, score_adm(&negative, NORM_POPULATION, 1), 0);
    ASSERT_NEAR(0, score_adm(&negative, NORM_SAMPLE, 1), 0);
    ASSERT_NEAR(0, score_adm(&zero, NORM_POPULATION, 0), 0); /* 0/0 */
    ASSERT_NEAR(0, score_adm(&zero, NORM_SAMPLE, 0), 0);
}

/* A training program of its own reports what it has. */
TEST(a_measure_that_is_not_known_is_left_out_of_what_needs_it)
{
    struct score s[] = {measured(1, 2), measured(3, NAN), measured(NAN, 4), measured(1, 4)};
    double rank[] = {0.25, 0.25, 0.25, 0.25};
    struct lapses lapses[4] = {{0}};
    const uint16_t labels[4] = {0};
    struct jobspec spec = spec_of(MEASURE_ADM);

    ASSERT_NEAR(2, score_mean_gap(s, 4), 0);
    ASSERT(isnan(score_adm(&s[1], NORM_POPULATION, 2)) && isnan(score_adm(&s[2], NORM_SAMPLE, 2)));
    ASSERT(isnan(difficulty_key(MEASURE_ADM, NORM_SAMPLE, 1, &s[1], 1)));
    ASSERT(isnan(score_margin(1, NAN)) && isnan(score_margin(NAN, 0.5)));
    ASSERT_EQ(0, curriculum_rank(&spec, s, NULL, 4, NULL, rank));
    ASSERT_NEAR(0.25, rank[0], 0);
    ASSERT_NEAR(0.25, rank[1], 0); /* keeps its own */
    ASSERT_NEAR(0.25, rank[2], 0);
    ASSERT_NEAR(0.75, rank[3], 0);
    spec = spec_of(MEASURE_LOSS);
    ASSERT_EQ(0, curriculum_rank(&spec, s, NULL, 4, NULL, rank));
    ASSERT_NEAR(2.5 / 3, rank[1], 1e-15);
    ASSERT_NEAR(0.25, rank[2], 0);
    for (int i = 0; i < 4; i++)
        s[i].predicted = i < 2 ? -1 : i - 2;
    lapses_add(lapses, s, labels, 4);
    ASSERT_EQ(0, lapses[0].seen + lapses[1].seen);
    ASSERT_EQ(2, lapses[2].seen + lapses[3].seen);
    spec = spec_of(MEASURE_FORGETTING);
    ASSERT_EQ(0, curriculum_rank(&spec, s, lapses, 4, NULL, rank));
    ASSERT_NEAR(1.0 / 3, rank[0], 1e-15);
    ASSERT_NEAR(0.25, rank[2], 0);
    ASSERT_NEAR(0.75, rank[3], 0);
}

TEST(the_el2n_of_a_margin_is_the_one_that_has_it)
{
    static const double losses[] = {1e-6, 0.3, 2, 9};

    for (int i = 0; i < 4; i++) {
        const double rest = -expm1(-losses[i]), el2n = rest * 1.2;
        ASSERT_NEAR(el2n, score_el2n(losses[i], score_margin(losses[i], el2n)), 1e-9 * el2n);
    }
    ASSERT(isnan(score_el2n(NAN, 1)) && isnan(score_el2n(1, NAN)));
}

TEST(equal_losses_give_an_adm_of_exactly_zero)
{
    struct score s[3] = {measured(1e-20, 1e-20), measured(3, 3), measured(0.5, 0.5)};
    double mean = score_mean_gap(s, 3);

    ASSERT(mean == 0);
    for (int i = 0; i < 3; i++) {
        ASSERT(score_adm(&s[i], NORM_POPULATION, mean) == 0);
        ASSERT(score_adm(&s[i], NORM_SAMPLE, mean) == 0);
    }
}

TEST(each_measure_orders_by_its_own_key)
{
    struct score s = measured(1, 4), none = measured(0, 2), both = measured(0, 0);
    struct score easy = {.loss = 0.1, .el2n = 0.1};
    struct jobspec spec = spec_of(MEASURE_ADM);

    s.grad_norm = 7;
    s.el2n = 0.3;
    ASSERT_NEAR(3, curriculum_key(&spec, &s, NULL, 0), 0);
    spec.normaliser = NORM_SAMPLE;
    ASSERT_NEAR(log(4), curriculum_key(&spec, &s, NULL, 0), 1e-15);
    ASSERT_NEAR(log(2) + 744.44007192138126, curriculum_key(&spec, &none, NULL, 0), 1e-9);
    ASSERT_NEAR(0, curriculum_key(&spec, &both, NULL, 0), 0);
    spec.curriculum.measure = MEASURE_LOSS;
    ASSERT_NEAR(1, curriculum_key(&spec, &s, NULL, 0), 0);
    spec.curriculum.measure = MEASURE_GRAD_NORM;
    ASSERT_NEAR(7, curriculum_key(&spec, &s, NULL, 0), 0);
    spec.curriculum.measure = MEASURE_EL2N;
    ASSERT_NEAR(0.3, curriculum_key(&spec, &s, NULL, 0), 0);
    spec.curriculum.measure = MEASURE_MARGIN; /* a low margin is hard */
    ASSERT_NEAR(-score_margin(1, 0.3), curriculum_key(&spec, &s, NULL, 0), 0);
    ASSERT(curriculum_key(&spec, &s, NULL, 0) > curriculum_key(&spec, &easy, NULL, 0));
    spec.curriculum.measure = MEASURE_NONE;
    ASSERT_NEAR(0, curriculum_key(&spec, &s, NULL, 0), 0);
}

/* The gap of a confident sample is far below the last place of the ratio's 1, but keeps its order.
 */
TEST(the_sample_normaliser_does_not_saturate)
{
    struct jobspec spec = spec_of(MEASURE_ADM);
    struct score a = measured(1e-20, 1), b = measured(1e-22, 1);

    spec.normaliser = NORM_SAMPLE;
    ASSERT(score_adm(&a, NORM_SAMPLE, 0) == score_adm(&b, NORM_SAMPLE, 0));
    ASSERT(curriculum_key(&spec, &a, NULL, 0) < curriculum_key(&spec, &b, NULL, 0));
}

TEST(random_keys_depend_on_seed_and_sample_only)
{
    struct jobspec spec = spec_of(MEASURE_RANDOM), other = spec;
    struct score s = measured(1, 2);
    double first = curriculum_key(&spec, NULL, NULL, 0);

    ASSERT(first >= 0 && first < 1);
    ASSERT(first == curriculum_key(&spec, &s, NULL, 0));
    ASSERT(first != curriculum_key(&spec, NULL, NULL, 1));
    other.seed++;
    ASSERT(first != curriculum_key(&other, NULL, NULL, 0));
}

TEST(ranks_are_percentiles_and_equal_keys_share_one)
{
    struct jobspec spec = spec_of(MEASURE_LOSS);
    static const double loss[] = {5, 1, 3, 3, 0.0, -0.0, 3, 9};
    static const double want[] = {13, 5, 9, 9, 2, 2, 9, 15}; /* sixteenths */
    struct score s[8];
    double rank[8];

    for (int i = 0; i < 8; i++) {
        s[i] = measured(loss[i], 0);
        rank[i] = CURRICULUM_UNRANKED;
    }
    ASSERT_EQ(0, curriculum_rank(&spec, s, NULL, 8, NULL, rank));
    for (int i = 0; i < 8; i++)
        ASSERT_NEAR(want[i] / 16, rank[i], 0);
}

/* right (r), wrong (w) or not measured (-) from epoch to epoch, and the key behind the last. */
TEST(forgetting_counts_what_was_right_and_is_wrong_at_the_next_measurement)
{
    static const struct {
        const char *course;
        double key;
    } cases[] = {
        {"rrrrrr", 0}, {"wwwrrr", 0}, {"rwrwrw", 3}, {"rwwwww", 1}, {"r--w-r", 1},
        {"wwwwww", 6}, {"w----w", 2}, {"------", 0}, {"rwrrrr", 1},
    };
    enum { SAMPLES = sizeof(cases) / sizeof(cases[0]) };
    struct jobspec spec = spec_of(MEASURE_FORGETTING);
    struct lapses l[SAMPLES] = {{0}};
    uint16_t labels[SAMPLES];
    struct score s[SAMPLES];

    for (int epoch = 0; epoch < 6; epoch++) {
        for (int i = 0; i < SAMPLES; i++) {
            labels[i] = (uint16_t)(i % 3);
            s[i] = (struct score){.predicted = (i + (cases[i].course[epoch] == 'w')) % 3,
                                  .flags = cases[i].course[epoch] != '-' ? SCORE_MEASURED : 0};
        }
        lapses_add(l, s, labels, SAMPLES);
    }
    for (int i = 0; i < SAMPLES; i++)
        ASSERT_NEAR(cases[i].key, curriculum_key(&spec, &s[i], &l[i], 0), 0);
}

TEST(unmeasured_samples_keep_their_rank)
{
    struct jobspec spec = spec_of(MEASURE_LOSS);
    struct score s[4] = {measured(2, 0), measured(9, 0), measured(1, 0), measured(0, 0)};
    double rank[4] = {CURRICULUM_UNRANKED, 0.3, 0.9, CURRICULUM_UNRANKED};

    s[1].flags = s[3].flags = 0;
    ASSERT_EQ(0, curriculum_rank(&spec, s, NULL, 4, NULL, rank));
    ASSERT_NEAR(0.75, rank[0], 0);
    ASSERT_NEAR(0.3, rank[1], 0);
    ASSERT_NEAR(0.25, rank[2], 0); /* no smoothing: replaced */
    ASSERT_NEAR(CURRICULUM_UNRANKED, rank[3], 0);
    ASSERT_EQ(0, curriculum_rank(&spec, s, NULL, 0, NULL, rank));
}

TEST(smoothing_acts_on_the_rank_and_not_on_the_first)
{
    struct jobspec spec = spec_of(MEASURE_LOSS);
    struct score s[2] = {measured(1, 0), measured(2, 0)};
    double rank[2] = {CURRICULUM_UNRANKED, CURRICULUM_UNRANKED};

    spec.curriculum.smoothing = 0.75;
    curriculum_rank(&spec, s, NULL, 2, NULL, rank);
    ASSERT_NEAR(0.25, rank[0], 0);
    ASSERT_NEAR(0.75, rank[1], 0);
    s[0].loss = 1e6; /* how much larger does not matter */
    curriculum_rank(&spec, s, NULL, 2, NULL, rank);
    ASSERT_NEAR(0.75 * 0.25 + 0.25 * 0.75, rank[0], 1e-15);
    ASSERT_NEAR(0.75 * 0.75 + 0.25 * 0.25, rank[1], 1e-15);
}

/* epochs 20, warm-up 2, full at 0.5: x is 0 at epoch 2, 1/2 at 6 and 1 from 10 on. */
TEST(pacing_functions_have_their_values)
{
    static const struct {
        int pacing;
        double at_2, at_6, at_8;
    } want[] = {
        {PACING_LINEAR, 0.2, 0.6, 0.8},
        {PACING_QUAD, 0.2, 0.4, 0.65},
        {PACING_ROOT, 0.2, 0.7656854249492380, 0.8928203230275509},
        {PACING_STEP, 0.2, 0.2, 0.2},
        {PACING_EXP, 0.2, 0.2053542807394279, 0.26563465876420694},
        {PACING_LOG, 0.2, 0.9445554892142018, 0.9769902767164671},
    };

    for (int i = 0; i < 6; i++) {
        struct jobspec spec = spec_of(MEASURE_LOSS);
        spec.curriculum.pacing = want[i].pacing;
        ASSERT_EQ(i, want[i].pacing);
        ASSERT_NEAR(1, curriculum_share(&spec, 0), 0);
        ASSERT_NEAR(1, curriculum_share(&spec, 1), 0);
        ASSERT_NEAR(want[i].at_2, curriculum_share(&spec, 2), 1e-15);
        ASSERT_NEAR(want[i].at_6, curriculum_share(&spec, 6), 1e-14);
        ASSERT_NEAR(want[i].at_8, curriculum_share(&spec, 8), 1e-14);
        for (int epoch = 10; epoch < 20; epoch++)
            ASSERT_NEAR(1, curriculum_share(&spec, epoch), 0);
    }
}

TEST(every_pacing_rises_from_initial_to_exactly_final)
{
    static const double shares[][2] = {{0.1, 0.7}, {0.8, 1}, {0.3, 0.3}, {0.9, 0.4}};

    for (int pacing = PACING_LINEAR; pacing <= PACING_LOG; pacing++)
        for (int k = 0; k < 4; k++)
            for (int warmup = 0; warmup < 3; warmup++) {
                struct jobspec spec = spec_of(MEASURE_ADM);
                double sign = shares[k][1] < shares[k][0] ? -1 : 1;
                spec.curriculum.pacing = pacing;
                spec.curriculum.initial = shares[k][0];
                spec.curriculum.final = shares[k][1];
                spec.curriculum.warmup = warmup;
                spec.epochs = 100;
                double last = shares[k][0];
                for (int epoch = warmup; epoch < 100; epoch++) {
                    double share = curriculum_share(&spec, epoch);
                    ASSERT(sign * share >= sign * last);
                    ASSERT_EQ(epoch >= 50, curriculum_share_final(&spec, epoch));
                    last = share;
                }
                ASSERT(last == shares[k][1]);
                ASSERT_NEAR(shares[k][0], curriculum_share(&spec, warmup), 1e-15);
            }
}

/* 0.55 * 100 is 55.00000000000001 in double. */
TEST(the_share_is_final_at_the_epoch_a_person_computes)
{
    struct jobspec spec = spec_of(MEASURE_LOSS);

    for (int percent = 3; percent <= 100; percent++) {
        spec.epochs = 100;
        spec.curriculum.full_at = percent / 100.0;
        spec.curriculum.pacing = PACING_STEP;
        ASSERT(!curriculum_share_final(&spec, percent - 1));
        ASSERT(curriculum_share_final(&spec, percent));
        ASSERT_NEAR(0.2, curriculum_share(&spec, percent - 1), 1e-15);
        ASSERT_NEAR(1, curriculum_share(&spec, percent), 0);
    }
}

TEST(standard_training_has_all_samples_but_the_same_sweeps)
{
    struct jobspec spec = spec_of(MEASURE_NONE), with = spec_of(MEASURE_ADM);

    for (int epoch = 0; epoch < 20; epoch++) {
        ASSERT_NEAR(1, curriculum_share(&spec, epoch), 0);
        ASSERT_EQ(curriculum_share_final(&with, epoch), curriculum_share_final(&spec, epoch));
        ASSERT_EQ(curriculum_sweep_due(&with, epoch), curriculum_sweep_due(&spec, epoch));
    }
}

static void assert_sweeps(const struct jobspec *spec, const char *want)
{
    char got[64] = "";

    for (int epoch = 0; epoch < spec->epochs; epoch++)
        got[epoch] = curriculum_sweep_due(spec, epoch) ? 'x' : '.';
    ASSERT_STR(want, got);
}

TEST(sweeps_are_dense_until_the_share_is_final)
{
    struct jobspec spec = spec_of(MEASURE_ADM);

    assert_sweeps(&spec, "xxxxxxxxxxx....x...x");
    spec.score_every = 3;
    assert_sweeps(&spec, "x..x..x..x..x..x..xx");
    spec.score_every = 100;
    assert_sweeps(&spec, "x..................x");
}

TEST(the_fused_step_is_swept_for_what_it_does_not_train_on)
{
    struct jobspec spec = spec_of(MEASURE_ADM);

    spec.score_source = SOURCE_TRAIN;
    assert_sweeps(&spec, ".....x.............x");
    spec.score_every = 2;
    assert_sweeps(&spec, "..x.x.x.x..........x");
    spec.score_every = 0;
    spec.curriculum.final = 0.9;
    assert_sweeps(&spec, ".....x....x....x...x");
}

/* It needs no sweep for its order, and leaves out no sample that would need one. */
TEST(a_curriculum_inside_the_step_is_swept_seldom)
{
    struct jobspec spec = spec_of(MEASURE_ADM);

    spec.curriculum.scope = CURRICULUM_STEP;
    assert_sweeps(&spec, "x....x....x....x...x");
    spec.score_source = SOURCE_TRAIN;
    assert_sweeps(&spec, "...................x");
    spec.score_every = 2;
    assert_sweeps(&spec, "...................x");
}

TEST(a_job_begins_with_the_order_it_was_given)
{
    static const uint32_t excluded[] = {1, 4};
    const double order[6] = {3, 100, 1, NAN, 0, 3};
    struct jobspec spec = spec_of(MEASURE_GIVEN);
    double rank[6];

    ASSERT_EQ(0, curriculum_begin(NULL, NULL, 0, NULL, 6, rank));
    for (int i = 0; i < 6; i++)
        ASSERT_NEAR(CURRICULUM_UNRANKED, rank[i], 0);
    ASSERT_EQ(0, curriculum_begin(order, excluded, 2, NULL, 6, rank));
    ASSERT_NEAR(CURRICULUM_EXCLUDED, rank[1], 0);
    ASSERT_NEAR(CURRICULUM_EXCLUDED, rank[4], 0);
    ASSERT_NEAR(CURRICULUM_UNRANKED, rank[3], 0);
    ASSERT_NEAR(0.5 / 3, rank[2], 1e-16);
    ASSERT_NEAR(2.0 / 3, rank[0], 1e-16);
    ASSERT_NEAR(2.0 / 3, rank[5], 1e-16);
    /* It stays as it is, whatever is measured. */
    struct score s[6] = {measured(9, 0), measured(1, 0), measured(2, 0),
                         measured(3, 0), measured(4, 0), measured(5, 0)};
    ASSERT_EQ(0, curriculum_rank(&spec, s, NULL, 6, NULL, rank));
    ASSERT_NEAR(2.0 / 3, rank[0], 1e-16);
    ASSERT_NEAR(CURRICULUM_UNRANKED, rank[3], 0);
}

TEST(excluded_samples_take_no_place_among_the_ranks)
{
    static const uint32_t excluded[] = {0, 3};
    struct jobspec spec = spec_of(MEASURE_LOSS);
    struct score s[4] = {measured(9, 0), measured(2, 0), measured(1, 0), measured(0, 0)};
    double rank[4];

    ASSERT_EQ(0, curriculum_begin(NULL, excluded, 2, NULL, 4, rank));
    ASSERT_EQ(0, curriculum_rank(&spec, s, NULL, 4, NULL, rank));
    ASSERT_NEAR(CURRICULUM_EXCLUDED, rank[0], 0);
    ASSERT_NEAR(0.75, rank[1], 0);
    ASSERT_NEAR(0.25, rank[2], 0);
    ASSERT_NEAR(CURRICULUM_EXCLUDED, rank[3], 0);
}
