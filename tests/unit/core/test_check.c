/* Which nodes are computed twice, by whom, and who is found to have lied. */
#include <errno.h>
#include <math.h>

#include "server/core/check.h"
#include "tests/harness.h"

#define TTL 1000
#define PATIENCE 500

static const struct node N = {4, 8};

static void bits(uint8_t ret[BLAKE2B_BYTES], uint8_t what)
{
    memset(ret, what, BLAKE2B_BYTES);
}

/* The hand says this of N; who lied goes to liars. */
static uint32_t liars[CHECK_VOTES_MAX];
static uint32_t vote(struct checks *c, uint32_t hand, uint8_t what)
{
    uint8_t b[BLAKE2B_BYTES];

    bits(b, what);
    return checks_vote(c, N, hand, b, liars);
}

static int take(struct checks *c, uint32_t worker, uint32_t hand, int64_t now_ms)
{
    struct node n = {0, 0};
    int rc = checks_take(c, worker, hand, now_ms, TTL, PATIENCE, &n);

    if (rc == 0)
        ASSERT(n.lo == N.lo && n.hi == N.hi);
    return rc;
}

TEST(the_share_is_drawn_whatever_is_asked_first)
{
    uint8_t secret[CHECK_SECRET_BYTES] = {1}, other[CHECK_SECRET_BYTES] = {2};
    uint32_t drawn = 0, both = 0;

    for (uint64_t step = 0; step < 1000; step++)
        for (uint32_t lo = 0; lo < 10; lo++) {
            const struct check_key key = {3, step, PHASE_TRAIN, 0, {lo, lo + 1}};
            bool here = check_drawn(secret, &key, 0.1);
            ASSERT_EQ(here, check_drawn(secret, &key, 0.1)); /* as after a restart */
            ASSERT(!check_drawn(secret, &key, 0));
            ASSERT(check_drawn(secret, &key, 1));
            ASSERT(!here || check_drawn(secret, &key, 0.2));
            drawn += here;
            both += here && check_drawn(other, &key, 0.1);
        }
    ASSERT(fabs(drawn - 1000.0) < 4 * sqrt(900));
    ASSERT(fabs(both - 100.0) < 4 * sqrt(99)); /* another secret says nothing about this one */
}

/* Many workers of one key take it one after the other, and nobody else's turn would come. */
TEST(a_key_that_keeps_it_is_not_waited_for_again)
{
    struct checks *c = checks_create();

    checks_lend(c, N, 1, 10, 0, TTL);
    ASSERT_EQ(0, vote(c, 10, 'a'));
    ASSERT_EQ(0, take(c, 2, 20, 0));
    ASSERT_EQ(-EAGAIN, take(c, 9, 30, PATIENCE - 1));
    ASSERT_EQ(0, take(c, 3, 20, PATIENCE)); /* again this key */
    ASSERT_EQ(-EAGAIN, take(c, 4, 20, PATIENCE + 1));
    ASSERT_EQ(0, take(c, 9, 30, PATIENCE + 1));
    ASSERT_EQ(-EAGAIN, take(c, 8, 40, PATIENCE + 2)); /* who is waited for */
    ASSERT_EQ(0, vote(c, 20, 'b'));                   /* it has spoken */
    checks_reset(c);
    checks_lend(c, N, 1, 10, 5000, TTL);
    ASSERT_EQ(0, take(c, 2, 20, 5000));
    ASSERT_EQ(-EAGAIN, take(c, 9, 30, 5001));
    checks_free(c);
}

TEST(another_key_computes_it_again)
{
    struct checks *c = checks_create();

    ASSERT(checks_done(c));
    checks_lend(c, N, 1, 10, 0, TTL);
    ASSERT(!checks_done(c));
    ASSERT_EQ(-EAGAIN, take(c, 2, 10, 0)); /* the same key */
    ASSERT_EQ(0, take(c, 3, 20, 0));
    ASSERT_EQ(-EAGAIN, take(c, 4, 30, 0)); /* two are enough */
    ASSERT(checks_holds(c, 3, N) && checks_wants(c, 3, N) && checks_holds_any(c, 3));
    ASSERT(!checks_holds(c, 4, N));
    ASSERT_EQ(0, vote(c, 10, 'a'));
    ASSERT(!checks_wants(c, 1, N)); /* it has spoken */
    ASSERT_EQ(0, vote(c, 10, 'b')); /* and is not heard again */
    ASSERT_EQ(0, vote(c, 20, 'a'));
    ASSERT(checks_done(c) && !checks_wants(c, 3, N));
    ASSERT_EQ(-EAGAIN, take(c, 4, 30, 0));
    checks_reset(c);
    ASSERT(checks_done(c) && !checks_holds_any(c, 3));
    checks_free(c);
}

TEST(when_two_differ_a_third_decides)
{
    struct checks *c = checks_create();
    uint32_t hands[CHECK_VOTES_MAX], count;
    struct node n;

    checks_lend(c, N, 1, 10, 0, TTL);
    ASSERT_EQ(0, vote(c, 10, 'x'));
    ASSERT_EQ(0, take(c, 2, 20, 0));
    ASSERT(!checks_contested(c, &n, hands, &count));
    ASSERT_EQ(0, vote(c, 20, 'a')); /* nobody knows who is right */
    ASSERT(checks_contested(c, &n, hands, &count));
    ASSERT_EQ(2, count);
    ASSERT(hands[0] == 10 && hands[1] == 20);
    ASSERT_EQ(-EAGAIN, take(c, 3, 20, 0));
    ASSERT_EQ(0, take(c, 4, 30, 0));
    ASSERT_EQ(-EAGAIN, take(c, 5, 40, 0));
    ASSERT_EQ(1, vote(c, 30, 'a'));
    ASSERT_EQ(10, liars[0]);
    ASSERT(checks_done(c));
    checks_free(c);
}

TEST(several_may_lie_differently)
{
    struct checks *c = checks_create();

    checks_lend(c, N, 1, 10, 0, TTL);
    for (uint32_t hand = 10; hand < 13; hand++)
        ASSERT_EQ(0, vote(c, hand, (uint8_t)hand));
    ASSERT_EQ(0, take(c, 9, 13, 0));
    ASSERT_EQ(2, vote(c, 13, 11));
    ASSERT(liars[0] == 10 && liars[1] == 12);
    checks_free(c);
}

TEST(who_takes_long_or_is_gone_is_not_waited_for)
{
    struct checks *c = checks_create();

    checks_lend(c, N, 1, 10, 0, TTL);
    ASSERT_EQ(0, take(c, 2, 20, 0));
    ASSERT_EQ(-EAGAIN, take(c, 3, 20, PATIENCE - 1));
    ASSERT_EQ(0, take(c, 3, 20, PATIENCE)); /* also by another worker of its key */
    ASSERT_EQ(1, checks_release(c, 3));
    ASSERT(!checks_holds(c, 3, N) && checks_holds(c, 2, N)); /* late is not lost */
    checks_renew(c, 1, 2000, TTL);
    ASSERT_EQ(0, vote(c, 20, 'a'));
    ASSERT_EQ(0, checks_release(c, 1)); /* it was not there to check */
    ASSERT_EQ(0, take(c, 4, 30, 5000));
    ASSERT_EQ(0, vote(c, 30, 'a'));
    ASSERT(checks_done(c));
    checks_free(c);
}
