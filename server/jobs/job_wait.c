/* A job that cannot be kept, since the disk takes no more or somebody has a database locked, is
 * paused with the reason, and goes on by itself when what kept it is over. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/file.h"
#include "server/jobs/jobs_internal.h"
#include "server/jobs/service.h"
#include "server/net/op.h"
#include "server/store/checkpoint.h"

/* The end of the reason of a job that waits for the disk. */
#define BY_ITSELF "; it goes on by itself when "
#define BY_HAND "; steppe resume tries again"
#define ROOM_MIN_BYTES (4 << 20) /* beside a checkpoint: rows and logs of a small epoch */
#define ROW_BYTES 160            /* of difficulty.db and its log, a sample and epoch */

/* Why a job that cannot be kept waits. What is not here does not pass by itself. */
static const struct {
    int rc;
    enum job_wait wait;
} causes[] = {
    {-ENOSPC, WAIT_ROOM},     {-EDQUOT, WAIT_ROOM},    {-EFBIG, WAIT_ROOM}, {-EROFS, WAIT_WRITABLE},
    {-EACCES, WAIT_WRITABLE}, {-EPERM, WAIT_WRITABLE}, {-EBUSY, WAIT_LOCK}, {-ESTALE, WAIT_FILE},
};
#define CAUSES (sizeof(causes) / sizeof(causes[0]))

static const struct wait {
    const char *until, *over;
    bool room; /* check the disk, else the databases */
} waits[JOB_WAITS] = {
    [WAIT_ROOM] = {"there is room", "there is room again", true},
    [WAIT_WRITABLE] = {"it can be written", "it can be written again", true},
    [WAIT_LOCK] = {"the lock is gone", "the lock is gone", false},
    [WAIT_FILE] = {"it is back", "it is back", false},
};

void job_pause_for(struct jobs *jobs, struct job *job, int rc, const char *reason)
{
    enum job_wait wait = WAIT_NOTHING;
    char text[sizeof(job->rec.reason) + 16];

    for (size_t i = 0; i < CAUSES; i++)
        if (causes[i].rc == rc)
            wait = causes[i].wait;
    job_drop_run(jobs, job);
    if (rc == -ESHUTDOWN) /* it runs still, and goes on at the next start */
        return;
    job_set_state(jobs, job, JOB_PAUSED);
    job->rec.wait = wait;
    snprintf(job->rec.reason, sizeof(job->rec.reason), "%.320s%s%s", reason,
             wait ? BY_ITSELF : BY_HAND, wait ? waits[wait].until : "");
    snprintf(text, sizeof(text), "paused: %s", job->rec.reason);
    job_write(jobs, job, NULL, text, NULL);
}

/* NULL: it waits for nothing that passes, or is not yet written as paused. */
static const struct wait *waits_for(const struct job *job)
{
    const bool waiting = job->rec.state == JOB_PAUSED && job->rec.wait != WAIT_NOTHING &&
                         job->rec.wait != WAIT_RUNG && !job->unwritten[0];

    return waiting ? &waits[job->rec.wait] : NULL;
}

struct probe {
    int64_t job;
    size_t bytes; /* 0: the databases are asked */
};

static void probe_work(struct op *op)
{
    const struct probe *probe = op->arg;

    op->rc = probe->bytes ? file_probe_room(op->service->dir, probe->bytes)
                          : store_probe(op->service->store, &op->why);
}

static void probe_done(struct op *op)
{
    struct probe *probe = op->arg;
    struct jobs *jobs = op->service->jobs;
    const struct wait *wait;
    struct job *job;
    char text[80];

    jobs->probing = false;
    if (op->rc == 0 && jobs_find(jobs, probe->job, &job, NULL) == 0 &&
        (wait = waits_for(job)) != NULL) {
        jobs->probe_ms = 0; /* perhaps another job can also go on */
        job_set_state(jobs, job, JOB_QUEUED);
        job->rec.reason[0] = 0;
        snprintf(text, sizeof(text), "paused -> queued: %s", wait->over);
        job_write(jobs, job, NULL, text, NULL);
    }
    free(probe);
}

/* The room that the disk must have before a job that found it full goes on. A job with a damaged
 * dataset says so when it is queued again. */
static size_t room_of(struct service *s, struct job *job)
{
    if (jobs_prepare(s, job, NULL) < 0)
        return ROOM_MIN_BYTES;
    const struct checkpoint_shape shape = job_checkpoint_shape(job);
    return checkpoint_memory(&shape) + (size_t)shape.samples * ROW_BYTES + ROOM_MIN_BYTES;
}

void jobs_probe_disk(struct jobs *jobs, int64_t now_ms)
{
    struct job *job = jobs->list;
    const struct wait *wait = NULL;

    if (jobs->probing || now_ms < jobs->probe_ms)
        return;
    while (job && !(wait = waits_for(job)))
        job = job->next;
    jobs->probe_ms = now_ms + RETRY_MS;
    if (!job)
        return;
    struct probe *probe = xmalloc(sizeof(*probe));
    *probe = (struct probe){job->rec.job, wait->room ? room_of(jobs->service, job) : 0};
    jobs->probing = true;
    op_run(jobs->service->net->store_lane,
           (struct op){
               .service = jobs->service, .arg = probe, .work = probe_work, .done = probe_done});
}
