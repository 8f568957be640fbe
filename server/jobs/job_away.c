/* What of a job takes time in proportion to its samples or its parameters: making its run, closing
 * an epoch, ranks and the order of the next one, copies for checkpoints, giving memory back. It
 * happens on a lane, while the loop serves everybody else. A job has one lane for all of it, so
 * that nothing of a run is touched by two threads and a run is freed behind its last use; small
 * jobs do not wait for large ones.
 *
 * A run that is on the lane is away: the job has none meanwhile, as one that is being started. A
 * cancel drops it, and it is freed when it comes back; what needs its state waits. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "server/jobs/jobs_internal.h"
#include "server/jobs/service.h"

/* Larger jobs take tens of milliseconds at a time. */
#define BRIEF_SAMPLES (1u << 18)
#define BRIEF_FLOATS ((size_t)1 << 24)
#define AWAY_SAID_MS 1000 /* people are told of what takes longer */

struct errand {
    struct op op;
    int64_t job;
    bool waits;   /* does nothing there */
    unsigned how; /* on the store's lane */
};

static bool is_large(const struct job *job)
{
    return job->data && (job->data->samples > BRIEF_SAMPLES || job->model.floats > BRIEF_FLOATS);
}

static void errand_work(struct op *op)
{
    struct errand *e = op->arg;

    e->op.work(&e->op);
}

static void errand_done(struct op *op)
{
    struct errand *e = op->arg;
    struct job *job;

    if (!e->waits && jobs_find(op->service->jobs, e->job, &job, NULL) == 0)
        job->errands--;
    e->op.done(&e->op);
    free(e);
}

/* NULL: the lanes have ended, and so has the loop. */
static struct lane *lane_of(const struct jobs *jobs, const struct job *job)
{
    const struct net *net = jobs->service->net;

    return is_large(job) ? net->long_lane : net->brief_lane;
}

static void run_errand(struct jobs *jobs, struct job *job, bool waits, struct op op)
{
    struct errand *e = xcalloc(1, sizeof(*e));
    struct lane *lane = lane_of(jobs, job);
    struct op outer = {.service = op.service, .arg = e, .work = errand_work, .done = errand_done};

    e->op = op;
    e->job = job->rec.job;
    e->waits = waits;
    job->errands += !waits;
    if (lane) {
        op_run(lane, outer);
        return;
    }
    errand_work(&outer);
    errand_done(&outer);
}

void job_lane_run(struct jobs *jobs, struct job *job, struct op op)
{
    run_errand(jobs, job, false, op);
}

static void free_work(struct op *op)
{
    free(op->arg);
}

static void nothing(struct op *op)
{
    (void)op;
}

void job_lane_free(struct jobs *jobs, struct job *job, void *memory)
{
    job_lane_run(
        jobs, job,
        (struct op){.service = jobs->service, .arg = memory, .work = free_work, .done = nothing});
}

/* --- the store's lane --- */

static enum lane_turn turn_behind(const struct store_items *items, enum lane_turn own)
{
    return items->count > 0 && items->turn > own ? items->turn : own;
}

enum lane_turn job_store_turn(const struct job *job)
{
    return turn_behind(&job->store_items, LANE_SOON);
}

static void count_item(struct store_items *items, enum lane_turn turn)
{
    items->turn = turn_behind(items, turn);
    items->count++;
}

static void stored(struct op *op)
{
    struct errand *e = op->arg;
    struct job *job;

    if (jobs_find(op->service->jobs, e->job, &job, NULL) == 0) {
        job->store_items.count--;
        job->store_rows.count -= (e->how & STORE_ROW) != 0;
    }
    e->op.done(&e->op);
    free(e);
}

void job_store_run(struct jobs *jobs, struct job *job, unsigned how, struct op op)
{
    struct errand *e = xcalloc(1, sizeof(*e));
    enum lane_turn own = !(how & STORE_LONG) ? LANE_SOON : is_large(job) ? LANE_LAST : LANE_LATER;

    e->op = op;
    e->job = job->rec.job;
    e->how = how;
    own = turn_behind(how & STORE_PASS ? &job->store_rows : &job->store_items, own);
    count_item(&job->store_items, own);
    if (how & STORE_ROW)
        count_item(&job->store_rows, own);
    op_run(jobs->service->net->store_lane,
           (struct op){
               .service = op.service, .turn = own, .arg = e, .work = errand_work, .done = stored});
}

/* --- the run --- */

static void trip_work(struct op *op)
{
    struct trip *t = op->arg;

    if (t->goes_on)
        t->rc = run_go_on(t->run, t->now_ms, &t->event, &t->epoch);
    if (t->rc == 0 && (t->saves || t->event == RUN_EPOCH))
        t->checkpoint = checkpoint_take(t->run, t->now_ms);
}

static void waste_work(struct op *op)
{
    struct trip *t = op->arg;

    if (t->rc == 0 && t->event == RUN_EPOCH)
        run_epoch_done(&t->epoch);
    checkpoint_free(t->checkpoint);
    run_free(t->run);
}

static void waste_done(struct op *op)
{
    free(op->arg);
}

static void waste(struct jobs *jobs, struct job *job, struct trip *t)
{
    job_lane_run(
        jobs, job,
        (struct op){.service = jobs->service, .arg = t, .work = waste_work, .done = waste_done});
}

static void trip_done(struct op *op)
{
    struct trip *t = op->arg;
    struct jobs *jobs = op->service->jobs;
    struct job *job;

    /* A job is not removed before its errands are over. */
    if (jobs_find(jobs, t->job, &job, NULL) < 0)
        return;
    if (job->away.run != t->run) {
        t->back(jobs, NULL, t);
        waste(jobs, job, t);
        return;
    }
    job->away.run = NULL;
    job->run = t->run;
    t->back(jobs, job, t);
    free(t);
}

void job_send(struct jobs *jobs, struct job *job, const struct trip *t)
{
    struct trip *copy = xmalloc(sizeof(*copy));

    *copy = *t;
    copy->run = job->run;
    copy->job = job->rec.job;
    copy->now_ms = clock_mono_ms();
    copy->event = RUN_WAIT;
    job->away = (struct away){.run = job->run,
                              .progress = run_progress(job->run),
                              .phase = run_phase(job->run),
                              .reissued = run_reissued(job->run),
                              .since_ms = copy->now_ms};
    job->run = NULL;
    job_lane_run(
        jobs, job,
        (struct op){.service = jobs->service, .arg = copy, .work = trip_work, .done = trip_done});
}

void job_discard_run(struct jobs *jobs, struct job *job, struct run *run)
{
    struct trip *t = xcalloc(1, sizeof(*t));

    t->run = run;
    waste(jobs, job, t);
}

bool job_away_waiting(const struct job *job, int64_t now_ms, char *out, size_t bytes)
{
    if (now_ms - job->away.since_ms < AWAY_SAID_MS)
        return false;
    snprintf(out, bytes, "its samples are ranked, ordered or copied for a checkpoint");
    return true;
}

bool job_is_under_way(const struct job *job)
{
    return job->run || job->away.run || job->starting;
}

/* --- what waits for it --- */

struct wait {
    void (*handle)(struct request *rq);
};

static void wait_done(struct op *op)
{
    struct wait *wait = op->arg;

    wait->handle(op->rq);
    free(wait);
}

bool job_waits(struct jobs *jobs, struct job *job, struct request *rq,
               void (*handle)(struct request *rq))
{
    struct wait *wait;

    if (job->errands == 0)
        return false;
    wait = xmalloc(sizeof(*wait));
    *wait = (struct wait){handle};
    run_errand(
        jobs, job, true,
        (struct op){
            .rq = rq, .service = jobs->service, .arg = wait, .work = nothing, .done = wait_done});
    return true;
}
