/* How fast a job's shards are computed; from this follow how long a lease lasts, and when an idle
 * worker repeats a node of another one. Times are per shard and thread, so that they hold for
 * workers of any size. Pure. */
#ifndef STEPPE_SERVER_CORE_PACE_H
#define STEPPE_SERVER_CORE_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/phase.h"

struct pace {
    double shard_ms[PHASES]; /* slowest recent time, 0: unknown */
};

/* A node of `shards` shards was computed by `threads` threads within ms. */
void pace_note(struct pace *p, enum phase phase, uint32_t shards, uint32_t threads, double ms);
/* A lease of this node. newcomer: the worker has no result of this job yet; it may have to fetch
 * the dataset first. */
int64_t pace_lease_ms(const struct pace *p, enum phase phase, uint32_t shards, uint32_t threads,
                      bool newcomer);
/* How long such a lease lasts at most, however often it is renewed: ten minutes, six times its own
 * length, and what it takes to move so many bytes at half a megabyte a second. */
int64_t pace_most_ms(int64_t lease_ms, uint64_t bytes);
/* How old a lease of this node is when an idle worker repeats it. */
int64_t pace_patience_ms(const struct pace *p, enum phase phase, uint32_t shards, uint32_t threads);

#endif
