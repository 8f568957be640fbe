/* Sorting by bits against sorting by comparison, and what is built on it against the rules of
 * curriculum.h, taken word by word. */
#include "server/core/radix.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/difficulty.h"
#include "common/rng.h"
#include "server/core/apportion.h"
#include "server/core/curriculum.h"
#include "server/core/self_paced.h"
#include "tests/harness.h"

#define MOST 3000
#define CLASSES 7

struct pair {
    double key;
    uint32_t id;
};

static int by_key_and_id(const void *pa, const void *pb)
{
    const struct pair *a = pa, *b = pb;

    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

/* Of any size, with all that is special, and often with one that was there before. */
static double any_double(struct rng *r)
{
    static const double special[] = {
        0.0,      -0.0, 5e-324, -5e-324, DBL_MIN / 2,          DBL_MIN,  -DBL_MIN, DBL_MAX,
        -DBL_MAX, 1,    -1,     0.5,     0x1.fffffffffffffp-1, INFINITY, -INFINITY};
    uint64_t bits;
    double x;

    if (rng_below(r, 3) == 0)
        return special[rng_below(r, sizeof(special) / sizeof(special[0]))];
    do {
        bits = rng_u64(r);
        memcpy(&x, &bits, sizeof(x));
    } while (isnan(x));
    return x;
}

TEST(an_order_is_that_of_the_numbers)
{
    static struct pair pairs[MOST];
    struct rng r = rng_at(1, RNG_TEST, 0, 0);
    struct radix o;

    for (uint32_t n = 0; n <= MOST; n = n < 60 ? n + 1 : n * 3) {
        ASSERT_EQ(0, radix_begin(&o, n, NULL));
        for (uint32_t i = 0; i < n; i++) {
            pairs[i] = (struct pair){any_double(&r), i};
            radix_add(&o, radix_key(pairs[i].key), i);
        }
        qsort(pairs, n, sizeof(pairs[0]), by_key_and_id);
        radix_sort(&o);
        for (uint32_t i = 0; i < n; i++) {
            ASSERT_EQ(pairs[i].id, o.ids[i]);
            ASSERT(radix_value(o.keys[i]) == pairs[i].key);
            ASSERT_EQ(0, i > 0 && signbit(radix_value(o.keys[i])) && pairs[i].key == 0);
        }
        radix_done(&o);
    }
}

TEST(a_part_is_sorted_alone_in_room_that_was_brought)
{
    struct rng r = rng_at(2, RNG_TEST, 0, 0);
    void *room = malloc(radix_bytes(MOST));
    struct radix o;

    ASSERT_EQ(0, radix_begin(&o, MOST, room));
    for (uint32_t i = 0; i < MOST; i++)
        radix_add(&o, rng_below(&r, 50), i);
    const uint64_t before = o.keys[99], behind = o.keys[2000];
    radix_sort_part(&o, 100, 2000);
    ASSERT_EQ(before, o.keys[99]);
    ASSERT_EQ(behind, o.keys[2000]);
    for (uint32_t i = 101; i < 2000; i++)
        ASSERT(o.keys[i - 1] < o.keys[i] ||
               (o.keys[i - 1] == o.keys[i] && o.ids[i - 1] < o.ids[i]));
    radix_done(&o); /* the room is not its own */
    memset(room, 1, radix_bytes(MOST));
    free(room);
}

TEST(groups_keep_the_order_within_them)
{
    struct rng r = rng_at(3, RNG_TEST, 0, 0);
    uint32_t sizes[CLASSES], at = 0;
    uint16_t of[MOST];
    struct radix o;

    ASSERT_EQ(0, radix_begin(&o, MOST, NULL));
    for (uint32_t i = 0; i < MOST; i++) {
        of[i] = (uint16_t)rng_below(&r, CLASSES - 1); /* the last has none */
        if (i % 5)
            radix_add(&o, rng_below(&r, 40), i);
    }
    radix_sort(&o);
    radix_group(&o, of, CLASSES, sizes);
    for (uint16_t g = 0; g < CLASSES; g++)
        for (uint32_t k = 0; k < sizes[g]; k++, at++) {
            ASSERT_EQ(g, of[o.ids[at]]);
            ASSERT(k == 0 || o.keys[at - 1] < o.keys[at] ||
                   (o.keys[at - 1] == o.keys[at] && o.ids[at - 1] < o.ids[at]));
        }
    ASSERT_EQ(o.count, at);
    ASSERT_EQ(0, sizes[CLASSES - 1]);
    radix_done(&o);
}

TEST(places_are_apportioned_by_largest_remainder)
{
    struct rng r = rng_at(4, RNG_TEST, 0, 0);

    for (int round = 0; round < 200; round++) {
        const uint32_t groups = 1 + (uint32_t)rng_below(&r, 80);
        uint32_t sizes[80], got[80], want[80], n = 0;
        for (uint32_t g = 0; g < groups; g++)
            n += sizes[g] = (uint32_t)rng_below(&r, round % 2 ? 4 : 4000);
        if (n == 0)
            continue;
        const uint32_t total = (uint32_t)rng_below(&r, n + 1);
        uint32_t left = total;
        for (uint32_t g = 0; g < groups; g++)
            left -= want[g] = (uint32_t)((uint64_t)total * sizes[g] / n);
        for (; left > 0; left--) {
            uint64_t most = 0;
            uint32_t winner = 0;
            for (uint32_t g = 0; g < groups; g++) {
                uint64_t exact = (uint64_t)total * sizes[g], has = (uint64_t)want[g] * n;
                if (exact > has && exact - has > most) {
                    most = exact - has;
                    winner = g;
                }
            }
            want[winner]++;
        }
        ASSERT_EQ(0, apportion(total, sizes, groups, got));
        ASSERT_MEM(want, got, groups * sizeof(*got));
        for (uint32_t g = 0; g < groups; g++)
            ASSERT(got[g] <= sizes[g]);
    }
}

/* --- ranks and schedules --- */

#define N 900

static void any_scores(struct rng *r, struct score *s)
{
    for (uint32_t i = 0; i < N; i++)
        s[i] = (struct score){.loss = rng_unit(r),
                              .adv_loss = rng_below(r, 4) ? rng_unit(r) : 0.5,
                              .grad_norm = (double)rng_below(r, 20) * 5e-324,
                              .el2n = rng_below(r, 2) ? -0.0 : 0.0,
                              .flags = rng_below(r, 8) ? SCORE_MEASURED : 0};
}

TEST(ranks_are_those_of_a_sort_by_comparison)
{
    static const int measures[] = {MEASURE_ADM, MEASURE_LOSS, MEASURE_GRAD_NORM, MEASURE_EL2N,
                                   MEASURE_RANDOM};
    static struct score s[N];
    static struct pair pairs[N];
    double rank[N], want[N];
    struct rng r = rng_at(5, RNG_TEST, 0, 0);
    void *room = malloc(radix_bytes(N));

    for (size_t m = 0; m < sizeof(measures) / sizeof(measures[0]); m++) {
        struct jobspec spec = {.seed = 9, .curriculum = {.measure = measures[m], .smoothing = 0.3}};
        for (uint32_t i = 0; i < N; i++)
            rank[i] = want[i] = i % 50 ? CURRICULUM_UNRANKED : CURRICULUM_EXCLUDED;
        for (int epoch = 0; epoch < 3; epoch++) {
            uint32_t n = 0;
            any_scores(&r, s);
            for (uint32_t i = 0; i < N; i++)
                if (s[i].flags & SCORE_MEASURED && want[i] != CURRICULUM_EXCLUDED)
                    pairs[n++] = (struct pair){curriculum_key(&spec, &s[i], NULL, i), i};
            qsort(pairs, n, sizeof(pairs[0]), by_key_and_id);
            for (uint32_t first = 0, end; first < n; first = end) {
                for (end = first + 1; end < n && pairs[end].key == pairs[first].key;)
                    end++;
                for (uint32_t i = first; i < end; i++) {
                    const double now = ((double)first + end) / (2.0 * n);
                    double *held = &want[pairs[i].id];
                    *held = *held < 0 ? now : 0.3 * *held + (1 - 0.3) * now;
                }
            }
            ASSERT_EQ(0, curriculum_rank(&spec, s, NULL, N, epoch % 2 ? room : NULL, rank));
            ASSERT_MEM(want, rank, sizeof(rank));
        }
    }
    free(room);
}

struct place {
    double rank;
    uint64_t tie;
    uint32_t id, group;
};

static int by_place(const void *pa, const void *pb)
{
    const struct place *a = pa, *b = pb;

    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    if (a->tie != b->tie)
        return a->tie < b->tie ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

/* The samples in the order of the curriculum, by class where it is balanced; how many they are. */
static uint32_t reference_order(const struct jobspec *spec, const double *rank, double unmeasured,
                                const uint16_t *labels, struct place *places)
{
    const struct curriculum_spec *c = &spec->curriculum;
    const bool by_class = c->diversity > 0 || c->balance == BALANCE_CLASS;
    uint32_t n = 0;

    for (uint32_t i = 0; i < N; i++) {
        const double own = rank[i] < 0 ? unmeasured : rank[i];
        if (rank[i] == CURRICULUM_EXCLUDED)
            continue;
        places[n++] = (struct place){.rank = c->order == ORDER_HARD_FIRST ? -own : own,
                                     .tie = difficulty_tie(spec->seed, i),
                                     .id = i,
                                     .group = by_class ? labels[i] : 0};
    }
    qsort(places, n, sizeof(*places), by_place);
    for (uint32_t i = 0, r = 0; c->diversity > 0 && i < n; i++) {
        r = i > 0 && places[i].group == places[i - 1].group ? r + 1 : 1;
        places[i].rank -= self_paced_bonus(c->diversity * unmeasured, r);
    }
    for (uint32_t i = 0; c->diversity > 0 && i < n; i++)
        places[i].group = 0;
    if (c->diversity > 0)
        qsort(places, n, sizeof(*places), by_place);
    return n;
}

/* Mode select and the self-paced hard one: the first of each group, all with the weight 1. */
static uint32_t reference_select(const struct jobspec *spec, const double *rank, double unmeasured,
                                 const uint16_t *labels, double share, bool *chosen)
{
    static struct place places[N];
    const uint32_t n = reference_order(spec, rank, unmeasured, labels, places);
    const bool balanced = spec->curriculum.balance == BALANCE_CLASS;
    uint32_t sizes[CLASSES] = {0}, quotas[CLASSES], count = 0;

    for (uint32_t i = 0; i < n; i++)
        sizes[balanced ? places[i].group : 0]++;
    const double least = fmax((double)spec->batch, floor(share * n + 0.5));
    ASSERT_EQ(0, apportion((uint32_t)fmin(least, n), sizes, balanced ? CLASSES : 1, quotas));
    memset(chosen, 0, N * sizeof(*chosen));
    for (uint32_t i = 0, in_group = 0; i < n; i++) {
        in_group = i > 0 && places[i].group == places[i - 1].group ? in_group + 1 : 0;
        chosen[places[i].id] = in_group < quotas[balanced ? places[i].group : 0];
        count += chosen[places[i].id];
    }
    return count;
}

/* Ranks of which many are equal, unknown or 0. */
static void any_ranks(struct rng *r, double *rank)
{
    for (uint32_t i = 0; i < N; i++) {
        const uint64_t kind = rng_below(r, 10);
        rank[i] = kind == 0   ? CURRICULUM_EXCLUDED
                  : kind == 1 ? CURRICULUM_UNRANKED
                  : kind == 2 ? 0
                  : kind < 6  ? (double)rng_below(r, 8) / 8
                              : rng_unit(r);
    }
}

TEST(a_schedule_is_that_of_a_sort_by_comparison)
{
    static const struct {
        int mode, order, balance;
        double diversity;
    } cases[] = {
        {MODE_SELECT, ORDER_EASY_FIRST, BALANCE_CLASS, 0},
        {MODE_SELECT, ORDER_EASY_FIRST, BALANCE_NONE, 0},
        {MODE_SELECT, ORDER_HARD_FIRST, BALANCE_CLASS, 0},
        {MODE_SELECT, ORDER_HARD_FIRST, BALANCE_NONE, 0},
        {MODE_SPL_HARD, ORDER_EASY_FIRST, BALANCE_CLASS, 0},
        {MODE_SPL_HARD, ORDER_EASY_FIRST, BALANCE_NONE, 0.7},
    };
    struct rng r = rng_at(6, RNG_TEST, 0, 0);
    void *room = malloc(radix_bytes(N));
    double rank[N];
    uint16_t labels[N];
    bool chosen[N];

    for (size_t k = 0; k < 20 * sizeof(cases) / sizeof(cases[0]); k++) {
        const size_t c = k % (sizeof(cases) / sizeof(cases[0]));
        const double share = 0.05 + 0.9 * rng_unit(&r);
        const struct jobspec spec = {.epochs = 10,
                                     .batch = 4,
                                     .seed = k,
                                     .curriculum = {.measure = MEASURE_LOSS,
                                                    .mode = cases[c].mode,
                                                    .order = cases[c].order,
                                                    .balance = cases[c].balance,
                                                    .diversity = cases[c].diversity,
                                                    .initial = share,
                                                    .final = 1,
                                                    .full_at = 1}};
        struct schedule s;
        double sum = 0;
        uint32_t known = 0;

        any_ranks(&r, rank);
        for (uint32_t i = 0; i < N; i++) {
            labels[i] = (uint16_t)(rng_below(&r, 20) ? rng_below(&r, CLASSES - 2) : CLASSES - 2);
            sum += rank[i] >= 0 ? rank[i] : 0;
            known += rank[i] >= 0;
        }
        const double unmeasured = cases[c].mode == MODE_SELECT ? 0.5 : sum / known;
        const uint32_t count =
            reference_select(&spec, rank, unmeasured, labels, curriculum_share(&spec, 0), chosen);
        ASSERT_EQ(0, schedule_make(&spec, rank, labels, CLASSES, N, 0, k % 2 ? room : NULL, &s));
        ASSERT_EQ(count, s.count);
        for (uint32_t i = 0, at = 0; i < N; i++)
            if (chosen[i]) {
                ASSERT_EQ(i, s.ids[at]);
                ASSERT_NEAR(1, s.weights[at++], 0);
            }
        schedule_done(&s);
    }
    free(room);
}
