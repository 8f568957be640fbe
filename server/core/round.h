/* The work of one round (a training step, a sweep or an evaluation): the nodes of the reduction
 * tree over its shards, who holds them until when, and which results count. Pure; time is passed
 * in.
 *
 * A round is keyed (job, incarnation, step, phase); this module sees only its nodes. The first
 * valid result for an open node wins, even if the lease of its sender has expired (round_holds);
 * a re-lease is the same whole node. A node may be leased to several workers at once: idle workers
 * repeat slow nodes. */
#ifndef STEPPE_SERVER_CORE_ROUND_H
#define STEPPE_SERVER_CORE_ROUND_H

#include <stdbool.h>
#include <stdint.h>

#include "common/reduce.h"

struct round; /* opaque */

/* Workers that may hold one node at the same time. Those of one key cannot keep it from the others:
 * a key that does not hold it may take it beside that many, up to the second number. */
#define LEASE_COPIES_MAX 3
#define LEASE_COPIES_MOST 8

/* Who takes a node: a worker and its key (its hand, core/check.h). */
struct taker {
    uint32_t worker, hand;
    uint32_t group;    /* of workers that reach each other (core/tree.h); 0: of none */
    int64_t others_ms; /* what its hand has had and not brought is left to others for so long; 0:
                        * there are none */
    int64_t most_ms;   /* its lease is not renewed beyond this, counted from its begin */
};

struct round *round_create(void);
void round_free(struct round *r);
/* Opens a round over `shards` shards (>= 1); forgets the previous one. 0 or -ENOMEM. */
int round_open(struct round *r, uint32_t shards);

/* Leases work until now_ms + ttl_ms: first a node whose lease was given back or expired and that is
 * not left to others (lowest first), else the lowest unassigned one, split down to at most `want`
 * shards (>= 1). 0, or -EAGAIN when everything is leased, left to others or done. */
int round_take(struct round *r, const struct taker *by, uint32_t want, int64_t now_ms,
               int64_t ttl_ms, struct node *ret);

/* The node that this idle worker may repeat: among nodes leased to other workers, but to fewer than
 * may hold one, that for which it has the least time to wait. 0 and since when it counts as held:
 * where its hand holds it, since its last lease; else since another hand first got it, or since its
 * own hand did last; others_ms later where its hand has had it. Or -EAGAIN. */
int round_oldest(const struct round *r, const struct taker *by, struct node *ret,
                 int64_t *ret_since_ms);
/* Leases that node, which round_oldest just gave, once more. */
void round_repeat(struct round *r, const struct taker *by, struct node n, int64_t now_ms,
                  int64_t ttl_ms);

/* Was this node leased to the worker, and has the worker not given it back? Also when that lease
 * ran out; once the node has its result, nobody holds it. */
bool round_holds(const struct round *r, uint32_t worker, struct node n);
/* Does it hold any node so? */
bool round_holds_any(const struct round *r, uint32_t worker);
/* Did its lease of this node run out, and was nothing heard from it since? */
bool round_lost_by(const struct round *r, uint32_t worker, struct node n);
/* The worker gave what it has to another one, whose its leases are from now on. */
void round_give(struct round *r, uint32_t worker, uint32_t to);
/* Is exactly this node leased now? */
bool round_leased(const struct round *r, struct node n);
/* Was exactly this node leased, and has it no result yet? */
bool round_wants(const struct round *r, struct node n);
/* The worker is at work: none of its leases ends before now_ms + ttl_ms, but each by most_ms after
 * its begin. */
void round_renew(struct round *r, uint32_t worker, int64_t now_ms, int64_t ttl_ms);

/* Reports the result of a node. 0: it is the first valid one, count it. -EALREADY: the node is
 * done. -EINVAL: no such node was ever leased in this round. */
int round_finish(struct round *r, struct node n);

/* The worker is alive and computes nothing: its leases go back, and no node counts it as lost any
 * more. Returns how many leases it had. */
uint32_t round_release(struct round *r, uint32_t worker, int64_t now_ms);
/* Ends leases that have expired (deadline <= now_ms): their nodes count their workers as lost, and
 * nodes that nobody else holds are open for re-issue. Returns how many leases this call ended. */
uint32_t round_expire(struct round *r, int64_t now_ms);
/* The most workers that one node without a result has lost, and that node; 0: none has lost any. A
 * worker that spoke until its lease could not be renewed any more is not among them. Workers that
 * had it at the same time count as one: a cut line or a lost machine takes all of them. */
uint32_t round_lost(const struct round *r, struct node *ret);

/* What is in the hands of workers. */
struct round_held {
    uint32_t leases;        /* in all */
    uint32_t hand, of_hand; /* the hand that has most of them, and how many; of several the first */
    struct node node;       /* that for which a hand new to it waits longest, and since when */
    int64_t since_ms;
};
/* False: nothing is. Takes the square of their number. */
bool round_held(const struct round *r, struct round_held *ret);
bool round_is_open(const struct round *r); /* is there a node that was given back or expired? */
/* The earliest deadline of a live lease, or INT64_MAX. */
int64_t round_deadline(const struct round *r);

bool round_done(const struct round *r); /* every shard is finished; false before the first round */
uint32_t round_shards(const struct round *r);
uint32_t round_finished(const struct round *r); /* shards finished */
uint32_t round_reissued(const struct round *r); /* shards leased again since open */

#endif
