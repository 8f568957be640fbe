/* A float is finite unless all bits of its exponent are set. One more in the exponent then carries
 * into the sign, so the sums are or-ed and the sign looked at once: integer work, four entries at a
 * time in the vectors that every compiler has, because -O2 does not vectorise such a loop. */
#include "common/floats.h"

#include <stdint.h>
#include <string.h>

#include "common/clone.h"

#ifdef __SSE__
#include <immintrin.h>
#endif

#define WITHOUT_SIGN 0x7fffffffu
#define EXPONENT_ONE 0x00800000u
#define SIGN 0x80000000u

#define FLUSH 0x8040u /* of the control register: results, and operands */

unsigned floats_flush(void)
{
#ifdef __SSE__
    const unsigned mode = _mm_getcsr();

    _mm_setcsr(mode | FLUSH);
    return mode;
#else
    return 0;
#endif
}

void floats_restore(unsigned mode)
{
#ifdef __SSE__
    _mm_setcsr(mode);
#else
    (void)mode;
#endif
}

typedef uint32_t lanes __attribute__((vector_size(16)));

/* out NULL: nothing is copied. Inlined, so that each of the two has a loop of its own. */
__attribute__((always_inline)) static inline bool
pass(unsigned char *restrict out, const unsigned char *restrict in, size_t bytes)
{
    lanes four, sums = {0};
    size_t at = 0;

    for (; sizeof(four) <= bytes - at; at += sizeof(four)) {
        memcpy(&four, in + at, sizeof(four));
        sums |= (four & WITHOUT_SIGN) + EXPONENT_ONE;
        if (out)
            memcpy(out + at, &four, sizeof(four));
    }
    uint32_t one, all = sums[0] | sums[1] | sums[2] | sums[3];
    for (; at < bytes; at += sizeof(one)) {
        memcpy(&one, in + at, sizeof(one));
        all |= (one & WITHOUT_SIGN) + EXPONENT_ONE;
        if (out)
            memcpy(out + at, &one, sizeof(one));
    }
    return !(all & SIGN);
}

bool floats_finite(const float *a, size_t n)
{
    return pass(NULL, (const unsigned char *)a, n * sizeof(float));
}

bool floats_copy_finite(float *restrict out, const void *restrict in, size_t n)
{
    return pass((unsigned char *)out, in, n * sizeof(float));
}

KERNEL void floats_add_squares(double lane[FLOATS_LANES], const float *a, size_t n)
{
    size_t i = 0;

    for (; i + FLOATS_LANES <= n; i += FLOATS_LANES)
        for (size_t j = 0; j < FLOATS_LANES; j++)
            lane[j] += (double)a[i + j] * (double)a[i + j];
    for (size_t j = 0; i + j < n; j++)
        lane[j] += (double)a[i + j] * (double)a[i + j];
}

double floats_sum_lanes(double lane[FLOATS_LANES])
{
    for (size_t half = FLOATS_LANES / 2; half > 0; half /= 2)
        for (size_t j = 0; j < half; j++)
            lane[j] += lane[j + half];
    return lane[0];
}

KERNEL static void add_products(double lane[FLOATS_LANES], const float *a, const float *b, size_t n)
{
    size_t i = 0;

    for (; i + FLOATS_LANES <= n; i += FLOATS_LANES)
        for (size_t j = 0; j < FLOATS_LANES; j++)
            lane[j] += (double)a[i + j] * (double)b[i + j];
    for (size_t j = 0; i + j < n; j++)
        lane[j] += (double)a[i + j] * (double)b[i + j];
}

double floats_dot(const float *a, const float *b, size_t n)
{
    double lane[FLOATS_LANES] = {0};

    add_products(lane, a, b, n);
    return floats_sum_lanes(lane);
}

KERNEL void floats_add_times(float *restrict y, double factor, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (float)((double)y[i] + factor * (double)x[i]);
}

KERNEL void floats_times(float *y, double factor, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (float)(factor * (double)x[i]);
}

/* A half is sign, 5 bits of exponent and 10 of fraction. One without exponent is a multiple of
 * 2^-24, which as a float is normal: the product is exact whatever the mode of denormals. */
static float from_half(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31;
    const uint32_t fraction = half & 0x3ff;
    uint32_t bits;
    float value;

    if (exponent == 0) {
        value = (float)fraction * 0x1p-24f;
        return sign ? -value : value;
    }
    bits = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | fraction << 13;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

bool floats_from_f16(float *restrict out, const void *restrict in, size_t n)
{
    uint16_t half;

    for (size_t i = 0; i < n; i++) {
        memcpy(&half, (const char *)in + sizeof(half) * i, sizeof(half));
        out[i] = from_half(half);
    }
    return floats_finite(out, n);
}

bool floats_from_bf16(float *restrict out, const void *restrict in, size_t n)
{
    uint16_t half;
    uint32_t bits;

    for (size_t i = 0; i < n; i++) {
        memcpy(&half, (const char *)in + sizeof(half) * i, sizeof(half));
        bits = (uint32_t)half << 16;
        memcpy(&out[i], &bits, sizeof(bits));
    }
    return floats_finite(out, n);
}

bool floats_from_f64(float *restrict out, const void *restrict in, size_t n)
{
    double wide;

    for (size_t i = 0; i < n; i++) {
        memcpy(&wide, (const char *)in + sizeof(wide) * i, sizeof(wide));
        out[i] = (float)wide;
    }
    return floats_finite(out, n);
}
