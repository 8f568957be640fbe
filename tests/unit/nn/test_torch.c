/* One training step from the image to the new weights, against PyTorch where it is installed. */
#include <stdio.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/safetensors.h"
#include "server/core/optimizer.h"
#include "tests/unit/nn/support.h"
#include "worker/nn/gemm.h"
#include "worker/nn/mixup.h"
#include "worker/step.h"

/* Small, so that there are images with no ReLU so near its corner that rounding decides: in a
 * million of them some are, and move the gradient by 1e-3 of its largest entry and more (PyTorch's
 * own in float32 too). Rounding differs between kernel sets: the first of SEEDS batches without one
 * counts. A wrong gradient is wrong in all of them. */
#define SEEDS 8
static const struct dims image = {16, 16, 3};
static const struct optimizer_spec sgd = {.lr = 0.05, .momentum = 0.9, .weight_decay = 5e-4};

static void write_file(const char *name, const void *data, size_t bytes)
{
    FILE *f = fopen(test_path(name), "wb");

    ASSERT(f && fwrite(data, 1, bytes, f) == bytes && fclose(f) == 0);
}

static void export(const struct model *m, const float *theta, int64_t steps, const char *name)
{
    struct errbuf why;

    ASSERT_OK(model_export(m, theta, steps, NULL, 0, test_path(name), &why), why);
}

/* theta[floats] after the first step, with decay on everything. */
static void update(const struct model *m, const float *grad, uint32_t n, const float *theta,
                   float *next)
{
    const struct segment all = {0, m->trained, true};
    float *velocity = reals(m->floats);

    optimizer_step(&sgd, sgd.lr, 0, n, &all, 1, grad, theta, &velocity, next);
    optimizer_running(grad + m->trained, 1, theta + m->trained, next + m->trained,
                      m->floats - m->trained);
    free(velocity);
}

/* Is the step on the seed's images PyTorch's? allowed: how far a gradient may be off, as a share of
 * the largest. */
static bool same_step(const char *preset, uint32_t n, const struct step_spec *spec, double allowed,
                      uint64_t seed)
{
    struct model m = model_of(preset, image, 10);
    const size_t pixels = n * entries(image);
    uint8_t *images = xcalloc(pixels, 1);
    uint16_t *labels = xcalloc(n, sizeof(*labels));
    uint32_t *ids = xcalloc(n, sizeof(*ids));
    float *weights = reals(n), *theta = reals(m.floats), *grad = reals(m.floats);
    float *next = reals(m.floats);
    struct rng r = rng_at(seed, RNG_TEST, 0, 0);
    double sums[SUM_COUNT];
    char text[1200];

    for (size_t i = 0; i < pixels; i++)
        images[i] = (uint8_t)rng_u32(&r);
    for (uint32_t i = 0; i < n; i++) {
        labels[i] = (uint16_t)rng_below(&r, 10);
        ids[i] = i;
        weights[i] = 1;
    }
    model_init(&m, 1, theta);
    struct step *step = step_create(&m, kernels_best(), n, true);
    ASSERT(step);
    step_train(step, spec, theta, &(struct samples){images, labels, n}, ids, weights, n, grad, sums,
               NULL);
    update(&m, grad, n, theta, next);

    export(&m, theta, 0, "before.safetensors");
    export(&m, next, 1, "after.safetensors");
    for (size_t i = 0; i < m.trained; i++)
        grad[i] /= (float)n;
    export(&m, grad, 0, "gradient.safetensors");
    write_file("images", images, pixels);
    write_file("labels", labels, n * sizeof(*labels));
    uint32_t *partner = xcalloc(n, sizeof(*partner));
    double mixed = 1;
    if (spec->mixup > 0)
        mixed = mixup_draw(spec->mixup, spec->seed, spec->step, spec->slot, partner, n);
    char partners[200] = "";
    for (uint32_t i = 0, at = 0; i < n; i++)
        at += (uint32_t)snprintf(partners + at, sizeof(partners) - at, "%s%u", i ? ", " : "",
                                 partner[i]);
    free(partner);
    const int bytes =
        snprintf(text, sizeof(text),
                 "{\"model\": \"%s\", \"rho\": %.17g, \"alpha\": %.17g, \"mixed\": %.17g, "
                 "\"partner\": [%s], \"lr\": %.17g, \"momentum\": %.17g, "
                 "\"weight_decay\": %.17g, \"loss\": %.17g, \"loss_hat\": %.17g, \"allowed\": %g}",
                 preset, spec->rho, spec->sam_alpha, mixed, partners, sgd.lr, sgd.momentum,
                 sgd.weight_decay, sums[SUM_LOSS] / n, sums[SUM_LOSS_HAT] / n, allowed);
    write_file("step.json", text, (size_t)bytes);
    snprintf(text, sizeof(text), "/usr/bin/python3 tests/golden/torch_step.py %s", test_path(""));
    const bool same = system(text) == 0;

    step_free(step);
    model_done(&m);
    free(images), free(labels), free(ids), free(weights), free(theta), free(grad), free(next);
    return same;
}

static void check_step(const char *preset, uint32_t n, const struct step_spec *spec, double allowed)
{
    if (system("/usr/bin/python3 -c 'import torch' 2>/dev/null") != 0)
        SKIP("python3-torch is not installed");
    gemm_init();
    net_thread_init();
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        if (same_step(preset, n, spec, allowed, seed))
            return;
    FAIL("the step differs from PyTorch's on every one of %d batches", SEEDS);
}

TEST(a_plain_step_of_resnet20_is_pytorchs)
{
    check_step("resnet20", 8, &(struct step_spec){.rho = 0}, 1e-4);
}

/* theta hat comes out of other roundings already. */
TEST(a_sam_step_of_resnet20_is_pytorchs)
{
    check_step("resnet20", 8, &(struct step_spec){.rho = 0.05}, 1e-2);
}

TEST(a_gsam_step_of_resnet20_is_pytorchs)
{
    check_step("resnet20", 8,
               &(struct step_spec){.rho = 0.05, .sam = SAM_SURROGATE, .sam_alpha = 0.5}, 1e-2);
}

TEST(a_step_of_resnet20_with_mixup_is_pytorchs)
{
    check_step("resnet20", 8, &(struct step_spec){.mixup = 1, .seed = 2}, 1e-4);
}
