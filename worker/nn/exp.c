/* exp(x) = 2^k exp(r) with k = x / ln 2, rounded, and |r| <= ln 2 / 2: the series up to r^13/13!,
 * whose rest is below 4e-18. ln 2 is split so that k times its high part is exact, and k is added
 * to a number that has no places behind the point, so that rounding leaves it in the last bits. */
#include "worker/nn/exp.h"

#include "common/clone.h"
#include "worker/nn/lanes.h"

typedef real real_lanes __attribute__((vector_size(LANES * sizeof(real))));

#define PER_LN2 0x1.71547652b82fep0
#define LN2_HIGH 0x1.62e42feep-1 /* 32 bits */
#define LN2_LOW 0x1.a39ef35793c76p-33
#define WHOLE 0x1.8p52
#define EXPONENT_BITS 52
#define EXPONENT_BIAS INT64_C(1023)

/* Of LANES entries. */
LANES_INLINE void exp_lanes(const real *z, double top, double *e)
{
    real_lanes in;

    memcpy(&in, z, sizeof(in));
    const lanes x = __builtin_convertvector(in, lanes) - top;
    const lanes sum = x * PER_LN2 + WHOLE, k = sum - WHOLE;
    const lanes r = (x - k * LN2_HIGH) - k * LN2_LOW;
    const lanes r2 = r * r, r4 = r2 * r2, r8 = r4 * r4;
    const lanes a = 1.0 / 2 + r * (1.0 / 6) + (1.0 / 24 + r * (1.0 / 120)) * r2;
    const lanes b = 1.0 / 720 + r * (1.0 / 5040) + (1.0 / 40320 + r * (1.0 / 362880)) * r2;
    const lanes c =
        1.0 / 3628800 + r * (1.0 / 39916800) + (1.0 / 479001600 + r * (1.0 / 6227020800)) * r2;
    const lanes of_r = 1.0 + (r + r2 * (a + b * r4 + c * r8));
    const lane_words power = ((lane_words)sum << EXPONENT_BITS) + (EXPONENT_BIAS << EXPONENT_BITS);
    const lane_words none = x < EXP_LEAST;
    const lanes all = (lanes)(~none & (lane_words)(of_r * (lanes)power));

    memcpy(e, &all, sizeof(all));
}

KERNEL void exp_below(const real *z, double top, uint32_t n, double *e)
{
    if (n < LANES) {
        real in[LANES] = {0};
        double out[LANES];

        memcpy(in, z, n * sizeof(*z));
        exp_lanes(in, top, out);
        memcpy(e, out, n * sizeof(*e));
        return;
    }
    for (uint32_t at = 0; LANES <= n - at; at += LANES)
        exp_lanes(z + at, top, e + at);
    if (n % LANES) /* some of them again */
        exp_lanes(z + n - LANES, top, e + n - LANES);
}
