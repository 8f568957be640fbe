/* Nodes are cut off the front of the unassigned shards, so the leased part is the range [0,
 * cursor), and its nodes are sorted in the order of their first lease: binary search finds a node,
 * and nothing is kept for a shard that was never leased. Beside them: the list of live leases (a
 * few a worker, so release, expiry and deadline simply walk it), a bitmap of the nodes that wait
 * for re-issue, whose lowest set bit is the next one, and the list of nodes that workers lost. No
 * call walks the nodes. */
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
    int64_t since_ms;    /* begin of its last lease */
};

struct lease {
    uint32_t index; /* of its entry */
    uint32_t worker;
    int64_t deadline_ms;
};

/* A lease of this worker expired, and nothing was heard from the worker since. */
struct loss {
    uint32_t index, worker;
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
    r->entry_count = r->live_count = r->loss_count = 0;
    r->open_count = r->open_word = 0;
    return 0;
}

static int64_t deadline(int64_t now_ms, int64_t ttl_ms)
{
    return now_ms > INT64_MAX - ttl_ms ? INT64_MAX : now_ms + ttl_ms;
}

static void live_add(struct round *r, uint32_t index, uint32_t worker, int64_t now_ms,
                     int64_t ttl_ms)
{
    struct entry *e = &r->entries[index];

    if (r->live_count == r->live_cap) {
        r->live_cap = r->live_cap ? 2 * r->live_cap : 16;
        r->live = xrealloc(r->live, r->live_cap * sizeof(*r->live));
    }
    e->copies = e->state == LEASED ? e->copies + 1 : 1;
    e->state = LEASED;
    e->since_ms = now_ms;
    e->live_index = r->live_count;
    r->live[r->live_count++] = (struct lease){index, worker, deadline(now_ms, ttl_ms)};
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

    r->live[at] = last;
    if (r->entries[last.index].live_index == r->live_count)
        r->entries[last.index].live_index = at;
    if (--e->copies > 0)
        e->live_index = live_find(r, (uint32_t)(e - r->entries));
}

static void open_add(struct round *r, uint32_t index)
{
    uint32_t word = index / WORD_BITS;

    r->entries[index].state = OPEN;
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

/* The lowest node that waits for re-issue; there is one. */
static uint32_t open_first(struct round *r)
{
    while (r->open[r->open_word] == 0)
        r->open_word++;
    return r->open_word * WORD_BITS + (uint32_t)__builtin_ctzll(r->open[r->open_word]);
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
    r->entries[r->entry_count].node = n;
    return r->entry_count++;
}

int round_take(struct round *r, uint32_t worker, uint32_t want, int64_t now_ms, int64_t ttl_ms,
               struct node *ret)
{
    uint32_t index;

    if (r->open_count > 0) {
        index = open_first(r);
        open_remove(r, index);
        r->reissued += node_size(r->entries[index].node);
    } else if (r->cursor < r->shards) {
        index = cut(r, want);
    } else {
        return -EAGAIN;
    }
    live_add(r, index, worker, now_ms, ttl_ms);
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

void round_renew(struct round *r, uint32_t worker, int64_t now_ms, int64_t ttl_ms)
{
    for (uint32_t i = 0; i < r->live_count; i++) {
        struct lease *l = &r->live[i];

        if (l->worker == worker && l->deadline_ms < deadline(now_ms, ttl_ms))
            l->deadline_ms = deadline(now_ms, ttl_ms);
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

int round_oldest(const struct round *r, uint32_t worker, struct node *ret, int64_t *ret_since_ms)
{
    const struct entry *oldest = NULL;
    bool busy = holds(r, worker, ANY); /* rarely: it has just asked for work */

    for (uint32_t i = 0; i < r->live_count; i++) {
        uint32_t index = r->live[i].index;
        const struct entry *e = &r->entries[index];

        if (e->copies == LEASE_COPIES_MAX || (busy && holds(r, worker, index)))
            continue;
        if (!oldest || e->since_ms < oldest->since_ms ||
            (e->since_ms == oldest->since_ms && e->node.lo < oldest->node.lo))
            oldest = e;
    }
    if (!oldest)
        return -EAGAIN;
    *ret = oldest->node;
    *ret_since_ms = oldest->since_ms;
    return 0;
}

void round_repeat(struct round *r, uint32_t worker, struct node n, int64_t now_ms, int64_t ttl_ms)
{
    int64_t index = find(r, n);

    assert(index >= 0 && r->entries[index].state == LEASED);
    r->reissued += node_size(n);
    live_add(r, (uint32_t)index, worker, now_ms, ttl_ms);
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
static void end_lease(struct round *r, uint32_t at)
{
    uint32_t index = r->live[at].index;

    live_remove(r, at);
    if (r->entries[index].copies == 0)
        open_add(r, index);
}

uint32_t round_release(struct round *r, uint32_t worker)
{
    uint32_t released = 0;

    for (uint32_t i = r->loss_count; i-- > 0;)
        if (r->losses[i].worker == worker)
            r->losses[i] = r->losses[--r->loss_count];
    /* From the end: removal moves the last one, already seen, into the gap. */
    for (uint32_t i = r->live_count; i-- > 0;)
        if (r->live[i].worker == worker) {
            end_lease(r, i);
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
            note_loss(r, (struct loss){r->live[i].index, r->live[i].worker});
            end_lease(r, i);
            expired++;
        }
    return expired;
}

uint32_t round_lost(const struct round *r, struct node *ret)
{
    uint32_t most = 0;

    for (uint32_t i = 0; i < r->loss_count; i++) {
        uint32_t count = 0;
        for (uint32_t k = 0; k < r->loss_count; k++)
            count += r->losses[k].index == r->losses[i].index;
        if (count > most) {
            most = count;
            *ret = r->entries[r->losses[i].index].node;
        }
    }
    return most;
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
