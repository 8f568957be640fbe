/* A lane without a thread: each item's work happens whole at some time after it was given, its done
 * some time later; what else comes to the loop meanwhile finds the one or the other outstanding.
 * Sometimes an item of a later turn comes first, as if it had begun before the others were given:
 * those then pass it between its slices. */
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
    uint64_t number; /* in the order in which they were given */
    struct item *next;
};

struct lane {
    int64_t life;
    struct times *times;
    struct item *items[LANE_TURNS], *worked; /* in order */
    enum lane_turn turn;                     /* of the one at work */
    uint64_t given;
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

static void append(struct item **end, struct item *item)
{
    while (*end)
        end = &(*end)->next;
    *end = item;
}

static void done_first(void *arg, int64_t life);

/* Works on the first item of a turn. */
static void work_in(struct lane *lane, enum lane_turn turn)
{
    const enum lane_turn before = lane->turn;
    struct item *item = lane->items[turn];

    lane->items[turn] = item->next;
    item->next = NULL;
    lane->turn = turn;
    item->work(item->arg);
    lane->turn = before;
    append(&lane->worked, item);
}

/* The first turn before `end` in which something waits, or `end`. */
static enum lane_turn first_turn(const struct lane *lane, enum lane_turn end)
{
    enum lane_turn turn = LANE_SOON;

    while (turn < end && !lane->items[turn])
        turn++;
    return turn;
}

static void do_work(void *arg)
{
    struct lane *lane = arg;
    enum lane_turn turn = first_turn(lane, LANE_TURNS);

    if (world_chance(300))
        for (enum lane_turn later = turn; later < LANE_TURNS; later++)
            if (lane->items[later] && lane->items[later]->number < lane->items[turn]->number)
                turn = later;
    work_in(lane, turn);
}

void lane_let_pass(struct lane *lane)
{
    enum lane_turn turn;

    while (lane->turn > LANE_SOON && world_chance(700) &&
           (turn = first_turn(lane, lane->turn)) < lane->turn) {
        work_in(lane, turn);
        world_after(world_delay(10, 2 * MS), done_first, lane, lane->life);
    }
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
    struct item *item = lane->worked;
    lane->worked = item->next;
    if (!life_enter(do_done, item))
        return;
}

static void work_next(void *arg, int64_t life)
{
    struct lane *lane = arg;

    if (life != life_number() || !life_up())
        return;
    lane->at_work = false;
    if (first_turn(lane, LANE_TURNS) == LANE_TURNS || !life_enter(do_work, lane))
        return;
    world_after(world_delay(10, 2 * MS), done_first, lane, life);
    if (first_turn(lane, LANE_TURNS) < LANE_TURNS)
        world_after(2 * MS, work_next, lane, life), lane->at_work = true;
}

void lane_run(struct lane *lane, lane_fn work, lane_fn done, void *arg)
{
    lane_run_in(lane, LANE_SOON, work, done, arg);
}

void lane_run_in(struct lane *lane, enum lane_turn turn, lane_fn work, lane_fn done, void *arg)
{
    struct item *item = xmalloc(sizeof(*item));

    *item = (struct item){.work = work, .done = done, .arg = arg, .number = lane->given++};
    append(&lane->items[turn], item);
    start(lane);
}

struct times *lane_times(const struct lane *lane)
{
    return lane->times;
}

unsigned lane_pending(const struct lane *lane)
{
    unsigned count = 0;

    for (int i = 0; i < LANE_TURNS; i++)
        for (const struct item *item = lane->items[i]; item; item = item->next)
            count++;
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
    while (lane->worked || first_turn(lane, LANE_TURNS) < LANE_TURNS) {
        if (hurry && world_chance(200))
            hurry(arg);
        if (!lane->worked)
            do_work(lane);
        item = lane->worked;
        lane->worked = item->next;
        do_done(item);
    }
    lane->life = 0; /* its events come to nothing */
}
