/* The order of values, and how long a query may take. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/rng.h"
#include "server/query/query_epoch.h"
#include "tests/unit/server/store_fixture.h"

#define N 3000

struct valued {
    double value;
    uint32_t at;
};

/* As the order is defined: largest first, equal ones as they were, what is not known last. */
static int by_definition(const void *pa, const void *pb)
{
    const struct valued *a = pa, *b = pb;

    if (isnan(a->value) != isnan(b->value))
        return isnan(a->value) ? 1 : -1;
    if (!isnan(a->value) && a->value != b->value)
        return a->value < b->value ? 1 : -1;
    return (a->at > b->at) - (a->at < b->at);
}

static void check_order(const double *value, size_t count, size_t wanted)
{
    struct valued *want = calloc(count + 1, sizeof(*want));
    struct errbuf why;
    uint32_t *order;
    size_t n;

    for (size_t i = 0; i < count; i++)
        want[i] = (struct valued){value[i], (uint32_t)i};
    qsort(want, count, sizeof(*want), by_definition);
    ASSERT_OK(query_order(value, count, wanted, &order, &n, &why), why);
    ASSERT(n >= (wanted < count ? wanted : count) && n <= count);
    for (size_t i = 0; i < n; i++)
        ASSERT_EQ(want[i].at, order[i]);
    /* All that equal the last wanted one are there. */
    for (size_t i = n; wanted > 0 && n > 0 && i < count; i++)
        ASSERT(want[i].value != want[wanted - 1].value);
    free(order);
    free(want);
}

static double drawn(uint32_t kind, uint32_t i)
{
    struct rng r = rng_at(18, RNG_TEST, kind, i);

    switch (kind) {
    case 0:
        return rng_range(&r, -1, 1);
    case 1:
        return (double)rng_below(&r, 5) - 2; /* many are equal */
    case 2:
        return exp(rng_range(&r, -700, 700)) * (rng_below(&r, 2) ? 1 : -1);
    case 3:
        return rng_below(&r, 3) == 0 ? NAN : rng_unit(&r);
    case 4:
        return rng_below(&r, 2) ? 0.0 : -0.0; /* are equal */
    case 5:
        return rng_below(&r, 4) == 0 ? INFINITY : rng_below(&r, 3) == 0 ? -INFINITY : rng_unit(&r);
    default:
        return NAN;
    }
}

TEST(the_first_are_those_of_the_whole_order)
{
    static const size_t wanted[] = {0, 1, 7, 100, N - 1, N, 2 * N};
    double value[N];

    for (uint32_t kind = 0; kind <= 6; kind++) {
        for (uint32_t i = 0; i < N; i++)
            value[i] = drawn(kind, i);
        for (size_t k = 0; k < sizeof(wanted) / sizeof(wanted[0]); k++)
            check_order(value, N, wanted[k]);
    }
    check_order(value, 0, 5);
    check_order(value, 1, 1);
}

TEST(equal_values_share_a_percentile)
{
    const double value[] = {1, 3, 3, -2, 3};
    const double want[] = {0.3, 0.7, 0.7, 0.1, 0.7};
    struct errbuf why;
    double rank[5];

    ASSERT_OK(query_percentiles(value, 5, rank, &why), why);
    for (int i = 0; i < 5; i++)
        ASSERT_NEAR(want[i], rank[i], 1e-12);
}

static struct query *make(struct store **ret, int64_t *ret_job)
{
    struct query *q;
    struct errbuf why;

    *ret = fixture_open();
    fixture_dataset(*ret, 20000);
    *ret_job = fixture_job(*ret, 1);
    fixture_fold(*ret, *ret_job, 0, 20000, NULL);
    ASSERT_OK(query_open(test_path("state"), &q, &why), why);
    return q;
}

TEST(each_row_that_is_read_moves_the_deadline)
{
    struct histogram_args a = {.epoch = -1, .by = BY_LOSS, .bins = 4};
    const int64_t rows = 20000 - 20000 / 16; /* that are measured */
    struct store *s;
    struct query *q = make(&s, &a.job);
    struct errbuf why;
    cJSON *out;
    int64_t start_ms = clock_mono_ms();

    ASSERT_OK(query_histogram(q, &a, &out, &why), why);
    ASSERT(q->deadline_ms >= start_ms + QUERY_DEADLINE_MS + rows * QUERY_ROW_NS / 1000000);
    ASSERT(q->deadline_ms < clock_mono_ms() + QUERY_DEADLINE_MS + 60000);
    cJSON_Delete(out);
    query_close(q);
    store_close(s);
}

TEST(a_question_that_nobody_waits_for_ends)
{
    struct histogram_args a = {.epoch = -1, .by = BY_LOSS, .bins = 4};
    atomic_bool gone = true;
    struct store *s;
    struct query *q = make(&s, &a.job);
    struct errbuf why;
    cJSON *out;

    query_until(q, &gone);
    ASSERT_EQ(-ETIMEDOUT, query_histogram(q, &a, &out, &why));
    gone = false;
    ASSERT_OK(query_histogram(q, &a, &out, &why), why);
    cJSON_Delete(out);
    query_until(q, NULL);
    ASSERT_OK(query_histogram(q, &a, &out, &why), why);
    cJSON_Delete(out);
    query_close(q);
    store_close(s);
}
