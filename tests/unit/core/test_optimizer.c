#include <stdlib.h>

#include "common/rng.h"
#include "server/core/optimizer.h"
#include "tests/harness.h"

#define N 1000

struct state {
    float grad[N], theta[N], velocity[N], next[N];
};

static const struct segment whole[] = {{0, N, true}};

static struct state *state_create(uint32_t key)
{
    struct rng rng = rng_at(1, RNG_TEST, key, 0);
    struct state *s = calloc(1, sizeof(*s));

    for (int i = 0; i < N; i++) {
        s->grad[i] = (float)rng_range(&rng, -100, 100);
        s->theta[i] = (float)rng_range(&rng, -1, 1);
        s->velocity[i] = (float)rng_range(&rng, -1, 1);
    }
    return s;
}

/* The definition, with every rounding forced. */
static void naive(const struct optimizer_spec *spec, double lr, double weight_sum, bool decay,
                  struct state *s, int i)
{
    volatile float m = (float)spec->momentum, wd = (float)spec->weight_decay, rate = (float)lr;
    volatile float g = s->grad[i] / (float)weight_sum, t;

    if (decay && spec->weight_decay > 0) {
        t = wd * s->theta[i];
        g = g + t;
    }
    volatile float d = g;
    if (spec->momentum > 0) {
        t = m * s->velocity[i];
        s->velocity[i] = t + g;
        d = s->velocity[i];
        if (spec->nesterov) {
            t = m * s->velocity[i];
            d = g + t;
        }
    }
    t = rate * d;
    s->next[i] = s->theta[i] - t;
}

static const struct optimizer_spec cases[] = {
    {.lr = 0.05},
    {.lr = 0.05, .weight_decay = 5e-4},
    {.lr = 0.05, .momentum = 0.9},
    {.lr = 0.05, .momentum = 0.9, .weight_decay = 5e-4},
    {.lr = 0.05, .momentum = 0.9, .nesterov = true},
    {.lr = 0.05, .momentum = 0.9, .nesterov = true, .weight_decay = 5e-4},
};
#define CASES (int)(sizeof(cases) / sizeof(cases[0]))

TEST(every_case_has_the_bits_of_the_naive_loop)
{
    static const struct segment segments[] = {
        {0, 16, true}, {16, 3, false}, {32, 517, true}, {549, 1, false}, {550, 450, false}};

    for (int c = 0; c < CASES; c++) {
        struct state *got = state_create((uint32_t)c), *want = state_create((uint32_t)c);
        for (int step = 0; step < 3; step++) {
            optimizer_step(&cases[c], 0.0123, 63.7, segments, 5, got->grad, got->theta,
                           got->velocity, got->next);
            for (int s = 0; s < 5; s++)
                for (size_t i = 0; i < segments[s].count; i++)
                    naive(&cases[c], 0.0123, 63.7, segments[s].decay, want,
                          (int)(segments[s].offset + i));
        }
        ASSERT_MEM(want, got, sizeof(*got));
        for (int i = 19; i < 32; i++) /* between the segments */
            ASSERT(got->next[i] == 0);
        free(got);
        free(want);
    }
}

TEST(follows_a_double_precision_reference)
{
    for (int c = 0; c < CASES; c++) {
        const struct optimizer_spec *spec = &cases[c];
        struct state *s = state_create(7);
        double theta[N], velocity[N] = {0};
        for (int i = 0; i < N; i++) {
            theta[i] = s->theta[i];
            s->velocity[i] = 0;
        }
        for (int step = 0; step < 10; step++) {
            optimizer_step(spec, 0.05, 64, whole, 1, s->grad, s->theta, s->velocity, s->next);
            memcpy(s->theta, s->next, sizeof(s->theta));
            for (int i = 0; i < N; i++) {
                double g = s->grad[i] / 64.0 + spec->weight_decay * theta[i];
                velocity[i] = spec->momentum * velocity[i] + g;
                theta[i] -=
                    0.05 * (spec->nesterov ? g + spec->momentum * velocity[i] : velocity[i]);
            }
        }
        for (int i = 0; i < N; i++)
            ASSERT_NEAR(theta[i], s->theta[i], 2e-5);
        free(s);
    }
}

/* torch.optim.SGD: the first momentum buffer is the gradient itself, not (1 - momentum) of it. */
TEST(first_step_sets_the_velocity_to_the_gradient)
{
    struct optimizer_spec spec = {.lr = 0.5, .momentum = 0.9, .weight_decay = 0.25};
    float grad = 8, theta = 2, velocity = 0, next;

    optimizer_step(&spec, 0.5, 4, &(struct segment){0, 1, true}, 1, &grad, &theta, &velocity,
                   &next);
    ASSERT(velocity == 2.5f); /* 8/4 + 0.25*2 */
    ASSERT(next == 0.75f);    /* 2 - 0.5*2.5 */
}

TEST(without_momentum_no_velocity_is_needed)
{
    struct optimizer_spec spec = {.lr = 0.5};
    float grad[20], theta[20], next[20];

    for (int i = 0; i < 20; i++) {
        grad[i] = 8;
        theta[i] = (float)i;
    }
    optimizer_step(&spec, 0.5, 4, &(struct segment){0, 20, true}, 1, grad, theta, NULL, next);
    for (int i = 0; i < 20; i++)
        ASSERT(next[i] == (float)i - 1);
}

TEST(a_zero_gradient_changes_nothing)
{
    struct state *s = state_create(3);
    struct optimizer_spec spec = {.lr = 0.1, .momentum = 0.9};

    memset(s->grad, 0, sizeof(s->grad));
    memset(s->velocity, 0, sizeof(s->velocity));
    optimizer_step(&spec, 0.1, 64, whole, 1, s->grad, s->theta, s->velocity, s->next);
    ASSERT_MEM(s->theta, s->next, sizeof(s->theta));
    free(s);
}

TEST(learning_rate_warms_up_then_stays)
{
    struct optimizer_spec spec = {.lr = 0.8, .schedule = LR_CONSTANT, .warmup = 0.1};

    ASSERT_NEAR(0.2, optimizer_lr(&spec, 0, 40), 1e-15);
    ASSERT_NEAR(0.6, optimizer_lr(&spec, 2, 40), 1e-15);
    ASSERT_NEAR(0.8, optimizer_lr(&spec, 3, 40), 1e-15);
    ASSERT_NEAR(0.8, optimizer_lr(&spec, 39, 40), 0);
}

TEST(learning_rate_falls_as_a_cosine_after_warm_up)
{
    struct optimizer_spec spec = {.lr = 0.8, .schedule = LR_COSINE};

    ASSERT_NEAR(0.8, optimizer_lr(&spec, 0, 40), 0);
    ASSERT_NEAR(0.4, optimizer_lr(&spec, 20, 40), 1e-15);
    ASSERT_NEAR(0.4 * (1 - sqrt(0.5)), optimizer_lr(&spec, 30, 40), 1e-15);
    spec.warmup = 0.5;
    ASSERT_NEAR(0.04, optimizer_lr(&spec, 0, 40), 1e-15);
    ASSERT_NEAR(0.8, optimizer_lr(&spec, 20, 40), 0);
    ASSERT_NEAR(0.4, optimizer_lr(&spec, 30, 40), 1e-15);
    ASSERT(optimizer_lr(&spec, 39, 40) > 0);
}

TEST(warm_up_steps_are_rounded_to_nearest)
{
    struct optimizer_spec spec = {.lr = 1, .schedule = LR_CONSTANT, .warmup = 0.25};

    ASSERT_NEAR(1.0 / 3, optimizer_lr(&spec, 0, 10), 1e-15); /* 2.5 -> 3 */
    ASSERT_NEAR(1.0 / 2, optimizer_lr(&spec, 0, 9), 1e-15);  /* 2.25 -> 2 */
    spec.warmup = 0.9;
    ASSERT_NEAR(1, optimizer_lr(&spec, 0, 1), 0); /* all of it is warm-up */
}
