#include "server/core/tree.h"

#include <assert.h>
#include <stdlib.h>

#include "common/alloc.h"

#define NONE UINT32_MAX

struct member {
    struct node node;
    uint32_t worker; /* who leased it first */
    uint32_t group;  /* of workers that reach each other; 0: of none */
    uint32_t holder; /* who has its sum, or is computing it */
    uint32_t told;   /* to whom that worker is to give it; 0: to nobody */
    bool parted;
};

struct tree {
    uint32_t shards;
    struct member *members; /* by node.lo: nodes are cut off from left to right */
    uint32_t count, cap;
};

struct tree *tree_create(void)
{
    return xcalloc(1, sizeof(struct tree));
}

void tree_free(struct tree *t)
{
    if (!t)
        return;
    free(t->members);
    free(t);
}

void tree_open(struct tree *t, uint32_t shards)
{
    t->shards = shards;
    t->count = 0;
}

uint32_t tree_count(const struct tree *t)
{
    return t->count;
}

struct node tree_node(const struct tree *t, uint32_t index)
{
    return t->members[index].node;
}

/* Index of the node that begins there, or NONE. */
static uint32_t find(const struct tree *t, uint32_t shard)
{
    uint32_t lo = 0, hi = t->count;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (t->members[mid].node.lo < shard)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < t->count && t->members[lo].node.lo == shard ? lo : NONE;
}

static struct member *find_node(const struct tree *t, struct node n)
{
    uint32_t at = find(t, n.lo);

    return at != NONE && t->members[at].node.hi == n.hi ? &t->members[at] : NULL;
}

void tree_lease(struct tree *t, struct node n, uint32_t worker, uint32_t group)
{
    struct member *m = find_node(t, n);

    if (m) {
        m->parted = true;
        return;
    }
    assert(t->count == 0 || t->members[t->count - 1].node.hi == n.lo);
    if (t->count == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 16;
        t->members = xrealloc(t->members, t->cap * sizeof(*t->members));
    }
    t->members[t->count++] =
        (struct member){.node = n, .worker = worker, .group = group, .holder = worker};
}

void tree_part(struct tree *t, struct node n)
{
    struct member *m = find_node(t, n);

    if (m)
        m->parted = true;
}

uint32_t tree_below(const struct tree *t, struct node vertex, uint32_t *ret_first)
{
    uint32_t first = find(t, vertex.lo), i = first, at = vertex.lo;

    *ret_first = first;
    while (i < t->count && at < vertex.hi) {
        at = t->members[i].node.hi;
        i++;
    }
    return first != NONE && at == vertex.hi ? i - first : 0;
}

/* Can the sum of this vertex be made by workers of this group? */
static bool combines(const struct tree *t, struct node vertex, uint32_t group)
{
    uint32_t first, count = tree_below(t, vertex, &first);
    bool all = count > 0 && group > 0;

    for (uint32_t i = first; all && i < first + count; i++) {
        const struct member *m = &t->members[i];
        all = m->group == group && !m->parted;
    }
    return all;
}

static void part_below(struct tree *t, struct node vertex)
{
    uint32_t first, count = tree_below(t, vertex, &first);

    for (uint32_t i = first; count > 0 && i < first + count; i++)
        t->members[i].parted = true;
}

/* Nodes of this group. */
static uint32_t crew(const struct tree *t, uint32_t group)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < t->count; i++)
        count += t->members[i].group == group;
    return count;
}

/* It has the sums of all nodes below the vertex, as it says. False: it cannot have them. */
static bool take_over(struct tree *t, const struct member *of, struct node vertex)
{
    uint32_t first = 0, count = node_valid(vertex, t->shards) ? tree_below(t, vertex, &first) : 0;

    for (uint32_t i = first; count > 0 && i < first + count; i++)
        if (t->members[i].group != of->group || (of->group == 0 && count > 1))
            return false;
    for (uint32_t i = first; count > 0 && i < first + count; i++)
        t->members[i].holder = of->worker;
    return count > 0;
}

/* What meets the vertex where it goes up. */
static struct tree_answer meet(struct tree *t, struct member *m, struct node vertex)
{
    const struct node up = node_parent(vertex, t->shards);
    const uint32_t mid = node_split(up);
    const bool left = vertex.lo == up.lo;
    const struct node sibling = left ? (struct node){mid, up.hi} : (struct node){up.lo, mid};
    const struct member *other =
        combines(t, sibling, m->group) ? &t->members[find(t, sibling.lo)] : NULL;

    if (!other || other->worker == m->worker || (!left && other->holder != other->worker)) {
        part_below(t, vertex);
        return (struct tree_answer){TREE_SEND, vertex, 0};
    }
    m->told = left ? 0 : other->worker;
    return (struct tree_answer){left ? TREE_TAKE : TREE_GIVE, left ? sibling : vertex,
                                other->worker};
}

struct tree_answer tree_ask(struct tree *t, uint32_t worker, struct node own, uint32_t end,
                            bool alone)
{
    struct member *m = find_node(t, own);
    const struct node vertex = {own.lo, end};

    /* A node that was leased again goes the plain way: the others', and one that its worker gave
     * away and has back, because whoever had it has lost it. */
    if (!m || m->worker != worker || (m->parted && m->holder != worker))
        return (struct tree_answer){end == own.hi ? TREE_SEND : TREE_DROP, vertex, 0};
    if (m->holder != worker || end < own.hi || !take_over(t, m, vertex))
        return (struct tree_answer){TREE_DROP, vertex, 0};
    if (alone || (vertex.lo == 0 && vertex.hi == t->shards) || !combines(t, vertex, m->group) ||
        crew(t, m->group) < TREE_WORKERS_MIN) {
        part_below(t, vertex);
        return (struct tree_answer){TREE_SEND, vertex, 0};
    }
    return meet(t, m, vertex);
}

bool tree_give(struct tree *t, uint32_t worker, struct node own, uint32_t to)
{
    struct member *m = find_node(t, own);

    if (!m || m->worker != worker || to == 0 || m->told != to)
        return false;
    m->told = 0; /* the word may come twice: by then the worker may have another lease */
    for (struct member *o = m; o < t->members + t->count && o->holder == worker; o++)
        o->holder = to;
    return true;
}

bool tree_holds(const struct tree *t, uint32_t worker, struct node vertex)
{
    uint32_t first, count = tree_below(t, vertex, &first);
    bool all = count > 1 && t->members[first].worker == worker;

    for (uint32_t i = first; all && i < first + count; i++)
        all = t->members[i].holder == worker;
    return all;
}

uint32_t tree_source(const struct tree *t, uint32_t worker)
{
    uint32_t at = 0, place = 0, source = 0;

    while (at < t->count && t->members[at].worker != worker)
        at++;
    if (at == t->count || t->members[at].group == 0)
        return 0;
    for (uint32_t i = 0; i < at; i++)
        place += t->members[i].group == t->members[at].group;
    for (uint32_t i = 0, k = 0; place > 0 && i < at; i++)
        if (t->members[i].group == t->members[at].group && k++ == (place - 1) / 2)
            source = t->members[i].worker;
    return source == worker ? 0 : source;
}
