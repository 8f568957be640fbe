/* The quick part of the simulation: some seeds hold every promise, a seed replays exactly, and each
 * planted fault is found. `make sim SEEDS=n` runs more. */
#include "tests/harness.h"

#include <inttypes.h>

#include "tests/sim/runner.h"

#define QUICK_SEEDS 120
#define SEARCH_SEEDS 1000 /* within which a planted fault must show */
#define SIDE 2

struct seen {
    struct verdict last;
    uint64_t seeds;
    int64_t lives, applied;
    char hashes[8][SHA256_HEX];
};

static struct runner *open_runner(enum plant plant)
{
    struct errbuf why = {""};
    struct runner *r;

    ASSERT_OK(runner_open(plant, false, &r, &why), why);
    return r;
}

/* Until one fails. */
static bool take(void *arg, const struct verdict *v)
{
    struct seen *seen = arg;

    seen->last = *v;
    seen->lives += v->lives;
    seen->applied += v->applied;
    memcpy(seen->hashes[seen->seeds++ % 8], v->log_sha256, SHA256_HEX);
    return v->good;
}

TEST(seeds_keep_every_promise)
{
    struct runner *r = open_runner(PLANT_NONE);
    struct seen seen = {.seeds = 0};

    runner_run(r, 1, QUICK_SEEDS, SIDE, take, &seen);
    runner_close(r);
    if (!seen.last.good)
        FAIL("seed %" PRIu64 ": %s\nagain: make sim FIRST=%" PRIu64 " SEEDS=1 SHOW=1",
             seen.last.seed, seen.last.why, seen.last.seed);
    ASSERT_EQ(QUICK_SEEDS, seen.seeds);
    ASSERT(seen.lives > QUICK_SEEDS);   /* the server did die, */
    ASSERT(seen.applied > QUICK_SEEDS); /* and work was done */
}

TEST(a_seed_replays_exactly)
{
    struct runner *r = open_runner(PLANT_NONE);
    struct seen all = {.seeds = 0}, one;

    runner_run(r, 1, 8, SIDE, take, &all);
    for (uint64_t seed = 1; seed <= 8; seed += 3) {
        one = (struct seen){.seeds = 0};
        runner_run(r, seed, 1, 1, take, &one);
        ASSERT_STR(all.hashes[seed - 1], one.hashes[0]);
    }
    ASSERT(strcmp(all.hashes[0], all.hashes[1]) != 0);
    runner_close(r);
}

static void must_find(enum plant plant, const char *sentence)
{
    struct runner *r = open_runner(plant);
    struct seen seen = {.seeds = 0}, again = {.seeds = 0};

    runner_run(r, 1, SEARCH_SEEDS, SIDE, take, &seen);
    ASSERT(!seen.last.good);
    ASSERT_HAS(sentence, seen.last.why);
    runner_run(r, seen.last.seed, 1, 1, take, &again);
    ASSERT_STR(seen.last.why, again.last.why);
    ASSERT_STR(seen.last.log_sha256, again.last.log_sha256);
    runner_close(r);
}

TEST(a_result_of_another_incarnation_that_counts_is_found)
{
    must_find(PLANT_INCARNATION, "a node is applied by a result of another inc");
}

TEST(a_node_that_is_applied_twice_is_found)
{
    must_find(PLANT_TWICE, "is applied twice");
}

TEST(a_damaged_piece_that_is_handed_out_is_found)
{
    must_find(PLANT_PIECES, "a damaged piece is handed out as good");
}

TEST(a_checkpoint_before_its_fold_is_found)
{
    must_find(PLANT_ORDER, "a checkpoint counts on epoch");
}
