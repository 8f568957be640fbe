/* Numbers as text: every one reads back to the same bits, none is longer than what printf needs. */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/decimal.h"
#include "common/decimal_internal.h"
#include "common/rng.h"
#include "tests/harness.h"

static double of_bits(uint64_t bits)
{
    double v;

    memcpy(&v, &bits, sizeof(v));
    return v;
}

static uint64_t bits_of(double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof(bits));
    return bits;
}

static const char *text_of(double v, char buf[DECIMAL_BYTES + 1])
{
    size_t bytes;

    memset(buf, '#', DECIMAL_BYTES + 1);
    bytes = decimal_of_f64(v, buf);
    ASSERT(bytes <= DECIMAL_BYTES);
    ASSERT_EQ('#', buf[bytes]);
    buf[bytes] = '\0';
    return buf;
}

/* The slow way: printf with more and more digits until one reads back. */
static void by_printf(double v, char buf[40])
{
    if (fabs(v) < 1e15 && v == floor(v)) {
        snprintf(buf, 40, "%.0f", v);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(buf, 40, "%.*g", digits, v);
        if (strtod(buf, NULL) == v)
            break;
    }
}

static void check_reads_back(double v)
{
    char buf[DECIMAL_BYTES + 1];

    if (bits_of(strtod(text_of(v, buf), NULL)) != bits_of(v))
        FAIL("%a is written as %s", v, buf);
}

static void check_is_shortest(double v)
{
    char buf[DECIMAL_BYTES + 1], slow[40];
    /* Below a power of two doubles lie closer: printf rounds the number to so many digits, but a
     * shorter one may read back that is not the nearest of its length. */
    bool power = (bits_of(v) & ((UINT64_C(1) << 52) - 1)) == 0;

    check_reads_back(v);
    by_printf(v, slow);
    if (power ? strlen(text_of(v, buf)) > strlen(slow) : strcmp(text_of(v, buf), slow) != 0)
        FAIL("%a is written as %s, shortest is %s", v, buf, slow);
}

/* v and its neighbours, with both signs. */
static void check_around(double v)
{
    const double all[] = {v, nextafter(v, INFINITY), nextafter(v, 0)};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (isfinite(all[i])) {
            check_is_shortest(all[i]);
            check_is_shortest(-all[i]);
        }
}

TEST(numbers_are_laid_out_as_people_write_them)
{
    static const struct {
        double v;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {-12, "-12"},
        {100000, "100000"},
        {999999999999999, "999999999999999"},
        {1e15, "1e+15"},
        {1234567890123456, "1234567890123456"},
        {9007199254740991, "9007199254740991"},
        {1.5e16, "1.5e+16"},
        {0.1, "0.1"},
        {0.3, "0.3"},
        {1.0 / 3, "0.3333333333333333"},
        {8.0 / 255, "0.03137254901960784"},
        {0.0001, "0.0001"},
        {0.00012, "0.00012"},
        {0.00001, "1e-05"},
        {1234.5, "1234.5"},
        {-2.5e-20, "-2.5e-20"},
        {1e300, "1e+300"},
        {1e22, "1e+22"},
        {9.5367431640625e-07, "9.5367431640625e-07"},
        {DBL_MAX, "1.7976931348623157e+308"},
        {-DBL_MAX, "-1.7976931348623157e+308"},
        {DBL_MIN, "2.2250738585072014e-308"},
        {-DBL_MIN, "-2.2250738585072014e-308"},
        {5e-324, "5e-324"},
        {NAN, "nan"},
        {INFINITY, "inf"},
        {-INFINITY, "-inf"},
    };
    char buf[DECIMAL_BYTES + 1];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ASSERT_STR(cases[i].text, text_of(cases[i].v, buf));
}

TEST(whole_numbers_of_any_size)
{
    static const int64_t numbers[] = {
        0,   1,    -1,        9,         10,        -10,       99,
        100, -101, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, INT64_C(1) << 53};
    char buf[DECIMAL_BYTES + 1], want[24];

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        buf[decimal_of_i64(numbers[i], buf)] = '\0';
        snprintf(want, sizeof(want), "%" PRId64, numbers[i]);
        ASSERT_STR(want, buf);
    }
}

TEST(random_bits_read_back)
{
    for (uint32_t i = 0; i < 3000000; i++) {
        struct rng r = rng_at(18, RNG_TEST, 1, i);
        double v = of_bits(rng_u64(&r));
        if (isfinite(v))
            check_reads_back(v);
    }
}

TEST(random_bits_are_as_short_as_printf_finds_them)
{
    for (uint32_t i = 0; i < 50000; i++) {
        struct rng r = rng_at(18, RNG_TEST, 2, i);
        double v = of_bits(rng_u64(&r));
        if (isfinite(v))
            check_is_shortest(v);
    }
}

/* As scores are, and with few digits, so that short ones are many. */
TEST(numbers_that_people_meet)
{
    char buf[40];

    for (uint32_t i = 0; i < 50000; i++) {
        struct rng r = rng_at(18, RNG_TEST, 3, i);
        check_is_shortest(exp(rng_range(&r, -60, 10)));
        check_is_shortest((double)(float)rng_unit(&r));
        snprintf(buf, sizeof(buf), "%.*e", (int)(i % 17), exp(rng_range(&r, -700, 700)));
        check_is_shortest(strtod(buf, NULL));
        check_is_shortest((double)(rng_u64(&r) >> i % 64));
    }
}

TEST(powers_of_two_and_of_ten_and_their_neighbours)
{
    char buf[16];

    for (int e = -1074; e <= 1023; e++)
        check_around(ldexp(1, e));
    for (int e = -323; e <= 308; e++) {
        snprintf(buf, sizeof(buf), "1e%d", e);
        check_around(strtod(buf, NULL));
    }
}

TEST(denormals)
{
    for (uint64_t bits = 1; bits < 5000; bits++)
        check_is_shortest(of_bits(bits));
    for (uint32_t i = 0; i < 20000; i++) {
        struct rng r = rng_at(18, RNG_TEST, 4, i);
        check_is_shortest(of_bits(rng_u64(&r) >> 12 >> i % 50));
    }
    check_around(DBL_MIN);
}

/* --- the table, by long arithmetic --- */

#define LIMBS 40 /* of 32 bits, the lowest first: 10^324 has 1077 bits */

struct number {
    uint32_t limb[LIMBS];
};

static void times_ten(struct number *x)
{
    uint64_t carry = 0;

    for (int i = 0; i < LIMBS; i++) {
        carry += (uint64_t)x->limb[i] * 10;
        x->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
}

/* Returns the remainder. */
static uint32_t by_ten(struct number *x)
{
    uint64_t rest = 0;

    for (int i = LIMBS - 1; i >= 0; i--) {
        rest = rest << 32 | x->limb[i];
        x->limb[i] = (uint32_t)(rest / 10);
        rest %= 10;
    }
    return (uint32_t)rest;
}

static bool bit(const struct number *x, int at)
{
    return at >= 0 && (x->limb[at / 32] >> at % 32 & 1);
}

static int length(const struct number *x)
{
    int at = 32 * LIMBS - 1;

    while (at > 0 && !bit(x, at))
        at--;
    return at + 1;
}

/* The 128 highest bits, plus one if anything below them, or `rest`, is set. */
static void check_power(int k, const struct number *x, bool rest)
{
    const int top = length(x);
    uint64_t high = 0, low = 0;

    for (int i = 1; i <= 64; i++)
        high = high << 1 | bit(x, top - i);
    for (int i = 65; i <= 128; i++)
        low = low << 1 | bit(x, top - i);
    for (int at = top - 129; at >= 0; at--)
        rest = rest || bit(x, at);
    low += rest;
    high += rest && low == 0;
    const uint64_t *entry = decimal_powers[k - DECIMAL_POWER_MIN];
    if (entry[0] != high || entry[1] != low)
        FAIL("10^%d is %016" PRIx64 "%016" PRIx64, k, high, low);
}

TEST(the_table_has_the_powers_of_ten)
{
    struct number up = {{1}}, down = {{0}};
    bool rest = false;

    for (int k = 0; k < DECIMAL_POWERS + DECIMAL_POWER_MIN; k++, times_ten(&up))
        check_power(k, &up, false);
    down.limb[LIMBS - 1] = 1; /* 1, with 1248 bits behind it */
    for (int k = -1; k >= DECIMAL_POWER_MIN; k--) {
        rest = by_ten(&down) || rest;
        check_power(k, &down, rest);
    }
}
