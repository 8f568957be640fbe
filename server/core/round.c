/* Nodes are cut off the front of the unassigned shards, so the leased part is the range [0,
 * cursor), and its nodes are sorted in the order of their first lease: binary search finds a node,
 * and nothing is kept for a shard that was never leased. Beside them: the list of live leases (a
 * few a worker, so release, expiry and deadline simply walk it), a bitmap of the nodes that wait
 * for re-issue, whose lowest set bit is the next one, the list of nodes that workers lost, and for
 * each node the hands that have had it (one, where nothing went wrong). No call walks the nodes. */
#include "server/core/round.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"

#define WORD_BITS 64
#define ANY UINT32_MAX /* no index of an entry */

enum state {
    LEASED, /* in `copies` leases */
    OPEN,   /* given back or expired; its bit in open is set */
    FINISHED
};

struct entry {
    struct node node;
    enum state state;
    uint32_t copies;
    uint32_t live_index; /* of one of its leases */
    uint32_t had;        /* the last hand that was new to it, by its index; ANY: none */
    int64_t since_ms;    /* begin of its last lease */
    int64_t fresh_ms;    /* begin of the last one of a hand that was new to it */
    int64_t open_ms;     /* when it was given back or expired */
};

/* A hand that has had a node, in the list of that node. */
struct had {
    uint32_t hand;
    uint32_t copies; /* leases that it has now */
    int64_t last_ms; /* begin of its last lease */
    uint32_t before; /* index of the one before; ANY: none */
};

struct lease {
    uint32_t index; /* of its entry */
    uint32_t worker;
    uint32_t had; /* what its hand has had of the entry, by index */
    int64_t begun_ms, deadline_ms;
    int64_t last_ms; /* it is not renewed beyond */
};

/* A lease of this worker expired, and it has not given it back since. */
struct loss {
    uint32_t index, worker;
    bool spoke; /* until it could not be renewed any more */
    int64_t begun_ms, ended_ms;
};

struct round {
    uint32_t shards;
    uint32_t cursor; /* first shard that was never leased */
    uint32_t finished, reissued;
    struct entry *entries; /* by node.lo; room for one a shard */
    uint32_t entry_count, entry_cap;
    struct lease *live; /* in no order */
    uint32_t live_count, live_cap;
    struct loss *losses; /* in no order */
    uint32_t loss_count, loss_cap;
    struct had *had;
    uint32_t had_count, had_cap;
    uint64_t *open; /* a bit an entry */
    uint32_t open_count;
    uint32_t open_word; /* no bit is set in earlier words */
};

struct round *round_create(void)
{
    return xcalloc(1, sizeof(struct round));
}

void round_free(struct round *r)
{
    if (!r)
        return;
    free(r->entries);
    free(r->live);
    free(r->losses);
    free(r->had);
    free(r->open);
    free(r);
}

/* Makes room for one node for each shard. A failure leaves the old, smaller room. */
static int reserve(struct round *r, uint32_t shards)
{
    struct entry *entries = alloc_bytes(shards, sizeof(*entries));
    uint64_t *open = alloc_bytes((size_t)shards / WORD_BITS + 1, sizeof(*open));

    if (!entries || !open) {
        free(entries);
        free(open);
        return -ENOMEM;
    }
    free(r->entries);
    free(r->open);
    r->entries = entries;
    r->open = open;
    r->entry_cap = shards;
    return 0;
}

int round_open(struct round *r, uint32_t shards)
{
    assert(shards >= 1);
    if (shards > r->entry_cap) {
        int rc = reserve(r, shards);
        if (rc != 0)
            return rc;
    }
    memset(r->open, 0, ((size_t)shards / WORD_BITS + 1) * sizeof(*r->open));
    r->shards = shards;
    r->cursor = r->finished = r->reissued = 0;
    r->entry_count = r->live_count = r->loss_count = r->had_count = 0;
    r->open_count = r->open_word = 0;
    return 0;
}

static int64_t deadline(int64_t now_ms, int64_t ttl_ms)
{
    return now_ms > INT64_MAX - ttl_ms ? INT64_MAX : now_ms + ttl_ms;
}

/* NULL: the hand has not had it. */
static struct had *find_had(const struct round *r, const struct entry *e, uint32_t hand)
{
    uint32_t i = e->had;

    while (i != ANY && r->had[i].hand != hand)
        i = r->had[i].before;
    return i == ANY ? NULL : &r->had[i];
}

/* The hand gets the node once more; returns the index of what it has had of it. */
static uint32_t note_hand(struct round *r, struct entry *e, uint32_t hand, int64_t now_ms)
{
    struct had *had = find_had(r, e, hand);

    if (!had) {
        if (r->had_count == r->had_cap) {
            r->had_cap = r->had_cap ? 2 * r->had_cap : 16;
            r->had = xrealloc(r->had, r->had_cap * sizeof(*r->had));
        }
        had = &r->had[r->had_count];
        *had = (struct had){.hand = hand, .before = e->had};
        e->had = r->had_count++;
        e->fresh_ms = now_ms;
    }
    had->copies++;
    had->last_ms = now_ms;
    return (uint32_t)(had - r->had);
}

static void live_add(struct round *r, uint32_t index, const struct taker *by, int64_t now_ms,
                     int64_t ttl_ms)
{
    struct entry *e = &r->entries[index];

    if (r->live_count == r->live_cap) {
        r->live_cap = r->live_cap ? 2 * r->live_cap : 16;
        r->live = xrealloc(r->live, r->live_cap * sizeof(*r->live));
    }
    uint32_t had = note_hand(r, e, by->hand, now_ms);
    e->copies = e->state == LEASED ? e->copies + 1 : 1;
    e->state = LEASED;
    e->since_ms = now_ms;
    e->live_index = r->live_count;
    r->live[r->live_count++] = (struct lease){.index = index,
                                              .worker = by->worker,
                                              .had = had,
                                              .begun_ms = now_ms,
                                              .deadline_ms = deadline(now_ms, ttl_ms),
                                              .last_ms = deadline(now_ms, by->most_ms)};
}

/* A lease of this entry, which must have one. */
static uint32_t live_find(const struct round *r, uint32_t index)
{
    uint32_t i = 0;

    while (r->live[i].index != index)
        i++;
    return i;
}

static void live_remove(struct round *r, uint32_t at)
{
    struct entry *e = &r->entries[r->live[at].index];
    const struct lease last = r->live[--r->live_count];

    r->had[r->live[at].had].copies--;
    r->live[at] = last;
    if (r->entries[last.index].live_index == r->live_count)
        r->entries[last.index].live_index = at;
    if (--e->copies > 0)
        e->live_index = live_find(r, (uint32_t)(e - r->entries));
}

static void open_add(struct round *r, uint32_t index, int64_t now_ms)
{
    uint32_t word = index / WORD_BITS;

    r->entries[index].state = OPEN;
    r->entries[index].open_ms = now_ms;
    r->open[word] |= 1ull << index % WORD_BITS;
    r->open_count++;
    if (word < r->open_word)
        r->open_word = word;
}

static void open_remove(struct round *r, uint32_t index)
{
    r->open[index / WORD_BITS] &= ~(1ull << index % WORD_BITS);
    r->open_count--;
}

/* Has this hand had the node, and are others to have it first? */
static bool is_for_others(const struct round *r, const struct entry *e, const struct taker *by,
                          int64_t now_ms)
{
    return by->others_ms > 0 && now_ms - e->open_ms < by->others_ms && find_had(r, e, by->hand);
}

/* The lowest node that waits for re-issue and may go to this taker, or ANY. */
static uint32_t open_first(struct round *r, const struct taker *by, int64_t now_ms)
{
    if (r->open_count == 0)
        return ANY;
    while (r->open[r->open_word] == 0)
        r->open_word++;
    for (uint32_t word = r->open_word; word * WORD_BITS < r->entry_count; word++)
        for (uint64_t bits = r->open[word]; bits; bits &= bits - 1) {
            uint32_t index = word * WORD_BITS + (uint32_t)__builtin_ctzll(bits);
            if (!is_for_others(r, &r->entries[index], by, now_ms))
                return index;
        }
    return ANY;
}

/* Cuts the next node off the unassigned shards: the largest vertex that starts at the cursor, or
 * its leftmost descendant of at most `want` shards. */
static uint32_t cut(struct round *r, uint32_t want)
{
    struct node n = {0, r->shards};

    while (n.lo < r->cursor || node_size(n) > want) {
        if (node_size(n) == 1)
            break;
        uint32_t mid = node_split(n);
        if (r->cursor < mid)
            n.hi = mid;
        else
            n.lo = mid;
    }
    r->cursor = n.hi;
    r->entries[r->entry_count] = (struct entry){.node = n, .had = ANY};
    return r->entry_count++;
}

int round_take(struct round *r, const struct taker *by, uint32_t want, int64_t now_ms,
               int64_t ttl_ms, struct node *ret)
{
    uint32_t index = open_first(r, by, now_ms);

    if (index != ANY) {
        open_remove(r, index);
        r->reissued += node_size(r->entries[index].node);
    } else if (r->cursor < r->shards) {
        index = cut(r, want);
    } else {
        return -EAGAIN;
    }
    live_add(r, index, by, now_ms, ttl_ms);
    *ret = r->entries[index].node;
    return 0;
}

/* Index of the entry of exactly this node, or -1. */
static int64_t find(const struct round *r, struct node n)
{
    uint32_t lo = 0, hi = r->entry_count;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (r->entries[mid].node.lo < n.lo)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == r->entry_count || r->entries[lo].node.lo != n.lo || r->entries[lo].node.hi != n.hi)
        return -1;
    return lo;
}

bool round_wants(const struct round *r, struct node n)
{
    int64_t index = find(r, n);

    return index >= 0 && r->entries[index].state != FINISHED;
}

bool round_leased(const struct round *r, struct node n)
{
    int64_t index = find(r, n);

    return index >= 0 && r->entries[index].state == LEASED;
}

void round_give(struct round *r, uint32_t worker, uint32_t to)
{
    for (uint32_t i = 0; i < r->live_count; i++)
        if (r->live[i].worker == worker)
            r->live[i].worker = to;
}

void round_renew(struct round *r, uint32_t worker, int64_t now_ms, int64_t ttl_ms)
{
    for (uint32_t i = 0; i < r->live_count; i++) {
        struct lease *l = &r->live[i];
        int64_t until_ms = deadline(now_ms, ttl_ms);

        until_ms = until_ms < l->last_ms ? until_ms : l->last_ms;
        if (l->worker == worker && l->deadline_ms < until_ms)
            l->deadline_ms = until_ms;
    }
}

/* Does the worker hold this node, or any node for index ANY? */
static bool holds(const struct round *r, uint32_t worker, uint32_t index)
{
    for (uint32_t i = 0; i < r->live_count; i++)
        if (r->live[i].worker == worker && (index == ANY || r->live[i].index == index))
            return true;
    return false;
}

/* The same of a lease that ran out. */
static bool lost(const struct round *r, uint32_t worker, uint32_t index)
{
    for (uint32_t i = 0; i < r->loss_count; i++)
        if (r->losses[i].worker == worker && (index == ANY || r->losses[i].index == index))
            return true;
    return false;
}

bool round_holds(const struct round *r, uint32_t worker, struct node n)
{
    int64_t index = find(r, n);

    return index >= 0 && (holds(r, worker, (uint32_t)index) || lost(r, worker, (uint32_t)index));
}

bool round_holds_any(const struct round *r, uint32_t worker)
{
    return holds(r, worker, ANY) || lost(r, worker, ANY);
}

bool round_lost_by(const struct round *r, uint32_t worker, struct node n)
{
    int64_t index = find(r, n);

    return index >= 0 && lost(r, worker, (uint32_t)index);
}

/* Since when this taker has to wait for the node, which is leased to others; false: it may not have
 * it as well. */
static bool may_repeat(const struct round *r, const struct entry *e, const struct taker *by,
                       int64_t *ret_since_ms)
{
    const struct had *had = find_had(r, e, by->hand);
    const bool holds_it = had && had->copies > 0;
    int64_t since_ms = e->fresh_ms;

    /* What the others did with it since does not make a hand wait longer that has it no more. */
    if (holds_it)
        since_ms = e->since_ms;
    else if (had && had->last_ms > since_ms)
        since_ms = had->last_ms;
    *ret_since_ms = had ? deadline(since_ms, by->others_ms) : since_ms;
    return e->copies < (holds_it ? LEASE_COPIES_MAX : LEASE_COPIES_MOST);
}

int round_oldest(const struct round *r, const struct taker *by, struct node *ret,
                 int64_t *ret_since_ms)
{
    const struct entry *oldest = NULL;
    bool busy = holds(r, by->worker, ANY); /* rarely: it has just asked for work */
    int64_t since_ms, oldest_ms = INT64_MAX;

    for (uint32_t i = 0; i < r->live_count; i++) {
        uint32_t index = r->live[i].index;
        const struct entry *e = &r->entries[index];

        if ((busy && holds(r, by->worker, index)) || !may_repeat(r, e, by, &since_ms))
            continue;
        if (!oldest || since_ms < oldest_ms ||
            (since_ms == oldest_ms && e->node.lo < oldest->node.lo)) {
            oldest = e;
            oldest_ms = since_ms;
        }
    }
    if (!oldest)
        return -EAGAIN;
    *ret = oldest->node;
    *ret_since_ms = oldest_ms;
    return 0;
}

void round_repeat(struct round *r, const struct taker *by, struct node n, int64_t now_ms,
                  int64_t ttl_ms)
{
    int64_t index = find(r, n);

    assert(index >= 0 && r->entries[index].state == LEASED);
    r->reissued += node_size(n);
    live_add(r, (uint32_t)index, by, now_ms, ttl_ms);
}

/* Forgets the losses of this entry. */
static void find_again(struct round *r, uint32_t index)
{
    for (uint32_t i = r->loss_count; i-- > 0;)
        if (r->losses[i].index == index)
            r->losses[i] = r->losses[--r->loss_count];
}

int round_finish(struct round *r, struct node n)
{
    int64_t index = find(r, n);
    struct entry *e;

    if (index < 0)
        return -EINVAL;
    e = &r->entries[index];
    if (e->state == FINISHED)
        return -EALREADY;
    if (e->state == OPEN)
        open_remove(r, (uint32_t)index);
    else
        for (uint32_t left = e->copies; left > 0; left--)
            live_remove(r, e->live_index);
    e->state = FINISHED;
    find_again(r, (uint32_t)index);
    r->finished += node_size(n);
    return 0;
}

/* Ends a lease; its node waits for re-issue when it was the only one. */
static void end_lease(struct round *r, uint32_t at, int64_t now_ms)
{
    uint32_t index = r->live[at].index;

    live_remove(r, at);
    if (r->entries[index].copies == 0)
        open_add(r, index, now_ms);
}

uint32_t round_release(struct round *r, uint32_t worker, int64_t now_ms)
{
    uint32_t released = 0;

    for (uint32_t i = r->loss_count; i-- > 0;)
        if (r->losses[i].worker == worker)
            r->losses[i] = r->losses[--r->loss_count];
    /* From the end: removal moves the last one, already seen, into the gap. */
    for (uint32_t i = r->live_count; i-- > 0;)
        if (r->live[i].worker == worker) {
            end_lease(r, i, now_ms);
            released++;
        }
    return released;
}

static void note_loss(struct round *r, struct loss loss)
{
    for (uint32_t i = 0; i < r->loss_count; i++)
        if (r->losses[i].index == loss.index && r->losses[i].worker == loss.worker)
            return;
    if (r->loss_count == r->loss_cap) {
        r->loss_cap = r->loss_cap ? 2 * r->loss_cap : 16;
        r->losses = xrealloc(r->losses, r->loss_cap * sizeof(*r->losses));
    }
    r->losses[r->loss_count++] = loss;
}

uint32_t round_expire(struct round *r, int64_t now_ms)
{
    uint32_t expired = 0;

    for (uint32_t i = r->live_count; i-- > 0;)
        if (r->live[i].deadline_ms <= now_ms) {
            const struct lease *l = &r->live[i];

            note_loss(r, (struct loss){.index = l->index,
                                       .worker = l->worker,
                                       .spoke = l->deadline_ms == l->last_ms,
                                       .begun_ms = l->begun_ms,
                                       .ended_ms = now_ms});
            end_lease(r, i, now_ms);
            expired++;
        }
    return expired;
}

/* How many workers this entry has lost; 1 where nobody got it after another one was lost with it.
 */
static uint32_t count_lost(const struct round *r, uint32_t index)
{
    int64_t last_begun_ms = INT64_MIN, first_ended_ms = INT64_MAX;
    uint32_t count = 0;

    for (uint32_t i = 0; i < r->loss_count; i++) {
        const struct loss *l = &r->losses[i];
        if (l->index != index || l->spoke)
            continue;
        count++;
        last_begun_ms = l->begun_ms > last_begun_ms ? l->begun_ms : last_begun_ms;
        first_ended_ms = l->ended_ms < first_ended_ms ? l->ended_ms : first_ended_ms;
    }
    return count > 0 && last_begun_ms < first_ended_ms ? 1 : count;
}

uint32_t round_lost(const struct round *r, struct node *ret)
{
    uint32_t most = 0;

    for (uint32_t i = 0; i < r->loss_count; i++) {
        uint32_t count = count_lost(r, r->losses[i].index);
        if (count > most) {
            most = count;
            *ret = r->entries[r->losses[i].index].node;
        }
    }
    return most;
}

bool round_held(const struct round *r, struct round_held *ret)
{
    *ret = (struct round_held){.leases = r->live_count, .since_ms = INT64_MAX};
    for (uint32_t i = 0; i < r->live_count; i++) {
        const struct entry *e = &r->entries[r->live[i].index];
        uint32_t hand = r->had[r->live[i].had].hand, count = 0;

        for (uint32_t k = 0; k < r->live_count; k++)
            count += r->had[r->live[k].had].hand == hand;
        if (count > ret->of_hand) {
            ret->of_hand = count;
            ret->hand = hand;
        }
        if (e->fresh_ms < ret->since_ms) {
            ret->since_ms = e->fresh_ms;
            ret->node = e->node;
        }
    }
    return ret->leases > 0;
}

bool round_is_open(const struct round *r)
{
    return r->open_count > 0;
}

int64_t round_deadline(const struct round *r)
{
    int64_t first_ms = INT64_MAX;

    for (uint32_t i = 0; i < r->live_count; i++)
        if (r->live[i].deadline_ms < first_ms)
            first_ms = r->live[i].deadline_ms;
    return first_ms;
}

bool round_done(const struct round *r)
{
    return r->shards > 0 && r->finished == r->shards;
}

uint32_t round_shards(const struct round *r)
{
    return r->shards;
}

uint32_t round_finished(const struct round *r)
{
    return r->finished;
}

uint32_t round_reissued(const struct round *r)
{
    return r->reissued;
}
