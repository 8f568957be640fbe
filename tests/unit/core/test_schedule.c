#include <stdlib.h>

#include "common/rng.h"
#include "tests/harness.h"
#include "tests/unit/core/schedule_fixture.h"

#define MIN 0x1p-10

static struct schedule make_small(const struct jobspec *spec)
{
    struct schedule s;
    double rank[N];

    small_ranks(rank);
    ASSERT_EQ(0, schedule_make(spec, rank, labels, CLASSES, N, 0, NULL, &s));
    return s;
}

static void assert_ids(const struct jobspec *spec, const uint32_t *want, uint32_t count)
{
    struct schedule s = make_small(spec);

    ASSERT_EQ(count, s.count);
    for (uint32_t i = 0; i < count; i++) {
        ASSERT_EQ(want[i], s.ids[i]);
        ASSERT(s.weights[i] == 1);
    }
    schedule_done(&s);
}

#define ASSERT_IDS(spec, ...)                                                                      \
    assert_ids(spec, (const uint32_t[]){__VA_ARGS__},                                              \
               sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

TEST(select_takes_the_first_of_all)
{
    struct jobspec spec = spec_of(MODE_SELECT, BALANCE_NONE, 0.5);

    ASSERT_IDS(&spec, 0, 1, 3, 4, 6, 7, 9, 12, 15, 18);
    spec.curriculum.order = ORDER_HARD_FIRST;
    ASSERT_IDS(&spec, 2, 5, 8, 10, 11, 13, 14, 16, 17, 19);
    spec.curriculum.order = ORDER_EASY_FIRST;
    spec.curriculum.initial = 0.27; /* floor(5.9) */
    ASSERT_IDS(&spec, 0, 3, 6, 9, 12);
    spec.curriculum.initial = 0.275; /* a half goes up */
    ASSERT_IDS(&spec, 0, 3, 6, 9, 12, 15);
    spec.curriculum.initial = 0.95; /* all but the last */
    ASSERT_IDS(&spec, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19);
    spec.curriculum.initial = 0.05; /* never less than a batch */
    ASSERT_IDS(&spec, 0, 3, 6, 9);
}

/* Half of 10, 7 and 3 is 5, 3.5 and 1.5: the tenth sample goes to the lower class of the tie. */
TEST(select_takes_the_first_of_each_class)
{
    struct jobspec spec = spec_of(MODE_SELECT, BALANCE_CLASS, 0.5);

    ASSERT_IDS(&spec, 0, 1, 3, 6, 9, 10, 12, 13, 15, 18);
    spec.curriculum.order = ORDER_HARD_FIRST;
    ASSERT_IDS(&spec, 2, 4, 5, 7, 8, 11, 13, 14, 16, 17);
    spec.curriculum.order = ORDER_EASY_FIRST;
    spec.curriculum.initial = 0.05; /* a batch of 4: 2, 1.4 and 0.6 */
    ASSERT_IDS(&spec, 0, 3, 12, 18);
    spec.curriculum.initial = 0.35; /* 7: 3.5, 2.45, 1.05 */
    ASSERT_IDS(&spec, 0, 3, 6, 9, 12, 15, 18);
    spec.curriculum.initial = 0.85; /* 17: 8.5, 5.95, 2.55 -> 8, 6, 3 */
    ASSERT_IDS(&spec, 0, 1, 2, 3, 4, 6, 7, 9, 10, 11, 12, 13, 15, 16, 17, 18, 19);
}

/* want[id]: weight before scaling, 0 when not scheduled. */
static void assert_weights(const struct jobspec *spec, const double want[N])
{
    struct schedule s = make_small(spec);
    double sum = 0;
    uint32_t count = 0, at = 0;

    for (int i = 0; i < N; i++) {
        sum += want[i];
        count += want[i] > 0;
    }
    ASSERT_EQ(count, s.count);
    for (uint32_t i = 0; i < N; i++) {
        if (want[i] == 0)
            continue;
        ASSERT_EQ(i, s.ids[at]);
        ASSERT_NEAR(want[i] * count / sum, s.weights[at], 1e-7);
        at++;
    }
    schedule_done(&s);
}

/* At p = 1/2, places 10 to 14 are at u = 0.525 to 0.725 and weigh 0.9 to 0.1. */
TEST(weights_fall_behind_the_share)
{
    struct jobspec spec = spec_of(MODE_WEIGHT, BALANCE_NONE, 0.5);
    static const double easy[N] = {1,  1,   0.1, 1,  1,   MIN, 1,   1,   MIN, 1,
                                   .9, MIN, 1,   .7, MIN, 1,   0.5, MIN, 1,   0.3};
    double hard[N];

    assert_weights(&spec, easy);
    /* The other way round sample i is at place 19 - 7 i mod 20, that is where 17 - i was. */
    for (int i = 0; i < N; i++)
        hard[i] = easy[(17 - i + N) % N];
    spec.curriculum.order = ORDER_HARD_FIRST;
    assert_weights(&spec, hard);
}

/* Places of 10 are at 0.05, 0.15 ...; of 7 at 1/14, 3/14 ...; of 3 at 1/6, 3/6, 5/6. */
TEST(weights_fall_within_each_class)
{
    struct jobspec spec = spec_of(MODE_WEIGHT, BALANCE_CLASS, 0.5);
    static const double want[N] = {1, 1,   MIN, 1, 0.8, MIN, 1,       0.4, MIN, 1,
                                   1, MIN, 1,   1, MIN, 1,   3.0 / 7, MIN, 1,   1};

    assert_weights(&spec, want);
}

TEST(both_leaves_out_what_would_weigh_least)
{
    struct jobspec spec = spec_of(MODE_BOTH, BALANCE_NONE, 0.5);
    static const double all[N] = {1,  1, 0.1, 1,  1, 0, 1,   1, 0, 1,
                                  .9, 0, 1,   .7, 0, 1, 0.5, 0, 1, 0.3};
    /* place 7 of 10 is at exactly 0.75 and out */
    static const double by_class[N] = {1, 1, 0, 1, 0.8, 0, 1,       0.4, 0, 1,
                                       1, 0, 1, 1, 0,   1, 3.0 / 7, 0,   1, 1};

    assert_weights(&spec, all);
    spec.curriculum.balance = BALANCE_CLASS;
    assert_weights(&spec, by_class);
}

/* p + 1/4 = 0.3 holds 6 samples, a batch 10: the last ones weigh the least there is. */
TEST(both_never_schedules_less_than_a_batch)
{
    struct jobspec spec = spec_of(MODE_BOTH, BALANCE_NONE, 0.05);
    static const double want[N] = {[0] = 1,    [3] = 0.9,  [6] = 0.7, [9] = 0.5, [12] = 0.3,
                                   [15] = 0.1, [18] = MIN, [1] = MIN, [4] = MIN, [7] = MIN};
    struct schedule s;

    spec.batch = 10;
    assert_weights(&spec, want);
    spec.curriculum.balance = BALANCE_CLASS;
    s = make_small(&spec);
    ASSERT_EQ(10, s.count);
    schedule_done(&s);
}

/* Classes of one sample are all at u = 1/2: no share below that would schedule any. */
TEST(both_with_tiny_classes_still_fills_a_batch)
{
    struct jobspec spec = spec_of(MODE_BOTH, BALANCE_CLASS, 0.1);
    uint16_t single[N];
    double rank[N];
    struct schedule s;

    small_ranks(rank);
    for (uint16_t i = 0; i < N; i++)
        single[i] = i;
    ASSERT_EQ(0, schedule_make(&spec, rank, single, N, N, 0, NULL, &s));
    ASSERT_EQ(4, s.count);
    schedule_done(&s);
}

TEST(standard_training_takes_everything_with_weight_one)
{
    for (int mode = MODE_SELECT; mode <= MODE_BOTH; mode++) {
        struct jobspec spec = spec_of(mode, BALANCE_CLASS, 0.3);
        spec.curriculum.measure = MEASURE_NONE;
        for (int epoch = 0; epoch < 10; epoch++) {
            struct schedule s;
            ASSERT_EQ(0, schedule_make(&spec, NULL, NULL, 0, N, epoch, NULL, &s));
            ASSERT_EQ(N, s.count);
            for (uint32_t i = 0; i < N; i++) {
                ASSERT_EQ(i, s.ids[i]);
                ASSERT(s.weights[i] == 1);
            }
            ASSERT(s.share == 1);
            schedule_done(&s);
        }
    }
}

TEST(an_empty_class_gets_nothing)
{
    struct jobspec spec = spec_of(MODE_SELECT, BALANCE_CLASS, 0.5);
    uint16_t gap[N];
    double rank[N];
    struct schedule s, want = make_small(&spec);

    small_ranks(rank);
    for (int i = 0; i < N; i++)
        gap[i] = (uint16_t)(2 * labels[i] + 1);
    ASSERT_EQ(0, schedule_make(&spec, rank, gap, 8, N, 0, NULL, &s));
    ASSERT_EQ(want.count, s.count);
    ASSERT_MEM(want.ids, s.ids, s.count * sizeof(*s.ids));
    schedule_done(&s);
    schedule_done(&want);
}

static bool has(const struct schedule *s, uint32_t id)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (s->ids[i] == id)
            return true;
    return false;
}

TEST(samples_without_a_rank_stand_in_the_middle)
{
    struct jobspec spec = spec_of(MODE_SELECT, BALANCE_NONE, 0.5);
    double rank[4] = {0.9, CURRICULUM_UNRANKED, 0.1, CURRICULUM_UNRANKED};
    struct schedule s;

    spec.batch = 1;
    for (int order = ORDER_EASY_FIRST; order <= ORDER_HARD_FIRST; order++) {
        spec.curriculum.order = order;
        ASSERT_EQ(0, schedule_make(&spec, rank, NULL, 0, 4, 0, NULL, &s));
        ASSERT_EQ(2, s.count); /* the end that comes first, and one without a rank */
        ASSERT_EQ(order == ORDER_HARD_FIRST, has(&s, 0));
        ASSERT_EQ(order == ORDER_EASY_FIRST, has(&s, 2));
        schedule_done(&s);
    }
}

/* Folders are sorted by class: the lower half of the numbers would be half of the classes. */
TEST(ties_do_not_follow_the_sample_number)
{
    enum { MANY = 10000 };
    struct jobspec spec = spec_of(MODE_SELECT, BALANCE_NONE, 0.5);
    double *rank = calloc(MANY, sizeof(*rank));
    struct schedule s, again, reversed, other;
    uint32_t lower = 0, common = 0;

    for (int i = 0; i < MANY; i++)
        rank[i] = CURRICULUM_UNRANKED;
    ASSERT_EQ(0, schedule_make(&spec, rank, NULL, 0, MANY, 0, NULL, &s));
    ASSERT_EQ(0, schedule_make(&spec, rank, NULL, 0, MANY, 0, NULL, &again));
    spec.curriculum.order = ORDER_HARD_FIRST;
    ASSERT_EQ(0, schedule_make(&spec, rank, NULL, 0, MANY, 0, NULL, &reversed));
    spec.seed++;
    ASSERT_EQ(0, schedule_make(&spec, rank, NULL, 0, MANY, 0, NULL, &other));
    ASSERT_EQ(MANY / 2, s.count);
    ASSERT_MEM(s.ids, again.ids, s.count * sizeof(*s.ids));
    ASSERT_MEM(s.ids, reversed.ids, s.count * sizeof(*s.ids)); /* ranks turn round, ties do not */
    for (uint32_t i = 0, j = 0; i < s.count; i++) {
        lower += s.ids[i] < MANY / 2;
        while (j < other.count && other.ids[j] < s.ids[i])
            j++;
        common += j < other.count && other.ids[j] == s.ids[i];
    }
    ASSERT_NEAR(MANY / 4, lower, 125); /* five standard deviations */
    ASSERT_NEAR(MANY / 4, common, 125);
    schedule_done(&s);
    schedule_done(&again);
    schedule_done(&reversed);
    schedule_done(&other);
    free(rank);
}

/* A larger case for properties over all combinations. */
#define BIG 997
#define BIG_CLASSES 7
#define EPOCHS 9

struct big {
    struct jobspec spec;
    uint16_t labels[BIG];
    double rank[2][BIG]; /* of two measures */
    uint32_t sizes[BIG_CLASSES];
};

static struct big *big_create(void)
{
    struct rng rng = rng_at(8, RNG_TEST, 0, 0);
    struct big *b = calloc(1, sizeof(*b));

    for (uint32_t i = 0; i < BIG; i++) {
        b->labels[i] = (uint16_t)(rng_below(&rng, BIG_CLASSES) * rng_below(&rng, 2));
        b->sizes[b->labels[i]]++;
        b->rank[0][i] = rng_unit(&rng);
        b->rank[1][i] = rng_below(&rng, 3) ? rng_below(&rng, 5) / 5.0 : CURRICULUM_UNRANKED;
    }
    b->spec = spec_of(MODE_SELECT, BALANCE_NONE, 0.3);
    b->spec.epochs = EPOCHS;
    b->spec.batch = 32;
    b->spec.curriculum.final = 0.9;
    b->spec.curriculum.full_at = 0.8;
    b->spec.curriculum.warmup = 1;
    return b;
}

static struct schedule big_make(const struct big *b, int measure, int order, int which, int epoch)
{
    struct jobspec spec = b->spec;
    struct schedule s;

    spec.curriculum.measure = measure;
    spec.curriculum.order = order;
    ASSERT_EQ(0,
              schedule_make(&spec, b->rank[which], b->labels, BIG_CLASSES, BIG, epoch, NULL, &s));
    return s;
}

/* Sets the n-th combination of pacing, mode and balance; false behind the last. */
static bool big_combination(struct big *b, int n)
{
    b->spec.curriculum.pacing = n % 6;
    b->spec.curriculum.mode = n / 6 % 3;
    b->spec.curriculum.balance = n / 18;
    return n < 36;
}

static uint32_t size_wanted(const struct big *b, int epoch)
{
    double n = floor(curriculum_share(&b->spec, epoch) * BIG + 0.5);

    return (uint32_t)fmax(n, (double)b->spec.batch);
}

static void check_schedule(const struct big *b, const struct schedule *s, int epoch)
{
    double sum = 0, p = curriculum_share(&b->spec, epoch);
    uint32_t got[BIG_CLASSES] = {0}, n = size_wanted(b, epoch);

    ASSERT(s->share == p);
    for (uint32_t i = 0; i < s->count; i++) {
        ASSERT(i == 0 || s->ids[i] > s->ids[i - 1]);
        ASSERT(s->weights[i] > 0);
        if (p == 1 || b->spec.curriculum.mode == MODE_SELECT)
            ASSERT(s->weights[i] == 1);
        sum += s->weights[i];
        got[b->labels[s->ids[i]]]++;
    }
    ASSERT_NEAR(1, sum / s->count, 1e-6);
    if (b->spec.curriculum.mode == MODE_SELECT)
        ASSERT_EQ(n, s->count);
    if (b->spec.curriculum.mode == MODE_WEIGHT)
        ASSERT_EQ(BIG, s->count);
    if (b->spec.curriculum.mode == MODE_BOTH)
        ASSERT_NEAR(fmin(p + 0.25, 1) * BIG, s->count, BIG_CLASSES);
    if (b->spec.curriculum.mode == MODE_SELECT && b->spec.curriculum.balance == BALANCE_CLASS)
        for (int c = 0; c < BIG_CLASSES; c++)
            ASSERT(fabs(got[c] - (double)n * b->sizes[c] / BIG) < 1);
}

TEST(sizes_are_exact_and_weights_have_mean_one)
{
    struct big *b = big_create();

    for (int n = 0; big_combination(b, n); n++)
        for (int epoch = 0; epoch < EPOCHS; epoch++)
            for (int order = ORDER_EASY_FIRST; order <= ORDER_HARD_FIRST; order++)
                for (int which = 0; which < 2; which++) {
                    struct schedule s = big_make(b, MEASURE_ADM, order, which, epoch);
                    check_schedule(b, &s, epoch);
                    schedule_done(&s);
                }
    free(b);
}

static int float_compare(const void *pa, const void *pb)
{
    const float *a = pa, *b = pb;

    return (*a > *b) - (*a < *b);
}

TEST(controls_get_as_many_samples_and_the_same_weights)
{
    static const int controls[][3] = {
        {MEASURE_RANDOM, ORDER_EASY_FIRST, 0}, {MEASURE_RANDOM, ORDER_HARD_FIRST, 0},
        {MEASURE_ADM, ORDER_HARD_FIRST, 0},    {MEASURE_LOSS, ORDER_EASY_FIRST, 1},
        {MEASURE_EL2N, ORDER_HARD_FIRST, 1},
    };
    struct big *b = big_create();

    for (int n = 0; big_combination(b, n); n++)
        for (int epoch = 0; epoch < EPOCHS; epoch++) {
            struct schedule s = big_make(b, MEASURE_ADM, ORDER_EASY_FIRST, 0, epoch);
            qsort(s.weights, s.count, sizeof(float), float_compare);
            for (int k = 0; k < 5; k++) {
                struct schedule c =
                    big_make(b, controls[k][0], controls[k][1], controls[k][2], epoch);
                ASSERT_EQ(s.count, c.count);
                qsort(c.weights, c.count, sizeof(float), float_compare);
                for (uint32_t i = 0; i < s.count; i++) /* sums in another order: an ulp */
                    ASSERT_NEAR(s.weights[i], c.weights[i], 1e-6 * s.weights[i]);
                schedule_done(&c);
            }
            schedule_done(&s);
        }
    free(b);
}

static uint32_t missing(const struct schedule *small, const struct schedule *large)
{
    uint32_t count = 0;

    for (uint32_t i = 0, j = 0; i < small->count; i++) {
        while (j < large->count && large->ids[j] < small->ids[i])
            j++;
        count += j == large->count || large->ids[j] != small->ids[i];
    }
    return count;
}

/* Largest remainder may take a sample from a class as the total grows (the Alabama paradox), so
 * balanced sets are nested up to a sample a class. */
TEST(random_sets_are_nested_whatever_was_measured)
{
    struct big *b = big_create();

    for (int n = 0; big_combination(b, n); n++)
        for (int order = ORDER_EASY_FIRST; order <= ORDER_HARD_FIRST; order++) {
            struct schedule last = big_make(b, MEASURE_RANDOM, order, 0, 1);
            for (int epoch = 2; epoch < EPOCHS; epoch++) {
                struct schedule s = big_make(b, MEASURE_RANDOM, order, epoch % 2, epoch);
                bool exact = b->spec.curriculum.balance == BALANCE_NONE ||
                             b->spec.curriculum.mode != MODE_SELECT;
                ASSERT(missing(&last, &s) <= (exact ? 0 : BIG_CLASSES));
                schedule_done(&last);
                last = s;
            }
            schedule_done(&last);
        }
    free(b);
}

/* The stream. */

#define PASS_COUNT 10 /* of the small case at p = 1/2 */

static void make_stream(struct stream *st, struct schedule *s, int64_t epoch)
{
    struct jobspec spec = spec_of(MODE_SELECT, BALANCE_NONE, 0.5);

    *s = make_small(&spec);
    ASSERT_EQ(0, stream_init(st, s, 3, epoch, NULL, 0));
}

/* 15 batches of 4 are 6 passes of 10; the first ends inside batch 2. */
TEST(every_scheduled_sample_comes_once_in_each_pass)
{
    struct schedule s;
    struct stream st;
    uint32_t ids[60];
    float weights[60];

    make_stream(&st, &s, 0);
    for (uint32_t step = 0; step < 15; step++)
        stream_batch(&st, step, 4, ids + 4 * step, weights + 4 * step);
    for (int pass = 0; pass < 6; pass++) {
        uint32_t seen[N] = {0};
        for (int i = 0; i < PASS_COUNT; i++)
            seen[ids[PASS_COUNT * pass + i]]++;
        for (uint32_t i = 0; i < PASS_COUNT; i++)
            ASSERT_EQ(1, seen[s.ids[i]]);
    }
    ASSERT(memcmp(ids, ids + PASS_COUNT, PASS_COUNT * sizeof(*ids)) != 0);
    stream_done(&st);
    schedule_done(&s);
}

TEST(a_step_is_the_same_in_whatever_order_it_is_asked_for)
{
    struct rng rng = rng_at(9, RNG_TEST, 0, 0);
    struct schedule s;
    struct stream st, jump;
    uint32_t ids[64][4], got[4];
    float weights[4];

    make_stream(&st, &s, 5);
    ASSERT_EQ(0, stream_init(&jump, &s, 3, 5, NULL, 0));
    for (uint32_t step = 0; step < 64; step++)
        stream_batch(&st, step, 4, ids[step], weights);
    for (int i = 0; i < 500; i++) {
        uint32_t step = (uint32_t)rng_below(&rng, 64);
        stream_batch(&jump, step, 4, got, weights);
        ASSERT_MEM(ids[step], got, sizeof(got));
    }
    stream_done(&st);
    stream_done(&jump);
    schedule_done(&s);
}

TEST(batch_size_only_cuts_the_stream)
{
    struct schedule s;
    struct stream st;
    uint32_t fine[36], coarse[36];
    float weights[36];

    make_stream(&st, &s, 0);
    for (uint32_t step = 0; step < 12; step++)
        stream_batch(&st, step, 3, fine + 3 * step, weights);
    stream_batch(&st, 0, 36, coarse, weights); /* several passes in one batch */
    ASSERT_MEM(fine, coarse, sizeof(fine));
    stream_done(&st);
    schedule_done(&s);
}

TEST(seed_and_epoch_choose_the_stream)
{
    struct schedule s;
    struct stream st, seed, epoch;
    uint32_t a[10], b[10], c[10];
    float weights[10];

    make_stream(&st, &s, 0);
    ASSERT_EQ(0, stream_init(&seed, &s, 4, 0, NULL, 0));
    ASSERT_EQ(0, stream_init(&epoch, &s, 3, 1, NULL, 0));
    stream_batch(&st, 0, 10, a, weights);
    stream_batch(&seed, 0, 10, b, weights);
    stream_batch(&epoch, 0, 10, c, weights);
    ASSERT(memcmp(a, b, sizeof(a)) != 0);
    ASSERT(memcmp(a, c, sizeof(a)) != 0);
    stream_done(&st);
    stream_done(&seed);
    stream_done(&epoch);
    schedule_done(&s);
}

TEST(weights_travel_with_their_samples)
{
    struct jobspec spec = spec_of(MODE_WEIGHT, BALANCE_NONE, 0.5);
    struct schedule s = make_small(&spec);
    struct stream st;
    uint32_t ids[N];
    float weights[N];

    ASSERT_EQ(0, stream_init(&st, &s, 3, 0, NULL, 0));
    stream_batch(&st, 1, N, ids, weights);
    for (int i = 0; i < N; i++)
        ASSERT(weights[i] == s.weights[ids[i]]); /* all are scheduled: index is id */
    stream_done(&st);
    schedule_done(&s);
}

static void assert_places(int mode, double share, uint32_t m, const double *want)
{
    struct jobspec spec = spec_of(mode, BALANCE_NONE, share);
    float weights[8];
    int trained = 0;

    schedule_places(&spec, share, m, weights);
    for (uint32_t i = 0; i < m; i++) {
        ASSERT_NEAR(want[i], weights[i], 1e-6);
        trained += want[i] > 0;
    }
    ASSERT_NEAR(trained, m * schedule_trained(&spec, 0), 1);
}

TEST(a_shard_has_the_weights_of_its_places)
{
    static const double none[8] = {1, 0, 0, 0, 0, 0, 0, 0}, all[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    static const double half[8] = {1, 1, 1, 1, 0, 0, 0, 0}, most[8] = {1, 1, 1, 1, 1, 1, 1, 0};
    /* v = 1 + (0.5 - u) / 0.25 at u = 9/16, 11/16: 3/4, 1/4; then the least, 1/1024. */
    const double sum = 4 + 0.75 + 0.25, least = 1.0 / 1024, more = sum + 2 * least;
    const double weight[8] = {8 / more, 8 / more, 8 / more,         8 / more,
                              6 / more, 2 / more, 8 * least / more, 8 * least / more};
    const double both[8] = {6 / sum, 6 / sum, 6 / sum, 6 / sum, 4.5 / sum, 1.5 / sum, 0, 0};

    assert_places(MODE_SELECT, 0.01, 8, none);
    assert_places(MODE_SELECT, 0.5, 8, half);
    assert_places(MODE_SELECT, 0.82, 8, most);
    assert_places(MODE_SELECT, 0.01, 1, all);
    assert_places(MODE_WEIGHT, 0.5, 8, weight);
    assert_places(MODE_BOTH, 0.5, 8, both);
    for (int mode = MODE_SELECT; mode <= MODE_BOTH; mode++)
        assert_places(mode, 1, 8, all);
}

TEST(a_curriculum_inside_the_step_schedules_everything)
{
    for (int mode = MODE_SELECT; mode <= MODE_BOTH; mode++) {
        struct jobspec spec = spec_of(mode, BALANCE_NONE, 0.3);
        double rank[N];
        struct schedule s;

        small_ranks(rank);
        rank[4] = CURRICULUM_EXCLUDED;
        spec.curriculum.scope = CURRICULUM_STEP;
        ASSERT_EQ(0, schedule_make(&spec, rank, labels, CLASSES, N, 0, NULL, &s));
        ASSERT_EQ(N - 1, s.count);
        ASSERT_NEAR(0.3, s.share, 1e-15);
        for (uint32_t i = 0; i < s.count; i++)
            ASSERT(s.weights[i] == 1 && s.ids[i] != 4);
        schedule_done(&s);
    }
}
