#include <errno.h>
#include <stdlib.h>

#include "common/rng.h"
#include "server/core/round.h"
#include "tests/harness.h"
#include "tests/unit/taker.h"

#define TTL 1000

static struct node take(struct round *r, uint32_t worker, uint32_t want, int64_t now_ms)
{
    struct node n;

    ASSERT_EQ(0, round_take(r, BY(worker), want, now_ms, TTL, &n));
    return n;
}

#define ASSERT_NODE(LO, HI, got)                                                                   \
    do {                                                                                           \
        struct node n_ = (got);                                                                    \
        if (n_.lo != (LO) || n_.hi != (HI))                                                        \
            FAIL("%s is [%u,%u), wanted [%u,%u)", #got, n_.lo, n_.hi, (unsigned)(LO),              \
                 (unsigned)(HI));                                                                  \
    } while (0)

static struct round *open_round(uint32_t shards)
{
    struct round *r = round_create();

    ASSERT_EQ(0, round_open(r, shards));
    return r;
}

TEST(nodes_are_cut_from_the_front_to_the_wanted_size)
{
    struct round *r = open_round(11); /* [0,8) [8,11) -> [8,10) [10,11) */
    struct node n;

    ASSERT_NODE(0, 2, take(r, 1, 3, 0));
    ASSERT_NODE(2, 4, take(r, 2, 2, 0));
    ASSERT_NODE(4, 8, take(r, 3, 100, 0));
    ASSERT_NODE(8, 9, take(r, 1, 1, 0));
    ASSERT_NODE(9, 10, take(r, 1, 8, 0));
    ASSERT_NODE(10, 11, take(r, 1, 8, 0));
    ASSERT_EQ(-EAGAIN, round_take(r, BY(1), 8, 0, TTL, &n));
    ASSERT_EQ(11, round_shards(r));
    round_free(r);
}

TEST(one_worker_may_get_the_whole_tree)
{
    struct round *r = open_round(7);

    ASSERT_NODE(0, 7, take(r, 1, 7, 0));
    ASSERT(!round_done(r));
    ASSERT_EQ(0, round_finish(r, (struct node){0, 7}));
    ASSERT(round_done(r));
    ASSERT_EQ(7, round_finished(r));
    ASSERT_EQ(0, round_reissued(r));
    round_free(r);
}

TEST(an_expired_node_is_leased_again_whole_and_first)
{
    struct round *r = open_round(8);

    take(r, 1, 4, 0);
    take(r, 2, 2, 500);
    ASSERT_EQ(0, round_expire(r, TTL - 1));
    ASSERT_EQ(1, round_expire(r, TTL));
    ASSERT_EQ(0, round_expire(r, TTL));
    ASSERT_NODE(0, 4, take(r, 3, 1, TTL));
    ASSERT_EQ(4, round_reissued(r));
    ASSERT_NODE(6, 7, take(r, 3, 1, TTL));
    round_free(r);
}

TEST(a_renewed_lease_lives_longer_and_never_shorter)
{
    struct round *r = open_round(8);

    take(r, 1, 4, 0);
    take(r, 2, 4, 0);
    round_renew(r, 1, 600, TTL);
    round_renew(r, 1, 0, 10);
    ASSERT_EQ(1, round_expire(r, TTL));
    ASSERT_EQ(600 + TTL, round_deadline(r));
    ASSERT_EQ(0, round_expire(r, 600 + TTL - 1));
    ASSERT_EQ(1, round_expire(r, 600 + TTL));
    round_renew(r, 1, INT64_MAX, TTL);
    round_free(r);
}

TEST(a_node_is_wanted_from_its_lease_to_its_result)
{
    struct round *r = open_round(8);
    const struct node n = {0, 4};

    ASSERT(!round_wants(r, n));
    take(r, 1, 4, 0);
    ASSERT(round_wants(r, n));
    ASSERT(!round_wants(r, (struct node){0, 2}));
    ASSERT(!round_wants(r, (struct node){4, 8}));
    round_release(r, 1, 0);
    ASSERT(round_wants(r, n));
    ASSERT_EQ(0, round_finish(r, n));
    ASSERT(!round_wants(r, n));
    round_free(r);
}

TEST(the_lowest_open_node_goes_first)
{
    struct round *r = open_round(300);

    for (uint32_t i = 0; i < 300; i++)
        take(r, i % 3, 1, 0);
    ASSERT_EQ(100, round_release(r, 2, 0));
    ASSERT_NODE(2, 3, take(r, 9, 1, 0));
    ASSERT_NODE(5, 6, take(r, 9, 1, 0));
    ASSERT_EQ(100, round_release(r, 0, 0));
    for (uint32_t i = 0; i < 300; i += 3) {
        ASSERT_NODE(i, i + 1, take(r, 9, 1, 0));
        if (i >= 6)
            ASSERT_NODE(i + 2, i + 3, take(r, 9, 1, 0));
    }
    round_free(r);
}

TEST(the_late_result_of_an_expired_lease_wins_when_it_is_first)
{
    struct round *r = open_round(2);
    struct node n = take(r, 1, 1, 0);

    round_expire(r, TTL);
    ASSERT_EQ(0, round_finish(r, n)); /* nobody else had it yet */
    ASSERT_NODE(1, 2, take(r, 2, 1, TTL));
    round_expire(r, 3 * TTL);
    n = take(r, 3, 1, 3 * TTL);
    ASSERT_EQ(0, round_finish(r, n)); /* from worker 2, while 3 computes */
    ASSERT_EQ(-EALREADY, round_finish(r, n));
    ASSERT(round_done(r));
    ASSERT_EQ(0, round_release(r, 3, 0)); /* its lease ended with the node */
    ASSERT_EQ(INT64_MAX, round_deadline(r));
    round_free(r);
}

TEST(who_holds_a_node_may_speak_for_it_until_it_gives_it_back_or_has_its_result)
{
    struct round *r = open_round(4);
    struct node n = take(r, 7, 2, 0), other = take(r, 8, 2, 0);

    ASSERT(round_holds(r, 7, n) && round_holds_any(r, 7));
    ASSERT(!round_holds(r, 8, n) && !round_holds(r, 7, other));
    ASSERT(!round_holds(r, 7, (struct node){0, 1})); /* a part of it is no node of the round */
    ASSERT(!round_holds_any(r, 9));
    ASSERT_EQ(2, round_expire(r, TTL));
    ASSERT(round_holds(r, 7, n) && round_holds_any(r, 7)); /* late, but still its own */
    ASSERT_NODE(0, 2, take(r, 9, 4, TTL));
    ASSERT(round_holds(r, 7, n) && round_holds(r, 9, n));
    round_release(r, 7, 0);
    ASSERT(!round_holds(r, 7, n) && !round_holds_any(r, 7));
    ASSERT_EQ(0, round_finish(r, n));
    ASSERT(!round_holds(r, 9, n));
    ASSERT_EQ(0, round_finish(r, other));
    ASSERT(!round_holds_any(r, 8));
    round_free(r);
}

TEST(nodes_that_were_never_leased_are_refused)
{
    struct round *r = open_round(8);

    take(r, 1, 2, 0);
    ASSERT_EQ(-EINVAL, round_finish(r, (struct node){2, 4}));
    ASSERT_EQ(-EINVAL, round_finish(r, (struct node){0, 1}));
    ASSERT_EQ(-EINVAL, round_finish(r, (struct node){0, 4}));
    ASSERT_EQ(-EINVAL, round_finish(r, (struct node){0, 0}));
    ASSERT_EQ(-EINVAL, round_finish(r, (struct node){7, 3}));
    ASSERT_EQ(-EINVAL, round_finish(r, (struct node){1u << 31, UINT32_MAX}));
    ASSERT_EQ(0, round_finished(r));
    ASSERT_EQ(0, round_finish(r, (struct node){0, 2}));
    round_free(r);
}

TEST(release_gives_back_the_leases_of_one_worker_only)
{
    struct round *r = open_round(6);

    take(r, 1, 1, 0);
    take(r, 2, 1, 0);
    take(r, 1, 1, 0);
    ASSERT_EQ(2, round_release(r, 1, 0));
    ASSERT_EQ(0, round_release(r, 1, 0));
    ASSERT_NODE(0, 1, take(r, 3, 1, 0));
    ASSERT_NODE(2, 3, take(r, 3, 1, 0));
    ASSERT_NODE(3, 4, take(r, 3, 1, 0));
    round_free(r);
}

TEST(the_deadline_is_the_earliest_of_the_live_leases)
{
    struct round *r = open_round(4);
    struct node first;

    ASSERT_EQ(INT64_MAX, round_deadline(r));
    first = take(r, 1, 1, 100);
    take(r, 2, 1, 50);
    ASSERT_EQ(50 + TTL, round_deadline(r));
    round_release(r, 2, 0);
    ASSERT_EQ(100 + TTL, round_deadline(r));
    round_finish(r, first);
    ASSERT_EQ(INT64_MAX, round_deadline(r));
    round_free(r);
}

TEST(a_lease_for_ever_does_not_overflow)
{
    struct round *r = open_round(1);
    struct node n;

    ASSERT_EQ(0, round_take(r, BY(1), 1, 5000, INT64_MAX, &n));
    ASSERT_EQ(0, round_expire(r, INT64_MAX - 1));
    round_free(r);
}

TEST(opening_a_round_forgets_the_one_before)
{
    struct round *r = round_create();

    ASSERT(!round_done(r));
    ASSERT_EQ(0, round_open(r, 4));
    struct node n = take(r, 1, 2, 0);
    take(r, 1, 2, 0);
    round_release(r, 1, 0);
    ASSERT_EQ(0, round_open(r, 70));
    ASSERT_EQ(-EINVAL, round_finish(r, n));
    ASSERT_EQ(0, round_release(r, 1, 0));
    ASSERT_NODE(0, 1, take(r, 1, 1, 0));
    ASSERT_EQ(0, round_open(r, 2));
    ASSERT_NODE(0, 2, take(r, 1, 9, 0));
    round_free(r);
}

#define REPEAT(LO, HI, SINCE, r, worker, now_ms)                                                   \
    do {                                                                                           \
        struct node o_;                                                                            \
        int64_t since_;                                                                            \
        ASSERT_EQ(0, round_oldest(r, BY(worker), &o_, &since_));                                   \
        ASSERT_NODE(LO, HI, o_);                                                                   \
        ASSERT_EQ(SINCE, since_);                                                                  \
        round_repeat(r, BY(worker), o_, now_ms, TTL);                                              \
    } while (0)

TEST(idle_workers_repeat_the_oldest_node)
{
    struct round *r = open_round(8);
    struct node n;
    int64_t since_ms;

    ASSERT_EQ(-EAGAIN, round_oldest(r, BY(1), &n, &since_ms));
    take(r, 1, 4, 0);
    take(r, 2, 4, 10);
    ASSERT_EQ(-EAGAIN, round_take(r, BY(3), 4, 20, TTL, &n));
    REPEAT(0, 4, 0, r, 3, 20);
    REPEAT(4, 8, 10, r, 4, 30);
    REPEAT(4, 8, 30, r, 3, 40); /* 3 holds the other one */
    REPEAT(0, 4, 20, r, 2, 50);
    /* Three workers hold each. */
    ASSERT_EQ(-EAGAIN, round_oldest(r, BY(5), &n, &since_ms));
    ASSERT_EQ(16, round_reissued(r));
    ASSERT_EQ(0, round_finish(r, (struct node){0, 4}));
    ASSERT_EQ(-EALREADY, round_finish(r, (struct node){0, 4}));
    ASSERT_EQ(1, round_release(r, 3, 0));
    REPEAT(4, 8, 40, r, 5, 60);
    ASSERT_EQ(0, round_finish(r, (struct node){4, 8}));
    ASSERT(round_done(r));
    ASSERT_EQ(INT64_MAX, round_deadline(r));
    for (uint32_t worker = 1; worker < 6; worker++)
        ASSERT_EQ(0, round_release(r, worker, 0));
    round_free(r);
}

TEST(a_node_is_open_again_when_its_last_copy_is_gone)
{
    struct round *r = open_round(2);
    struct node n;

    take(r, 1, 2, 0);
    REPEAT(0, 2, 0, r, 2, 500);
    ASSERT_EQ(1, round_expire(r, TTL));
    ASSERT_EQ(-EAGAIN, round_take(r, BY(3), 2, TTL, TTL, &n));
    ASSERT_EQ(500 + TTL, round_deadline(r));
    ASSERT_EQ(1, round_release(r, 2, 0));
    ASSERT_NODE(0, 2, take(r, 3, 2, TTL));
    round_free(r);
}

TEST(a_node_counts_the_workers_it_has_lost)
{
    struct round *r = open_round(8);
    struct node n = {0, 0};

    ASSERT_EQ(0, round_lost(r, &n));
    take(r, 1, 4, 0);
    take(r, 9, 4, 0);
    round_expire(r, TTL);
    ASSERT_EQ(1, round_lost(r, &n));
    ASSERT_NODE(0, 4, take(r, 2, 4, TTL));
    ASSERT_NODE(4, 8, take(r, 9, 4, TTL));
    REPEAT(0, 4, TTL, r, 3, TTL);
    round_expire(r, 2 * TTL);
    ASSERT_EQ(3, round_lost(r, &n));
    ASSERT_NODE(0, 4, n);
    round_expire(r, 3 * TTL); /* one worker is lost once */
    ASSERT_EQ(3, round_lost(r, &n));
    ASSERT_EQ(0, round_release(r, 2, 0)); /* it comes back */
    ASSERT_EQ(2, round_lost(r, &n));
    ASSERT_EQ(0, round_finish(r, (struct node){0, 4})); /* a late result */
    ASSERT_EQ(1, round_lost(r, &n));
    ASSERT_NODE(4, 8, n);
    ASSERT_EQ(0, round_open(r, 8));
    ASSERT_EQ(0, round_lost(r, &n));
    round_free(r);
}

TEST(workers_that_had_a_node_at_the_same_time_count_as_one_lost)
{
    struct round *r = open_round(2);
    struct node n = {0, 0};

    take(r, 1, 2, 0);
    REPEAT(0, 2, 0, r, 2, 10);
    REPEAT(0, 2, 10, r, 3, 20);
    round_expire(r, TTL);
    round_expire(r, 2 * TTL);
    ASSERT_EQ(1, round_lost(r, &n)); /* a line that was cut took all three */
    take(r, 4, 2, 2 * TTL);
    round_expire(r, 3 * TTL);
    ASSERT_EQ(4, round_lost(r, &n)); /* the node takes one after the other */
    round_free(r);
}

/* Workers take, finish in time, finish late, say goodbye or die in silence, all at random. */
struct hand {
    uint32_t worker;
    struct node node;
    int64_t done_ms; /* when its result arrives, -1: never */
    bool busy;
};

#define HANDS 24
#define HOUR_MS 3600000

static void hand_out(struct round *r, struct rng *rng, struct hand *h, uint32_t *workers,
                     int64_t now_ms)
{
    uint32_t fate = (uint32_t)rng_below(rng, 10);

    int64_t since_ms;

    if (round_take(r, BY(h->worker), 1 + (uint32_t)rng_below(rng, 6), now_ms, TTL, &h->node) != 0) {
        if (round_oldest(r, BY(h->worker), &h->node, &since_ms) != 0)
            return;
        round_repeat(r, BY(h->worker), h->node, now_ms, TTL);
    }
    h->busy = true;
    h->done_ms = now_ms + 1 + (int64_t)rng_below(rng, TTL - 1);
    if (fate == 0) { /* dies in silence */
        h->busy = false;
        h->worker = (*workers)++;
    } else if (fate == 1) { /* says goodbye */
        ASSERT(round_release(r, h->worker, 0) >= 1);
        h->busy = false;
    } else if (fate == 2) { /* sends its result when the lease is long gone */
        h->done_ms += 3 * TTL;
    }
}

static void report(struct round *r, struct hand *h, uint8_t *counted)
{
    int rc = round_finish(r, h->node);

    ASSERT(rc == 0 || rc == -EALREADY);
    for (uint32_t i = h->node.lo; i < h->node.hi; i++)
        counted[i] += rc == 0;
    h->busy = false;
}

static int64_t run_round(struct round *r, struct rng *rng, struct hand *hands, uint32_t *workers,
                         int64_t now_ms)
{
    uint32_t shards = round_shards(r);
    uint8_t *counted = calloc(shards, 1);

    for (int i = 0; i < HANDS; i++)
        hands[i].busy = false;
    for (int64_t limit_ms = now_ms + HOUR_MS; !round_done(r); now_ms += 25) {
        ASSERT(now_ms < limit_ms);
        round_expire(r, now_ms);
        ASSERT(round_deadline(r) > now_ms);
        for (int i = 0; i < HANDS; i++) {
            struct hand *h = &hands[i];
            if (h->busy && h->done_ms <= now_ms)
                report(r, h, counted);
            else if (!h->busy && rng_below(rng, 4) == 0)
                hand_out(r, rng, h, workers, now_ms);
        }
    }
    for (uint32_t i = 0; i < shards; i++)
        ASSERT_EQ(1, counted[i]);
    ASSERT_EQ(shards, round_finished(r));
    free(counted);
    return now_ms;
}

TEST(an_hour_of_dying_workers_finishes_every_shard_exactly_once)
{
    struct rng rng = rng_at(11, RNG_TEST, 0, 0);
    struct round *r = round_create();
    struct hand hands[HANDS] = {0};
    uint32_t workers = HANDS, rounds = 0, reissued = 0;

    for (uint32_t i = 0; i < HANDS; i++)
        hands[i].worker = i;
    for (int64_t now_ms = 0; now_ms < HOUR_MS; rounds++) {
        ASSERT_EQ(0, round_open(r, 1 + (uint32_t)rng_below(&rng, 300)));
        now_ms = run_round(r, &rng, hands, &workers, now_ms);
        reissued += round_reissued(r);
    }
    ASSERT(rounds > 100 && reissued > 1000);
    round_free(r);
}

TEST(a_sweep_of_a_million_shards_is_leased_and_finished)
{
    uint32_t shards = 1u << 20, left = shards;
    struct round *r = open_round(shards);

    for (uint32_t i = 0; left > 0; i++) {
        struct node n = take(r, i % 1024, 3, i);
        ASSERT(node_size(n) == 2);
        ASSERT(node_valid(n, shards));
        ASSERT_EQ(0, round_finish(r, n));
        left -= node_size(n);
        if (i % 100000 == 0)
            ASSERT_EQ(0, round_expire(r, i));
    }
    ASSERT(round_done(r));
    round_free(r);
}

TEST(leased_nodes_are_vertices_and_cover_the_shards_once)
{
    struct rng rng = rng_at(12, RNG_TEST, 0, 0);

    for (uint32_t shards = 1; shards < 200; shards++) {
        struct round *r = open_round(shards);
        struct node n;
        uint32_t next = 0;
        while (next < shards) {
            uint32_t want = 1 + (uint32_t)rng_below(&rng, 20);
            n = take(r, 1, want, 0);
            ASSERT_EQ(next, n.lo);
            ASSERT(node_valid(n, shards));
            ASSERT(node_size(n) <= want);
            /* no larger vertex that starts here would do */
            if (node_size(n) < shards) {
                struct node parent = node_parent(n, shards);
                ASSERT(parent.lo != n.lo || node_size(parent) > want);
            }
            next = n.hi;
        }
        ASSERT_EQ(-EAGAIN, round_take(r, BY(1), 1, 0, TTL, &n));
        round_free(r);
    }
}
