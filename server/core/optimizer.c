/* The update, entry by entry. Every operation is one float32 rounding in the order the header
 * gives, so the scalar loop is the definition and a vectorised one must give its bits. The kernels
 * are inlined once a case (momentum or not, Nesterov or not, decay or not), and once with a
 * constant count of BLOCK, so that the compiler vectorises them at -O2. */
#include "server/core/optimizer.h"

#include <math.h>

#include "common/floats.h"

#define BLOCK 16

struct rates {
    float lr, momentum, decay, divisor;
};

/* Of AdamW; root is sqrt(1 - beta2^t), lr is lr/(1 - beta1^t), keep is 1 - lr*weight_decay. */
struct adam_rates {
    float lr, beta1, beta1_rest, beta2, beta2_rest, root, epsilon, keep, divisor;
};

const char *const *optimizer_vectors(const struct optimizer_spec *spec)
{
    static const char *const names[][OPTIMIZER_VECTORS_MAX + 1] = {
        [OPTIMIZER_SGD] = {"velocity", NULL},
        [OPTIMIZER_ADAMW] = {"m", "v", NULL},
    };

    return names[spec->kind];
}

double optimizer_lr(const struct optimizer_spec *spec, uint64_t step, uint64_t total)
{
    uint64_t warm = (uint64_t)floor(spec->warmup * (double)total + 0.5);
    double lr = spec->lr;

    if (step < warm)
        return lr * (double)(step + 1) / (double)warm;
    if (spec->schedule == LR_STEP)
        for (int i = 0; i < spec->milestones.count; i++)
            if (step >= (uint64_t)floor(spec->milestones.at[i] * (double)total + 0.5))
                lr *= spec->gamma;
    if (spec->schedule != LR_COSINE || total <= warm)
        return lr;
    return lr / 2 * (1 + cos(M_PI * (double)(step - warm) / (double)(total - warm)));
}

double optimizer_divisor(const struct optimizer_spec *spec, double weight_sum,
                         const struct segment *segments, int segment_count, const float *grad_sum)
{
    double lane[FLOATS_LANES] = {0};

    if (spec->clip == 0)
        return weight_sum;
    for (int s = 0; s < segment_count; s++)
        floats_add_squares(lane, grad_sum + segments[s].offset, segments[s].count);
    const double norm = sqrt(floats_sum_lanes(lane));
    return norm / weight_sum > spec->clip ? norm / spec->clip : weight_sum;
}

__attribute__((always_inline)) static inline void
update(struct rates k, bool momentum, bool nesterov, bool decay, size_t n,
       const float *restrict grad_sum, const float *theta, float *restrict velocity, float *next)
{
#pragma GCC ivdep
    for (size_t i = 0; i < n; i++) {
        float g = grad_sum[i] / k.divisor;
        if (decay)
            g += k.decay * theta[i];
        float d = g;
        if (momentum) {
            float v = k.momentum * velocity[i] + g;
            velocity[i] = v;
            d = nesterov ? g + k.momentum * v : v;
        }
        next[i] = theta[i] - k.lr * d;
    }
}

__attribute__((always_inline)) static inline void
update_run(struct rates k, bool momentum, bool nesterov, bool decay, size_t n,
           const float *grad_sum, const float *theta, float *velocity, float *next)
{
    size_t i = 0;

    for (; i + BLOCK <= n; i += BLOCK)
        update(k, momentum, nesterov, decay, BLOCK, grad_sum + i, theta + i,
               momentum ? velocity + i : NULL, next + i);
    update(k, momentum, nesterov, decay, n - i, grad_sum + i, theta + i,
           momentum ? velocity + i : NULL, next + i);
}

static void sgd_step(const struct optimizer_spec *spec, double lr, double divisor,
                     const struct segment *segments, int segment_count, const float *grad_sum,
                     const float *theta, float *velocity, float *next)
{
    struct rates k = {(float)lr, (float)spec->momentum, (float)spec->weight_decay, (float)divisor};

    for (int s = 0; s < segment_count; s++) {
        size_t at = segments[s].offset, n = segments[s].count;
        bool decay = segments[s].decay && spec->weight_decay > 0;
        const float *g = grad_sum + at, *t = theta + at;
        float *v = spec->momentum > 0 ? velocity + at : NULL, *to = next + at;

        if (!v && decay)
            update_run(k, false, false, true, n, g, t, v, to);
        else if (!v)
            update_run(k, false, false, false, n, g, t, v, to);
        else if (spec->nesterov && decay)
            update_run(k, true, true, true, n, g, t, v, to);
        else if (spec->nesterov)
            update_run(k, true, true, false, n, g, t, v, to);
        else if (decay)
            update_run(k, true, false, true, n, g, t, v, to);
        else
            update_run(k, true, false, false, n, g, t, v, to);
    }
}

__attribute__((always_inline)) static inline void
adam_update(struct adam_rates k, bool decay, size_t n, const float *restrict grad_sum,
            const float *theta, float *restrict m, float *restrict v, float *next)
{
#pragma GCC ivdep
    for (size_t i = 0; i < n; i++) {
        const float g = grad_sum[i] / k.divisor;
        const float mean = k.beta1 * m[i] + k.beta1_rest * g;
        const float square = k.beta2 * v[i] + k.beta2_rest * g * g;
        const float d = mean / (sqrtf(square) / k.root + k.epsilon);
        const float from = decay ? theta[i] * k.keep : theta[i];

        m[i] = mean;
        v[i] = square;
        next[i] = from - k.lr * d;
    }
}

__attribute__((always_inline)) static inline void adam_run(struct adam_rates k, bool decay,
                                                           size_t n, const float *grad_sum,
                                                           const float *theta, float *m, float *v,
                                                           float *next)
{
    size_t i = 0;

    for (; i + BLOCK <= n; i += BLOCK)
        adam_update(k, decay, BLOCK, grad_sum + i, theta + i, m + i, v + i, next + i);
    adam_update(k, decay, n - i, grad_sum + i, theta + i, m + i, v + i, next + i);
}

static double power(double x, uint64_t n)
{
    double p = 1;

    for (; n > 0; n >>= 1, x *= x)
        if (n & 1)
            p *= x;
    return p;
}

static void adam_step(const struct optimizer_spec *spec, double lr, uint64_t step, double divisor,
                      const struct segment *segments, int segment_count, const float *grad_sum,
                      const float *theta, float *m, float *v, float *next)
{
    struct adam_rates k = {
        .lr = (float)(lr / (1 - power(spec->beta1, step + 1))),
        .beta1 = (float)spec->beta1,
        .beta1_rest = (float)(1 - spec->beta1),
        .beta2 = (float)spec->beta2,
        .beta2_rest = (float)(1 - spec->beta2),
        .root = (float)sqrt(1 - power(spec->beta2, step + 1)),
        .epsilon = (float)spec->epsilon,
        .keep = (float)(1 - lr * spec->weight_decay),
        .divisor = (float)divisor,
    };

    for (int s = 0; s < segment_count; s++) {
        size_t at = segments[s].offset, n = segments[s].count;

        if (segments[s].decay && spec->weight_decay > 0)
            adam_run(k, true, n, grad_sum + at, theta + at, m + at, v + at, next + at);
        else
            adam_run(k, false, n, grad_sum + at, theta + at, m + at, v + at, next + at);
    }
}

void optimizer_step(const struct optimizer_spec *spec, double lr, uint64_t step, double divisor,
                    const struct segment *segments, int segment_count, const float *grad_sum,
                    const float *theta, float *const *state, float *next)
{
    if (spec->kind == OPTIMIZER_ADAMW)
        adam_step(spec, lr, step, divisor, segments, segment_count, grad_sum, theta, state[0],
                  state[1], next);
    else
        sgd_step(spec, lr, divisor, segments, segment_count, grad_sum, theta, state[0], next);
}

void optimizer_running(const float *sum, double shards, const float *running, float *next, size_t n)
{
    const float count = (float)shards;

    for (size_t i = 0; i < n; i++)
        next[i] = 0.9f * running[i] + 0.1f * (sum[i] / count);
}
