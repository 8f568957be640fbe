#include <math.h>
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
