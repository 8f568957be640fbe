/* How many closed epochs of a job may wait for the disk before it trains no further. */
#include "server/jobs/jobs_internal.h"
#include "tests/unit/server/service_fixture.h"

enum { MOST = 16 };

/* Closes epochs, of which none reaches the disk, until the job waits; how many wait then. */
static unsigned close_all(struct job *job)
{
    while (jobs_ready(job) && job->closing < 1000)
        job_closing_begin(service.jobs, job);
    return job->closing;
}

static void write_all(struct job *job)
{
    while (job->closing)
        job_closing_end(service.jobs, job);
}

TEST(a_job_trains_on_while_memory_is_spare)
{
    service_make(1, PLENTY);
    struct job *job = submit(1, RELAXED);
    jobs_pump(service.jobs);
    settle();
    const size_t one = job_epoch_memory(job);
    ASSERT_EQ(MOST, close_all(job));
    ASSERT_EQ((MOST - CLOSING_MAX) * one, service.jobs->spare_bytes);
    job_closing_end(service.jobs, job);
    ASSERT(jobs_ready(job));
    ASSERT_EQ(MOST, close_all(job));
    write_all(job);
    ASSERT_EQ(0, service.jobs->spare_bytes);
    ASSERT_EQ(0, job->spare);
    service_end();
}

TEST(what_is_spare_is_not_what_other_jobs_need)
{
    service_make(2, PLENTY);
    struct job *job = submit(1, RELAXED);
    const size_t one = job_epoch_memory(job);
    service.memory_bytes = (int64_t)(job_memory(job) + 3 * one + one / 2);
    jobs_pump(service.jobs);
    settle();
    ASSERT_EQ(CLOSING_MAX + 3, close_all(job));
    /* It is counted, and a job that waits for it starts when it is free. */
    struct job *other = submit(2, RELAXED);
    service.memory_bytes = 2 * (int64_t)job_memory(job);
    jobs_pump(service.jobs);
    settle();
    ASSERT(!other->run);
    write_all(job);
    settle();
    ASSERT(other->run);
    ASSERT_EQ(CLOSING_MAX, close_all(job));
    write_all(job);
    service_end();
}

TEST(a_job_that_goes_leaves_what_it_had)
{
    service_make(1, PLENTY);
    struct job *job = submit(1, RELAXED);
    jobs_pump(service.jobs);
    settle();
    close_all(job);
    ASSERT(service.jobs->spare_bytes > 0);
    job_closing_forget(service.jobs, job);
    ASSERT_EQ(0, service.jobs->spare_bytes);
    ASSERT(!jobs_ready(job));
    job->closing = 0;
    service_end();
}

TEST(a_large_job_holds_one_epoch)
{
    service_make(1, PLENTY);
    struct job *job = submit(1, RELAXED);
    jobs_pump(service.jobs);
    settle();
    const struct dataset *was = job->data;
    struct dataset large = *was;
    large.samples = CLOSING_TWO_SAMPLES + 1;
    job->data = &large;
    ASSERT_EQ(1, job_closing_max(job));
    ASSERT_EQ(CLOSING_MAX, close_all(job));
    write_all(job);
    job->data = was;
    service_end();
}
