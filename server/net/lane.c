/* A lane owns its thread, the items that wait for it and the items that wait for the loop.
 *
 * An item is in exactly one place: in `todo`, at work, in `finished`, or given back. Every item's
 * work runs once and every done runs once, within a turn in the order of lane_run. lane_close also
 * keeps that promise, so that an item's done always releases what the item owns. */
#define _GNU_SOURCE
#include "server/net/lane.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/clock.h"

#define HURRY_MS 20 /* between two calls of hurry */
#define GIVE_MS 5   /* of a turn of the loop, before others are served */

struct item {
    struct item *next;
    lane_fn work, done;
    void *arg;
};

struct queue {
    struct item *first, **end;
};

struct lane {
    uv_async_t async;
    uv_thread_t thread;
    uv_mutex_t mutex; /* guards the queues and `ending` */
    uv_cond_t given;  /* for the thread: an item or the end */
    uv_cond_t idle;   /* for lane_close: nothing is pending */
    struct queue todo[LANE_TURNS], finished;
    enum lane_turn turn; /* of the item at work; of the lane's thread */
    bool ending;
    atomic_uint pending;
    struct times *times;
    char name[16]; /* the most that the kernel keeps */
};

static void queue_put(struct queue *q, struct item *item)
{
    item->next = NULL;
    *q->end = item;
    q->end = &item->next;
}

static struct item *queue_take(struct queue *q)
{
    struct item *item = q->first;

    if (item) {
        q->first = item->next;
        if (!q->first)
            q->end = &q->first;
    }
    return item;
}

/* Works on the first item of the turns before `end`, if one waits; the mutex is held. */
static bool work_on_next(struct lane *lane, enum lane_turn end)
{
    const enum lane_turn before = lane->turn;
    struct item *item = NULL;
    enum lane_turn turn = LANE_SOON;

    while (turn < end && !(item = queue_take(&lane->todo[turn])))
        turn++;
    if (!item)
        return false;
    lane->turn = turn;
    uv_mutex_unlock(&lane->mutex);
    item->work(item->arg);
    uv_mutex_lock(&lane->mutex);
    lane->turn = before;
    queue_put(&lane->finished, item);
    if (atomic_fetch_sub(&lane->pending, 1) == 1)
        uv_cond_signal(&lane->idle);
    uv_async_send(&lane->async);
    return true;
}

static void run_thread(void *arg)
{
    struct lane *lane = arg;

    pthread_setname_np(pthread_self(), lane->name);
    uv_mutex_lock(&lane->mutex);
    for (;;) {
        if (work_on_next(lane, LANE_TURNS))
            continue;
        if (lane->ending)
            break;
        uv_cond_wait(&lane->given, &lane->mutex);
    }
    uv_mutex_unlock(&lane->mutex);
}

void lane_let_pass(struct lane *lane)
{
    uv_mutex_lock(&lane->mutex);
    while (work_on_next(lane, lane->turn))
        continue;
    uv_mutex_unlock(&lane->mutex);
}

/* Gives one back; false: there is none. One at a time, so that a done may call lane_run and even
 * lane_close. */
static bool give_one(struct lane *lane)
{
    uv_mutex_lock(&lane->mutex);
    struct item *item = queue_take(&lane->finished);
    uv_mutex_unlock(&lane->mutex);

    if (!item)
        return false;
    if (item->done)
        item->done(item->arg);
    free(item);
    return true;
}

static void give_back(struct lane *lane)
{
    while (give_one(lane))
        continue;
}

/* A done may have closed the lane: then nothing is left, and its handle is closing. */
static void on_async(uv_async_t *async)
{
    const int64_t by_ms = clock_mono_ms() + GIVE_MS;

    while (give_one(async->data))
        if (clock_mono_ms() >= by_ms) {
            if (!uv_is_closing((uv_handle_t *)async))
                uv_async_send(async);
            return;
        }
}

static void on_closed(uv_handle_t *handle)
{
    struct lane *lane = handle->data;

    uv_cond_destroy(&lane->idle);
    uv_cond_destroy(&lane->given);
    uv_mutex_destroy(&lane->mutex);
    free(lane);
}

/* Signals belong to the loop's thread: a write or fsync here is never interrupted. */
static int start_thread(struct lane *lane)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = uv_thread_create(&lane->thread, run_thread, lane);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

int lane_open(uv_loop_t *loop, const char *name, struct times *times, struct lane **ret)
{
    struct lane *lane = xcalloc(1, sizeof(*lane));
    int rc;

    snprintf(lane->name, sizeof(lane->name), "%s", name);
    lane->times = times;
    for (int i = 0; i < LANE_TURNS; i++)
        lane->todo[i].end = &lane->todo[i].first;
    lane->finished.end = &lane->finished.first;
    rc = uv_mutex_init(&lane->mutex);
    if (rc < 0)
        goto fail_lane;
    rc = uv_cond_init(&lane->given);
    if (rc < 0)
        goto fail_mutex;
    rc = uv_cond_init(&lane->idle);
    if (rc < 0)
        goto fail_given;
    rc = uv_async_init(loop, &lane->async, on_async);
    if (rc < 0)
        goto fail_idle;
    lane->async.data = lane;
    rc = start_thread(lane);
    if (rc < 0) {
        uv_close((uv_handle_t *)&lane->async, on_closed);
        return rc;
    }
    *ret = lane;
    return 0;

fail_idle:
    uv_cond_destroy(&lane->idle);
fail_given:
    uv_cond_destroy(&lane->given);
fail_mutex:
    uv_mutex_destroy(&lane->mutex);
fail_lane:
    free(lane);
    return rc;
}

void lane_run(struct lane *lane, lane_fn work, lane_fn done, void *arg)
{
    lane_run_in(lane, LANE_SOON, work, done, arg);
}

void lane_run_in(struct lane *lane, enum lane_turn turn, lane_fn work, lane_fn done, void *arg)
{
    struct item *item = xmalloc(sizeof(*item));

    *item = (struct item){.work = work, .done = done, .arg = arg};
    uv_mutex_lock(&lane->mutex);
    assert(!lane->ending);
    atomic_fetch_add(&lane->pending, 1);
    queue_put(&lane->todo[turn], item);
    uv_cond_signal(&lane->given);
    uv_mutex_unlock(&lane->mutex);
}

struct times *lane_times(const struct lane *lane)
{
    return lane->times;
}

unsigned lane_pending(const struct lane *lane)
{
    return atomic_load(&lane->pending);
}

/* Until when to wait for the lane before it is hurried (again). */
static uint64_t patience_ns(int64_t by_ms)
{
    const int64_t left_ms = by_ms - clock_mono_ms();

    return (uint64_t)(left_ms > HURRY_MS ? left_ms : HURRY_MS) * 1000000;
}

/* Waits until nothing is pending; true when there is something to give back. */
static bool wait_idle(struct lane *lane, int64_t by_ms, lane_fn hurry, void *arg)
{
    uv_mutex_lock(&lane->mutex);
    while (atomic_load(&lane->pending) > 0) {
        if (!hurry)
            uv_cond_wait(&lane->idle, &lane->mutex);
        else if (clock_mono_ms() >= by_ms)
            hurry(arg);
        if (hurry && atomic_load(&lane->pending) > 0)
            uv_cond_timedwait(&lane->idle, &lane->mutex, patience_ns(by_ms));
    }
    bool some = lane->finished.first;
    uv_mutex_unlock(&lane->mutex);
    return some;
}

void lane_close(struct lane *lane)
{
    lane_close_by(lane, 0, NULL, NULL);
}

void lane_close_by(struct lane *lane, int64_t by_ms, lane_fn hurry, void *arg)
{
    if (!lane)
        return;
    while (wait_idle(lane, by_ms, hurry, arg))
        give_back(lane);
    uv_mutex_lock(&lane->mutex);
    lane->ending = true;
    uv_cond_signal(&lane->given);
    uv_mutex_unlock(&lane->mutex);
    uv_thread_join(&lane->thread);
    uv_close((uv_handle_t *)&lane->async, on_closed);
}
