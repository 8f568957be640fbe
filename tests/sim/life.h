/* The server as a process: it starts, serves, is killed at any operation on the disk, at any
 * failpoint or between two events, stops on SIGTERM, and starts again on what the disk holds then.
 * It is the product's own server (server.c and all below it); edges.c stands in for libuv, the
 * lanes' threads and the sockets. A death leaves its memory behind: a seed is short. */
#ifndef STEPPE_TESTS_SIM_LIFE_H
#define STEPPE_TESTS_SIM_LIFE_H

#include <stdbool.h>
#include <stdint.h>

struct server;

/* The first start, now. */
void life_begin(void);
/* Is it up? */
bool life_up(void);
/* Which life it is, from 1. */
int64_t life_number(void);
struct server *life_server(void);

/* Runs the server's code; false: it died in there (or was not up). */
bool life_enter(void (*fn)(void *arg), void *arg);
/* Is it the server's code that runs now? */
bool life_inside(void);
/* Ends the life whose code runs. */
_Noreturn void life_crash(const char *where);
/* Ends it from outside. power: the machine fails, and what was not synced with it. */
void life_kill(bool power);
void life_stop(void); /* SIGTERM */

#endif
