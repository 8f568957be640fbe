/* Several jobs share the workers: who asks for work gets it from the job with the least compute
 * time granted so far. A worker has one job loaded at a time and to load another costs, so it stays
 * with its job until that is ahead of another by SHARE_TURN_MS of the worker's time. Pure. */
#ifndef STEPPE_SERVER_CORE_SHARE_H
#define STEPPE_SERVER_CORE_SHARE_H

#include <stddef.h>
#include <stdint.h>

#define SHARE_TURN_MS 2000
/* A job that could not use its share for a while is owed at most this. */
#define SHARE_OWED_MS 10000

/* Sorts order[count], indices of granted_ms (thread milliseconds), into the order in which a worker
 * with `threads` threads tries them. loaded: the index of its job, SIZE_MAX: none of them. */
void share_order(const double *granted_ms, size_t count, size_t loaded, uint32_t threads,
                 size_t *order);
/* The time that counts as granted to this job beside others, ms[count]: at most SHARE_OWED_MS for
 * each of the cluster's threads below the largest of them. */
double share_level(double granted_ms, const double *ms, size_t count, uint32_t threads);

#endif
