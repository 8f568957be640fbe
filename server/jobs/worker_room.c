/* Which workers have the memory for a job (common/footprint.h). A worker says at hello what it has;
 * it gets no work for which that is too little. A job that none of the connected workers can hold
 * is refused when it is submitted; one that comes to stand so before anything was computed fails,
 * with the same sentence. Later it waits: a worker that can do it may come back. */
#include <errno.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/jobspec.h"
#include "server/jobs/service.h"
#include "server/jobs/workers_internal.h"

/* So long only workers that are too small are there before the job fails: those of a cluster, or
 * those cut off by a restart of the server, do not come all at once. */
#define ALONE_MS 10000

void workers_know_memory(struct worker *worker, int64_t bytes)
{
    worker->memory_bytes = bytes;
}

static struct footprint_job measured(const struct job *job)
{
    return (struct footprint_job){.model = &job->model,
                                  .shard = (uint32_t)job->spec.shard,
                                  .splits = jobspec_splits_shards(&job->spec),
                                  .flatness = job->spec.flatness.every > 0};
}

int job_measure(struct job *job, struct errbuf *why)
{
    const struct footprint_job measure = measured(job);

    return footprint_of(&measure, &job->footprint) == 0
               ? 0
               : err_set(why, -ENOMEM, "no memory to count what the job needs");
}

bool worker_holds(const struct worker *worker, const struct job *job)
{
    return !worker->memory_bytes ||
           footprint_bytes(&job->footprint, worker->threads) <= (uint64_t)worker->memory_bytes;
}

/* What a thread of it may have for this job. */
static double room_of(const struct worker *worker, const struct job *job)
{
    return ((double)worker->memory_bytes - (double)job->footprint.once) / worker->threads;
}

/* Of workers that are there the one that has the most room, when none of those that are connected
 * or may be again can hold the job; NULL: one can, or none is there. */
static const struct worker *roomiest(const struct workers *w, const struct job *job, int64_t now_ms)
{
    const struct worker *most = NULL;

    for (const struct worker *o = w->list; o; o = o->next) {
        if (o->left)
            continue;
        if (worker_holds(o, job))
            return NULL;
        if (worker_alive(o, now_ms) && (!most || room_of(o, job) > room_of(most, job)))
            most = o;
    }
    return most;
}

static void explain(const struct job *job, const struct worker *most, char *out, size_t bytes)
{
    const struct footprint_job measure = measured(job);
    char whose[NAME_MAX_BYTES + 16];
    struct errbuf why;

    snprintf(whose, sizeof(whose), "worker %s has", most->name);
    footprint_explain(&measure, most->threads, (uint64_t)most->memory_bytes, whose, &why);
    snprintf(out, bytes, "no connected worker has the memory for it: %s", why.text);
}

bool workers_too_small(const struct workers *w, const struct job *job, char *out, size_t bytes)
{
    const struct worker *most = roomiest(w, job, clock_mono_ms());

    if (most)
        explain(job, most, out, bytes);
    return most != NULL;
}

int workers_can_hold(const struct workers *w, const struct job *job, struct errbuf *why)
{
    char text[sizeof(job->rec.reason)];

    return workers_too_small(w, job, text, sizeof(text)) ? err_set(why, -EFBIG, "%s", text) : 0;
}

void workers_judge_room(struct workers *w, int64_t now_ms)
{
    char text[sizeof(((struct job *)0)->rec.reason)];
    struct job *job;

    for (size_t i = 0; (job = jobs_running(w->service->jobs, i)) != NULL; i++) {
        const struct worker *most = jobs_ready(job) && !job->touched && !job->class_pending
                                        ? roomiest(w, job, now_ms)
                                        : NULL;

        if (!most) {
            job->alone_ms = 0;
        } else if (!job->alone_ms) {
            job->alone_ms = now_ms;
        } else if (now_ms - job->alone_ms >= ALONE_MS) {
            explain(job, most, text, sizeof(text));
            jobs_fail(w->service->jobs, job, text);
            return; /* the list of running ones is another now; the next call goes on */
        }
    }
}
