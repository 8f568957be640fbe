/* A lane without a thread: each item's work happens whole at some time after it was given, its done
 * some time later; what else comes to the loop meanwhile finds the one or the other outstanding. */
#include <stdlib.h>

#include "common/alloc.h"
#include "server/net/lane.h"
#include "tests/sim/edges.h"
#include "tests/sim/life.h"
#include "tests/sim/scenario.h"
#include "tests/sim/world.h"

struct item {
    lane_fn work, done;
    void *arg;
    bool worked;
    struct item *next;
};

struct lane {
    int64_t life;
    struct times *times;
    struct item *items; /* in order; those that worked come first */
    bool at_work;
};

static int64_t slow_us;

void edges_slow_disk(int64_t us_most)
{
    slow_us = us_most;
}

int lane_open(uv_loop_t *loop, const char *name, struct times *times, struct lane **ret)
{
    (void)loop;
    (void)name;
    *ret = xcalloc(1, sizeof(**ret));
    (*ret)->life = life_number();
    (*ret)->times = times;
    return 0;
}

static void do_work(void *arg)
{
    struct item *item = arg;

    item->worked = true;
    item->work(item->arg);
}

static void do_done(void *arg)
{
    struct item *item = arg;

    if (item->done)
        item->done(item->arg);
    free(item);
}

static void work_next(void *arg, int64_t life);

static void start(struct lane *lane)
{
    if (lane->at_work)
        return;
    lane->at_work = true;
    world_after(world_delay(20, slow_us ? slow_us : 20 * MS), work_next, lane, lane->life);
}

static void done_first(void *arg, int64_t life)
{
    struct lane *lane = arg;

    if (life != life_number() || !life_up())
        return;
    struct item *item = lane->items;
    lane->items = item->next;
    if (!life_enter(do_done, item))
        return;
}

static void work_next(void *arg, int64_t life)
{
    struct lane *lane = arg;
    struct item *item;

    if (life != life_number() || !life_up())
        return;
    lane->at_work = false;
    for (item = lane->items; item && item->worked; item = item->next)
        continue;
    if (!item || !life_enter(do_work, item))
        return;
    world_after(world_delay(10, 2 * MS), done_first, lane, life);
    /* The done of this one comes before that of the next: both delays count from here. */
    if (item->next)
        world_after(2 * MS, work_next, lane, life), lane->at_work = true;
}

void lane_run(struct lane *lane, lane_fn work, lane_fn done, void *arg)
{
    struct item **end = &lane->items, *item = xmalloc(sizeof(*item));

    *item = (struct item){.work = work, .done = done, .arg = arg};
    while (*end)
        end = &(*end)->next;
    *end = item;
    start(lane);
}

struct times *lane_times(const struct lane *lane)
{
    return lane->times;
}

unsigned lane_pending(const struct lane *lane)
{
    unsigned count = 0;

    for (const struct item *item = lane->items; item; item = item->next)
        count += !item->worked;
    return count;
}

void lane_close(struct lane *lane)
{
    lane_close_by(lane, 0, NULL, NULL);
}

/* The time is over before any of its items. */
void lane_close_by(struct lane *lane, int64_t by_ms, lane_fn hurry, void *arg)
{
    struct item *item;

    (void)by_ms;
    if (!lane)
        return;
    while ((item = lane->items) != NULL) {
        lane->items = item->next;
        if (hurry && world_chance(200))
            hurry(arg);
        if (!item->worked)
            do_work(item);
        do_done(item);
    }
    lane->life = 0; /* its events come to nothing */
}
