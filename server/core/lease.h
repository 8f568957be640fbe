/* The work of one round (a training step, a sweep or an evaluation): the nodes of the reduction
 * tree over its shards, who holds them until when, and which results count. Pure; time is passed
 * in.
 *
 * A round is keyed (job, incarnation, step, phase); this module sees only its nodes. The first
 * valid result for an open node wins, whoever sent it and even if its lease ran out; leases only
 * drive re-issue; a re-lease is the same node, whole. */
#ifndef STEPPE_SERVER_CORE_LEASE_H
#define STEPPE_SERVER_CORE_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/reduce.h"

struct round; /* opaque */

struct round *round_create(void);
void round_free(struct round *r);
/* Opens a round over `shards` shards (>= 1); forgets the one before. 0 or -ENOMEM. */
int round_open(struct round *r, uint32_t shards);

/* Leases work to `worker` until now_ms + ttl_ms: first a node whose lease was given back or ran out
 * (lowest first), else the lowest unassigned one, split down to at most `want` shards (>= 1).
 * 0, or -EAGAIN when everything is leased or done. */
int round_take(struct round *r, uint32_t worker, uint32_t want, int64_t now_ms, int64_t ttl_ms,
               struct node *ret);

/* Was exactly this node leased, and is it without a result? */
bool round_wants(const struct round *r, struct node n);
/* The worker is at work: none of its leases ends before now_ms + ttl_ms. */
void round_renew(struct round *r, uint32_t worker, int64_t now_ms, int64_t ttl_ms);

/* Reports the result of a node. 0: it is the first valid one, count it. -EALREADY: the node is
 * done. -EINVAL: no such node was ever leased in this round. */
int round_finish(struct round *r, struct node n);

/* Gives all leases of a worker back; returns how many. */
uint32_t round_release(struct round *r, uint32_t worker);
/* Marks leases that ran out (deadline <= now_ms) as open for re-issue; returns how many this call
 * marked. */
uint32_t round_expire(struct round *r, int64_t now_ms);
/* The earliest deadline of a live lease, or INT64_MAX. */
int64_t round_deadline(const struct round *r);

bool round_done(const struct round *r); /* every shard is finished; false before the first round */
uint32_t round_shards(const struct round *r);
uint32_t round_finished(const struct round *r); /* shards finished */
uint32_t round_reissued(const struct round *r); /* shards leased again since open */

#endif
