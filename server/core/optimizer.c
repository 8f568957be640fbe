/* The update, entry by entry. Every operation is one float32 rounding in the order the header
 * gives, so the scalar loop is the definition and a vectorised one must give its bits. The kernel
 * is inlined once a case (momentum or not, Nesterov or not, decay or not), and once with a constant
 * count of BLOCK, which is what lets the compiler vectorise it at -O2. */
#include "server/core/optimizer.h"

#include <math.h>

#define BLOCK 16

struct rates {
    float lr, momentum, decay, weight_sum;
};

double optimizer_lr(const struct optimizer_spec *spec, uint64_t step, uint64_t total)
{
    uint64_t warm = (uint64_t)floor(spec->warmup * (double)total + 0.5);

    if (step < warm)
        return spec->lr * (double)(step + 1) / (double)warm;
    if (spec->schedule == LR_CONSTANT || total <= warm)
        return spec->lr;
    return spec->lr / 2 * (1 + cos(M_PI * (double)(step - warm) / (double)(total - warm)));
}

__attribute__((always_inline)) static inline void
update(struct rates k, bool momentum, bool nesterov, bool decay, size_t n,
       const float *restrict grad_sum, const float *restrict theta, float *restrict velocity,
       float *restrict next)
{
    for (size_t i = 0; i < n; i++) {
        float g = grad_sum[i] / k.weight_sum;
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

void optimizer_step(const struct optimizer_spec *spec, double lr, double weight_sum,
                    const struct segment *segments, int segment_count, const float *grad_sum,
                    const float *theta, float *velocity, float *next)
{
    struct rates k = {(float)lr, (float)spec->momentum, (float)spec->weight_decay,
                      (float)weight_sum};

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
