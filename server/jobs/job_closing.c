/* Closed epochs of a job that wait for the disk. Two of a small job always may, of a large one one;
 * then training waits, too. While memory is spare, more of a small job may: it trains on beside a
 * large one whose million rows keep the disk busy. */
#include "common/bounds.h"
#include "server/jobs/jobs_internal.h"
#include "server/jobs/service.h"

#define SPARE_EPOCHS 14         /* of a job, beside the two */
#define SPARE_BYTES (32u << 20) /* of all jobs, within --memory */

unsigned job_closing_max(const struct job *job)
{
    return job->data->samples > CLOSING_TWO_SAMPLES ? 1 : CLOSING_MAX;
}

bool job_lends_scores(const struct job *job)
{
    return job_closing_max(job) == 1 && job->spec.score_source == SOURCE_SWEEP;
}

bool job_waits_for_closing(const struct job *job)
{
    return job->closing >= CLOSING_MAX + job->spare ||
           (job->closing >= job_closing_max(job) && job->spare == 0 && run_is_closing(job->run));
}

/* How many more may wait for the disk, one that is being computed among them. A job that may have
 * to stand at a rung trains on as little behind it as it can. */
static unsigned wanted(const struct jobs *jobs, const struct job *job)
{
    const struct study *study =
        job->in_study ? studies_of_job(jobs->service->studies, job->rec.job) : NULL;
    const unsigned more = job->closing < CLOSING_MAX ? 0 : job->closing - CLOSING_MAX + 1;

    if (!job->run || job_closing_max(job) < CLOSING_MAX || (study && study->halving))
        return 0;
    return more < SPARE_EPOCHS ? more : SPARE_EPOCHS;
}

static void settle(struct jobs *jobs, struct job *job)
{
    const unsigned want = job->data ? wanted(jobs, job) : 0;
    const unsigned held = job->closing > CLOSING_MAX ? job->closing - CLOSING_MAX : 0;

    if (want > job->spare) {
        const size_t one = job_epoch_memory(job);
        if (jobs->spare_bytes + one <= SPARE_BYTES &&
            job_memory_with(jobs, job) + (int64_t)one <= jobs->service->memory_bytes) {
            job->spare++;
            job->spare_bytes += one;
            jobs->spare_bytes += one;
        }
    }
    while (job->spare > want && job->spare > held) {
        const size_t one = job->spare_bytes / job->spare;
        job->spare--;
        job->spare_bytes -= one;
        jobs->spare_bytes -= one;
        if (jobs->spare_bytes == 0)
            jobs_pump(jobs);
    }
}

void job_closing_begin(struct jobs *jobs, struct job *job)
{
    job->closing++;
    settle(jobs, job);
}

void job_closing_end(struct jobs *jobs, struct job *job)
{
    job->closing--;
    settle(jobs, job);
}

void job_closing_forget(struct jobs *jobs, struct job *job)
{
    jobs->spare_bytes -= job->spare_bytes;
    job->spare = 0;
    job->spare_bytes = 0;
}
