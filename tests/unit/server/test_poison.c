/* Nodes that their workers do not bring: when that ends the job, when it counts against their key,
 * who gets such a node then, and what people are told. */
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

/* --- keys that take and do not bring --- */

TEST(fakes_of_one_key_that_renew_for_ever_do_not_keep_a_job)
{
    char name[8] = "e0";
    struct worker *eve[20];
    struct told *told;

    service_make(1, PLENTY);
    struct job *job = submit_running(1, RELAXED);
    for (int i = 0; i < 20; i++) {
        name[1] = (char)('a' + i);
        eve[i] = hello_by("farm", name, 1, "a");
    }
    for (int i = 0; i < 20; i++)
        next(eve[i]);
    for (int i = 0; i < 6; i++) /* they take all that they can get */
        tick_workers(2000);
    struct worker *ann = hello_by("ann", "ann", 1, "a");
    told = next(ann);
    for (int steps = 0; run_step(job->run) < 3 && steps < 1000; steps++) {
        for (int i = 0; i < 20; i++)
            if (eve[i]->job)
                workers_fetches(service.workers, eve[i]->sender);
        if (ann->job) {
            count_result(job, ann, node_of(told));
            told = next(ann);
        }
        tick_workers(100);
    }
    ASSERT_EQ(3, run_step(job->run));
    ASSERT_EQ(JOB_RUNNING, job->rec.state);
    service_end();
}

TEST(a_lease_ends_although_its_worker_fetches_on_and_on)
{
    char text[200];

    service_make(1, PLENTY);
    struct job *job = submit_running(1, RELAXED);
    struct worker *eve = hello_by("farm", "eve", 4, "a");
    struct node n = node_of(next(eve));
    int64_t begun_ms = now_ms;
    while (!run_is_open(job->run) && now_ms - begun_ms < 10000000) {
        eve->seen_ms = now_ms;
        workers_fetches(service.workers, "eve");
        tick_workers(1000);
    }
    ASSERT(now_ms - begun_ms >= 600000); /* a slow worker on a slow line has ten minutes at least */
    ASSERT(now_ms - begun_ms < 2 * 600000);
    ASSERT(run_holds(job->run, workers_number(eve), n)); /* and its result is welcome later */
    ASSERT(!workers_hold_up(service.workers, job, now_ms, text, sizeof(text)));
    ASSERT_EQ(JOB_RUNNING, job->rec.state);
    service_end();
}

TEST(a_key_that_only_takes_is_set_aside_while_another_gives)
{
    char name[8] = "e0";
    struct worker *eves[3], *eve = NULL;

    service_make(1, PLENTY);
    struct job *job = submit_running(1, RELAXED);
    struct worker *ann = hello_by("ann", "ann", 1, "a");
    for (int i = 0; i < 3; i++) {
        name[1] = (char)('0' + i);
        eves[i] = hello_by("farm", name, 1, "a");
    }
    struct node n = node_of(next(ann));
    for (int i = 0; i < 3; i++) {
        eve = eves[i];
        next(eve);
        ASSERT(eve->job);
    }
    count_result(job, ann, n);
    next_with(ann, "{\"leaving\": true}");
    const int64_t lost_ms = eve->lease_end_ms - now_ms;
    tick_workers(lost_ms - 1);
    ann->seen_ms = now_ms; /* it is there */
    ASSERT(!eve->aside_until_ms);
    tick_workers(1);
    ASSERT(eve->aside_until_ms > now_ms);
    ASSERT(hello_by("farm", "late", 1, "a")->aside_until_ms > now_ms);
    ASSERT(!ann->aside_until_ms);
    ASSERT_EQ(JOB_RUNNING, job->rec.state);
    workers_bye(service.workers, ann); /* nobody else gives now */
    tick_workers(100);
    ASSERT_EQ(0, eve->aside_until_ms);
    service_end();
}

TEST(a_key_that_is_alone_loses_as_many_leases_as_it_likes)
{
    service_make(1, PLENTY);
    struct job *job = submit_running(1, RELAXED);
    struct worker *ann = hello_by("ann", "ann", 4, "a");
    for (int i = 0; i < 12; i++) {
        struct node n = node_of(next(ann));
        ann->seen_ms = now_ms;
        tick_workers(ann->lease_end_ms - now_ms);
        ASSERT(ann->lease_lost);
        ASSERT_EQ(0, ann->aside_until_ms);
        count_result(job, ann, n); /* late, and welcome */
        ASSERT_EQ(JOB_RUNNING, job->rec.state);
        if (run_finished(job->run))
            break;
    }
    service_end();
}

static const char *waits_for(struct job *job)
{
    static char text[400];
    cJSON *row = jobs_row(service.jobs, job);
    const cJSON *waiting = cJSON_GetObjectItemCaseSensitive(row, "waiting");

    snprintf(text, sizeof(text), "%s%s", waiting ? waiting->valuestring : "",
             cJSON_HasObjectItem(row, "eta_s") ? " eta" : "");
    cJSON_Delete(row);
    return text;
}

TEST(a_job_says_for_whose_results_it_waits)
{
    service_make(1, PLENTY);
    struct job *job = submit_running(1, RELAXED);
    tick_workers(1000);
    go_to_step(job, 1); /* its speed is known */
    struct worker *eve = hello_by("farm", "eve", 1, "a"), *eva = hello_by("farm", "eva", 1, "a");
    struct node n = node_of(next(eve));
    next(eva);
    tick_workers(10000);
    ASSERT_STR(" eta", waits_for(job));
    tick_workers(10000);
    ASSERT_STR("for the results of 2 tasks held by key farm", waits_for(job));
    ASSERT(job->held_said);
    tick_workers(1000);
    ASSERT_EQ(1, job->held_events);
    count_result(job, eve, n);
    ASSERT_STR(" eta", waits_for(job));
    ASSERT(!job->held_said);
    settle();
    service_end();
}

TEST(a_job_says_who_has_most_of_what_it_waits_for)
{
    service_make(1, PLENTY);
    struct job *job = submit_running(1, RELAXED);
    struct worker *ann = hello("ann", 1, "a"), *eve = hello_by("farm", "eve", 1, "a"),
                  *eva = hello_by("farm", "eva", 1, "a");
    next(ann);
    tick_workers(20000);
    ASSERT_STR("for the results of 1 task held by this machine", waits_for(job));
    next(eve);
    next(eva);
    ASSERT_STR("", waits_for(job)); /* they may bring it sooner */
    tick_workers(20000);
    ASSERT_STR("for the results of 3 tasks, 2 of them held by key farm", waits_for(job));
    settle();
    service_end();
}
