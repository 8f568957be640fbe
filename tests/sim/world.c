/* A binary heap of events by time and number. */
#include "tests/sim/world.h"

#include "common/rng.h"
#include "tests/sim/own.h"

struct event {
    int64_t us;
    uint64_t order; /* of giving */
    event_fn fn;
    void *arg;
    int64_t number;
};

static struct {
    int64_t now_us;
    struct rng rng;
    struct event *heap;
    size_t count, cap;
    uint64_t given, ran;
    bool over;
} w;

void world_init(uint64_t seed)
{
    w.rng = rng_at(seed, RNG_TEST, 0, 0);
}

int64_t world_now_us(void)
{
    return w.now_us;
}

static bool before(const struct event *a, const struct event *b)
{
    return a->us != b->us ? a->us < b->us : a->order < b->order;
}

void world_after(int64_t delay_us, event_fn fn, void *arg, int64_t number)
{
    struct event e = {w.now_us + (delay_us > 0 ? delay_us : 0), w.given++, fn, arg, number};
    size_t at = w.count++;

    if (w.count > w.cap) {
        w.cap = w.cap ? 2 * w.cap : 256;
        w.heap = own_realloc(w.heap, w.cap * sizeof(*w.heap));
    }
    for (; at > 0 && before(&e, &w.heap[(at - 1) / 2]); at = (at - 1) / 2)
        w.heap[at] = w.heap[(at - 1) / 2];
    w.heap[at] = e;
}

static struct event take(void)
{
    struct event first = w.heap[0], last = w.heap[--w.count];
    size_t at = 0, child;

    while ((child = 2 * at + 1) < w.count) {
        if (child + 1 < w.count && before(&w.heap[child + 1], &w.heap[child]))
            child++;
        if (!before(&w.heap[child], &last))
            break;
        w.heap[at] = w.heap[child];
        at = child;
    }
    w.heap[at] = last;
    return first;
}

bool world_run(int64_t limit_us)
{
    while (!w.over && w.count > 0) {
        struct event e = take();
        if (e.us > limit_us)
            return false;
        w.now_us = e.us;
        w.ran++;
        e.fn(e.arg, e.number);
    }
    return w.over;
}

uint64_t world_given(void)
{
    return w.given;
}

uint64_t world_ran(void)
{
    return w.ran;
}

void world_end(void)
{
    w.over = true;
}

uint64_t world_draw(uint64_t n)
{
    return rng_below(&w.rng, n);
}

int64_t world_between(int64_t least, int64_t most)
{
    return least + (int64_t)world_draw((uint64_t)(most - least) + 1);
}

bool world_chance(unsigned permille)
{
    return world_draw(1000) < permille;
}

int64_t world_delay(int64_t least_us, int64_t most_us)
{
    int64_t usual_us = 10 * least_us < most_us ? 10 * least_us : most_us;

    return world_between(least_us, world_draw(8) == 0 ? most_us : usual_us);
}
