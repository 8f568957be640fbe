/* Which n are tried. INJECT in the environment says it:
 *
 * every: each n.
 *
 * all, as make inject does: each call that changes the disk, and each allocation that our own code
 * asks for, and cJSON and libuv for it. Of those that SQLite makes for itself, the first and the
 * last of each way and of each context. A way is the chain of callers from the allocation through
 * SQLite to the function of ours that called it; a context is that function and all that called it,
 * up to the test. A function that calls itself counts once in a chain. A run in which nothing fails
 * writes them down.
 *
 * A number: so many of those that `all` tries, the first ones all, of the rest a sample, drawn by a
 * fixed seed. Without INJECT, which is make check, as many as the test has time for.
 *
 * Why `all` is enough: some 999 of 1000 allocations of a start are SQLite's, most of them of its
 * parser, which reads the same schema again for each connection. What SQLite does within a call
 * when memory runs out is what its own tests show, for every n. Ours is that each of our calls into
 * it copes with SQLITE_NOMEM. Each such call is in a context, and each place within SQLite that can
 * fail it is on a way; the first and the last of each meet it with little done before, and with
 * much. */
#ifndef STEPPE_TESTS_INJECT_SWEEP_H
#define STEPPE_TESTS_INJECT_SWEEP_H

#include <stdint.h>

#include "tests/inject/fault.h"

struct sweep_plan {
    uint64_t *numbers; /* ascending; the last is calls + 1, which hits nothing */
    uint64_t count;    /* of numbers */
    uint64_t calls;    /* that there are */
    uint64_t worth;    /* of those, what `all` tries */
    uint64_t own, ways, contexts;
};

/* From what a run in which nothing failed wrote down. runs: in make check. */
void sweep_plan(struct sweep_plan *p, const struct fault_record *seen, uint64_t runs);
void sweep_plan_done(struct sweep_plan *p);
/* "40 of 142000 calls (120 of our own; 141880 of SQLite's, by 2400 ways from 90 contexts)" of a
 * sweep that tried so many. */
#define SWEEP_TEXT_BYTES 160
const char *sweep_say(const struct sweep_plan *p, uint64_t tried, char text[SWEEP_TEXT_BYTES]);

#endif
