/* A small model, samples and a step to run on them, for the tests of a training step. */
#ifndef STEPPE_TESTS_UNIT_NN_STEP_FIXTURE_H
#define STEPPE_TESTS_UNIT_NN_STEP_FIXTURE_H

#include "tests/unit/nn/support.h"
#include "worker/nn/gemm.h"
#include "worker/nn/head.h"
#include "worker/nn/net.h"
#include "worker/step.h"

#define SAMPLES 24u
#define SHARD 16u
#define CLASSES 5
static const struct dims image = {10, 10, 1};
static const uint32_t ids[SHARD] = {3, 9, 0, 23, 4, 17, 8, 1, 12, 20, 2, 11, 6, 15, 19, 7};

struct fixture {
    struct model m;
    struct step *step;
    struct samples set;
    real *theta, *grad;
    double sums[SUM_COUNT];
    float weights[SHARD];
    struct score scores[SAMPLES];
};

static inline struct fixture *fixture_create(const char *desc)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    struct rng r = rng_at(1, RNG_TEST, 0, 0);
    uint8_t *pixels = xcalloc(SAMPLES, entries(image));
    uint16_t *labels = xcalloc(SAMPLES, sizeof(*labels));

    gemm_init();
    net_thread_init();
    f->m = model_of(desc, image, CLASSES);
    f->step = step_create(&f->m, kernels_best(), SHARD, true);
    ASSERT(f->step);
    for (size_t i = 0; i < SAMPLES * entries(image); i++)
        pixels[i] = (uint8_t)rng_u32(&r);
    for (uint32_t i = 0; i < SAMPLES; i++)
        labels[i] = (uint16_t)rng_below(&r, CLASSES);
    f->set = (struct samples){pixels, labels, SAMPLES};
    f->theta = start_of(&f->m, 3);
    f->grad = reals(f->m.floats);
    for (uint32_t i = 0; i < SHARD; i++)
        f->weights[i] = 0.25f + 0.125f * (float)(i % 8);
    return f;
}

static inline void fixture_free(struct fixture *f)
{
    step_free(f->step);
    model_done(&f->m);
    free((void *)f->set.images), free((void *)f->set.labels);
    free(f->theta), free(f->grad), free(f);
}

static inline void train(struct fixture *f, double rho, bool fused, const real *theta)
{
    const struct step_spec spec = {.rho = rho, .epsilon = 8.0 / 255, .fused = fused};

    step_train(f->step, &spec, theta, &f->set, ids, f->weights, SHARD, f->grad, f->sums,
               fused ? f->scores : NULL);
}

static inline void score(struct fixture *f, double epsilon, uint32_t first, uint32_t n)
{
    const struct step_spec spec = {.epsilon = epsilon};

    uint32_t range[SAMPLES];

    for (uint32_t i = 0; i < n; i++)
        range[i] = first + i;
    step_score(f->step, &spec, f->theta, &f->set, range, n, f->scores + first, NULL);
}

static inline real *pixels_of(const struct fixture *f, const uint32_t *which, uint32_t n)
{
    const size_t pixels = entries(image);
    real *x = reals(n * pixels);

    for (size_t i = 0; i < n * pixels; i++)
        x[i] = (real)f->set.images[which[i / pixels] * pixels + i % pixels] / (real)255;
    return x;
}

/* Gradient of sum v_i loss_i at theta, by the net alone. */
static inline real *plain_gradient(const struct fixture *f, const real *theta)
{
    struct net *net = net_create(&f->m, kernels_best(), SHARD);
    real *x = pixels_of(f, ids, SHARD), *grad = reals(f->m.floats), dz[SHARD * CLASSES];
    const real *z = net_forward(net, &training, theta, x, SHARD);
    double delta[CLASSES];
    struct head h;

    for (uint32_t i = 0; i < SHARD; i++) {
        head_sample(z + i * CLASSES, CLASSES, f->set.labels[ids[i]], &h, delta);
        for (uint32_t j = 0; j < CLASSES; j++)
            dz[i * CLASSES + j] = (real)(f->weights[i] * delta[j]);
    }
    net_statistics(net, grad);
    net_backward(net, theta, dz, grad, NULL);
    net_free(net);
    free(x);
    return grad;
}

static const struct step_spec attacks[] __attribute__((unused)) = {
    {.attack = ATTACK_FGSM, .epsilon = 8.0 / 255},
    {.attack = ATTACK_L2, .epsilon = 0.25},
    {.attack = ATTACK_PGD, .epsilon = 8.0 / 255, .alpha = 2.0 / 255, .moves = 1},
    {.attack = ATTACK_PGD, .epsilon = 8.0 / 255, .alpha = 2.0 / 255, .moves = 10},
    {.attack = ATTACK_PGD,
     .epsilon = 8.0 / 255,
     .alpha = 2.0 / 255,
     .moves = 10,
     .random_start = true,
     .seed = 3,
     .step = 5},
};

#endif
