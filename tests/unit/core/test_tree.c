#include "server/core/tree.h"
#include "tests/harness.h"

enum { GROUP = 1, OTHER = 2 };

static struct node node(uint32_t lo, uint32_t hi)
{
    return (struct node){lo, hi};
}

/* A tree whose worker i + 1 has the shards [ends[i - 1], ends[i]). */
static struct tree *tree_of(const uint32_t *ends, uint32_t count)
{
    struct tree *t = tree_create();

    tree_open(t, ends[count - 1]);
    for (uint32_t i = 0; i < count; i++)
        tree_lease(t, node(i ? ends[i - 1] : 0, ends[i]), i + 1, GROUP);
    return t;
}

#define ASSERT_TURN(want, answer) ASSERT_EQ((int)(want), (int)(answer).turn)

TEST(of_four_workers_one_reports)
{
    static const uint32_t ends[] = {2, 4, 6, 8};
    struct tree *t = tree_of(ends, 4);
    struct tree_answer a = tree_ask(t, 1, node(0, 2), 2, false);

    ASSERT_TURN(TREE_TAKE, a);
    ASSERT_EQ(2, a.node.lo);
    ASSERT_EQ(4, a.node.hi);
    ASSERT_EQ(2, a.worker);
    a = tree_ask(t, 2, node(2, 4), 4, false);
    ASSERT_TURN(TREE_GIVE, a);
    ASSERT_EQ(1, a.worker);
    ASSERT(!tree_give(t, 2, node(2, 4), 3));
    ASSERT(tree_give(t, 2, node(2, 4), 1));
    ASSERT_TURN(TREE_DROP, tree_ask(t, 2, node(2, 4), 4, false));
    ASSERT(tree_holds(t, 1, node(0, 4)));
    a = tree_ask(t, 4, node(6, 8), 8, false);
    ASSERT_TURN(TREE_GIVE, a);
    ASSERT_EQ(3, a.worker);
    a = tree_ask(t, 3, node(4, 6), 8, false); /* it has it before its giver said so */
    ASSERT_TURN(TREE_GIVE, a);
    ASSERT_EQ(4, a.node.lo);
    ASSERT_EQ(8, a.node.hi);
    ASSERT_EQ(1, a.worker);
    a = tree_ask(t, 1, node(0, 2), 4, false);
    ASSERT_TURN(TREE_TAKE, a);
    ASSERT_EQ(4, a.node.lo);
    ASSERT_EQ(8, a.node.hi);
    a = tree_ask(t, 1, node(0, 2), 8, false);
    ASSERT_TURN(TREE_SEND, a);
    ASSERT(tree_holds(t, 1, node(0, 8)));
    ASSERT_TURN(TREE_SEND, tree_ask(t, 1, node(0, 2), 8, false));
    tree_free(t);
}

/* Its answer was lost, and meanwhile the worker has another node. */
TEST(a_word_that_comes_twice_gives_nothing_more)
{
    static const uint32_t ends[] = {1, 2, 3};
    struct tree *t = tree_create();

    tree_open(t, 4);
    for (uint32_t i = 0; i < 3; i++)
        tree_lease(t, node(i ? ends[i - 1] : 0, ends[i]), i + 1, GROUP);
    ASSERT_TURN(TREE_GIVE, tree_ask(t, 2, node(1, 2), 2, false));
    ASSERT(tree_give(t, 2, node(1, 2), 1));
    tree_lease(t, node(3, 4), 2, GROUP);
    ASSERT(!tree_give(t, 2, node(1, 2), 1));
    ASSERT_TURN(TREE_GIVE, tree_ask(t, 2, node(3, 4), 4, false));
    tree_free(t);
}

TEST(a_node_of_any_size_meets_its_sibling)
{
    static const uint32_t ends[] = {4, 6, 7};
    struct tree *t = tree_of(ends, 3);
    struct tree_answer a = tree_ask(t, 1, node(0, 4), 4, false);

    ASSERT_TURN(TREE_TAKE, a);
    ASSERT_EQ(4, a.node.lo);
    ASSERT_EQ(7, a.node.hi);
    a = tree_ask(t, 2, node(4, 6), 6, false);
    ASSERT_TURN(TREE_TAKE, a);
    ASSERT_EQ(3, a.worker);
    tree_free(t);
}

TEST(two_workers_do_not_combine)
{
    static const uint32_t ends[] = {2, 4};
    struct tree *t = tree_of(ends, 2);

    ASSERT_TURN(TREE_SEND, tree_ask(t, 1, node(0, 2), 2, false));
    ASSERT_TURN(TREE_SEND, tree_ask(t, 2, node(2, 4), 4, false));
    tree_free(t);
}

TEST(nobody_waits_for_shards_that_nobody_has)
{
    struct tree *t = tree_create();

    tree_open(t, 8);
    for (uint32_t i = 0; i < 3; i++)
        tree_lease(t, node(2 * i, 2 * i + 2), i + 1, GROUP);
    ASSERT_TURN(TREE_SEND, tree_ask(t, 3, node(4, 6), 6, false));
    ASSERT_TURN(TREE_TAKE, tree_ask(t, 1, node(0, 2), 2, false));
    tree_free(t);
}

TEST(what_is_leased_again_goes_its_own_way)
{
    static const uint32_t ends[] = {1, 2, 3, 4};
    struct tree *t = tree_of(ends, 4);

    ASSERT_TURN(TREE_TAKE, tree_ask(t, 1, node(0, 1), 1, false));
    tree_lease(t, node(1, 2), 4, GROUP);
    ASSERT_TURN(TREE_SEND, tree_ask(t, 1, node(0, 1), 1, false));
    ASSERT_TURN(TREE_SEND, tree_ask(t, 2, node(1, 2), 2, false));
    ASSERT_TURN(TREE_SEND, tree_ask(t, 4, node(1, 2), 2, false)); /* who has it second */
    ASSERT_TURN(TREE_DROP, tree_ask(t, 4, node(1, 2), 4, false));
    /* The other half still meets, and then is alone. */
    ASSERT_TURN(TREE_TAKE, tree_ask(t, 3, node(2, 3), 3, false));
    ASSERT_TURN(TREE_SEND, tree_ask(t, 3, node(2, 3), 4, false));
    ASSERT(tree_holds(t, 3, node(2, 4)));
    tree_free(t);
}

/* It gave its sum to a worker that gave up; nobody else would compute the node meanwhile. */
TEST(what_was_given_away_and_comes_back_is_sent)
{
    static const uint32_t ends[] = {1, 2, 3, 4};
    struct tree *t = tree_of(ends, 4);

    ASSERT_TURN(TREE_GIVE, tree_ask(t, 4, node(3, 4), 4, false));
    ASSERT(tree_give(t, 4, node(3, 4), 3));
    ASSERT_TURN(TREE_DROP, tree_ask(t, 4, node(3, 4), 4, false));
    tree_lease(t, node(3, 4), 4, GROUP);
    ASSERT_TURN(TREE_SEND, tree_ask(t, 4, node(3, 4), 4, false));
    /* What was given first may still be reported. */
    ASSERT_TURN(TREE_SEND, tree_ask(t, 3, node(2, 3), 4, false));
    ASSERT(tree_holds(t, 3, node(2, 4)));
    tree_free(t);
}

/* Whoever holds the left half would wait for ever. */
TEST(what_parts_is_waited_for_no_more)
{
    static const uint32_t ends[] = {1, 2, 3, 4};
    struct tree *t = tree_of(ends, 4);

    ASSERT_TURN(TREE_TAKE, tree_ask(t, 1, node(0, 1), 2, false));
    tree_part(t, node(3, 4));
    ASSERT_TURN(TREE_SEND, tree_ask(t, 1, node(0, 1), 2, false));
    ASSERT_TURN(TREE_SEND, tree_ask(t, 3, node(2, 3), 3, false));
    tree_free(t);
}

TEST(who_reaches_nobody_is_alone)
{
    static const uint32_t ends[] = {1, 2, 3};
    struct tree *t = tree_of(ends, 3);

    ASSERT_TURN(TREE_GIVE, tree_ask(t, 2, node(1, 2), 2, false));
    ASSERT_TURN(TREE_SEND, tree_ask(t, 2, node(1, 2), 2, true));
    ASSERT_TURN(TREE_SEND, tree_ask(t, 1, node(0, 1), 1, false));
    tree_free(t);
}

TEST(workers_of_other_groups_and_those_out_of_reach_are_not_combined)
{
    static const uint32_t ends[] = {1, 2, 3};
    struct tree *t = tree_of(ends, 3);

    tree_open(t, 5);
    for (uint32_t i = 0; i < 3; i++)
        tree_lease(t, node(i, i + 1), i + 1, GROUP);
    tree_lease(t, node(3, 4), 4, OTHER);
    tree_lease(t, node(4, 5), 5, 0);
    ASSERT_TURN(TREE_TAKE, tree_ask(t, 1, node(0, 1), 1, false));
    ASSERT_TURN(TREE_SEND, tree_ask(t, 1, node(0, 1), 2, false));
    ASSERT_TURN(TREE_SEND, tree_ask(t, 3, node(2, 3), 3, false));
    ASSERT_TURN(TREE_SEND, tree_ask(t, 4, node(3, 4), 4, false));
    ASSERT_TURN(TREE_SEND, tree_ask(t, 5, node(4, 5), 5, false));
    ASSERT_TURN(TREE_DROP, tree_ask(t, 3, node(2, 3), 4, false)); /* of another group */
    ASSERT_TURN(TREE_DROP, tree_ask(t, 3, node(2, 3), 5, false)); /* no vertex that it can have */
    tree_free(t);
}

/* Every shape: whatever the order in which workers have finished, somebody can go on, and in the
 * end one worker has everything. */
TEST(one_worker_ends_with_everything_whatever_the_order)
{
    enum { MOST = 13 };
    uint32_t seed = 1;

    for (uint32_t round = 0; round < 300; round++) {
        const uint32_t workers = 3 + round % (MOST - 2);
        uint32_t ends[MOST], end[MOST], left = workers;
        bool given[MOST] = {false};

        for (uint32_t i = 0; i < workers; i++)
            ends[i] = end[i] = i + 1;
        struct tree *t = tree_of(ends, workers);
        for (uint32_t turns = 0; left > 1 && turns < 10000; turns++) {
            seed = seed * 1664525u + 1013904223u;
            const uint32_t i = (seed >> 16) % workers;
            if (given[i])
                continue;
            const struct tree_answer a = tree_ask(t, i + 1, node(i, i + 1), end[i], false);
            ASSERT(a.turn == TREE_TAKE || a.turn == TREE_GIVE);
            const uint32_t other = a.worker - 1;
            if (a.turn == TREE_TAKE || end[other] != a.node.lo)
                continue;
            end[other] = end[i];
            given[i] = true;
            left--;
            if (round % 2)
                ASSERT(tree_give(t, i + 1, node(i, i + 1), a.worker));
        }
        ASSERT_EQ(1, left);
        ASSERT_EQ(workers, end[0]);
        ASSERT_TURN(TREE_SEND, tree_ask(t, 1, node(0, 1), workers, false));
        ASSERT(tree_holds(t, 1, node(0, workers)));
        tree_free(t);
    }
}

TEST(each_hands_theta_to_two)
{
    static const uint32_t ends[] = {1, 2, 3, 4, 5, 6, 7};
    static const uint32_t sources[] = {0, 1, 1, 2, 2, 3, 3};
    struct tree *t = tree_of(ends, 7);

    for (uint32_t i = 0; i < 7; i++)
        ASSERT_EQ(sources[i], tree_source(t, i + 1));
    ASSERT_EQ(0, tree_source(t, 8));
    tree_free(t);
}
