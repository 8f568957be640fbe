#include <float.h>

#include "common/clone.h"
#include "common/floats.h"
#include "tests/unit/nn/support.h"
#include "worker/nn/exp.h"

/* The same source for a processor without vectors. */
#undef KERNEL
#define KERNEL static
#define exp_below exp_plain
#include "worker/nn/exp.c"
#undef exp_below

enum { POINTS = 1 << 12 };

/* How far e is from exp(x), in units of the last place of exp(x). */
static double ulps(double x, double e)
{
    const long double want = expl((long double)x);
    int power;

    frexpl(want, &power);
    return (double)(fabsl((long double)e - want) / ldexpl(1, power - DBL_MANT_DIG));
}

static void assert_exact(const real *z, double top, uint32_t n, double *io_worst)
{
    double e[POINTS], plain[POINTS];

    exp_below(z, top, n, e);
    exp_plain(z, top, n, plain);
    ASSERT(memcmp(e, plain, n * sizeof(*e)) == 0);
    for (uint32_t i = 0; i < n; i++) {
        const double x = (double)z[i] - top;
        if (x < EXP_LEAST) {
            ASSERT(e[i] == 0);
            continue;
        }
        const double off = ulps(x, e[i]);
        if (!(off < EXP_ULPS))
            FAIL("exp(%.17g) is %.17g, off by %g ulp", x, e[i], off);
        *io_worst = off > *io_worst ? off : *io_worst;
    }
}

/* In steps of all sizes, down to beyond the last number; where a double flushes, too. */
TEST(it_is_exact_to_the_last_place_over_the_whole_range)
{
    static const double ranges[] = {1e-8, 1e-3, 0.3465, 0.35, 1, 40, 100, 708, 750, 1e6, 3e38};
    const unsigned mode = floats_flush();
    struct rng rng = rng_at(1, RNG_TEST, 0, 0);
    static real z[POINTS];
    double worst = 0;

    for (size_t k = 0; k < 8 * COUNT(ranges); k++) {
        const double range = ranges[k % COUNT(ranges)], top = k % 3 ? 0 : rng_range(&rng, -50, 50);
        for (int i = 0; i < POINTS; i++)
            z[i] = (real)(top - rng_range(&rng, 0, range));
        if (k >= 4 * COUNT(ranges))
            floats_restore(mode);
        assert_exact(z, (double)(real)(top + 1e-30), POINTS - (uint32_t)(k % 9), &worst);
    }
    test_say("at most %.3f ulp\n", worst);
}

/* Where k changes: half way between two multiples of ln 2. */
TEST(it_is_exact_at_the_seams)
{
    static real z[POINTS];
    double worst = 0;

    for (int k = 0; k < 1021; k++) {
        real at = (real)(-(k + 0.5) * log(2));
        for (int i = 0; i < 4; i++) {
            z[4 * (k % 1000) + i] = at;
            at = nextafterf(at, i < 2 ? -1000 : 0);
        }
        assert_exact(z + 4 * (k % 1000), 0, 4, &worst);
    }
}

TEST(what_is_special_stays_so)
{
    const real z[] = {5, (real)-INFINITY, (real)NAN, -3e38F, -703, (real)-703.0001, 5};
    double e[COUNT(z)];

    exp_below(z, 5, COUNT(z), e);
    ASSERT(e[0] == 1 && e[6] == 1);
    ASSERT(e[1] == 0 && e[3] == 0 && e[5] == 0);
    ASSERT(isnan(e[2]));
    ASSERT(e[4] > DBL_MIN);
    exp_below(z, (double)NAN, 2, e);
    ASSERT(isnan(e[0]));
}

TEST(nothing_behind_the_end_is_touched)
{
    real z[20] = {0};
    double e[20];

    for (uint32_t n = 0; n < 20; n++) {
        for (int i = 0; i < 20; i++)
            e[i] = 7;
        exp_below(z, 0, n, e);
        for (uint32_t i = 0; i < 20; i++)
            ASSERT(e[i] == (i < n ? 1 : 7));
    }
}
