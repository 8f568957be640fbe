/* Runs whose workers combine their sums before one of them reports. */
#include "tests/unit/server/run_fixture.h"

enum { GROUP = 1, WORKERS = 4 };

/* A run whose open round is leased to as many workers as it has shards. */
static struct run *leased(const struct fixture *f, struct run_task tasks[WORKERS])
{
    struct run *r = fixture_run(f, 1);

    run_combine(r);
    ASSERT_EQ(0, run_start(r, 0));
    ASSERT(run_combines(r));
    for (uint32_t i = 0; i < WORKERS; i++) {
        const struct taker by = {.worker = i + 1, .group = GROUP, .most_ms = INT64_MAX};
        ASSERT_EQ(0, run_take(r, &by, 1, 0, 1000, &tasks[i]));
    }
    return r;
}

/* The task of several nodes, as if it had been leased so. */
static struct run_task joined(const struct run_task *first, const struct run_task *last)
{
    struct run_task t = *first;

    t.node.hi = last->node.hi;
    t.count = last->first + last->count - first->first;
    return t;
}

static int report(struct run *r, const struct fixture *f, const struct run_task *t, uint32_t worker)
{
    struct fake *k = fake_compute(r, f, t);
    enum run_event event;
    struct run_epoch epoch;
    struct errbuf why;

    k->res.worker = worker;
    int rc = run_result(r, &k->res, &why);
    if (rc == 0)
        ASSERT_EQ(0, run_advance(r, 0, &event, &epoch));
    fake_free(k);
    return rc;
}

static enum tree_turn turn(struct run *r, const struct run_task *t, uint32_t worker, uint32_t end)
{
    return run_meet(r, worker, t->node, end, false).turn;
}

TEST(a_result_of_all_nodes_is_that_of_each)
{
    struct fixture *f = fixture_create(", \"score\": {\"source\": \"train\"}");
    struct run_task tasks[WORKERS], plain[WORKERS];
    struct run *r = leased(f, tasks), *other = leased(f, plain);
    const struct run_task left = joined(&tasks[0], &tasks[1]), all = joined(&tasks[0], &tasks[3]);

    ASSERT_EQ(-EALREADY, report(r, f, &all, 1)); /* it does not have it yet */
    ASSERT_EQ(TREE_TAKE, turn(r, &tasks[0], 1, 1));
    ASSERT_EQ(TREE_GIVE, turn(r, &tasks[1], 2, 2));
    ASSERT(run_give(r, 2, tasks[1].node, 1));
    ASSERT(!run_holds_any(r, 2));
    ASSERT_EQ(TREE_GIVE, turn(r, &tasks[2], 3, 4));
    ASSERT(!run_holds(r, 1, all.node));
    ASSERT_EQ(TREE_SEND, turn(r, &tasks[0], 1, 4));
    ASSERT(run_holds(r, 1, all.node));
    ASSERT_EQ(-EALREADY, report(r, f, &left, 2));
    ASSERT_EQ(0, report(r, f, &all, 1));
    for (uint32_t i = 0; i < WORKERS; i++)
        ASSERT_EQ(0, report(other, f, &plain[i], i + 1));
    ASSERT_EQ(1, run_step(r));
    ASSERT_EQ(1, run_step(other));
    ASSERT_EQ(0, memcmp(run_theta(r), run_theta(other), f->model.floats * sizeof(float)));
    run_free(r);
    run_free(other);
    fixture_free(f);
}

TEST(what_was_given_is_lost_with_its_taker)
{
    struct fixture *f = fixture_create("");
    struct run_task tasks[WORKERS], again;
    struct run *r = leased(f, tasks);

    ASSERT_EQ(TREE_GIVE, turn(r, &tasks[1], 2, 2));
    ASSERT(run_give(r, 2, tasks[1].node, 1));
    ASSERT_EQ(0, run_release(r, 2, 0)); /* it asks for work: it has nothing of the round */
    ASSERT_EQ(2, run_release(r, 1, 0));
    ASSERT_EQ(0, run_take(r, BY(2), 4, 0, 1000, &again));
    ASSERT_EQ(0, again.node.lo);
    ASSERT_EQ(0, run_take(r, BY(5), 4, 0, 1000, &again));
    ASSERT_EQ(1, again.node.lo);
    /* The second time they are reported plainly, and nobody waits for them. */
    ASSERT_EQ(TREE_SEND, turn(r, &again, 5, 2));
    ASSERT_EQ(TREE_TAKE, turn(r, &tasks[2], 3, 3));
    ASSERT_EQ(TREE_SEND, turn(r, &tasks[2], 3, 4));
    ASSERT_EQ(0, report(r, f, &again, 5));
    const struct run_task right = joined(&tasks[2], &tasks[3]);
    ASSERT_EQ(0, report(r, f, &right, 3));
    ASSERT_EQ(0, report(r, f, &tasks[0], 2));
    ASSERT_EQ(1, run_step(r));
    run_free(r);
    fixture_free(f);
}

TEST(who_has_lost_its_lease_takes_nothing)
{
    struct fixture *f = fixture_create("");
    struct run_task tasks[WORKERS];
    struct run *r = leased(f, tasks);

    ASSERT_EQ(TREE_GIVE, turn(r, &tasks[1], 2, 2));
    ASSERT_EQ(1, run_release(r, 1, 0));
    ASSERT(!run_give(r, 2, tasks[1].node, 1));
    ASSERT_EQ(TREE_SEND, turn(r, &tasks[1], 2, 2));
    run_free(r);
    fixture_free(f);
}

TEST(a_vertex_with_a_node_that_is_done_is_dropped_whole)
{
    struct fixture *f = fixture_create("");
    struct run_task tasks[WORKERS];
    struct run *r = leased(f, tasks);
    const struct run_task left = joined(&tasks[0], &tasks[1]);

    ASSERT_EQ(TREE_SEND, run_meet(r, 2, tasks[1].node, 2, true).turn);
    ASSERT_EQ(0, report(r, f, &tasks[1], 2));
    ASSERT_EQ(TREE_SEND, turn(r, &tasks[0], 1, 2)); /* it had taken it, and then the giver spoke */
    ASSERT_EQ(-EALREADY, report(r, f, &left, 1));
    ASSERT_EQ(0, report(r, f, &tasks[0], 1));
    run_free(r);
    fixture_free(f);
}

TEST(a_run_that_is_checked_combines_nothing)
{
    static const uint8_t secret[CHECK_SECRET_BYTES];
    struct fixture *f = fixture_create(", \"verify\": 0.5");
    struct run *r = fixture_run(f, 1);

    run_verify(r, &(struct run_verifying){.secret = secret});
    run_combine(r);
    ASSERT_EQ(0, run_start(r, 0));
    ASSERT(!run_combines(r));
    run_free(r);
    fixture_free(f);
}
