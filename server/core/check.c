#include "server/core/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"

struct vote {
    uint32_t hand;
    uint8_t bits[BLAKE2B_BYTES];
};

/* A drawn node. */
struct check {
    struct node node;
    bool agreed;
    uint32_t vote_count;
    struct vote votes[CHECK_VOTES_MAX];
};

/* A drawn node in the hands of a worker. */
struct loan {
    uint32_t check; /* index */
    uint32_t worker, hand;
    bool second; /* to be checked: the round does not know of it */
    int64_t since_ms, deadline_ms;
};

#define HOARDERS_MAX 16

struct checks {
    struct check *list;
    uint32_t count, cap;
    struct loan *loans; /* one of a worker for a node */
    uint32_t loan_count, loan_cap;
    /* Hands that have kept a node for too long and have not spoken since: nobody waits for them. */
    uint32_t hoarders[HOARDERS_MAX], hoarder_count;
};

struct checks *checks_create(void)
{
    return xcalloc(1, sizeof(struct checks));
}

void checks_free(struct checks *c)
{
    if (!c)
        return;
    free(c->list);
    free(c->loans);
    free(c);
}

void checks_reset(struct checks *c)
{
    c->count = c->loan_count = 0;
}

bool check_drawn(const uint8_t secret[CHECK_SECRET_BYTES], const struct check_key *key,
                 double share)
{
    struct {
        char what[24];
        uint8_t secret[CHECK_SECRET_BYTES];
        uint64_t job, step, phase, turn, lo, hi;
    } in = {.what = "steppe verify 1",
            .job = (uint64_t)key->job,
            .step = key->step,
            .phase = (uint64_t)key->phase,
            .turn = key->turn,
            .lo = key->node.lo,
            .hi = key->node.hi};
    uint8_t digest[BLAKE2B_BYTES];
    uint64_t number = 0;

    memcpy(in.secret, secret, sizeof(in.secret));
    blake2b_of(&in, sizeof(in), digest);
    for (int i = 0; i < 7; i++) /* 53 bits are exact */
        number = number << 8 | digest[i];
    return (double)(number >> 3) / 9007199254740992.0 < share;
}

static int64_t find(const struct checks *c, struct node n)
{
    for (uint32_t i = 0; i < c->count; i++)
        if (c->list[i].node.lo == n.lo && c->list[i].node.hi == n.hi)
            return i;
    return -1;
}

static uint32_t find_or_add(struct checks *c, struct node n)
{
    int64_t index = find(c, n);

    if (index >= 0)
        return (uint32_t)index;
    if (c->count == c->cap) {
        c->cap = c->cap ? 2 * c->cap : 8;
        c->list = xrealloc(c->list, c->cap * sizeof(*c->list));
    }
    c->list[c->count] = (struct check){.node = n};
    return c->count++;
}

static void lend(struct checks *c, const struct loan *loan)
{
    for (uint32_t i = 0; i < c->loan_count; i++)
        if (c->loans[i].worker == loan->worker && c->loans[i].check == loan->check) {
            c->loans[i] = *loan;
            return;
        }
    if (c->loan_count == c->loan_cap) {
        c->loan_cap = c->loan_cap ? 2 * c->loan_cap : 8;
        c->loans = xrealloc(c->loans, c->loan_cap * sizeof(*c->loans));
    }
    c->loans[c->loan_count++] = *loan;
}

void checks_lend(struct checks *c, struct node n, uint32_t worker, uint32_t hand, int64_t now_ms,
                 int64_t ttl_ms)
{
    lend(c, &(struct loan){.check = find_or_add(c, n),
                           .worker = worker,
                           .hand = hand,
                           .since_ms = now_ms,
                           .deadline_ms = now_ms + ttl_ms});
}

static bool has_voted(const struct check *k, uint32_t hand)
{
    for (uint32_t i = 0; i < k->vote_count; i++)
        if (k->votes[i].hand == hand)
            return true;
    return false;
}

static bool may_vote(const struct check *k, uint32_t hand)
{
    return !k->agreed && k->vote_count < CHECK_VOTES_MAX && !has_voted(k, hand);
}

static bool is_overdue(const struct loan *l, int64_t now_ms, int64_t patience_ms)
{
    return now_ms >= l->deadline_ms || now_ms >= l->since_ms + patience_ms;
}

static int find_hoarder(const struct checks *c, uint32_t hand)
{
    for (uint32_t i = 0; i < c->hoarder_count; i++)
        if (c->hoarders[i] == hand)
            return (int)i;
    return -1;
}

/* The oldest one is forgotten where there are too many. */
static void note_hoarders(struct checks *c, int64_t now_ms, int64_t patience_ms)
{
    for (uint32_t i = 0; i < c->loan_count; i++) {
        const struct loan *l = &c->loans[i];

        if (!is_overdue(l, now_ms, patience_ms) || has_voted(&c->list[l->check], l->hand) ||
            find_hoarder(c, l->hand) >= 0)
            continue;
        if (c->hoarder_count == HOARDERS_MAX)
            memmove(c->hoarders, c->hoarders + 1, --c->hoarder_count * sizeof(*c->hoarders));
        c->hoarders[c->hoarder_count++] = l->hand;
    }
}

static void acquit(struct checks *c, uint32_t hand)
{
    const int i = find_hoarder(c, hand);

    if (i >= 0)
        c->hoarders[i] = c->hoarders[--c->hoarder_count];
}

/* Is this hand to be one more voice? */
static bool needs(const struct checks *c, uint32_t index, uint32_t hand, int64_t now_ms,
                  int64_t patience_ms)
{
    const struct check *k = &c->list[index];
    /* Two voices that agree are enough; as long as all differ, each new one may. */
    uint32_t want = k->vote_count < 2 ? 2 : k->vote_count + 1, have = k->vote_count;

    if (!may_vote(k, hand))
        return false;
    for (uint32_t i = 0; i < c->loan_count; i++) {
        const struct loan *l = &c->loans[i];

        /* One that takes long, or is gone, is not waited for. */
        if (l->check != index || is_overdue(l, now_ms, patience_ms))
            continue;
        if (l->hand == hand)
            return false;
        have += !has_voted(k, l->hand) && find_hoarder(c, l->hand) < 0;
    }
    return have < want;
}

int checks_take(struct checks *c, uint32_t worker, uint32_t hand, int64_t now_ms, int64_t ttl_ms,
                int64_t patience_ms, struct node *ret)
{
    note_hoarders(c, now_ms, patience_ms);
    for (uint32_t i = 0; i < c->count; i++) {
        if (!needs(c, i, hand, now_ms, patience_ms))
            continue;
        lend(c, &(struct loan){.check = i,
                               .worker = worker,
                               .hand = hand,
                               .second = true,
                               .since_ms = now_ms,
                               .deadline_ms = now_ms + ttl_ms});
        *ret = c->list[i].node;
        return 0;
    }
    return -EAGAIN;
}

static const struct loan *find_loan(const struct checks *c, uint32_t worker, struct node n)
{
    int64_t index = find(c, n);

    for (uint32_t i = 0; i < c->loan_count; i++)
        if (c->loans[i].worker == worker && c->loans[i].check == index)
            return &c->loans[i];
    return NULL;
}

bool checks_holds(const struct checks *c, uint32_t worker, struct node n)
{
    return find_loan(c, worker, n) != NULL;
}

bool checks_holds_any(const struct checks *c, uint32_t worker)
{
    for (uint32_t i = 0; i < c->loan_count; i++)
        if (c->loans[i].worker == worker)
            return true;
    return false;
}

bool checks_wants(const struct checks *c, uint32_t worker, struct node n)
{
    const struct loan *l = find_loan(c, worker, n);

    return l && may_vote(&c->list[l->check], l->hand);
}

void checks_renew(struct checks *c, uint32_t worker, int64_t now_ms, int64_t ttl_ms)
{
    for (uint32_t i = 0; i < c->loan_count; i++)
        if (c->loans[i].worker == worker && c->loans[i].deadline_ms < now_ms + ttl_ms)
            c->loans[i].deadline_ms = now_ms + ttl_ms;
}

uint32_t checks_release(struct checks *c, uint32_t worker)
{
    uint32_t released = 0;

    for (uint32_t i = c->loan_count; i-- > 0;)
        if (c->loans[i].worker == worker) {
            released += c->loans[i].second;
            c->loans[i] = c->loans[--c->loan_count];
        }
    return released;
}

uint32_t checks_vote(struct checks *c, struct node n, uint32_t hand,
                     const uint8_t bits[BLAKE2B_BYTES], uint32_t ret[CHECK_VOTES_MAX])
{
    int64_t index = find(c, n);
    struct check *k = index < 0 ? NULL : &c->list[index];
    uint32_t lied = 0;

    if (!k || !may_vote(k, hand))
        return 0;
    acquit(c, hand);
    for (uint32_t i = 0; i < k->vote_count; i++)
        k->agreed |= memcmp(k->votes[i].bits, bits, BLAKE2B_BYTES) == 0;
    for (uint32_t i = 0; k->agreed && i < k->vote_count; i++)
        if (memcmp(k->votes[i].bits, bits, BLAKE2B_BYTES) != 0)
            ret[lied++] = k->votes[i].hand;
    k->votes[k->vote_count].hand = hand;
    memcpy(k->votes[k->vote_count++].bits, bits, BLAKE2B_BYTES);
    return lied;
}

bool checks_done(const struct checks *c)
{
    for (uint32_t i = 0; i < c->count; i++)
        if (!c->list[i].agreed)
            return false;
    return true;
}

bool checks_contested(const struct checks *c, struct node *ret, uint32_t hands[CHECK_VOTES_MAX],
                      uint32_t *ret_count)
{
    for (uint32_t i = 0; i < c->count; i++) {
        const struct check *k = &c->list[i];

        if (k->agreed || k->vote_count < 2)
            continue;
        for (uint32_t v = 0; v < k->vote_count; v++)
            hands[v] = k->votes[v].hand;
        *ret = k->node;
        *ret_count = k->vote_count;
        return true;
    }
    return false;
}
