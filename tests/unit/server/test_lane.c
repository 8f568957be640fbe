#include "server/net/lane.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "tests/harness.h"

#define ITEMS 1000

/* What the items of a test share. */
struct record {
    struct lane *lane;
    int worked[ITEMS], work_count; /* the lane's thread only, or after it */
    int done[ITEMS], done_count;   /* the loop's thread only */
    pthread_t loop_thread, work_thread;
    uv_mutex_t gate; /* held by a test that wants the lane to stand still */
    int hurried;     /* calls of open_gate */
    atomic_bool at_gate;
};

struct item {
    struct record *record;
    int number;
    int chain; /* items that its done still gives */
};

static void work(void *arg)
{
    struct item *item = arg;
    struct record *r = item->record;

    r->work_thread = pthread_self();
    r->worked[r->work_count++] = item->number;
}

static void wait_at_gate(void *arg)
{
    struct record *r = ((struct item *)arg)->record;

    uv_mutex_lock(&r->gate);
    uv_mutex_unlock(&r->gate);
    work(arg);
}

/* Takes long: others may pass it behind the gate. */
static void let_pass(void *arg)
{
    struct record *r = ((struct item *)arg)->record;

    atomic_store(&r->at_gate, true);
    uv_mutex_lock(&r->gate);
    uv_mutex_unlock(&r->gate);
    lane_let_pass(r->lane);
    work(arg);
}

static struct item *make_item(struct record *r, int number)
{
    struct item *item = calloc(1, sizeof(*item));

    ASSERT(item);
    *item = (struct item){.record = r, .number = number};
    return item;
}

static void done(void *arg)
{
    struct item *item = arg;
    struct record *r = item->record;

    ASSERT(pthread_equal(r->loop_thread, pthread_self()));
    r->done[r->done_count++] = item->number;
    if (item->chain > 0) {
        struct item *next = make_item(r, item->number + 1);
        next->chain = item->chain - 1;
        lane_run(r->lane, work, done, next);
    }
    free(item);
}

/* The last item's done ends the test's loop. */
static void done_and_close(void *arg)
{
    struct record *r = ((struct item *)arg)->record;

    done(arg);
    lane_close(r->lane);
}

static void begin(uv_loop_t *loop, struct record *r)
{
    *r = (struct record){.loop_thread = pthread_self()};
    ASSERT_EQ(0, uv_loop_init(loop));
    ASSERT_EQ(0, uv_mutex_init(&r->gate));
    ASSERT_EQ(0, lane_open(loop, "test", NULL, &r->lane));
}

static void end(uv_loop_t *loop, struct record *r)
{
    uv_run(loop, UV_RUN_DEFAULT);
    ASSERT_EQ(0, uv_loop_close(loop));
    uv_mutex_destroy(&r->gate);
}

static void assert_in_order(const struct record *r, int count)
{
    ASSERT_EQ(count, r->work_count);
    ASSERT_EQ(count, r->done_count);
    for (int i = 0; i < count; i++) {
        ASSERT_EQ(i, r->worked[i]);
        ASSERT_EQ(i, r->done[i]);
    }
}

TEST(work_and_done_run_in_the_order_given)
{
    struct record r;
    uv_loop_t loop;

    begin(&loop, &r);
    for (int i = 0; i < ITEMS - 1; i++)
        lane_run(r.lane, work, done, make_item(&r, i));
    lane_run(r.lane, work, done_and_close, make_item(&r, ITEMS - 1));
    end(&loop, &r);
    assert_in_order(&r, ITEMS);
}

TEST(items_of_an_earlier_turn_pass_one_that_lets_them)
{
    static const int order[] = {1, 2, 0, 3, 4};
    struct record r;
    uv_loop_t loop;

    begin(&loop, &r);
    uv_mutex_lock(&r.gate);
    lane_run_in(r.lane, LANE_LATER, let_pass, done, make_item(&r, 0));
    while (!atomic_load(&r.at_gate))
        sched_yield();
    lane_run_in(r.lane, LANE_LAST, work, done_and_close, make_item(&r, 4));
    lane_run_in(r.lane, LANE_LATER, let_pass, done, make_item(&r, 3));
    lane_run(r.lane, let_pass, done, make_item(&r, 1));
    lane_run(r.lane, work, done, make_item(&r, 2));
    uv_mutex_unlock(&r.gate);
    end(&loop, &r);
    ASSERT_EQ(5, r.done_count);
    for (int i = 0; i < 5; i++) {
        ASSERT_EQ(order[i], r.worked[i]);
        ASSERT_EQ(order[i], r.done[i]);
    }
}

TEST(work_runs_beside_the_loop_and_done_on_it)
{
    struct record r;
    uv_loop_t loop;

    begin(&loop, &r);
    lane_run(r.lane, work, done_and_close, make_item(&r, 0));
    end(&loop, &r);
    ASSERT_EQ(1, r.done_count);
    ASSERT(!pthread_equal(r.work_thread, r.loop_thread));
}

TEST(nothing_is_done_before_the_loop_runs)
{
    struct record r;
    uv_loop_t loop;

    begin(&loop, &r);
    lane_run(r.lane, work, done, make_item(&r, 0));
    while (lane_pending(r.lane) > 0)
        continue;
    ASSERT_EQ(0, r.done_count);
    while (r.done_count == 0)
        uv_run(&loop, UV_RUN_ONCE);
    lane_close(r.lane);
    end(&loop, &r);
}

TEST(pending_counts_what_has_not_ended)
{
    struct record r;
    uv_loop_t loop;

    begin(&loop, &r);
    ASSERT_EQ(0, lane_pending(r.lane));
    uv_mutex_lock(&r.gate);
    for (int i = 0; i < 3; i++)
        lane_run(r.lane, wait_at_gate, done, make_item(&r, i));
    ASSERT_EQ(3, lane_pending(r.lane));
    uv_mutex_unlock(&r.gate);
    lane_close(r.lane);
    ASSERT_EQ(0, lane_pending(r.lane));
    end(&loop, &r);
}

TEST(closing_waits_for_the_work_and_calls_every_done)
{
    struct record r;
    uv_loop_t loop;

    begin(&loop, &r);
    for (int i = 0; i < 100; i++)
        lane_run(r.lane, work, done, make_item(&r, i));
    lane_close(r.lane);
    assert_in_order(&r, 100);
    end(&loop, &r);
    assert_in_order(&r, 100);
}

TEST(closing_works_off_what_a_done_gives)
{
    struct record r;
    uv_loop_t loop;

    begin(&loop, &r);
    struct item *first = make_item(&r, 0);
    first->chain = 9;
    lane_run(r.lane, work, done, first);
    lane_close(r.lane);
    assert_in_order(&r, 10);
    end(&loop, &r);
}

TEST(a_done_may_close_the_lane_while_others_wait)
{
    struct record r;
    uv_loop_t loop;

    begin(&loop, &r);
    uv_mutex_lock(&r.gate);
    lane_run(r.lane, wait_at_gate, done_and_close, make_item(&r, 0));
    for (int i = 1; i < 10; i++)
        lane_run(r.lane, work, done, make_item(&r, i));
    uv_mutex_unlock(&r.gate);
    end(&loop, &r);
    assert_in_order(&r, 10);
}

TEST(work_without_a_done_runs_too)
{
    struct record r;
    uv_loop_t loop;

    begin(&loop, &r);
    struct item *item = make_item(&r, 0);
    lane_run(r.lane, work, NULL, item);
    lane_close(r.lane);
    end(&loop, &r);
    ASSERT_EQ(1, r.work_count);
    ASSERT_EQ(0, r.done_count);
    free(item);
}

TEST(two_lanes_do_not_wait_for_each_other)
{
    struct record slow, fast;
    uv_loop_t loop;

    begin(&loop, &slow);
    fast = (struct record){.loop_thread = pthread_self()};
    ASSERT_EQ(0, lane_open(&loop, "fast", NULL, &fast.lane));
    uv_mutex_lock(&slow.gate);
    lane_run(slow.lane, wait_at_gate, done, make_item(&slow, 0));
    lane_run(fast.lane, work, done, make_item(&fast, 0));
    while (fast.done_count == 0)
        uv_run(&loop, UV_RUN_ONCE);
    ASSERT_EQ(0, slow.done_count);
    uv_mutex_unlock(&slow.gate);
    lane_close(fast.lane);
    lane_close(slow.lane);
    end(&loop, &slow);
    ASSERT_EQ(1, slow.done_count);
}

/* Called again and again, until the item that stood there has worked. */
static void open_gate(void *arg)
{
    struct record *r = arg;

    if (r->hurried++ == 0)
        uv_mutex_unlock(&r->gate);
}

/* The lane stands still until the first call, which comes, since the time is over. */
TEST(a_lane_whose_time_is_over_is_hurried)
{
    struct record r;
    uv_loop_t loop;

    begin(&loop, &r);
    uv_mutex_lock(&r.gate);
    lane_run(r.lane, wait_at_gate, done, make_item(&r, 0));
    lane_close_by(r.lane, 0, open_gate, &r);
    end(&loop, &r);
    ASSERT(r.hurried > 0);
    ASSERT_EQ(1, r.done_count);
}

TEST(a_lane_that_had_nothing_to_do_closes)
{
    struct record r;
    uv_loop_t loop;

    begin(&loop, &r);
    lane_close(r.lane);
    lane_close(NULL);
    end(&loop, &r);
}
