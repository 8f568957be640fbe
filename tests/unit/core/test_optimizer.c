#include <stdlib.h>

#include "common/rng.h"
#include "server/core/optimizer.h"
#include "tests/harness.h"

#define N 1000

struct state {
    float grad[N], theta[N], velocity[N], second[N], next[N];
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
        s->second[i] = (float)rng_range(&rng, 0, 1);
    }
    return s;
}

static void step_state(const struct optimizer_spec *spec, double lr, uint64_t step, double divisor,
                       const struct segment *segments, int count, struct state *s)
{
    float *const vectors[] = {s->velocity, s->second};

    optimizer_step(spec, lr, step, divisor, segments, count, s->grad, s->theta, vectors, s->next);
}

/* The definition, with every rounding forced. */
static void naive_adam(const struct optimizer_spec *spec, double lr, uint64_t step, double divisor,
                       bool decay, struct state *s, int i)
{
    const double t = (double)(step + 1);
    volatile float b1 = (float)spec->beta1, b2 = (float)spec->beta2, eps = (float)spec->epsilon;
    volatile float r1 = (float)(1 - spec->beta1), r2 = (float)(1 - spec->beta2);
    volatile float root = (float)sqrt(1 - pow(spec->beta2, t));
    volatile float rate = (float)(lr / (1 - pow(spec->beta1, t))),
                   keep = (float)(1 - lr * spec->weight_decay);
    volatile float g = s->grad[i] / (float)divisor, a = b1 * s->velocity[i], b = r1 * g;

    s->velocity[i] = a + b;
    a = b2 * s->second[i];
    b = r2 * g;
    b = b * g;
    s->second[i] = a + b;
    a = sqrtf(s->second[i]);
    a = a / root;
    a = a + eps;
    a = s->velocity[i] / a;
    a = rate * a;
    b = decay && spec->weight_decay > 0 ? s->theta[i] * keep : s->theta[i];
    s->next[i] = b - a;
}

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
static const struct optimizer_spec adam_cases[] = {
    {.kind = OPTIMIZER_ADAMW, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.01},
    {.kind = OPTIMIZER_ADAMW, .beta1 = 0.5, .beta2 = 0.75, .epsilon = 1e-3},
    {.kind = OPTIMIZER_ADAMW, .epsilon = 1e-8, .weight_decay = 0.5},
};
#define ADAM_CASES (int)(sizeof(adam_cases) / sizeof(adam_cases[0]))
#define CASES (int)(sizeof(cases) / sizeof(cases[0]))

static const struct segment segments[] = {
    {0, 16, true}, {16, 3, false}, {32, 517, true}, {549, 1, false}, {550, 450, false}};

TEST(every_case_has_the_bits_of_the_naive_loop)
{
    for (int c = 0; c < CASES; c++) {
        struct state *got = state_create((uint32_t)c), *want = state_create((uint32_t)c);
        for (int step = 0; step < 3; step++) {
            step_state(&cases[c], 0.0123, (uint64_t)step, 63.7, segments, 5, got);
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

TEST(adamw_has_the_bits_of_the_naive_loop)
{
    for (int c = 0; c < ADAM_CASES; c++) {
        struct state *got = state_create((uint32_t)c), *want = state_create((uint32_t)c);
        for (uint64_t step = 0; step < 3; step++) {
            step_state(&adam_cases[c], 0.0123, step, 63.7, segments, 5, got);
            for (int s = 0; s < 5; s++)
                for (size_t i = 0; i < segments[s].count; i++)
                    naive_adam(&adam_cases[c], 0.0123, step, 63.7, segments[s].decay, want,
                               (int)(segments[s].offset + i));
        }
        ASSERT_MEM(want, got, sizeof(*got));
        for (int i = 19; i < 32; i++) /* between the segments */
            ASSERT(got->next[i] == 0);
        free(got);
        free(want);
    }
}

/* torch.optim.AdamW, single tensor, in double. */
TEST(adamw_follows_a_double_precision_reference)
{
    for (int c = 0; c < ADAM_CASES; c++) {
        const struct optimizer_spec *spec = &adam_cases[c];
        struct state *s = state_create(7);
        double theta[N], mean[N] = {0}, square[N] = {0};
        for (int i = 0; i < N; i++) {
            theta[i] = s->theta[i];
            s->velocity[i] = s->second[i] = 0;
        }
        for (int step = 0; step < 20; step++) {
            struct rng rng = rng_at(1, RNG_TEST, 99, (uint32_t)step);
            for (int i = 0; i < N; i++)
                s->grad[i] = (float)rng_range(&rng, -100, 100);
            step_state(spec, 0.01, (uint64_t)step, 64, whole, 1, s);
            memcpy(s->theta, s->next, sizeof(s->theta));
            for (int i = 0; i < N; i++) {
                double g = s->grad[i] / 64.0;
                theta[i] *= 1 - 0.01 * spec->weight_decay;
                mean[i] += (1 - spec->beta1) * (g - mean[i]);
                square[i] = spec->beta2 * square[i] + (1 - spec->beta2) * g * g;
                double fix1 = 1 - pow(spec->beta1, step + 1), fix2 = 1 - pow(spec->beta2, step + 1);
                double denominator = sqrt(square[i]) / sqrt(fix2) + spec->epsilon;
                theta[i] -= 0.01 / fix1 * mean[i] / denominator;
            }
        }
        for (int i = 0; i < N; i++)
            ASSERT_NEAR(theta[i], s->theta[i], 2e-6);
        free(s);
    }
}

TEST(adamw_begins_with_steps_of_the_learning_rate)
{
    struct optimizer_spec spec = adam_cases[0];
    float grad[2] = {8, -1e-3f}, theta[2] = {2, 2}, next[2], m[2] = {0}, v[2] = {0};
    float *const vectors[] = {m, v};

    spec.weight_decay = 0;
    optimizer_step(&spec, 0.5, 0, 4, &(struct segment){0, 2, true}, 1, grad, theta, vectors, next);
    ASSERT_NEAR(1.5, next[0], 1e-6);
    ASSERT_NEAR(2.5, next[1], 1e-4); /* epsilon is felt */
    ASSERT_NEAR(0.2, m[0], 1e-7);
    ASSERT_NEAR(0.004, v[0], 1e-8);
}

TEST(adamw_with_a_zero_gradient_only_decays)
{
    struct optimizer_spec spec = adam_cases[0];
    float grad[2] = {0}, theta[2] = {2, -1}, next[2], m[2] = {0}, v[2] = {0};
    const struct segment two[] = {{0, 1, true}, {1, 1, false}};
    float *const vectors[] = {m, v};

    optimizer_step(&spec, 0.5, 0, 4, two, 2, grad, theta, vectors, next);
    ASSERT(next[0] == 2 * (float)(1 - 0.5 * 0.01));
    ASSERT(next[1] == -1);
}

TEST(each_rule_names_its_vectors)
{
    ASSERT_STR("velocity", optimizer_vectors(&cases[0])[0]);
    ASSERT(!optimizer_vectors(&cases[0])[1]);
    ASSERT_STR("m", optimizer_vectors(&adam_cases[0])[0]);
    ASSERT_STR("v", optimizer_vectors(&adam_cases[0])[1]);
    ASSERT(!optimizer_vectors(&adam_cases[0])[2]);
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
            step_state(spec, 0.05, (uint64_t)step, 64, whole, 1, s);
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
    float *const vectors[] = {&velocity};

    optimizer_step(&spec, 0.5, 0, 4, &(struct segment){0, 1, true}, 1, &grad, &theta, vectors,
                   &next);
    ASSERT(velocity == 2.5f); /* 8/4 + 0.25*2 */
    ASSERT(next == 0.75f);    /* 2 - 0.5*2.5 */
}

TEST(without_momentum_no_velocity_is_needed)
{
    struct optimizer_spec spec = {.lr = 0.5};
    float grad[20], theta[20], next[20];
    float *const none[] = {NULL};

    for (int i = 0; i < 20; i++) {
        grad[i] = 8;
        theta[i] = (float)i;
    }
    optimizer_step(&spec, 0.5, 0, 4, &(struct segment){0, 20, true}, 1, grad, theta, none, next);
    for (int i = 0; i < 20; i++)
        ASSERT(next[i] == (float)i - 1);
}

TEST(a_zero_gradient_changes_nothing)
{
    struct state *s = state_create(3);
    struct optimizer_spec spec = {.lr = 0.1, .momentum = 0.9};

    memset(s->grad, 0, sizeof(s->grad));
    memset(s->velocity, 0, sizeof(s->velocity));
    step_state(&spec, 0.1, 0, 64, whole, 1, s);
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

TEST(learning_rate_falls_at_each_milestone)
{
    struct optimizer_spec spec = {
        .lr = 0.8, .schedule = LR_STEP, .gamma = 0.5, .milestones = {2, {0.5, 0.75}}};

    ASSERT_NEAR(0.8, optimizer_lr(&spec, 0, 40), 0);
    ASSERT_NEAR(0.8, optimizer_lr(&spec, 19, 40), 0);
    ASSERT_NEAR(0.4, optimizer_lr(&spec, 20, 40), 0);
    ASSERT_NEAR(0.4, optimizer_lr(&spec, 29, 40), 0);
    ASSERT_NEAR(0.2, optimizer_lr(&spec, 30, 40), 0);
    ASSERT_NEAR(0.2, optimizer_lr(&spec, 39, 40), 0);
    ASSERT_NEAR(0.8, optimizer_lr(&spec, 2, 5), 0); /* 2.5 -> 3 */
    ASSERT_NEAR(0.4, optimizer_lr(&spec, 3, 5), 0);
    spec.warmup = 0.1;
    ASSERT_NEAR(0.2, optimizer_lr(&spec, 0, 40), 1e-15);
    ASSERT_NEAR(0.2, optimizer_lr(&spec, 39, 40), 0);
    spec.milestones.count = 0;
    ASSERT_NEAR(0.8, optimizer_lr(&spec, 39, 40), 0);
}

static double norm_of(const struct state *s)
{
    double squares = 0;

    for (int k = 0; k < 5; k++)
        for (size_t i = 0; i < segments[k].count; i++)
            squares += pow(s->grad[segments[k].offset + i], 2);
    return sqrt(squares);
}

TEST(a_gradient_above_the_limit_is_cut_to_it)
{
    struct state *s = state_create(5);
    const double norm = norm_of(s);
    struct optimizer_spec spec = {.clip = 0.5};
    double divisor = optimizer_divisor(&spec, 64, segments, 5, s->grad);

    ASSERT_NEAR(0.5, norm / divisor, 1e-12);
    /* What lies outside the segments does not count. */
    s->grad[25] = 1e30f;
    ASSERT_NEAR(divisor, optimizer_divisor(&spec, 64, segments, 5, s->grad), 0);
    free(s);
}

TEST(a_gradient_within_the_limit_is_left_as_it_is)
{
    struct state *s = state_create(5);
    struct optimizer_spec spec = {.clip = norm_of(s) / 63.7 * 1.0001};

    ASSERT(optimizer_divisor(&spec, 63.7, segments, 5, s->grad) == 63.7);
    spec.clip = norm_of(s) / 63.7 / 1.0001;
    ASSERT(optimizer_divisor(&spec, 63.7, segments, 5, s->grad) > 63.7);
    spec.clip = 0;
    ASSERT(optimizer_divisor(&spec, 63.7, segments, 5, s->grad) == 63.7);
    memset(s->grad, 0, sizeof(s->grad));
    spec.clip = 1e-300;
    ASSERT(optimizer_divisor(&spec, 63.7, segments, 5, s->grad) == 63.7);
    free(s);
}

/* Decay is added to the gradient that was cut. */
TEST(clipping_comes_before_weight_decay)
{
    struct optimizer_spec spec = {.clip = 1, .weight_decay = 0.25};
    float grad = 80, theta = 2, next;
    float *const none[] = {NULL};
    const struct segment one = {0, 1, true};

    optimizer_step(&spec, 0.5, 0, optimizer_divisor(&spec, 4, &one, 1, &grad), &one, 1, &grad,
                   &theta, none, &next);
    ASSERT(next == 1.25f); /* 2 - 0.5*(1 + 0.25*2) */
}

TEST(running_statistics_are_a_moving_average_of_the_shards_mean)
{
    const float sum[3] = {6, -3, 0}, running[3] = {1, 2, 0};
    float next[4] = {7, 7, 7, 7};

    optimizer_running(sum, 3, running, next, 3);
    ASSERT(next[0] == 0.9f * 1 + 0.1f * 2);
    ASSERT(next[1] == 0.9f * 2 + 0.1f * -1);
    ASSERT(next[2] == 0 && next[3] == 7);
}
