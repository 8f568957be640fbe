#include <float.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/ascent.h"
#include "common/floats.h"
#include "common/rng.h"
#include "tests/unit/common/models.h"

#define BEHIND 7.0f /* what lies behind the trained part */

/* A convolution, a norm with running statistics and a dense layer, none a multiple of 16 floats. */
static const char layers[] =
    LAYERS(CONV ", {\"type\": \"batchnorm\"}, {\"type\": \"globalpool\"}, " LAST);

struct world {
    struct model m;
    float *theta, *grad, *hat;
};

static struct world world_make(void)
{
    struct world w = {.m = made(layers, MNIST, 5)};
    struct rng r = rng_at(1, RNG_TEST, 0, 0);

    w.theta = alloc_bytes(w.m.floats, sizeof(float));
    w.grad = alloc_bytes(w.m.floats, sizeof(float));
    w.hat = alloc_bytes(w.m.floats, sizeof(float));
    memset(w.grad, 0, w.m.floats * sizeof(float));
    model_init(&w.m, 3, w.theta);
    for (int i = 0; i < w.m.trained_count; i++)
        for (size_t k = 0; k < w.m.params[i].count; k++)
            w.grad[w.m.params[i].offset + k] = (float)rng_range(&r, -1, 1);
    for (size_t k = 0; k < w.m.floats; k++)
        w.hat[k] = BEHIND;
    return w;
}

static void world_done(struct world *w)
{
    model_done(&w->m);
    free(w->theta);
    free(w->grad);
    free(w->hat);
}

/* The formula of the header in double, entry by entry. */
static double wanted(const struct world *w, enum sam_kind kind, double rho, double weight,
                     size_t at)
{
    double norm = 0, t_at = 1;

    for (int i = 0; i < w->m.trained_count; i++) {
        const struct param *p = &w->m.params[i];
        for (size_t k = p->offset; k < p->offset + p->count; k++) {
            const bool bias = strstr(p->name, ".bias") != NULL;
            const double t = kind == SAM_PLAIN || bias ? 1 : fabs((double)w->theta[k]) + 0.01;
            norm += pow(t * (double)w->grad[k] / weight, 2);
            t_at = k == at ? t : t_at;
        }
    }
    return (double)w->theta[at] +
           rho * t_at * t_at * (double)w->grad[at] / weight / (sqrt(norm) + 1e-12);
}

TEST(theta_hat_is_as_the_formulas_say_and_nothing_else_is_written)
{
    struct world w = world_make();

    for (enum sam_kind kind = SAM_PLAIN; kind <= SAM_ADAPTIVE; kind++) {
        ascent(&w.m, kind, 0.5, 37.5, w.grad, w.theta, w.hat);
        for (int i = 0; i < w.m.trained_count; i++)
            for (size_t k = w.m.params[i].offset; k < w.m.params[i].offset + w.m.params[i].count;
                 k++)
                ASSERT_NEAR(wanted(&w, kind, 0.5, 37.5, k), w.hat[k], 1e-6);
        for (size_t k = w.m.trained; k < w.m.floats; k++)
            ASSERT(w.hat[k] == BEHIND);
    }
    world_done(&w);
}

/* ||theta_hat - theta|| = rho, whatever the gradient's length. */
TEST(the_length_of_the_gradient_does_not_matter)
{
    static const float factors[] = {1e-15f, 1, 1e12f};
    struct world w = world_make();
    double moved[3] = {0};

    for (size_t i = 0; i < 3; i++) {
        struct world other = world_make();
        for (size_t k = 0; k < w.m.trained; k++)
            other.grad[k] = factors[i] * w.grad[k];
        ascent(&w.m, SAM_PLAIN, 0.25, 1e-12, other.grad, w.theta, other.hat);
        for (size_t k = 0; k < w.m.trained; k++)
            moved[i] += pow((double)other.hat[k] - (double)w.theta[k], 2);
        ASSERT_NEAR(0.25, sqrt(moved[i]), 1e-5);
        world_done(&other);
    }
    world_done(&w);
}

TEST(no_gradient_and_no_radius_stay_at_theta)
{
    struct world w = world_make();

    for (enum sam_kind kind = SAM_PLAIN; kind <= SAM_ADAPTIVE; kind++) {
        ascent(&w.m, kind, 0, 3, w.grad, w.theta, w.hat);
        ASSERT_MEM(w.theta, w.hat, w.m.trained * sizeof(float));
    }
    memset(w.grad, 0, w.m.floats * sizeof(float));
    for (enum sam_kind kind = SAM_PLAIN; kind <= SAM_ADAPTIVE; kind++) {
        ascent(&w.m, kind, 1e30, 3, w.grad, w.theta, w.hat);
        ASSERT_MEM(w.theta, w.hat, w.m.trained * sizeof(float));
    }
    world_done(&w);
}

static float halved(float x)
{
    volatile float v = x;

    return v * 0.5f;
}

/* A worker computes with denormals flushed, the server does not; both get the same theta hat. */
TEST(the_mode_of_the_thread_neither_matters_nor_changes)
{
    struct world w = world_make(), flushed = world_make();

    for (size_t k = 0; k < w.m.trained; k++) {
        w.theta[k] = k % 3 ? w.theta[k] : 0;
        w.grad[k] *= k % 2 ? 1 : FLT_MIN;
    }
    memcpy(flushed.theta, w.theta, w.m.floats * sizeof(float));
    memcpy(flushed.grad, w.grad, w.m.floats * sizeof(float));
    ascent(&w.m, SAM_ADAPTIVE, 0.5, 2, w.grad, w.theta, w.hat);
    ASSERT(halved(FLT_MIN) > 0);
    const unsigned mode = floats_flush();
    ascent(&w.m, SAM_ADAPTIVE, 0.5, 2, flushed.grad, flushed.theta, flushed.hat);
    const float still = halved(FLT_MIN);
    floats_restore(mode);
    ASSERT_MEM(w.hat, flushed.hat, w.m.trained * sizeof(float));
#ifdef __SSE__
    ASSERT(still == 0);
#endif
    ASSERT(halved(FLT_MIN) > 0);
    world_done(&w);
    world_done(&flushed);
}
