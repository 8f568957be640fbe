#include <math.h>
#include <stdint.h>
#include <string.h>

#include "common/floats.h"
#include "tests/harness.h"

#define COUNT 11 /* two whole vectors and a rest */

static void fill(float a[COUNT])
{
    const float edge[] = {0, -0.0f, 1, -1, 3.4028234e38f, -3.4028234e38f, 1e-45f};

    for (int i = 0; i < COUNT; i++)
        a[i] = edge[i % 7];
}

TEST(the_largest_and_the_smallest_floats_are_finite)
{
    float a[COUNT];

    fill(a);
    for (size_t n = 0; n <= COUNT; n++)
        ASSERT(floats_finite(a, n));
}

TEST(one_entry_that_is_not_finite_is_seen_wherever_it_is)
{
    const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};

    for (int at = 0; at < COUNT; at++)
        for (int k = 0; k < 4; k++) {
            float a[COUNT], copy[COUNT];
            fill(a);
            a[at] = bad[k];
            ASSERT(!floats_finite(a, COUNT));
            ASSERT(!floats_copy_finite(copy, a, COUNT));
            ASSERT(floats_finite(a, (size_t)at));
            ASSERT_MEM(a, copy, sizeof(a));
        }
}

TEST(a_copy_is_exact_from_any_address_and_ends_where_it_should)
{
    for (size_t shift = 0; shift < 16; shift++)
        for (size_t n = 0; n < COUNT; n++) {
            unsigned char in[sizeof(float) * COUNT + 16];
            float a[COUNT], out[COUNT];
            fill(a);
            memset(out, 0x55, sizeof(out));
            memcpy(in + shift, a, sizeof(a));
            ASSERT(floats_copy_finite(out, in + shift, n));
            ASSERT_MEM(a, out, n * sizeof(float));
            const unsigned char *behind = (const unsigned char *)(out + n);
            for (size_t i = 0; i < (COUNT - n) * sizeof(float); i++)
                ASSERT_EQ(0x55, behind[i]);
        }
}

/* Bits from IEEE 754: the smallest, the largest without an exponent, the smallest with one, 1, the
 * largest. */
TEST(halves_become_floats_exactly)
{
    static const uint16_t halves[] = {0,      0x8000, 0x0001, 0x83ff, 0x0400,
                                      0x3c00, 0xc000, 0x3555, 0x7bff, 0xfbff};
    static const float want[] = {0, -0.0f, 0x1p-24f,    -0x1.ff8p-15f, 0x1p-14f,
                                 1, -2,    0x1.554p-2f, 65504,         -65504};
    static const uint16_t bad[] = {0x7c00, 0xfc00, 0x7e00};
    float out[10];

    ASSERT(floats_from_f16(out, halves, 10));
    ASSERT_MEM(want, out, sizeof(want));
    const unsigned mode = floats_flush();
    memset(out, 0, sizeof(out));
    ASSERT(floats_from_f16(out, halves, 10));
    floats_restore(mode);
    ASSERT_MEM(want, out, sizeof(want));
    for (int i = 0; i < 3; i++)
        ASSERT(!floats_from_f16(out, &bad[i], 1));
}

TEST(bfloat16_and_doubles_become_floats)
{
    static const uint16_t brain[] = {0x3f80, 0xbf81, 0x7f7f, 0x0080}, bad[] = {0x7f80, 0x7fc0};
    static const float want[] = {1, -1.0078125f, 0x1.fep127f, 0x1p-126f};
    static const double wide[] = {1.0 / 3, -3.4028234e38, 1e-300, 0}, far[] = {1e39, HUGE_VAL, NAN};
    static const float near[] = {0x1.555556p-2f, -3.4028234e38f, 0, 0};
    float out[4];

    ASSERT(floats_from_bf16(out, brain, 4));
    ASSERT_MEM(want, out, sizeof(want));
    ASSERT(!floats_from_bf16(out, &bad[0], 1));
    ASSERT(!floats_from_bf16(out, &bad[1], 1));
    ASSERT(floats_from_f64(out, wide, 4));
    ASSERT_MEM(near, out, sizeof(near));
    for (int i = 0; i < 3; i++)
        ASSERT(!floats_from_f64(out, &far[i], 1));
}
