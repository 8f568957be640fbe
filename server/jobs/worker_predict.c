/* Predictions in the hands of workers. A prediction and the running jobs take turns: a worker that
 * did a task of a prediction does one of a job next, if there is any, so that jobs keep at least
 * half of every worker. A task is a shard a thread. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "server/jobs/predictions.h"
#include "server/jobs/service.h"
#include "server/jobs/workers_internal.h"

/* Results have the pace of a test: one that is forward only. */
#define PACE PHASE_TEST

static bool has_class(const struct worker *worker, const struct prediction *p)
{
    return !p->source.class[0] || strcmp(p->source.class, worker->class) == 0;
}

static bool fits(const struct worker *worker, const struct prediction *p)
{
    return worker->predicts && has_class(worker, p) &&
           !prediction_excludes(p, worker->number, worker->hand);
}

bool workers_prediction_fits(const struct worker *worker, const struct prediction *p)
{
    return has_class(worker, p);
}

bool workers_has_prediction(const struct worker *worker, const struct prediction *p)
{
    return worker->predicting == p->number;
}

/* Has a worker of this hand lost the node, and not been heard of since? */
static bool lost_by_hand(const struct workers *w, const struct prediction *p, struct node node,
                         uint32_t hand)
{
    for (const struct worker *o = w->list; o; o = o->next)
        if (o->hand == hand && round_lost_by(p->round, o->number, node))
            return true;
    return false;
}

bool workers_may_predict(const struct workers *w, const struct prediction *p,
                         const struct node *lost)
{
    const int64_t now_ms = clock_mono_ms();

    for (const struct worker *o = w->list; o; o = o->next)
        if (fits(o, p) && !o->left && !o->aside_until_ms && worker_alive(o, now_ms) &&
            !(lost && lost_by_hand(w, p, *lost, o->hand)))
            return true;
    return false;
}

static uint32_t wanted(const struct worker *worker, const struct prediction *p)
{
    const struct dims in = p->source.model.in;
    const uint64_t bytes = (uint64_t)in.h * in.w * in.c * p->shard;
    uint64_t most = PREDICT_TASK_BYTES / bytes;

    most = most < worker->threads ? most : worker->threads;
    return most ? (uint32_t)most : 1;
}

static int64_t lease_ms(const struct worker *worker, const struct prediction *p, uint32_t shards)
{
    return pace_lease_ms(&p->pace, PACE, shards, worker->threads, worker->predicted != p->number);
}

/* Before its result the model is moved. */
static int64_t most_ms(const struct prediction *p, int64_t ttl_ms)
{
    return pace_most_ms(ttl_ms, sizeof(float) * (uint64_t)p->source.model.floats);
}

static void send_task(struct worker *worker, const struct prediction *p, struct node node,
                      int64_t now_ms, int64_t ttl_ms)
{
    const struct dims in = p->source.model.in;
    uint32_t first, count = prediction_samples(p, node, &first);
    const uint64_t shape[] = {count, in.h, in.w, in.c};
    const size_t bytes = (size_t)in.h * in.w * in.c;
    struct tensor images =
        tensor_make("images", DTYPE_U8, 4, shape, p->images + (size_t)first * bytes);
    struct request *rq = worker->held;
    cJSON *out = cJSON_CreateObject();

    worker->held = NULL;
    worker->predicting = p->number;
    worker_lease(worker, now_ms, ttl_ms, most_ms(p, ttl_ms), node_size(node));
    cJSON_AddStringToObject(out, "task", task_kind_names[TASK_PREDICT]);
    cJSON_AddNumberToObject(out, "prediction", (double)p->number);
    cJSON_AddNumberToObject(out, "batch", (double)p->batch);
    cJSON_AddNumberToObject(out, "lo", node.lo);
    cJSON_AddNumberToObject(out, "hi", node.hi);
    cJSON_AddNumberToObject(out, "count", count);
    cJSON_AddNumberToObject(out, "lease_ms", (double)ttl_ms);
    if (rq->result)
        cJSON_AddStringToObject(out, "result", rq->result);
    request_reply(rq, out, &images, 1);
}

static bool take(struct worker *worker, struct prediction *p, int64_t now_ms)
{
    uint32_t want = wanted(worker, p);
    int64_t ttl_ms = lease_ms(worker, p, want), since_ms;
    const struct taker by = {
        .worker = worker->number, .hand = worker->hand, .most_ms = most_ms(p, ttl_ms)};
    struct node node;

    if (round_take(p->round, &by, want, now_ms, ttl_ms, &node) == 0) {
        if (node_size(node) > want) { /* issued again, unchanged */
            ttl_ms = lease_ms(worker, p, node_size(node));
            round_renew(p->round, worker->number, now_ms, ttl_ms);
        }
    } else if (round_oldest(p->round, &by, &node, &since_ms) == 0 &&
               now_ms - since_ms >=
                   pace_patience_ms(&p->pace, PACE, node_size(node), worker->threads)) {
        ttl_ms = lease_ms(worker, p, node_size(node));
        round_repeat(p->round, &by, node, now_ms, ttl_ms);
    } else {
        return false;
    }
    send_task(worker, p, node, now_ms, ttl_ms);
    return true;
}

/* That of which it did the last task is the last one that it is offered. */
bool worker_predict(struct workers *w, struct worker *worker, int64_t now_ms)
{
    struct predictions *all = w->service->predictions;
    struct prediction *last = NULL, *p;

    for (size_t i = 0; (p = predictions_at(all, i)) != NULL; i++) {
        if (!prediction_works(p) || !fits(worker, p))
            continue;
        if (p->number == worker->predicted)
            last = p;
        else if (take(worker, p, now_ms))
            return true;
    }
    return last && take(worker, last, now_ms);
}

bool workers_may_repeat_prediction(struct workers *w)
{
    struct prediction *p;

    for (size_t i = 0; (p = predictions_at(w->service->predictions, i)) != NULL; i++)
        if (prediction_works(p))
            return true;
    return false;
}

void workers_predicted(struct worker *worker, struct prediction *p, struct node node)
{
    const double ms = (double)(clock_mono_ms() - worker->lease_start_ms);

    worker->shards += node_size(node);
    if (worker->predicting == p->number && worker->lease_shards == node_size(node))
        pace_note(&p->pace, PACE, node_size(node), worker->threads, ms);
    worker->predicted = p->number;
}

void workers_renew_prediction(struct worker *worker, struct prediction *p)
{
    const int64_t now_ms = clock_mono_ms();
    const int64_t ttl_ms = lease_ms(worker, p, worker->lease_shards ? worker->lease_shards : 1);

    round_renew(p->round, worker->number, now_ms, ttl_ms);
    if (worker->predicting == p->number)
        worker_prolong(worker, now_ms + ttl_ms);
}

bool workers_lacking(struct workers *w, const struct prediction *p, char *out, size_t bytes)
{
    const int64_t now_ms = clock_mono_ms();
    unsigned live = 0, old = 0, of_class = 0, refuse = 0, updated = 0;

    for (const struct worker *worker = w->list; worker; worker = worker->next) {
        if (!worker_alive(worker, now_ms) || worker->aside_until_ms)
            continue;
        if (fits(worker, p))
            return false;
        live++;
        old += !worker->predicts;
        of_class += has_class(worker, p);
        updated += class_is_other_version(worker->class, p->source.class);
        refuse += prediction_excludes(p, worker->number, worker->hand);
    }
    if (!live)
        snprintf(out, bytes, "no worker is connected%s%s", p->said[0] ? "; " : "", p->said);
    else if (refuse)
        snprintf(out, bytes, "none of the %u connected can; %s", live, p->said);
    else if (!of_class && updated)
        snprintf(out, bytes,
                 "%u worker%s connected, 0 in numerics class %s of the job: what computes on such "
                 "machines now rounds differently (an update); predict with --relaxed",
                 live, live == 1 ? " is" : "s are", p->source.class);
    else if (!of_class)
        snprintf(out, bytes,
                 "%u worker%s connected, 0 in numerics class %s of the job; start one with --class "
                 "%s, or predict with --relaxed",
                 live, live == 1 ? " is" : "s are", p->source.class, p->source.class);
    else
        snprintf(out, bytes, "%u worker%s too old to predict", old, old == 1 ? " is" : "s are");
    return true;
}
