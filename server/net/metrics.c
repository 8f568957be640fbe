#include "server/net/metrics.h"

#include <stddef.h>

/* Of the buckets, in seconds; the last one has none. */
const double times_bounds_s[TIMES_BUCKETS - 1] = {0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                                  0.05,   0.1,    0.25,  1,      5,     30};

void metrics_time(struct times *t, double seconds)
{
    int i = 0;

    while (i < TIMES_BUCKETS - 1 && seconds > times_bounds_s[i])
        i++;
    t->buckets[i]++;
    t->count++;
    t->sum_s += seconds;
}

void metrics_step(struct metrics *m, struct step_time *last, uint64_t step, double now_s)
{
    if (last->s > 0 && last->number + 1 == step)
        metrics_time(&m->step, now_s - last->s);
    *last = (struct step_time){step, now_s};
}

void metrics_turn(struct metrics *m, double seconds)
{
    metrics_time(&m->turn, seconds);
    m->longest_s = seconds > m->longest_s ? seconds : m->longest_s;
}

void metrics_tick(struct metrics *m, int64_t now_ms, int64_t period_ms)
{
    int64_t late_ms = m->tick_ms ? now_ms - m->tick_ms - period_ms : 0;

    m->lag_s = late_ms > 0 ? (double)late_ms / 1000 : 0;
    m->tick_ms = now_ms;
}
