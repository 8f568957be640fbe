/* BatchNorm and dropout in a training step. */
#include "tests/unit/nn/step_fixture.h"

#define DROPPING                                                                                   \
    "[{\"type\":\"conv2d\",\"channels\":4},{\"type\":\"batchnorm\"},{\"type\":\"relu\"},"          \
    "{\"type\":\"dropout\",\"rate\":0.3},{\"type\":\"flatten\"},{\"type\":\"dense\",\"units\":12}" \
    ","                                                                                            \
    "{\"type\":\"relu\"},{\"type\":\"dropout\"},{\"type\":\"dense\"}]"

TEST(epsilon_0_makes_every_gap_exactly_0_with_dropout_and_batchnorm_too)
{
    struct fixture *f = fixture_create(DROPPING);

    for (size_t a = 0; a < COUNT(attacks); a++) {
        struct step_spec spec = attacks[a];
        spec.rho = 0.05;
        spec.epsilon = spec.alpha = 0;
        spec.fused = true;
        spec.slot = 48;
        step_train(f->step, &spec, f->theta, &f->set, ids, f->weights, SHARD, f->grad, f->sums,
                   f->scores);
        for (uint32_t i = 0; i < SHARD; i++)
            ASSERT(f->scores[i].adv_loss == f->scores[i].loss && f->scores[i].loss > 0);
        score(f, 0, 0, SHARD);
        for (uint32_t i = 0; i < SHARD; i++)
            ASSERT(f->scores[i].adv_loss == f->scores[i].loss && f->scores[i].loss > 0);
    }
    fixture_free(f);
}

/* A rho that moves no float: only other masks could change the loss. */
TEST(dropout_drops_the_same_in_all_passes_of_a_step_and_other_entries_in_others)
{
    struct fixture *f = fixture_create(DROPPING);
    const struct step_spec specs[] = {
        {.rho = 1e-30, .seed = 1, .step = 4, .slot = 0},
        {.rho = 1e-30, .seed = 1, .step = 4, .slot = 16},
        {.rho = 1e-30, .seed = 1, .step = 5, .slot = 0},
        {.rho = 1e-30, .seed = 2, .step = 4, .slot = 0},
    };
    double loss[COUNT(specs)] = {0};

    for (size_t i = 0; i < COUNT(specs); i++) {
        for (int again = 0; again < 2; again++) {
            step_train(f->step, &specs[i], f->theta, &f->set, ids, f->weights, SHARD, f->grad,
                       f->sums, NULL);
            ASSERT(f->sums[SUM_LOSS] == f->sums[SUM_LOSS_HAT]);
            ASSERT(again == 0 || loss[i] == f->sums[SUM_LOSS]);
            loss[i] = f->sums[SUM_LOSS];
        }
        for (size_t j = 0; j < i; j++)
            ASSERT(loss[i] != loss[j]);
    }
    fixture_free(f);
}

TEST(a_training_result_ends_with_the_statistics_of_the_first_pass)
{
    struct fixture *f = fixture_create(DROPPING);
    const size_t running = f->m.floats - f->m.trained;
    real *first = reals(running);

    ASSERT_EQ(2 * 16, running);
    train(f, 0, false, f->theta);
    memcpy(first, f->grad + f->m.trained, running * sizeof(real));
    for (int c = 0; c < 16; c++) { /* means, variances, padding */
        ASSERT((first[c] != 0) == (c < 4));
        ASSERT((first[16 + c] > 0) == (c < 4));
    }
    memset(f->grad, 0xff, f->m.floats * sizeof(real));
    train(f, 3, false, f->theta);
    ASSERT_MEM(first, f->grad + f->m.trained, running * sizeof(real));
    for (size_t i = 0; i < f->m.trained; i++)
        f->theta[i] *= (real)1.5;
    train(f, 0, false, f->theta);
    ASSERT(distance(first, f->grad + f->m.trained, running) > 0.1);
    free(first);
    fixture_free(f);
}

TEST(training_does_not_read_the_running_statistics_and_scores_do)
{
    struct fixture *f = fixture_create(DROPPING);
    const size_t running = f->m.floats - f->m.trained;
    real *want = reals(f->m.floats);

    train(f, 0.05, false, f->theta);
    memcpy(want, f->grad, f->m.floats * sizeof(real));
    score(f, 8.0 / 255, 0, SHARD);
    const double loss = f->scores[0].loss;
    for (size_t i = f->m.trained; i < f->m.floats; i++)
        f->theta[i] += (real)0.5;
    score(f, 8.0 / 255, 0, SHARD);
    ASSERT(loss != f->scores[0].loss);
    memset(f->theta + f->m.trained, 0xff, running * sizeof(real));
    train(f, 0.05, false, f->theta);
    ASSERT_MEM(want, f->grad, f->m.floats * sizeof(real));
    free(want);
    fixture_free(f);
}
