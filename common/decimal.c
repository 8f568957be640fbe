/* The shortest digits of a double by Schubfach (R. Giulietti, "The Schubfach way to render
 * doubles", 2021): the double, scaled by a power of ten so that its rounding interval holds at
 * least one and at most twenty whole numbers, is multiplied out once for itself and once for each
 * end of the interval, with 128 bits of the power and the lost bits kept as one sticky bit. A
 * multiple of ten inside the interval is the shortest; if there is none, the whole number next to
 * the double is. */
#include "common/decimal.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "common/decimal_internal.h"

#define FRACTION_BITS 52
#define EXPONENT_MAX 2047
#define EXPONENT_BIAS 1075 /* of a double's fraction read as a whole number */
#define PLAIN_MAX 1e15     /* %g has an exponent from its number of digits on */
#define SMALLEST_PLAIN -4  /* decimal exponent; %g has one below it */

static const char pairs[] = "00010203040506070809"
                            "10111213141516171819"
                            "20212223242526272829"
                            "30313233343536373839"
                            "40414243444546474849"
                            "50515253545556575859"
                            "60616263646566676869"
                            "70717273747576777879"
                            "80818283848586878889"
                            "90919293949596979899";

/* A power of ten and the three above it. */
#define FOUR(p) UINT64_C(p), 10 * UINT64_C(p), 100 * UINT64_C(p), 1000 * UINT64_C(p)

static size_t count_digits(uint64_t v)
{
    static const uint64_t powers[] = {FOUR(1), FOUR(10000), FOUR(100000000), FOUR(1000000000000),
                                      FOUR(10000000000000000)};
    const unsigned bits = 64 - (unsigned)__builtin_clzll(v | 1);
    const size_t below = bits * 1233 >> 12; /* floor(log10(2^bits)) */

    return below + ((v | 1) >= powers[below]);
}

/* Writes the `count` digits of v. */
static void write_digits(uint64_t v, size_t count, char *to)
{
    char *end = to + count;

    while (v >= 100) {
        end -= 2;
        memcpy(end, pairs + 2 * (v % 100), 2);
        v /= 100;
    }
    if (v >= 10)
        memcpy(to, pairs + 2 * v, 2);
    else
        *to = (char)('0' + v);
}

static size_t put_digits(uint64_t v, char *to)
{
    const size_t count = count_digits(v);

    write_digits(v, count, to);
    return count;
}

size_t decimal_of_i64(int64_t v, char *to)
{
    const uint64_t size = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

    if (v < 0)
        *to = '-';
    return (v < 0) + put_digits(size, to + (v < 0));
}

/* digits * 10^exponent */
struct decimal {
    uint64_t digits;
    int exponent;
};

/* The upper 64 bits of g * cp, the lowest of them set if anything below them is. */
static uint64_t round_to_odd(const uint64_t g[2], uint64_t cp)
{
    const unsigned __int128 low = (unsigned __int128)g[1] * cp;
    const unsigned __int128 sum = (unsigned __int128)g[0] * cp + (uint64_t)(low >> 64);

    return (uint64_t)(sum >> 64) | ((uint64_t)sum > 1);
}

/* floor(log10(2^q)), or of 3/4 of it: the interval below a power of two is half as wide. */
static int log10_of_pow2(int q, bool narrow)
{
    return (q * 1262611 - (narrow ? 524031 : 0)) >> 22;
}

static int log2_of_pow10(int k)
{
    return (k * 1741647) >> 19;
}

/* c * 2^q, whose lower neighbour is half as far as the upper one if `narrow`. */
static struct decimal shortest(uint64_t c, int q, bool narrow)
{
    const int k = log10_of_pow2(q, narrow), h = q + log2_of_pow10(-k) + 1;
    const uint64_t *g = decimal_powers[-k - DECIMAL_POWER_MIN];
    const uint64_t odd = c & 1; /* then the ends of the interval read back as a neighbour */
    const uint64_t lower = round_to_odd(g, (4 * c - 2 + narrow) << h) + odd;
    const uint64_t v = round_to_odd(g, (4 * c) << h);
    const uint64_t upper = round_to_odd(g, (4 * c + 2) << h) - odd;
    const uint64_t s = v / 4, tens = s / 10;

    if (s >= 10) {
        const bool down = lower <= 40 * tens, up = 40 * tens + 40 <= upper;
        if (down != up)
            return (struct decimal){tens + up, k + 1};
    }
    const bool down = lower <= 4 * s, up = 4 * s + 4 <= upper;
    if (down != up)
        return (struct decimal){s + up, k};
    const uint64_t middle = 4 * s + 2;
    return (struct decimal){s + (v > middle || (v == middle && (s & 1))), k};
}

/* Of a finite number above 0; the last digit is not 0. */
static struct decimal decimal_of(uint64_t bits)
{
    const uint64_t fraction = bits & ((UINT64_C(1) << FRACTION_BITS) - 1);
    const int exponent = (int)(bits >> FRACTION_BITS);
    struct decimal d = exponent == 0
                           ? shortest(fraction, 1 - EXPONENT_BIAS, false)
                           : shortest(fraction | UINT64_C(1) << FRACTION_BITS,
                                      exponent - EXPONENT_BIAS, fraction == 0 && exponent > 1);

    while (d.digits % 10 == 0) {
        d.digits /= 10;
        d.exponent++;
    }
    return d;
}

/* Digits with a point behind the first `whole` of them, which is at least one. */
static size_t put_split(uint64_t digits, size_t count, size_t whole, char *to)
{
    if (whole >= count)
        return put_digits(digits, to);
    write_digits(digits, count, to + 1);
    for (size_t i = 0; i < whole; i++)
        to[i] = to[i + 1];
    to[whole] = '.';
    return count + 1;
}

/* "1.5e-20" of 15; point: the decimal exponent of the first digit. */
static size_t put_exponent(uint64_t digits, size_t count, int point, char *to)
{
    char *at = to + put_split(digits, count, 1, to);

    *at++ = 'e';
    *at++ = point < 0 ? '-' : '+';
    point = point < 0 ? -point : point;
    if (point < 10)
        *at++ = '0';
    at += put_digits((uint64_t)point, at);
    return (size_t)(at - to);
}

static size_t put_plain(uint64_t digits, size_t count, int point, char *to)
{
    char *at = to;

    if (point >= 0)
        return put_split(digits, count, (size_t)point + 1, to);
    *at++ = '0';
    *at++ = '.';
    for (int i = -1; i > point; i--)
        *at++ = '0';
    write_digits(digits, count, at);
    return (size_t)(at - to) + count;
}

static size_t put_word(const char *word, char *to)
{
    memcpy(to, word, strlen(word));
    return strlen(word);
}

size_t decimal_of_f64(double v, char *to)
{
    uint64_t bits;
    size_t sign = signbit(v) != 0;

    memcpy(&bits, &v, sizeof(bits));
    bits &= UINT64_MAX >> 1;
    if (bits >> FRACTION_BITS == EXPONENT_MAX)
        return put_word(isnan(v) ? "nan" : v < 0 ? "-inf" : "inf", to);
    if (sign)
        *to = '-';
    if (fabs(v) < PLAIN_MAX && v == floor(v))
        return sign + put_digits((uint64_t)fabs(v), to + sign);
    const struct decimal d = decimal_of(bits);
    const size_t count = count_digits(d.digits);
    const int point = d.exponent + (int)count - 1;
    return sign + (point < SMALLEST_PLAIN || point >= (int)count
                       ? put_exponent(d.digits, count, point, to + sign)
                       : put_plain(d.digits, count, point, to + sign));
}
