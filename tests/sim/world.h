/* The world of one seed: its clock, its events, its chance. One seed is one process (runner.h), so
 * the world is a single static thing: the functions that stand in for the kernel's (disk_posix.c,
 * edges.c) get no argument to find it by. Nothing here depends on real time, on addresses or on
 * what ran before: the same seed gives the same events. */
#ifndef STEPPE_TESTS_SIM_WORLD_H
#define STEPPE_TESTS_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#define MS INT64_C(1000) /* the clock counts microseconds */
#define SECOND (1000 * MS)

typedef void (*event_fn)(void *arg, int64_t number);

void world_init(uint64_t seed);
int64_t world_now_us(void);
/* Calls fn(arg, number) after delay_us; events of one time in the order in which they were given.
 */
void world_after(int64_t delay_us, event_fn fn, void *arg, int64_t number);
/* Runs events until world_end, at most until limit_us. False: it ran into the limit. */
bool world_run(int64_t limit_us);
void world_end(void);

/* How many events were given so far, and run. */
uint64_t world_given(void);
uint64_t world_ran(void);

/* Draws of this seed, in the order of the calls. */
uint64_t world_draw(uint64_t n);                    /* 0..n-1 */
int64_t world_between(int64_t least, int64_t most); /* both may come */
bool world_chance(unsigned permille);
/* Short mostly, long now and then: least..10*least, one in eight up to most. */
int64_t world_delay(int64_t least_us, int64_t most_us);

#endif
