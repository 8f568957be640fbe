/* What stands in for the server's edges: clock.h, failpoint.h, lane.h, transport.h, http.h and
 * libuv, as far as the server calls them. */
#ifndef STEPPE_TESTS_SIM_EDGES_H
#define STEPPE_TESTS_SIM_EDGES_H

#include <stdint.h>

/* The process of the server ended: lanes, timers, sockets are gone. */
void edges_crash(void);
/* The server dies at the n-th failpoint that it comes by from now; 0: at none. */
void edges_crash_at_failpoint(uint64_t n);
/* Delivers a signal to the server's loop. */
void edges_signal(int number);
/* The wall clock jumps by so much; lane work takes so long for a while. */
void edges_jump_clock(int64_t ms);
void edges_slow_disk(int64_t us_most);

#endif
