/* A worker that cannot do a job says so once; it is not offered that job again, or not for a while
 * where the cause may pass, and goes on with others. If every connected worker says so, the job
 * waits and says why. If three lack the memory or do not know it, and nothing was computed yet, the
 * job fails instead of waiting for ever. A job with results never fails for this: a worker that can
 * do it may come back. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "server/jobs/service.h"
#include "server/jobs/workers_internal.h"

#define REFUSALS_MAX 3 /* refusals that end a job */
#define AGAIN_MS 30000
#define AGAIN_MAX_MS 600000
#define CLASSLESS_MS 10000 /* workers cut off by a restart of the server are back by then */
#define LOGGED_MAX 50      /* events of one run: busy workers must not fill the log */

/* A cause that may pass is tried again, later each time. Memory may come back, but a job that has
 * no results yet need not wait for that: it ends a job as what stays does. */
static const struct {
    bool passes, ends;
} causes[REFUSAL_COUNT] = {[REFUSAL_MEMORY] = {true, true},
                           [REFUSAL_UNSUPPORTED] = {false, true},
                           [REFUSAL_DISK] = {true, false},
                           [REFUSAL_DATASET] = {true, false},
                           [REFUSAL_OTHER] = {true, false}};

static struct refused *find(struct worker *worker, int64_t job)
{
    for (size_t i = 0; i < RUNNING_MAX; i++)
        if (worker->refused[i].job == job)
            return &worker->refused[i];
    return NULL;
}

bool worker_refuses(const struct worker *worker, const struct job *job)
{
    for (size_t i = 0; i < RUNNING_MAX; i++) {
        const struct refused *r = &worker->refused[i];
        if (r->job == job->rec.job)
            return !r->until_ms || clock_mono_ms() < r->until_ms;
    }
    return false;
}

bool worker_has_refused(const struct worker *worker, int64_t job)
{
    for (size_t i = 0; i < RUNNING_MAX; i++)
        if (worker->refused[i].job == job)
            return true;
    return false;
}

void worker_forgive(struct worker *worker, int64_t job)
{
    for (size_t i = 0; i < RUNNING_MAX; i++)
        if (!job || worker->refused[i].job == job)
            worker->refused[i] = (struct refused){0};
}

void workers_forgive(struct workers *w, int64_t job)
{
    for (struct worker *worker = w->list; worker; worker = worker->next)
        worker_forgive(worker, job);
}

/* Only running jobs are listed, so there is always a place. Returns whether this worker counts now
 * among those that end the job, and did not before. */
static bool note(struct worker *worker, int64_t job, enum refusal_cause cause)
{
    struct refused *r = find(worker, job);
    const bool again = causes[cause].passes, ends = causes[cause].ends;

    if (!r)
        r = find(worker, 0);
    if (!r)
        return ends;
    const bool counted = r->job == job && r->ends;
    r->job = job;
    r->ends = ends;
    r->ms = !again ? 0 : !r->ms ? AGAIN_MS : 2 * r->ms < AGAIN_MAX_MS ? 2 * r->ms : AGAIN_MAX_MS;
    r->until_ms = again ? clock_mono_ms() + r->ms : 0;
    return ends && !counted;
}

/* As far as is known, is there a worker that could do the job? */
static bool anybody(const struct workers *w, const struct job *job)
{
    int64_t now_ms = clock_mono_ms();

    for (const struct worker *o = w->list; o; o = o->next)
        if (worker_alive(o, now_ms) && worker_fits(o, job) && !o->aside_until_ms)
            return true;
    return false;
}

/* Might a worker do it later? Then refusals of others do not end the job: its disk may have room, a
 * worker that was set aside comes back, one of another key than this (NULL: does not matter) is
 * only silent, and while nothing was computed any class will do. */
static bool anybody_later(const struct workers *w, const struct job *job, const char *key)
{
    int64_t now_ms = clock_mono_ms();

    for (const struct worker *o = w->list; o; o = o->next) {
        bool never = !worker_holds(o, job);

        for (size_t i = 0; i < RUNNING_MAX; i++)
            never |= o->refused[i].job == job->rec.job && o->refused[i].ends;
        bool other = key && !o->left && strcmp(o->key_name, key) != 0;
        if (!never && (other || worker_alive(o, now_ms) || o->aside_until_ms))
            return true;
    }
    return false;
}

static void say(struct workers *w, const struct worker *worker, struct job *job,
                enum refusal_cause cause, const char *reason)
{
    struct job_refusals *f = &job->refusals;
    char text[sizeof(f->said)];

    snprintf(text, sizeof(text), "worker %s: %s", worker->name, reason);
    text_make_printable(text);
    log_warn("worker.refuse", "worker=%u name=%s job=%" PRId64 " cause=%s reason=\"%s\"",
             worker->number, worker->name, job->rec.job, refusal_names[cause], text);
    bool is_new = strcmp(text, f->said) != 0;
    memcpy(f->said, text, sizeof(text));
    if (is_new && f->logged++ < LOGGED_MAX)
        jobs_event(w->service->jobs, job, "refused", text);
}

void workers_refuse(struct workers *w, struct worker *worker, struct job *job,
                    enum refusal_cause cause, const char *reason)
{
    bool known = worker_refuses(worker, job), ends = false;
    char text[sizeof(job->refusals.said) + 80];

    worker_release(w, worker);
    if (worker->loaded == job->rec.job)
        worker->loaded = 0;
    if (known) /* it repeats itself: its answer was lost */
        return;
    job->refusals.count += note(worker, job->rec.job, cause);
    say(w, worker, job, cause, reason);
    if (!job->touched && !anybody(w, job)) {
        /* Nothing was computed in the class of the first worker: any other will do. */
        if (!job_class_is_relaxed(job) && job->rec.numerics_class[0] && !job->class_pending)
            job_class_give_back(w->service->jobs, job);
        ends = job->refusals.count >= REFUSALS_MAX && !anybody_later(w, job, worker->key_name);
    }
    if (ends) {
        snprintf(text, sizeof(text), "no worker can do it, %u %s tried; %s", job->refusals.count,
                 job->refusals.count == 1 ? "has" : "have", job->refusals.said);
        jobs_fail(w->service->jobs, job, text);
    }
    workers_wake(w);
}

/* The first worker of a strict job may be gone before it has computed anything. */
void workers_free_classes(struct workers *w, int64_t now_ms)
{
    struct job *job;

    for (size_t i = 0; (job = jobs_running(w->service->jobs, i)) != NULL; i++) {
        bool pinned = jobs_ready(job) && !job->touched && !job->class_pending &&
                      !job_class_is_relaxed(job) && job->rec.numerics_class[0];

        if (!pinned || anybody(w, job) || !anybody_later(w, job, NULL))
            job->classless_ms = 0;
        else if (!job->classless_ms)
            job->classless_ms = now_ms;
        else if (now_ms - job->classless_ms >= CLASSLESS_MS) {
            job->classless_ms = 0;
            job_class_give_back(w->service->jobs, job);
        }
    }
}
