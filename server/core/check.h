/* Cross-checks of the open round: a share of its nodes, drawn by a number that no worker can
 * foresee, is computed a second time by a worker of another key, and the bits are compared. Where
 * two differ a third key decides, and so on until two agree: whoever has said something else has
 * lied. The first valid result of a node counts as always; the round closes when its drawn nodes
 * are agreed upon.
 *
 * Workers of one key are one voice ("hand" below: a number that stands for the key). Pure; time is
 * passed in. */
#ifndef STEPPE_SERVER_CORE_CHECK_H
#define STEPPE_SERVER_CORE_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/hash.h"
#include "common/phase.h"
#include "common/reduce.h"

#define CHECK_SECRET_BYTES 32
/* Keys that may speak about one node. Two that say the same end it, so as many keys would have to
 * lie in different ways, or the job's results differ by themselves. */
#define CHECK_VOTES_MAX 8

struct checks; /* opaque */

struct checks *checks_create(void);
void checks_free(struct checks *c);  /* NULL is fine */
void checks_reset(struct checks *c); /* a new round is open */

/* What is drawn for. */
struct check_key {
    int64_t job;
    uint64_t step;
    enum phase phase;
    uint32_t turn;
    struct node node;
};
/* Is this node drawn, as a share in [0, 1] of all nodes is? BLAKE2b of the secret and the key as a
 * number in [0, 1) is below the share: the same after a restart, and unknown to whoever does not
 * have the secret. */
bool check_drawn(const uint8_t secret[CHECK_SECRET_BYTES], const struct check_key *key,
                 double share);

/* The drawn node is in the hands of this worker, to be computed as any other. */
void checks_lend(struct checks *c, struct node n, uint32_t worker, uint32_t hand, int64_t now_ms,
                 int64_t ttl_ms);
/* A drawn node that needs another voice, which this hand may be: it has not spoken about it and is
 * not computing it. Leases it to the worker. patience_ms: a worker that has had it for longer is
 * not waited for, and its hand for none that it takes until it has spoken again. 0 or -EAGAIN. */
int checks_take(struct checks *c, uint32_t worker, uint32_t hand, int64_t now_ms, int64_t ttl_ms,
                int64_t patience_ms, struct node *ret);
/* Has the worker had the drawn node by one of these, and not given it back since? */
bool checks_holds(const struct checks *c, uint32_t worker, struct node n);
bool checks_holds_any(const struct checks *c, uint32_t worker);
/* Does it hold the drawn node, and would its hand be one more voice about it? */
bool checks_wants(const struct checks *c, uint32_t worker, struct node n);
void checks_renew(struct checks *c, uint32_t worker, int64_t now_ms, int64_t ttl_ms);
uint32_t checks_release(struct checks *c, uint32_t worker); /* how many it had to check */

/* The hand's result of the drawn node has these bits; a second result of one hand does not count.
 * Returns how many hands have lied, which is known once two agree: ret[CHECK_VOTES_MAX]. */
uint32_t checks_vote(struct checks *c, struct node n, uint32_t hand,
                     const uint8_t bits[BLAKE2B_BYTES], uint32_t ret[CHECK_VOTES_MAX]);
/* Is nothing drawn that is not agreed upon? */
bool checks_done(const struct checks *c);
/* A drawn node about which hands[*ret_count] have said different things so far; false: none. */
bool checks_contested(const struct checks *c, struct node *ret, uint32_t hands[CHECK_VOTES_MAX],
                      uint32_t *ret_count);

#endif
