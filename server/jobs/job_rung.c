/* A job of a study with halving at a rung: it waits there until its arm was judged, then goes on or
 * ends. */
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "server/jobs/jobs_internal.h"
#include "server/jobs/service.h"

static const char stopped[] =
    "stopped by halving: its arm is among the worse half by validation accuracy";

void job_wait_at_rung(struct jobs *jobs, struct job *job)
{
    char text[sizeof(job->rec.reason) + 16];

    job_drop_run(jobs, job);
    job_set_state(jobs, job, JOB_PAUSED);
    job->rec.wait = WAIT_RUNG;
    job->hold[0] = 0;
    snprintf(
        job->rec.reason, sizeof(job->rec.reason),
        "it has %lld epochs behind it and waits for the other arms of its study; it goes on by "
        "itself when they are compared",
        (long long)job->epochs_done);
    snprintf(text, sizeof(text), "paused: %s", job->rec.reason);
    job_write(jobs, job, NULL, text, NULL);
}

void job_pass_rung(struct jobs *jobs, struct job *job)
{
    job_set_state(jobs, job, JOB_QUEUED);
    job->rec.reason[0] = 0;
    job_write(jobs, job, NULL, "paused -> queued: its arm is among the better half", NULL);
}

void job_stop_at_rung(struct jobs *jobs, struct job *job)
{
    job_drop_run(jobs, job);
    job_set_state(jobs, job, JOB_CANCELLED);
    job->hold[0] = 0;
    job->rec.finished_unix_ms = clock_unix_ms();
    snprintf(job->rec.reason, sizeof(job->rec.reason), "%s", stopped);
    job_write(jobs, job, NULL, job->rec.reason, NULL);
}

bool job_stopped_at_rung(const struct job *job)
{
    return job->rec.state == JOB_CANCELLED && strcmp(job->rec.reason, stopped) == 0;
}
