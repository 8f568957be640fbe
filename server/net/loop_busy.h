/* How long the loop stands: the time from one wait for events to the next, in which nobody else is
 * served. */
#ifndef STEPPE_SERVER_NET_LOOP_BUSY_H
#define STEPPE_SERVER_NET_LOOP_BUSY_H

#include <uv.h>

struct metrics;

struct loop_busy {
    uv_prepare_t prepare; /* closed with the loop's other handles */
    struct metrics *metrics;
    double turned_s, idle_s; /* at the last wait */
};

/* Counts the turns of the loop from now on, before it runs; all is borrowed. 0 or negative errno.
 */
int loop_busy_open(struct loop_busy *b, uv_loop_t *loop, struct metrics *m);

#endif
