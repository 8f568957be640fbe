/* Who computes which node of the open round, until when. */
#include <errno.h>

#include "server/core/run_internal.h"

static struct run_task task_of(const struct run *r, struct node node)
{
    struct run_task t = {
        .phase = r->phase, .step = r->cursor.step, .turn = run_turn(r), .node = node};

    t.first = node.lo * (uint32_t)r->spec->shard;
    t.count = run_node_samples(r, r->phase, r->cursor.step, node);
    if (r->phase != PHASE_TEST) /* which alone names samples by their place */
        t.ids = r->ids + t.first;
    if (t.ids && r->relabelled)
        t.labels = r->revised;
    if (phase_trains(r->phase))
        t.weights = r->weights + t.first;
    return t;
}

int run_take(struct run *r, const struct taker *by, uint32_t want, int64_t now_ms, int64_t ttl_ms,
             struct run_task *ret)
{
    struct node node;

    if (r->finished)
        return -EAGAIN;
    int rc = round_take(r->round, by, want, now_ms, ttl_ms, &node);
    if (rc < 0)
        return rc;
    run_lend(r, by->worker, node, now_ms, ttl_ms);
    run_tree_lease(r, by, node);
    *ret = task_of(r, node);
    return 0;
}

int run_check(struct run *r, uint32_t worker, int64_t now_ms, int64_t ttl_ms, int64_t patience_ms,
              struct run_task *ret)
{
    struct node node;

    if (r->finished || !r->checks)
        return -EAGAIN;
    int rc = checks_take(r->checks, worker, r->verifying.hand_of(r->verifying.arg, worker), now_ms,
                         ttl_ms, patience_ms, &node);
    if (rc == 0)
        *ret = task_of(r, node);
    return rc;
}

int run_oldest(const struct run *r, const struct taker *by, struct node *ret, int64_t *ret_since_ms)
{
    return r->finished ? -EAGAIN : round_oldest(r->round, by, ret, ret_since_ms);
}

void run_repeat(struct run *r, const struct taker *by, struct node node, int64_t now_ms,
                int64_t ttl_ms, struct run_task *ret)
{
    round_repeat(r->round, by, node, now_ms, ttl_ms);
    run_lend(r, by->worker, node, now_ms, ttl_ms);
    run_tree_lease(r, by, node);
    *ret = task_of(r, node);
}

uint32_t run_lost(const struct run *r, struct node *ret)
{
    return round_lost(r->round, ret);
}

bool run_lost_by(const struct run *r, uint32_t worker, struct node node)
{
    return round_lost_by(r->round, worker, node);
}

bool run_held(const struct run *r, struct round_held *ret)
{
    return !r->finished && round_held(r->round, ret);
}

bool run_is_open(const struct run *r)
{
    return !r->finished && round_is_open(r->round);
}

bool run_holds(const struct run *r, uint32_t worker, struct node node)
{
    return !r->finished &&
           (round_holds(r->round, worker, node) || (r->tree && tree_holds(r->tree, worker, node)) ||
            (r->checks && checks_holds(r->checks, worker, node)));
}

bool run_holds_any(const struct run *r, uint32_t worker)
{
    return !r->finished && (round_holds_any(r->round, worker) ||
                            (r->checks && checks_holds_any(r->checks, worker)));
}

uint32_t run_release(struct run *r, uint32_t worker, int64_t now_ms)
{
    if (r->uploads)
        uploads_abandon(r->uploads, worker);
    return round_release(r->round, worker, now_ms) +
           (r->checks ? checks_release(r->checks, worker) : 0);
}

void run_renew(struct run *r, uint32_t worker, int64_t now_ms, int64_t ttl_ms)
{
    round_renew(r->round, worker, now_ms, ttl_ms);
    if (r->checks)
        checks_renew(r->checks, worker, now_ms, ttl_ms);
}

uint32_t run_expire(struct run *r, int64_t now_ms)
{
    if (r->uploads)
        uploads_expire(r->uploads, now_ms);
    return round_expire(r->round, now_ms);
}

int64_t run_deadline(const struct run *r)
{
    return round_deadline(r->round);
}
