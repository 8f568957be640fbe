#include "common/rng.h"

#include "tests/harness.h"

/* Known answers of philox4x32-10 from Random123. */
TEST(philox_gives_the_published_answers)
{
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    uint32_t out[4];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        rng_philox(cases[i].counter, cases[i].key, out);
        ASSERT_MEM(cases[i].out, out, sizeof(out));
    }
}

/* The figures below come from a second implementation; every stored result depends on them. */
TEST(the_stream_layout_never_changes)
{
    static const uint32_t want[6] = {0x351e28a5, 0xc5899ec8, 0x913a6e50,
                                     0x345157b6, 0x8caff43a, 0x773a434e};
    struct rng r = rng_at(0x0123456789abcdef, RNG_PERMUTATION, 7, 9);

    for (int i = 0; i < 6; i++)
        ASSERT_EQ(want[i], rng_u32(&r));
    r = rng_at(0x0123456789abcdef, RNG_PERMUTATION, 7, 9);
    for (int i = 0; i < 3; i++)
        ASSERT_EQ(want[2 * i] | (uint64_t)want[2 * i + 1] << 32, rng_u64(&r));
}

TEST(units_numbers_and_shuffles_never_change)
{
    static const uint64_t below[6] = {253, 169, 611, 756, 534, 715};
    static const uint32_t shuffled[10] = {4, 1, 6, 0, 7, 5, 8, 3, 2, 9};
    uint32_t ids[10];

    struct rng r = rng_at(42, RNG_INIT, 0, 0);
    ASSERT(rng_unit(&r) == 0.593870170909453);
    ASSERT(rng_unit(&r) == 0.7850700722375236);
    r = rng_at(42, RNG_TEST, 0, 0);
    for (int i = 0; i < 6; i++)
        ASSERT_EQ(below[i], rng_below(&r, 1000));
    for (uint32_t i = 0; i < 10; i++)
        ids[i] = i;
    r = rng_at(42, RNG_PERMUTATION, 1, 0);
    rng_shuffle(&r, ids, 10);
    ASSERT_MEM(shuffled, ids, sizeof(ids));
}

TEST(every_part_of_the_key_changes_the_stream)
{
    struct rng base = rng_at(1, RNG_TIE, 2, 3);
    struct rng others[] = {rng_at(2, RNG_TIE, 2, 3), rng_at(1 | UINT64_C(1) << 32, RNG_TIE, 2, 3),
                           rng_at(1, RNG_INIT, 2, 3), rng_at(1, RNG_TIE, 3, 3),
                           rng_at(1, RNG_TIE, 2, 2)};
    uint64_t first = rng_u64(&base);

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        ASSERT(rng_u64(&others[i]) != first);
}

TEST(units_are_below_one_and_fill_the_range)
{
    struct rng r = rng_at(5, RNG_TEST, 0, 0);
    double sum = 0, squares = 0;
    const int n = 100000;

    for (int i = 0; i < n; i++) {
        double u = rng_unit(&r);
        ASSERT(u >= 0 && u < 1);
        sum += u;
        squares += u * u;
    }
    ASSERT_NEAR(0.5, sum / n, 0.005);
    ASSERT_NEAR(1.0 / 3, squares / n, 0.005);
}

TEST(ranges_keep_their_ends)
{
    struct rng r = rng_at(6, RNG_TEST, 0, 0);

    for (int i = 0; i < 10000; i++) {
        double v = rng_range(&r, -2, 3);
        ASSERT(v >= -2 && v < 3);
    }
}

TEST(below_gives_each_number_equally_often)
{
    struct rng r = rng_at(7, RNG_TEST, 0, 0);
    int counts[7] = {0};

    for (int i = 0; i < 70000; i++) {
        uint64_t v = rng_below(&r, 7);
        ASSERT(v < 7);
        counts[v]++;
    }
    for (int i = 0; i < 7; i++)
        ASSERT_NEAR(10000, counts[i], 400); /* four standard deviations */
    ASSERT_EQ(0, rng_below(&r, 1));
}

/* Without rejection every third number of 3 * 2^62 would come twice as often as the others. */
TEST(below_rejects_what_would_favour_some_numbers)
{
    struct rng r = rng_at(8, RNG_TEST, 0, 0);
    int multiples = 0;

    for (int i = 0; i < 30000; i++)
        multiples += rng_below(&r, UINT64_C(3) << 62) % 3 == 0;
    ASSERT_NEAR(10000, multiples, 330);
}

TEST(a_shuffle_keeps_every_id)
{
    struct rng r = rng_at(9, RNG_PERMUTATION, 1, 0);
    uint32_t ids[1000];
    bool seen[1000] = {false};
    int moved = 0;

    for (uint32_t i = 0; i < 1000; i++)
        ids[i] = i;
    rng_shuffle(&r, ids, 1000);
    for (uint32_t i = 0; i < 1000; i++) {
        ASSERT(ids[i] < 1000 && !seen[ids[i]]);
        seen[ids[i]] = true;
        moved += ids[i] != i;
    }
    ASSERT(moved > 980);
    rng_shuffle(&r, ids, 0);
    rng_shuffle(&r, ids, 1);
}

TEST(all_orders_of_three_come_equally_often)
{
    int counts[6] = {0};

    for (uint32_t pass = 0; pass < 6000; pass++) {
        struct rng r = rng_at(10, RNG_PERMUTATION, 0, pass);
        uint32_t ids[3] = {0, 1, 2};
        rng_shuffle(&r, ids, 3);
        counts[ids[0] * 2 + (ids[1] > ids[2])]++;
    }
    for (int i = 0; i < 6; i++)
        ASSERT_NEAR(1000, counts[i], 120);
}
