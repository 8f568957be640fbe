/* Who gets a node that workers of one key have had, hold, lost or gave back. */
#include <errno.h>

#include "server/core/round.h"
#include "tests/harness.h"

#define TTL 1000

#define PATIENCE 50

/* A worker of this key, while workers of others are there. */
static struct taker of_hand(uint32_t worker, uint32_t hand)
{
    return (struct taker){
        .worker = worker, .hand = hand, .others_ms = PATIENCE, .most_ms = INT64_MAX};
}

#define ASSERT_NODE(LO, HI, got)                                                                   \
    do {                                                                                           \
        struct node n_ = (got);                                                                    \
        ASSERT_EQ(LO, n_.lo);                                                                      \
        ASSERT_EQ(HI, n_.hi);                                                                      \
    } while (0)

static struct round *open_round(uint32_t shards)
{
    struct round *r = round_create();

    ASSERT_EQ(0, round_open(r, shards));
    return r;
}

static struct node take_as(struct round *r, const struct taker *by, int64_t now_ms)
{
    struct node n;

    ASSERT_EQ(0, round_take(r, by, 2, now_ms, TTL, &n));
    return n;
}

TEST(what_a_key_had_goes_to_another_key_first)
{
    const struct taker eve = of_hand(1, 1), eva = of_hand(2, 1), ann = of_hand(3, 2);
    struct round *r = open_round(4);
    struct node n;

    ASSERT_NODE(0, 2, take_as(r, &eve, 0));
    ASSERT_NODE(2, 4, take_as(r, &eva, 0));
    ASSERT(!round_is_open(r));
    ASSERT_EQ(2, round_expire(r, TTL));
    ASSERT(round_is_open(r));
    ASSERT_EQ(-EAGAIN, round_take(r, &eva, 2, TTL, TTL, &n)); /* its key lost both */
    ASSERT_NODE(0, 2, take_as(r, &ann, TTL));
    round_release(r, 3, TTL + 10); /* now both have had it */
    ASSERT_EQ(-EAGAIN, round_take(r, &eve, 2, TTL + PATIENCE - 1, TTL, &n));
    ASSERT_NODE(2, 4, take_as(r, &eve, TTL + PATIENCE)); /* nobody else came */
    ASSERT_NODE(0, 2, take_as(r, &ann, TTL + 10 + PATIENCE));
    round_free(r);
}

TEST(without_another_key_nothing_is_left_to_others)
{
    const struct taker ann = {.worker = 1, .most_ms = INT64_MAX};
    struct round *r = open_round(2);

    ASSERT_NODE(0, 2, take_as(r, &ann, 0));
    round_release(r, 1, 10);
    ASSERT_NODE(0, 2, take_as(r, &ann, 10));
    round_free(r);
}

TEST(all_repeats_of_one_key_leave_a_place_for_another)
{
    const struct taker ann = of_hand(9, 2);
    struct taker eve = of_hand(1, 1);
    struct round *r = open_round(2);
    struct node n;
    int64_t since_ms;

    ASSERT_NODE(0, 2, take_as(r, &eve, 0));
    for (eve.worker = 2; eve.worker <= LEASE_COPIES_MAX; eve.worker++) {
        ASSERT_EQ(0, round_oldest(r, &eve, &n, &since_ms));
        ASSERT_EQ((eve.worker == 2 ? 0 : 1000) + PATIENCE, since_ms); /* others may come first */
        round_repeat(r, &eve, n, 1000, TTL);
    }
    ASSERT_EQ(-EAGAIN, round_oldest(r, &eve, &n, &since_ms));
    ASSERT_EQ(0, round_oldest(r, &ann, &n, &since_ms));
    ASSERT_EQ(0, since_ms); /* repeats by a key that had it do not make it younger */
    round_repeat(r, &ann, n, 2000, TTL);
    ASSERT(round_holds(r, 9, n));
    ASSERT_EQ(0, round_finish(r, n));
    ASSERT(round_done(r));
    round_free(r);
}

TEST(a_key_that_gave_a_node_back_may_have_it_again_beside_those_that_keep_it)
{
    struct taker ann = of_hand(9, 2), eve = of_hand(1, 1);
    struct round *r = open_round(2);
    struct node n;
    int64_t since_ms;

    take_as(r, &ann, 100);
    round_release(r, 9, 200);
    for (eve.worker = 1; eve.worker <= LEASE_COPIES_MAX; eve.worker++) {
        if (eve.worker == 1)
            ASSERT_NODE(0, 2, take_as(r, &eve, 200));
        else
            round_repeat(r, &eve, (struct node){0, 2}, 1000 * eve.worker, TTL);
    }
    ASSERT_EQ(0, round_oldest(r, &ann, &n, &since_ms));
    ASSERT_EQ(200 + PATIENCE, since_ms);
    round_free(r);
}

TEST(even_many_keys_do_not_have_a_node_more_often_than_this)
{
    struct round *r = open_round(2);
    struct node n;
    int64_t since_ms;

    for (uint32_t i = 1; i <= LEASE_COPIES_MOST; i++) {
        const struct taker by = of_hand(i, i);
        if (i == 1)
            take_as(r, &by, 0);
        else
            ASSERT_EQ(0, round_oldest(r, &by, &n, &since_ms));
        if (i > 1)
            round_repeat(r, &by, n, i, TTL);
    }
    const struct taker more = of_hand(100, 100);
    ASSERT_EQ(-EAGAIN, round_oldest(r, &more, &n, &since_ms));
    round_free(r);
}

TEST(a_lease_is_not_renewed_for_ever_and_is_no_death)
{
    const struct taker by = {.worker = 1, .most_ms = 5 * TTL}, next = {.worker = 2, .most_ms = TTL};
    struct round *r = open_round(2);
    struct node n, got;

    ASSERT_EQ(0, round_take(r, &by, 2, 0, TTL, &n));
    for (int64_t now_ms = 0; now_ms < 5 * TTL; now_ms += TTL / 2) {
        round_renew(r, 1, now_ms, TTL);
        ASSERT_EQ(0, round_expire(r, now_ms));
    }
    round_renew(r, 1, 5 * TTL - 1, TTL);
    ASSERT_EQ(1, round_expire(r, 5 * TTL));
    ASSERT(round_holds(r, 1, n)); /* its result is still welcome */
    ASSERT(round_lost_by(r, 1, n) && !round_lost_by(r, 2, n));
    ASSERT_EQ(0, round_lost(r, &got)); /* it was heard of all the time */
    ASSERT_EQ(0, round_take(r, &next, 2, 5 * TTL, TTL / 2, &got));
    ASSERT_EQ(1, round_expire(r, 6 * TTL));
    ASSERT_EQ(1, round_lost(r, &got)); /* of this one nothing was heard */
    round_free(r);
}

TEST(what_is_held_is_known_by_key)
{
    const struct taker ann = of_hand(1, 7), eve = of_hand(2, 8), eva = of_hand(3, 8);
    struct round *r = open_round(6);
    struct round_held held;

    ASSERT(!round_held(r, &held));
    take_as(r, &ann, 30);
    take_as(r, &eve, 10);
    take_as(r, &eva, 20);
    ASSERT(round_held(r, &held));
    ASSERT_EQ(3, held.leases);
    ASSERT_EQ(8, held.hand);
    ASSERT_EQ(2, held.of_hand);
    ASSERT_EQ(10, held.since_ms);
    ASSERT_EQ(2, held.node.lo);
    round_free(r);
}
