/* Decides whether a fault is the worker's or its job's. A worker that sends impossible results is
 * set aside for a while; but if others do the same in the same step, the job is to blame. */
#include <inttypes.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/log.h"
#include "server/jobs/service.h"
#include "server/jobs/workers_internal.h"

#define FAULTS_MAX 3     /* faults that set a worker aside; within one round, that end its job */
#define GOOD_RESULTS 100 /* counted results that make up for all its faults */
#define ASIDE_MS 30000
#define ASIDE_MAX_MS 600000

static bool is_listed(const struct job_faults *f, uint32_t number)
{
    for (uint32_t i = 0; i < f->distinct; i++)
        if (f->workers[i] == number)
            return true;
    return false;
}

static void note_fault(struct job_faults *f, uint64_t step, enum phase phase, uint32_t number)
{
    if (f->step != step || f->phase != phase)
        *f = (struct job_faults){.step = step, .phase = phase};
    f->count++;
    if (f->distinct < JOB_FAULTS_MAX && !is_listed(f, number))
        f->workers[f->distinct++] = number;
}

/* Is there a worker that could try it and has not yet? */
static bool another(const struct workers *w, const struct job *job, int64_t now_ms)
{
    for (const struct worker *o = w->list; o; o = o->next)
        if (worker_alive(o, now_ms) && worker_fits(o, job) && !o->aside_until_ms &&
            !is_listed(&job->faults, o->number))
            return true;
    return false;
}

/* After this fault, is the job to blame? Reports by workers are believed sooner than wrong results:
 * a broken worker that restarts has another number each time. */
static bool is_the_job(const struct workers *w, const struct job *job, bool reported,
                       int64_t now_ms)
{
    const struct job_faults *f = &job->faults;

    if (reported && f->distinct == JOB_FAULTS_MAX)
        return true;
    return (reported ? f->count >= FAULTS_MAX : f->distinct == JOB_FAULTS_MAX) &&
           !another(w, job, now_ms);
}

/* The job was to blame: nothing counts against a worker. */
static void acquit(struct workers *w, const struct job *job)
{
    for (struct worker *o = w->list; o; o = o->next)
        if (o->strike_job == job->rec.job) {
            o->strikes = 0;
            o->aside_until_ms = o->aside_ms = 0;
        }
}

static void set_aside(struct workers *w, struct worker *worker, int64_t now_ms, const char *reason)
{
    int64_t ms = worker->aside_ms ? 2 * worker->aside_ms : ASIDE_MS;

    worker->aside_ms = ms < ASIDE_MAX_MS ? ms : ASIDE_MAX_MS;
    worker->aside_until_ms = now_ms + worker->aside_ms;
    worker->strikes = FAULTS_MAX - 1; /* the next fault is again one too many */
    log_warn("worker.aside", "worker=%u name=%s seconds=%" PRId64 " reason=\"%s\"", worker->number,
             worker->name, worker->aside_ms / 1000, reason);
    if (worker_release(w, worker))
        workers_wake(w);
}

void workers_fault(struct workers *w, struct worker *worker, struct job *job, bool reported,
                   uint32_t shards, const char *reason)
{
    int64_t now_ms = clock_mono_ms();
    struct job_faults *f = &job->faults;
    char text[300];

    note_fault(f, run_step(job->run), run_phase(job->run), worker->number);
    worker->faults++;
    worker->strikes++;
    worker->good = 0;
    worker->strike_job = job->rec.job;
    log_warn("worker.fault", "worker=%u job=%" PRId64 " step=%" PRIu64 " reason=\"%s\"",
             worker->number, job->rec.job, f->step, reason);
    if (is_the_job(w, job, reported, now_ms)) {
        metrics_count_many(&w->service->net->metrics, COUNT_SHARDS_BURIED, shards);
        snprintf(text, sizeof(text), "step %" PRIu64 " failed %u times: %s", f->step, f->count,
                 reason);
        acquit(w, job);
        jobs_fail(w->service->jobs, job, text);
    } else if (worker->strikes >= FAULTS_MAX) {
        set_aside(w, worker, now_ms, reason);
    }
}

void worker_counted_good(struct worker *worker)
{
    if (worker->strikes && ++worker->good >= GOOD_RESULTS) {
        worker->strikes = 0;
        worker->aside_ms = 0;
    }
}
