#include "tests/unit/nn/step_fixture.h"
#include "worker/nn/mixup.h"

#define DRAWS 20000

/* Of Beta(a, a) around 1/2: variance 1 / (4 (2a + 1)), fourth moment 3 / (16 (2a + 1) (2a + 3)). */
TEST(lambda_has_the_moments_of_its_distribution)
{
    static const double alphas[] = {0.05, 0.2, 0.4, 0.99, 1, 2, 32, 1000};

    for (size_t a = 0; a < COUNT(alphas); a++) {
        const double alpha = alphas[a], square = 1 / (4 * (2 * alpha + 1));
        const double fourth = 3 * square / (4 * (2 * alpha + 3));
        double sums[3] = {0};

        for (uint32_t i = 0; i < DRAWS; i++) {
            struct rng rng = rng_at(5, RNG_TEST, i, (uint32_t)a);
            const double lambda = mixup_beta(&rng, alpha), off = lambda - 0.5;
            ASSERT(lambda >= 0 && lambda <= 1);
            sums[0] += off;
            sums[1] += off * off;
            sums[2] += off * off * off * off;
        }
        /* Five standard errors of each mean. */
        ASSERT_NEAR(0, sums[0] / DRAWS, 5 * sqrt(square / DRAWS));
        ASSERT_NEAR(square, sums[1] / DRAWS, 5 * sqrt((fourth - square * square) / DRAWS) + 1e-9);
        ASSERT_NEAR(fourth, sums[2] / DRAWS, 0.05 * fourth);
    }
}

TEST(with_alpha_1_lambda_is_uniform)
{
    uint32_t below[10] = {0};

    for (uint32_t i = 0; i < DRAWS; i++) {
        struct rng rng = rng_at(6, RNG_TEST, i, 0);
        below[(int)(10 * mixup_beta(&rng, 1)) % 10]++;
    }
    for (int i = 0; i < 10; i++)
        ASSERT_NEAR(DRAWS / 10.0, below[i], 5 * sqrt(DRAWS * 0.09));
}

TEST(the_smallest_alpha_takes_one_image_or_the_other)
{
    static const double alphas[] = {5e-324, 1e-300, 1e-4};
    int first = 0;

    for (size_t a = 0; a < COUNT(alphas); a++)
        for (uint32_t i = 0; i < 1000; i++) {
            struct rng rng = rng_at(7, RNG_TEST, i, (uint32_t)a);
            const double lambda = mixup_beta(&rng, alphas[a]);
            ASSERT(lambda < 1e-3 || lambda > 1 - 1e-3 || a == 2);
            first += lambda > 0.5;
        }
    ASSERT(first > 1300 && first < 1700);
}

TEST(a_draw_follows_its_keys_and_pairs_everybody)
{
    uint32_t one[SHARD], two[SHARD];
    bool seen[SHARD] = {false};

    const double lambda = mixup_draw(0.4, 3, 9, 32, one, SHARD);
    ASSERT(mixup_draw(0.4, 3, 9, 32, two, SHARD) == lambda);
    ASSERT_MEM(one, two, sizeof(one));
    for (uint32_t i = 0; i < SHARD; i++) {
        ASSERT(one[i] < SHARD && !seen[one[i]]);
        seen[one[i]] = true;
    }
    ASSERT(mixup_draw(0.4, 3, 9, 48, two, SHARD) != lambda);
    ASSERT(memcmp(one, two, sizeof(one)) != 0);
    ASSERT(mixup_draw(0.4, 3, 10, 32, two, SHARD) != lambda);
    ASSERT(mixup_draw(0.4, 4, 9, 32, two, SHARD) != lambda);
}

/* Gradient and sums of the mixed shard at theta, by the net alone: one sample after another. */
static real *mixed_gradient(const struct fixture *f, const struct step_spec *spec,
                            const real *theta, double sums[SUM_COUNT])
{
    struct net *net = net_create(&f->m, kernels_best(), SHARD);
    const size_t pixels = entries(image);
    real *x = pixels_of(f, ids, SHARD), *mixed = reals(SHARD * pixels), *grad = reals(f->m.floats);
    real dz[SHARD * CLASSES];
    uint32_t partner[SHARD];
    const double l = mixup_draw(spec->mixup, spec->seed, spec->step, spec->slot, partner, SHARD);

    memset(sums, 0, SUM_COUNT * sizeof(*sums));
    for (size_t i = 0; i < SHARD; i++)
        for (size_t k = 0; k < pixels; k++)
            mixed[i * pixels + k] = (real)(l * (double)x[i * pixels + k] +
                                           (1 - l) * (double)x[partner[i] * pixels + k]);
    const real *z = net_forward(net, &training, theta, mixed, SHARD);
    for (uint32_t i = 0; i < SHARD; i++) {
        const uint32_t j = partner[i];
        const double v[2] = {l * f->weights[i], (1 - l) * f->weights[j]};
        const uint16_t labels[2] = {f->set.labels[ids[i]], f->set.labels[ids[j]]};
        double delta[2][CLASSES];

        for (int t = 0; t < 2; t++) {
            struct head h;
            head_sample(z + i * CLASSES, CLASSES, labels[t], &h, delta[t]);
            head_smooth(z + i * CLASSES, CLASSES, labels[t], spec->smoothing, &h, delta[t]);
            sums[SUM_LOSS] += v[t] * h.loss;
            sums[SUM_WEIGHT] += v[t];
            sums[SUM_CORRECT] += (t ? 1 - l : l) * (h.predicted == labels[t]);
        }
        for (uint32_t c = 0; c < CLASSES; c++)
            dz[i * CLASSES + c] = (real)(v[0] * delta[0][c] + v[1] * delta[1][c]);
    }
    net_backward(net, theta, dz, grad, NULL);
    net_free(net);
    free(x), free(mixed);
    return grad;
}

TEST(image_and_loss_are_mixed_with_those_of_the_partner)
{
    static const struct step_spec specs[] = {
        {.mixup = 1, .seed = 3, .step = 5, .slot = 32},
        {.mixup = 0.2, .seed = 4, .step = 6, .smoothing = 0.2},
    };
    static const char *const models[] = {"lenet", "resnet20_gn"};

    for (size_t m = 0; m < COUNT(models); m++)
        for (size_t s = 0; s < COUNT(specs); s++) {
            struct fixture *f = fixture_create(models[m]);
            double sums[SUM_COUNT];
            real *want = mixed_gradient(f, &specs[s], f->theta, sums);
            real *plain = plain_gradient(f, f->theta);

            step_train(f->step, &specs[s], f->theta, &f->set, ids, f->weights, SHARD, f->grad,
                       f->sums, NULL);
            ASSERT(distance(f->grad, want, f->m.trained) < 1e-4);
            ASSERT(distance(f->grad, plain, f->m.trained) > 1e-2);
            ASSERT_NEAR(sums[SUM_LOSS], f->sums[SUM_LOSS], 1e-5 * sums[SUM_LOSS]);
            ASSERT_NEAR(sums[SUM_WEIGHT], f->sums[SUM_WEIGHT], 1e-9);
            ASSERT_NEAR(sums[SUM_CORRECT], f->sums[SUM_CORRECT], 1e-9);
            free(want), free(plain);
            fixture_free(f);
        }
}

TEST(both_passes_of_sam_see_the_same_mixture)
{
    struct fixture *f = fixture_create("lenet");
    struct step_spec spec = {.mixup = 1, .seed = 3, .rho = 0.05};
    double sums[SUM_COUNT], norm = 0;
    real *g = mixed_gradient(f, &spec, f->theta, sums), *hat = reals(f->m.floats);

    for (size_t i = 0; i < f->m.trained; i++)
        norm += (double)g[i] * (double)g[i];
    for (size_t i = 0; i < f->m.trained; i++)
        hat[i] = (real)((double)f->theta[i] + 0.05 * (double)g[i] / sqrt(norm));
    real *want = mixed_gradient(f, &spec, hat, sums);
    step_train(f->step, &spec, f->theta, &f->set, ids, f->weights, SHARD, f->grad, f->sums, NULL);
    ASSERT(distance(f->grad, want, f->m.trained) < 1e-3);
    ASSERT_NEAR(sums[SUM_LOSS], f->sums[SUM_LOSS_HAT], 1e-4 * sums[SUM_LOSS]);
    ASSERT(f->sums[SUM_LOSS_HAT] > f->sums[SUM_LOSS]);
    free(g), free(hat), free(want);
    fixture_free(f);
}

/* What is measured is never mixed. */
TEST(a_sweep_does_not_mix)
{
    struct fixture *f = fixture_create("mlp");
    struct step_spec spec = attacks[0];
    struct score plain[SHARD];

    step_score(f->step, &spec, f->theta, &f->set, ids, SHARD, f->scores, NULL);
    memcpy(plain, f->scores, sizeof(plain));
    spec.mixup = 1;
    step_train(f->step, &spec, f->theta, &f->set, ids, f->weights, SHARD, f->grad, f->sums, NULL);
    step_score(f->step, &spec, f->theta, &f->set, ids, SHARD, f->scores, NULL);
    ASSERT_MEM(plain, f->scores, sizeof(plain));
    fixture_free(f);
}
