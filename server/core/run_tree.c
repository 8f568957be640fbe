/* Workers that combine their sums: what the tree says, kept in step with the leases of the round.
 */
#include <assert.h>

#include "server/core/run_internal.h"

void run_combine(struct run *r)
{
    if (!r->tree && !r->checks)
        r->tree = tree_create();
}

bool run_combines(const struct run *r)
{
    return r->tree && !r->finished && phase_vector(r->phase);
}

void run_tree_lease(struct run *r, const struct taker *by, struct node n)
{
    if (run_combines(r))
        tree_lease(r->tree, n, by->worker, by->group);
}

struct tree_answer run_meet(struct run *r, uint32_t worker, struct node own, uint32_t end,
                            bool alone)
{
    assert(run_combines(r));
    for (uint32_t i = 0; i < tree_count(r->tree); i++)
        if (!round_leased(r->round, tree_node(r->tree, i)))
            tree_part(r->tree, tree_node(r->tree, i));
    return tree_ask(r->tree, worker, own, end, alone);
}

bool run_give(struct run *r, uint32_t worker, struct node own, uint32_t to)
{
    if (!run_combines(r) || !round_holds_any(r->round, to) || !tree_give(r->tree, worker, own, to))
        return false;
    round_give(r->round, worker, to);
    return true;
}

uint32_t run_source(const struct run *r, uint32_t worker)
{
    return run_combines(r) ? tree_source(r->tree, worker) : 0;
}

bool run_wants(const struct run *r, uint32_t worker, struct node n)
{
    uint32_t first = 0, count;
    bool all;

    if (round_wants(r->round, n))
        return true;
    all = run_combines(r) && tree_holds(r->tree, worker, n);
    count = all ? tree_below(r->tree, n, &first) : 0;
    for (uint32_t i = first; all && i < first + count; i++)
        all = round_wants(r->round, tree_node(r->tree, i));
    return all;
}

/* Nobody sends the gradient of a node any more that has its result. */
static void finish(struct run *r, struct node n)
{
    if (r->uploads && phase_vector(r->phase))
        uploads_close(r->uploads, n);
    round_finish(r->round, n);
}

void run_finish(struct run *r, struct node n)
{
    uint32_t first = 0, count;

    if (round_wants(r->round, n)) {
        finish(r, n);
        return;
    }
    count = tree_below(r->tree, n, &first);
    for (uint32_t i = first; i < first + count; i++)
        finish(r, tree_node(r->tree, i));
}
