#include <errno.h>

#include "common/bounds.h"
#include "common/capacity.h"
#include "tests/harness.h"

#define MIB_FLOATS (1u << 18)

/* Costs that are easy to add up by hand. */
static const struct capacity_costs costs = {.trip_s = 0.001,
                                            .mib_s = 0.01,
                                            .piece_mib_s = 0.03,
                                            .sealed_mib_s = 0.01,
                                            .update_mib_s = 0.02,
                                            .latency_s = 0.005,
                                            .worker_mib_s = 0.001,
                                            .flops = 1e9};
/* 8 shards of a vector of 1 MiB. */
static const struct capacity_job job = {
    .floats = MIB_FLOATS, .batch = 512, .shard = 64, .trips = 1, .shard_s = 1};

static struct capacity at(int64_t workers, int64_t threads, double bits_per_s)
{
    return capacity_of(
        &costs, &job,
        &(struct capacity_site){
            .workers = workers, .threads = threads, .processors = 2, .bits_per_s = bits_per_s});
}

TEST(a_step_is_latency_computing_and_the_slower_way_of_the_vectors)
{
    struct capacity c = at(4, 1, 0);

    ASSERT_EQ(4, c.workers);
    ASSERT_NEAR(2, c.compute_s, 1e-12); /* two shards, one after the other */
    ASSERT_NEAR(8.0 * 1048576, c.vector_bytes, 1e-6);
    ASSERT_NEAR(4 * 0.001 + 8 * 0.01 + 0.02, c.server_cpu_s, 1e-12);
    ASSERT_NEAR(c.server_cpu_s / 2, c.server_s, 1e-12);
    ASSERT_NEAR(0, c.network_s, 0);
    ASSERT_NEAR(0.005 + 2 + c.server_s, c.step_s, 1e-12);
    ASSERT_EQ(LIMIT_COMPUTE, c.limit);
    c = at(4, 2, 8 * 1048576); /* a vector a second, sealed */
    ASSERT_NEAR(1, c.compute_s, 1e-12);
    ASSERT_NEAR(8, c.network_s, 1e-12);
    ASSERT_NEAR(4 * 0.001 + 8 * 0.02 + 0.02, c.server_cpu_s, 1e-12);
    ASSERT_NEAR(0.005 + 1 + 8, c.step_s, 1e-12);
    ASSERT_EQ(LIMIT_NETWORK, c.limit);
}

TEST(a_vector_in_pieces_costs_what_pieces_do)
{
    const struct capacity_site site = {.workers = 1, .threads = 1, .processors = 1};
    struct capacity_job long_job = job;

    long_job.floats = INLINE_FLOATS_MAX;
    ASSERT_NEAR(0.001 + 16 * 0.01 + 8 * 0.02, capacity_of(&costs, &long_job, &site).server_cpu_s,
                1e-12);
    long_job.floats = 2 * INLINE_FLOATS_MAX;
    ASSERT_NEAR(0.001 + 32 * 0.03 + 16 * 0.02, capacity_of(&costs, &long_job, &site).server_cpu_s,
                1e-12);
}

TEST(three_workers_with_vectors_in_pieces_send_one_to_the_server)
{
    struct capacity_job long_job = job;
    struct capacity_site site = {.workers = 2, .threads = 1, .processors = 1, .trees = true};

    long_job.floats = 2 * INLINE_FLOATS_MAX; /* 16 MiB */
    struct capacity c = capacity_of(&costs, &long_job, &site);
    ASSERT(!c.trees);
    ASSERT_NEAR(4 * 16.0 * 1048576, c.vector_bytes, 1e-3);
    ASSERT_NEAR(2 * 16 * 0.001, c.way_s, 1e-12);
    site.workers = 8;
    c = capacity_of(&costs, &long_job, &site);
    ASSERT(c.trees);
    ASSERT_NEAR(2 * 16.0 * 1048576, c.vector_bytes, 1e-3);
    ASSERT_NEAR(8 * 0.001 + 32 * 0.03 + 16 * 0.02, c.server_cpu_s, 1e-12);
    ASSERT_NEAR((1 + 3) * 16 * 0.001, c.way_s, 1e-12); /* 8 become 1 in three turns */
    site.trees = false;
    ASSERT_NEAR(16 * 16.0 * 1048576, capacity_of(&costs, &long_job, &site).vector_bytes, 1e-3);
    site.trees = true;
    long_job.shard_s = 0;
    ASSERT_EQ(LIMIT_SERVER, capacity_of(&costs, &long_job, &site).limit);
    site.processors = 100;
    ASSERT_EQ(LIMIT_WORKER, capacity_of(&costs, &long_job, &site).limit);
    site.bits_per_s = 8 * 1048576; /* a MiB a second */
    ASSERT_NEAR(4 * 16, capacity_of(&costs, &long_job, &site).way_s, 1e-9);
    long_job.floats = INLINE_FLOATS_MAX;
    ASSERT(!capacity_of(&costs, &long_job, &site).trees);
}

TEST(workers_beyond_the_shards_have_nothing_to_do)
{
    const struct capacity eight = at(8, 1, 0), more = at(50, 1, 0);

    ASSERT_EQ(LIMIT_COMPUTE, eight.limit);
    ASSERT_EQ(LIMIT_SHARDS, more.limit);
    ASSERT_EQ(8, more.workers);
    ASSERT_NEAR(eight.step_s, more.step_s, 0);
    ASSERT_EQ(LIMIT_SHARDS, at(8, 2, 0).limit);
}

TEST(the_limit_is_the_server_where_vectors_take_longer_than_shards)
{
    struct capacity_job quick = job;
    const struct capacity_site site = {.workers = 8, .threads = 1, .processors = 1};

    quick.shard_s = 0.01;
    ASSERT_EQ(LIMIT_SERVER, capacity_of(&costs, &quick, &site).limit);
    /* Two processors halve that; two trips a step double it. */
    const struct capacity_site better = {.workers = 8, .threads = 1, .processors = 2};
    ASSERT(capacity_of(&costs, &quick, &better).server_s <
           capacity_of(&costs, &quick, &site).server_s);
    const double vectors = capacity_of(&costs, &quick, &site).vector_bytes;
    quick.trips = 2;
    ASSERT_NEAR(2 * vectors, capacity_of(&costs, &quick, &site).vector_bytes, 1e-6);
}

TEST(workers_are_useful_while_each_brings_half_of_what_one_does)
{
    struct capacity_job j = job;
    struct capacity_site site = {.workers = 1, .threads = 1, .processors = 1};
    struct capacity_best best = capacity_best(&costs, &j, &site);

    ASSERT_EQ(8, best.useful); /* a second a shard */
    ASSERT_EQ(8, best.fastest);
    j.shard_s = 0.02;
    best = capacity_best(&costs, &j, &site);
    ASSERT(best.useful > 1 && best.useful < 8);
    const double alone_s = capacity_of(&costs, &j, &site).step_s;
    site.workers = best.useful;
    ASSERT(alone_s / capacity_of(&costs, &j, &site).step_s >= (double)best.useful / 2);
    site.workers = best.fastest;
    const double least_s = capacity_of(&costs, &j, &site).step_s;
    for (site.workers = 1; site.workers <= 8; site.workers++)
        ASSERT(capacity_of(&costs, &j, &site).step_s >= least_s);
    j.shard_s = 0; /* vectors alone: one worker is best */
    best = capacity_best(&costs, &j, &site);
    ASSERT_EQ(1, best.useful);
    ASSERT_EQ(1, best.fastest);
}

TEST(the_time_of_a_shard_is_that_which_explains_a_step)
{
    const struct capacity_site site = {
        .workers = 2, .threads = 2, .processors = 2, .bits_per_s = 1e9};
    struct capacity_job j = job;

    j.shard_s = 0.7;
    const double step_s = capacity_of(&costs, &j, &site).step_s;
    j.shard_s = 0;
    ASSERT_NEAR(0.7, capacity_shard(&costs, &j, &site, step_s), 1e-9);
    /* A step that is faster than the costs allow has still computed. */
    ASSERT_NEAR(0.001 / 10 / 2, capacity_shard(&costs, &j, &site, 0.001), 1e-12);
}

TEST(the_memory_of_the_server_grows_with_vectors_and_shards)
{
    struct capacity_job j = job;
    const double vector = 1048576, small = capacity_memory(&j);

    /* theta twice, sums of every second shard, one that arrives, four snapshots. */
    ASSERT_NEAR((2 + 4 + 1 + 4) * vector, small, 1e-6);
    j.state_vectors = 2;
    ASSERT_NEAR(small + (2 + 4 * 2) * vector, capacity_memory(&j), 1e-6);
    j.floats = INLINE_FLOATS_MAX + 16; /* four arrive in pieces */
    ASSERT_NEAR((2 + 2 + 4 + 4 + 4 * 3) * 4.0 * (double)j.floats, capacity_memory(&j), 1e-6);
}

TEST(a_rate_has_a_unit)
{
    const struct {
        const char *text;
        double bits;
    } good[] = {{"1G", 1e9},   {"10G", 1e10}, {"25G", 2.5e10}, {"2.5G", 2.5e9},
                {"100M", 1e8}, {"1M", 1e6},   {"1T", 1e12}};
    const char *const bad[] = {
        "",   "G",   "10",   "10g",    "0G",   "-1G",    "0.5M",
        "2T", "10K", "10 G", "10Gbit", "nanG", "1e400G", "99999999999999999999G"};
    struct errbuf why = {""};
    double bits = 7;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        ASSERT_OK(capacity_rate(good[i].text, &bits, &why), why);
        ASSERT_NEAR(good[i].bits, bits, 1e-3);
    }
    bits = 7;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ASSERT_EQ(-EINVAL, capacity_rate(bad[i], &bits, &why));
        ASSERT_HAS("allowed are 1M to 1T", why.text);
        ASSERT_NEAR(7, bits, 0);
    }
    ASSERT_EQ(-EINVAL, capacity_rate("10", &bits, &why));
    ASSERT_HAS("\"10\" is no rate", why.text);
}

TEST(the_table_of_costs_is_filled)
{
    ASSERT(capacity_costs.trip_s > 0 && capacity_costs.mib_s > 0);
    ASSERT(capacity_costs.piece_mib_s > 0 && capacity_costs.sealed_mib_s > 0);
    ASSERT(capacity_costs.update_mib_s > 0 && capacity_costs.latency_s > 0);
    ASSERT(capacity_costs.worker_mib_s > 0 && capacity_costs.flops > 0);
    for (int i = 0; i < CAPACITY_LIMITS; i++)
        ASSERT(capacity_limit_names[i] && capacity_limit_names[i][0]);
}
