/* Which n are tried. `make check` has time for so many runs of a sweep: the first ones all, of the
 * rest a sample, drawn by a fixed seed. INJECT in the environment says how many instead, or all
 * (make inject). */
#ifndef STEPPE_TESTS_INJECT_SWEEP_H
#define STEPPE_TESTS_INJECT_SWEEP_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/rng.h"

/* Numbers from 1 to calls + 1, ascending, of which the last hits nothing; *ret_count of them. The
 * caller's to free. */
static inline uint64_t *sweep_numbers(uint64_t calls, uint64_t runs, uint64_t *ret_count)
{
    const char *wanted = getenv("INJECT");
    struct rng rng = rng_at(calls, RNG_TEST, 0, 0);
    uint64_t *list = xcalloc(calls + 1, sizeof(*list)), count = 0;

#ifdef __SANITIZE_ADDRESS__
    runs /= 4; /* each ends with a look for leaks, which takes longer than the run */
#endif
    if (wanted && wanted[0])
        runs = strcmp(wanted, "all") == 0 ? calls : strtoull(wanted, NULL, 10);
    const uint64_t first = runs < calls ? runs / 2 : calls;
    uint64_t left = runs - first;

    for (uint64_t n = 1; n <= calls; n++) {
        uint64_t rest = calls - n + 1;
        if (n > first && rng_below(&rng, rest) >= left)
            continue;
        left -= n > first;
        list[count++] = n;
    }
    list[count++] = calls + 1;
    *ret_count = count;
    return list;
}

#endif
