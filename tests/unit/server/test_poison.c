/* A node that its workers do not come back from: when that ends the job, and when it does not. */
#include "server/jobs/workers_internal.h"
#include "tests/unit/server/service_fixture.h"

TEST(a_node_that_takes_three_workers_with_it_ends_its_job)
{
    char name[8] = "w0";

    service_make(1, PLENTY);
    struct job *job = submit_running(1, RELAXED);
    for (int i = 0; i < 3; i++) {
        ASSERT_EQ(JOB_RUNNING, job->rec.state);
        name[1] = (char)('0' + i);
        struct told *told = next(hello(name, 4, "a"));
        ASSERT_EQ(0, node_of(told).lo);
        tick_workers((int64_t)told_number(told, "lease_ms"));
    }
    ASSERT_EQ(JOB_FAILED, job->rec.state);
    ASSERT_HAS("poison: 3 workers in a row were lost with shards 0 to 3", job->rec.reason);
    ASSERT_EQ(4, net.metrics.counts[COUNT_SHARDS_BURIED]);
    service_end();
}

TEST(one_key_that_loses_a_node_again_and_again_ends_no_job_of_another_key)
{
    char name[8] = "w0";

    service_make(1, PLENTY);
    struct job *job = submit_running(1, RELAXED);
    struct worker *ann = hello("ann", 4, "a");
    snprintf(ann->key_name, sizeof(ann->key_name), "ann");
    for (int i = 0; i < 5; i++) {
        name[1] = (char)('0' + i);
        struct worker *eve = hello(name, 4, "a");
        snprintf(eve->key_name, sizeof(eve->key_name), "eve");
        struct told *told = next(eve);
        ASSERT_EQ(0, node_of(told).lo);
        ann->seen_ms = now_ms + (int64_t)told_number(told, "lease_ms"); /* it is there */
        tick_workers((int64_t)told_number(told, "lease_ms"));
        ASSERT_EQ(JOB_RUNNING, job->rec.state);
    }
    ann->left = true;
    tick_workers((int64_t)told_number(next(hello("w9", 4, "a")), "lease_ms"));
    ASSERT_EQ(JOB_FAILED, job->rec.state);
    service_end();
}
