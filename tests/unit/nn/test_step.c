#include "common/likely.h"
#include "tests/unit/nn/step_fixture.h"

TEST(rho_0_is_plain_sgd_bit_for_bit)
{
    for (const char *const *preset = quick_presets; *preset; preset++) {
        struct fixture *f = fixture_create(*preset);
        real *want = plain_gradient(f, f->theta);
        train(f, 0, false, f->theta);
        ASSERT_MEM(want, f->grad, f->m.floats * sizeof(real));
        ASSERT(f->sums[SUM_LOSS] == f->sums[SUM_LOSS_HAT]);
        memset(f->grad, 0xff, f->m.floats * sizeof(real));
        train(f, 0, true, f->theta);
        ASSERT_MEM(want, f->grad, f->m.floats * sizeof(real));
        free(want);
        fixture_free(f);
    }
}

TEST(sam_takes_the_gradient_at_theta_hat)
{
    static const double rhos[] = {0.01, 0.05, 2};

    for (size_t r = 0; r < COUNT(rhos); r++) {
        struct fixture *f = fixture_create("lenet");
        real *g = plain_gradient(f, f->theta), *hat = reals(f->m.floats);
        double weight = 0, norm = 0;
        for (uint32_t i = 0; i < SHARD; i++)
            weight += f->weights[i];
        for (size_t i = 0; i < f->m.floats; i++)
            norm += (double)g[i] / weight * (g[i] / weight);
        for (size_t i = 0; i < f->m.floats; i++)
            hat[i] = (real)((double)f->theta[i] + rhos[r] * (g[i] / weight) / (sqrt(norm) + 1e-12));
        real *want = plain_gradient(f, hat);
        train(f, rhos[r], false, f->theta);
        ASSERT(distance(f->grad, want, f->m.floats) < 1e-4);
        ASSERT(distance(f->grad, g, f->m.floats) > 1e-3);
        ASSERT(f->sums[SUM_LOSS_HAT] > f->sums[SUM_LOSS]);
        free(g), free(hat), free(want);
        fixture_free(f);
    }
}

/* theta + rho T^2 g/||T g|| in double, T of weights |theta| + 0.01, of biases 1. */
TEST(asam_ascends_by_the_size_of_each_weight)
{
    struct fixture *f = fixture_create("lenet");
    const struct step_spec spec = {.rho = 0.5, .sam = SAM_ADAPTIVE};
    real *g = plain_gradient(f, f->theta), *hat = reals(f->m.floats);
    double weight = 0, norm = 0, *t = xcalloc(f->m.floats, sizeof(*t));

    for (uint32_t i = 0; i < SHARD; i++)
        weight += f->weights[i];
    for (int p = 0; p < f->m.param_count; p++) {
        const struct param *param = &f->m.params[p];
        const bool bias = strstr(param->name, ".bias") != NULL;
        for (size_t i = param->offset; i < param->offset + param->count; i++)
            t[i] = bias ? 1 : fabs((double)f->theta[i]) + 0.01;
    }
    for (size_t i = 0; i < f->m.floats; i++)
        norm += pow(t[i] * (double)g[i] / weight, 2);
    for (size_t i = 0; i < f->m.floats; i++)
        hat[i] = (real)((double)f->theta[i] +
                        0.5 * t[i] * t[i] * ((double)g[i] / weight) / (sqrt(norm) + 1e-12));
    real *want = plain_gradient(f, hat);
    step_train(f->step, &spec, f->theta, &f->set, ids, f->weights, SHARD, f->grad, f->sums, NULL);
    ASSERT(distance(f->grad, want, f->m.floats) < 1e-4);
    ASSERT(f->sums[SUM_LOSS_HAT] > f->sums[SUM_LOSS]);
    real *adaptive = reals(f->m.floats);
    memcpy(adaptive, f->grad, f->m.floats * sizeof(real));
    train(f, 0.5, false, f->theta);
    ASSERT(distance(f->grad, adaptive, f->m.floats) > 1e-3);
    free(g), free(hat), free(t), free(want), free(adaptive);
    fixture_free(f);
}

TEST(asam_with_rho_0_or_a_zero_gradient_stays_at_theta)
{
    struct fixture *f = fixture_create("mlp");
    struct step_spec spec = {.rho = 0, .sam = SAM_ADAPTIVE};
    real *want = plain_gradient(f, f->theta);

    step_train(f->step, &spec, f->theta, &f->set, ids, f->weights, SHARD, f->grad, f->sums, NULL);
    ASSERT_MEM(want, f->grad, f->m.floats * sizeof(real));
    f->theta[f->m.params[f->m.param_count - 1].offset + 2] = 5000;
    for (uint32_t i = 0; i < SAMPLES; i++)
        ((uint16_t *)f->set.labels)[i] = 2;
    spec.rho = 1e30;
    step_train(f->step, &spec, f->theta, &f->set, ids, f->weights, SHARD, f->grad, f->sums, NULL);
    for (size_t i = 0; i < f->m.floats; i++)
        ASSERT(f->grad[i] == 0);
    free(want);
    fixture_free(f);
}

static double smoothed_loss(struct fixture *f, double smoothing, const real *theta)
{
    const struct step_spec spec = {.smoothing = smoothing};

    step_train(f->step, &spec, theta, &f->set, ids, f->weights, SHARD, f->grad, f->sums, NULL);
    return f->sums[SUM_LOSS];
}

TEST(the_gradient_of_training_is_that_of_the_smoothed_loss)
{
    struct fixture *f = fixture_create("mlp");
    real *g = reals(f->m.floats), *moved = reals(f->m.floats);
    double norm = 0;
    const double step = 4e-3;

    const double plain = smoothed_loss(f, 0, f->theta);
    ASSERT(smoothed_loss(f, 0.2, f->theta) != plain);
    memcpy(g, f->grad, f->m.floats * sizeof(real));
    for (size_t i = 0; i < f->m.floats; i++)
        norm += (double)g[i] * (double)g[i];
    norm = sqrt(norm);
    double value[2];
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < f->m.floats; i++)
            moved[i] = (real)((double)f->theta[i] + (side ? step : -step) * (double)g[i] / norm);
        value[side] = smoothed_loss(f, 0.2, moved);
    }
    ASSERT_NEAR(norm, (value[1] - value[0]) / (2 * step), 5e-3 * norm);
    free(g), free(moved);
    fixture_free(f);
}

TEST(scores_are_not_smoothed)
{
    struct fixture *f = fixture_create("mlp");
    struct step_spec spec = attacks[0];
    struct score plain[SHARD];

    step_score(f->step, &spec, f->theta, &f->set, ids, SHARD, f->scores, NULL);
    memcpy(plain, f->scores, sizeof(plain));
    spec.smoothing = 0.5;
    step_score(f->step, &spec, f->theta, &f->set, ids, SHARD, f->scores, NULL);
    ASSERT_MEM(plain, f->scores, sizeof(plain));
    fixture_free(f);
}

TEST(sums_are_weighted_in_sample_order)
{
    struct fixture *f = fixture_create("mlp");
    double weight = 0, loss = 0, correct = 0;

    train(f, 0.05, true, f->theta);
    for (uint32_t i = 0; i < SHARD; i++) {
        weight += f->weights[i];
        loss += f->weights[i] * f->scores[i].loss;
        correct += f->scores[i].predicted == f->set.labels[ids[i]];
    }
    ASSERT_NEAR(weight, f->sums[SUM_WEIGHT], 0);
    ASSERT_NEAR(loss, f->sums[SUM_LOSS], 0);
    ASSERT_NEAR(correct, f->sums[SUM_CORRECT], 0);
    ASSERT_NEAR(SHARD, f->sums[SUM_SAMPLES], 0);
    fixture_free(f);
}

TEST(theta_is_untouched)
{
    struct fixture *f = fixture_create("lenet");
    real *before = start_of(&f->m, 3);

    train(f, 0.5, true, f->theta);
    score(f, 0.1, 0, SHARD);
    ASSERT_MEM(before, f->theta, f->m.floats * sizeof(real));
    free(before);
    fixture_free(f);
}

TEST(same_call_twice_gives_the_same_bits)
{
    struct fixture *f = fixture_create("cnn");
    real *first = reals(f->m.floats);
    struct score scores[SHARD];

    train(f, 0.05, true, f->theta);
    memcpy(first, f->grad, f->m.floats * sizeof(real));
    memcpy(scores, f->scores, sizeof(scores));
    score(f, 0.1, 3, 5);
    train(f, 0.05, false, f->theta);
    ASSERT_MEM(first, f->grad, f->m.floats * sizeof(real));
    train(f, 0.05, true, f->theta);
    ASSERT_MEM(first, f->grad, f->m.floats * sizeof(real));
    ASSERT_MEM(scores, f->scores, sizeof(scores));
    free(first);
    fixture_free(f);
}

TEST(scores_are_not_touched_unless_fused)
{
    struct fixture *f = fixture_create("mlp");
    const struct step_spec spec = {.rho = 0.05};
    struct score before[SAMPLES];

    memset(f->scores, 0x5a, sizeof(f->scores));
    memcpy(before, f->scores, sizeof(before));
    step_train(f->step, &spec, f->theta, &f->set, ids, f->weights, SHARD, f->grad, f->sums,
               f->scores);
    ASSERT_MEM(before, f->scores, sizeof(before));
    fixture_free(f);
}

TEST(epsilon_0_makes_every_gap_exactly_0)
{
    for (const char *const *preset = quick_presets; *preset; preset++) {
        struct fixture *f = fixture_create(*preset);
        const struct step_spec spec = {.rho = 0.05, .epsilon = 0, .fused = true};
        step_train(f->step, &spec, f->theta, &f->set, ids, f->weights, SHARD, f->grad, f->sums,
                   f->scores);
        for (uint32_t i = 0; i < SHARD; i++)
            ASSERT(f->scores[i].adv_loss == f->scores[i].loss && f->scores[i].loss > 0);
        score(f, 0, 0, SHARD);
        score(f, 0, SHARD, SAMPLES - SHARD);
        for (uint32_t i = 0; i < SAMPLES; i++)
            ASSERT(f->scores[i].adv_loss == f->scores[i].loss && f->scores[i].loss > 0);
        fixture_free(f);
    }
}

static void fused_scores(struct fixture *f, const struct step_spec *attack, double rho)
{
    struct step_spec spec = *attack;

    spec.fused = true;
    spec.rho = rho;
    step_train(f->step, &spec, f->theta, &f->set, ids, f->weights, SHARD, f->grad, f->sums,
               f->scores);
}

TEST(every_attack_with_epsilon_0_leaves_no_gap)
{
    struct fixture *f = fixture_create("lenet");

    for (size_t a = 0; a < COUNT(attacks); a++) {
        struct step_spec spec = attacks[a];
        spec.epsilon = 0;
        memset(f->scores, 0xff, sizeof(f->scores));
        step_score(f->step, &spec, f->theta, &f->set, ids, SHARD, f->scores, NULL);
        for (uint32_t i = 0; i < SHARD; i++)
            ASSERT(f->scores[i].adv_loss == f->scores[i].loss && f->scores[i].loss > 0);
        fused_scores(f, &spec, 0.05);
        for (uint32_t i = 0; i < SHARD; i++)
            ASSERT(f->scores[i].adv_loss == f->scores[i].loss && f->scores[i].loss > 0);
    }
    fixture_free(f);
}

TEST(every_attack_raises_the_loss_and_leaves_the_clean_half_alone)
{
    struct fixture *f = fixture_create("lenet");
    struct score first[SHARD];

    for (size_t a = 0; a < COUNT(attacks); a++) {
        step_score(f->step, &attacks[a], f->theta, &f->set, ids, SHARD, f->scores, NULL);
        if (a == 0)
            memcpy(first, f->scores, sizeof(first));
        for (uint32_t i = 0; i < SHARD; i++) {
            const struct score *s = &f->scores[i];
            ASSERT_EQ(SCORE_MEASURED, s->flags);
            ASSERT(s->adv_loss > s->loss);
            ASSERT(s->loss == first[i].loss && s->grad_norm == first[i].grad_norm);
            ASSERT(s->el2n == first[i].el2n && s->predicted == first[i].predicted);
        }
    }
    fixture_free(f);
}

static double mean_adv_loss(struct fixture *f, const struct step_spec *spec)
{
    double sum = 0;

    step_score(f->step, spec, f->theta, &f->set, ids, SHARD, f->scores, NULL);
    for (uint32_t i = 0; i < SHARD; i++)
        sum += f->scores[i].adv_loss;
    return sum / SHARD;
}

TEST(more_moves_are_a_stronger_attack)
{
    struct fixture *f = fixture_create("lenet");
    struct step_spec one = attacks[2];

    ASSERT(mean_adv_loss(f, &attacks[3]) > mean_adv_loss(f, &one));
    /* A single move of length epsilon is FGSM. */
    one.alpha = one.epsilon;
    const double pgd = mean_adv_loss(f, &one);
    ASSERT_NEAR(mean_adv_loss(f, &attacks[0]), pgd, 1e-6);
    ASSERT(mean_adv_loss(f, &attacks[3]) > 0.999 * pgd);
    fixture_free(f);
}

TEST(a_random_start_follows_its_keys)
{
    struct fixture *f = fixture_create("lenet");
    struct step_spec spec = attacks[4];

    spec.moves = 1;
    const double first = mean_adv_loss(f, &spec);
    ASSERT(mean_adv_loss(f, &attacks[3]) != first);
    ASSERT(mean_adv_loss(f, &spec) == first);
    spec.step++;
    const double later = mean_adv_loss(f, &spec);
    ASSERT(later != first);
    spec.seed++;
    ASSERT(mean_adv_loss(f, &spec) != later);
    fixture_free(f);
}

/* By its place in the batch or sweep, not by the sample or the shard that it is in. */
TEST(a_random_start_is_drawn_for_a_slot)
{
    struct fixture *f = fixture_create("lenet");
    struct step_spec spec = attacks[4];
    struct score whole[SHARD], part[SHARD];
    const uint32_t twice[2] = {ids[3], ids[3]};

    spec.moves = 1;
    spec.slot = 32;
    step_score(f->step, &spec, f->theta, &f->set, ids, SHARD, whole, NULL);
    for (uint32_t i = 0; i < SHARD; i++) {
        spec.slot = 32 + i;
        step_score(f->step, &spec, f->theta, &f->set, ids + i, 1, part, NULL);
        ASSERT_NEAR(whole[i].adv_loss, part[0].adv_loss, 1e-4 * part[0].adv_loss);
    }
    step_score(f->step, &spec, f->theta, &f->set, twice, 2, part, NULL);
    ASSERT(part[0].loss == part[1].loss && part[0].adv_loss != part[1].adv_loss);
    fixture_free(f);
}

TEST(fused_scores_of_every_attack_equal_the_sweep)
{
    struct fixture *f = fixture_create("lenet");
    struct score fused[SHARD];

    for (size_t a = 0; a < COUNT(attacks); a++) {
        fused_scores(f, &attacks[a], 0.05);
        memcpy(fused, f->scores, sizeof(fused));
        step_score(f->step, &attacks[a], f->theta, &f->set, ids, SHARD, f->scores, NULL);
        for (uint32_t i = 0; i < SHARD; i++) {
            ASSERT_NEAR(f->scores[i].loss, fused[i].loss, 1e-5 * fused[i].loss);
            ASSERT_NEAR(f->scores[i].adv_loss, fused[i].adv_loss, 1e-2 * fused[i].adv_loss);
            ASSERT_NEAR(f->scores[i].grad_norm, fused[i].grad_norm, 1e-4 * fused[i].grad_norm);
        }
    }
    fixture_free(f);
}

/* What is measured does not change what is learned. */
TEST(a_fused_attack_leaves_the_gradient_as_it_was)
{
    for (int sam = 0; sam < 2; sam++) {
        struct fixture *f = fixture_create("lenet");
        real *want = reals(f->m.floats);
        train(f, sam ? 0.05 : 0, false, f->theta);
        memcpy(want, f->grad, f->m.floats * sizeof(real));
        for (size_t a = 0; a < COUNT(attacks); a++) {
            memset(f->grad, 0xff, f->m.floats * sizeof(real));
            fused_scores(f, &attacks[a], sam ? 0.05 : 0);
            ASSERT_MEM(want, f->grad, f->m.floats * sizeof(real));
        }
        free(want);
        fixture_free(f);
    }
}

TEST(attack_raises_the_loss)
{
    struct fixture *f = fixture_create("lenet");

    score(f, 2.0 / 255, 0, SHARD);
    for (uint32_t i = 0; i < SHARD; i++) {
        ASSERT_EQ(SCORE_MEASURED, f->scores[i].flags);
        ASSERT(f->scores[i].adv_loss > f->scores[i].loss);
        ASSERT(f->scores[i].grad_norm > 0 && f->scores[i].el2n > 0);
    }
    fixture_free(f);
}

TEST(fused_scores_equal_the_sweep_whatever_the_weights)
{
    static const char *const models[] = {"lenet", "resnet20_gn"};

    for (size_t m = 0; m < COUNT(models); m++) {
        struct fixture *f = fixture_create(models[m]);
        struct score fused[SHARD];
        train(f, 0.05, true, f->theta);
        memcpy(fused, f->scores, sizeof(fused));
        score(f, 8.0 / 255, 0, SHARD);
        score(f, 8.0 / 255, SHARD, SAMPLES - SHARD);
        for (uint32_t i = 0; i < SHARD; i++) {
            const struct score *a = &fused[i], *b = &f->scores[ids[i]];
            ASSERT_NEAR(b->loss, a->loss, 1e-5 * b->loss);
            ASSERT_NEAR(b->adv_loss, a->adv_loss, 1e-3 * b->adv_loss);
            ASSERT_NEAR(b->grad_norm, a->grad_norm, 1e-4 * b->grad_norm);
            ASSERT_NEAR(b->el2n, a->el2n, 1e-5 * b->el2n);
            ASSERT_EQ(b->predicted, a->predicted);
            ASSERT_EQ(SCORE_MEASURED, a->flags);
        }
        fixture_free(f);
    }
}

TEST(a_short_shard_scores_as_each_sample_alone)
{
    struct fixture *f = fixture_create("cnn");
    struct score together[5];

    score(f, 8.0 / 255, 19, 5);
    memcpy(together, f->scores + 19, sizeof(together));
    for (uint32_t i = 0; i < 5; i++) {
        score(f, 8.0 / 255, 19 + i, 1);
        ASSERT_NEAR(together[i].loss, f->scores[19 + i].loss, 1e-5 * together[i].loss);
        ASSERT_NEAR(together[i].adv_loss, f->scores[19 + i].adv_loss, 1e-3 * together[i].adv_loss);
        ASSERT_NEAR(together[i].grad_norm, f->scores[19 + i].grad_norm,
                    1e-4 * together[i].grad_norm);
    }
    fixture_free(f);
}

TEST(all_zero_parameters_have_no_direction_and_no_nan)
{
    struct fixture *f = fixture_create("lenet");

    memset(f->theta, 0, f->m.floats * sizeof(real));
    train(f, 0.05, true, f->theta);
    for (size_t i = 0; i < f->m.floats; i++)
        ASSERT(isfinite((double)f->grad[i]));
    for (uint32_t i = 0; i < SHARD; i++) {
        ASSERT_EQ(SCORE_MEASURED | SCORE_NO_DIRECTION, f->scores[i].flags);
        ASSERT_NEAR(log(CLASSES), f->scores[i].loss, 1e-12);
        ASSERT(f->scores[i].adv_loss == f->scores[i].loss && f->scores[i].grad_norm == 0);
    }
    score(f, 8.0 / 255, 0, SHARD);
    ASSERT_EQ(SCORE_MEASURED | SCORE_NO_DIRECTION, f->scores[0].flags);
    for (size_t a = 0; a < COUNT(attacks); a++) {
        step_score(f->step, &attacks[a], f->theta, &f->set, ids, SHARD, f->scores, NULL);
        for (uint32_t i = 0; i < SHARD; i++) {
            ASSERT_EQ(SCORE_MEASURED | SCORE_NO_DIRECTION, f->scores[i].flags);
            ASSERT(f->scores[i].adv_loss == f->scores[i].loss && f->scores[i].grad_norm == 0);
        }
    }
    fixture_free(f);
}

/* A bias that puts every sample's own class infinitely ahead: every delta is exactly 0. */
TEST(a_gradient_of_exactly_zero_gives_no_nan_and_stays_at_theta)
{
    static const double rhos[] = {0.05, 1e30};

    for (size_t r = 0; r < COUNT(rhos); r++) {
        struct fixture *f = fixture_create("mlp");
        const struct param *bias = &f->m.params[f->m.param_count - 1];
        f->theta[bias->offset + 2] = 5000;
        for (uint32_t i = 0; i < SAMPLES; i++)
            ((uint16_t *)f->set.labels)[i] = 2;
        train(f, rhos[r], true, f->theta);
        for (size_t i = 0; i < f->m.floats; i++)
            ASSERT(f->grad[i] == 0);
        ASSERT(f->sums[SUM_LOSS] == 0 && f->sums[SUM_LOSS_HAT] == 0);
        for (uint32_t i = 0; i < SHARD; i++)
            ASSERT(f->scores[i].flags & SCORE_NO_DIRECTION);
        fixture_free(f);
    }
}

/* Confident samples: the sweep takes the power of two out of delta and puts it back into the norm.
 */
TEST(a_confident_sample_keeps_its_gap_and_gradient)
{
    static const int margins[] = {20, 80, 200};

    for (size_t i = 0; i < COUNT(margins); i++) {
        struct fixture *f = fixture_create("lenet");
        const struct param *bias = &f->m.params[f->m.param_count - 1];
        const double small = exp(-margins[i]);
        f->theta[bias->offset + f->set.labels[0]] += (real)margins[i];
        score(f, 8.0 / 255, 0, 1);
        ASSERT(f->scores[0].loss > small && f->scores[0].loss < 20 * small);
        ASSERT(f->scores[0].adv_loss > 1.001 * f->scores[0].loss);
        ASSERT(f->scores[0].grad_norm > 1e-3 * small && f->scores[0].grad_norm < 1e3 * small);
        ASSERT_NEAR(f->scores[0].loss, f->scores[0].el2n, f->scores[0].loss);
        ASSERT_EQ(SCORE_MEASURED, f->scores[0].flags);
        fixture_free(f);
    }
}

TEST(a_shard_that_cannot_fit_the_machine_is_refused)
{
    struct model m = model_of("[{\"type\":\"conv2d\",\"channels\":64},"
                              "{\"type\":\"conv2d\",\"channels\":64},"
                              "{\"type\":\"maxpool\",\"size\":64},{\"type\":\"flatten\"},"
                              "{\"type\":\"dense\"}]",
                              (struct dims){512, 512, 1}, 10);

    /* 1 TiB of activations. */
    ASSERT(!step_create(&m, kernels_best(), SHARD_MAX, false));
    model_done(&m);
}

/* Those of the sample itself, whatever its twin does, and wherever it lies in a shard. */
TEST(probabilities_are_those_of_the_clean_sample)
{
    struct fixture *f = fixture_create("lenet");
    const struct step_spec spec = {.epsilon = 8.0 / 255};
    const size_t pixels = entries(image);
    struct score scores[SHARD];
    float p[SHARD * CLASSES], alone[CLASSES], logits[CLASSES];
    double want[CLASSES];

    step_score(f->step, &spec, f->theta, &f->set, ids, SHARD, scores, p);
    for (uint32_t i = 0; i < SHARD; i++) {
        const float *mine = p + (size_t)i * CLASSES;
        step_predict(f->step, &spec, f->theta, f->set.images + ids[i] * pixels, 1, logits, NULL);
        likely_softmax(logits, CLASSES, want);
        for (uint32_t j = 0; j < CLASSES; j++)
            ASSERT_NEAR(want[j], mine[j], 1e-5);
        ASSERT_NEAR(exp(-scores[i].loss), mine[f->set.labels[ids[i]]], 1e-6);
        for (uint32_t j = 0; j < CLASSES; j++)
            ASSERT(mine[j] <= mine[scores[i].predicted]);
    }
    step_score(f->step, &spec, f->theta, &f->set, ids + 1, 1, scores, alone);
    for (uint32_t j = 0; j < CLASSES; j++)
        ASSERT_NEAR(p[CLASSES + j], alone[j], 1e-5);
    fixture_free(f);
}
