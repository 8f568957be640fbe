/* Workers as the server sees them: hello, work, leases, faults and refusals, with a clock that the
 * test sets. */
#include <errno.h>

#include "server/jobs/workers_internal.h"
#include "tests/unit/server/service_fixture.h"

#define SILENT_MS 35000  /* HOLD_MS and what a reply may take */
#define FORGET_MS 600000 /* of one that is silent */

static unsigned count_in(enum worker_state state)
{
    unsigned counts[WORKER_STATES] = {0};

    workers_count(service.workers, counts);
    return counts[state];
}

static int rows(void)
{
    cJSON *list = workers_rows(service.workers);
    int count = cJSON_GetArraySize(list);

    cJSON_Delete(list);
    return count;
}

/* --- hello and bye --- */

TEST(a_worker_keeps_its_number_and_says_hello_as_often_as_it_likes)
{
    service_make(1, PLENTY);
    struct worker *ann = hello("ann", 2, "a"), *ben = hello("ben", 1, "a");
    ASSERT_EQ(1, workers_number(ann));
    ASSERT_EQ(2, workers_number(ben));
    ASSERT(hello("ann", 4, "b") == ann);
    ASSERT_EQ(1, workers_number(ann));
    ASSERT_EQ(4, ann->threads);
    ASSERT_STR("b", ann->class);
    ASSERT_EQ(2, rows());
    ASSERT_EQ(0, workers_bye(service.workers, ann));
    ASSERT_EQ(1, rows());
    ASSERT_EQ(3, workers_number(hello("ann", 1, "a"))); /* no number is used again */
    service_end();
}

TEST(whoever_knows_a_workers_uuid_is_not_that_worker)
{
    struct worker *worker;
    struct told *told;
    struct errbuf why;

    service_make(1, PLENTY);
    worker = hello("ann", 1, "a");
    struct request *rq = request_of(&net, MSG_TASK_NEXT, "ann", NULL, &told);
    ASSERT(workers_of(service.workers, rq) == worker);
    snprintf(rq->key_name, sizeof(rq->key_name), "eve");
    ASSERT_EQ(-EPERM, workers_hello(service.workers, rq, "ann", 1, "a", &worker, &why));
    ASSERT_HAS("another key", why.text);
    ASSERT(!workers_of(service.workers, rq));
    ASSERT_REFUSED("unknown_worker", told);
    rq = request_of(&net, MSG_TASK_NEXT, "ben", NULL, &told);
    ASSERT(!workers_of(service.workers, rq));
    ASSERT_REFUSED("unknown_worker", told);
    ASSERT_HAS("say worker.hello first", told_text(told, "error"));
    service_end();
}

TEST(one_key_does_not_have_all_places)
{
    struct worker *worker;
    struct told *told;
    struct errbuf why;
    char sender[UUID_BYTES];

    service_make(1, PLENTY);
    struct request *rq = request_of(&net, MSG_WORKER_HELLO, "", NULL, &told);
    snprintf(rq->key_name, sizeof(rq->key_name), "eve");
    for (int i = 0; i <= WORKERS_OF_ONE_MAX; i++) {
        snprintf(sender, sizeof(sender), "e%d", i);
        memcpy(rq->sender, sender, sizeof(sender));
        ASSERT_EQ(i < WORKERS_OF_ONE_MAX ? 0 : -ERANGE,
                  workers_hello(service.workers, rq, "e", 1, "a", &worker, &why));
    }
    ASSERT_HAS("512 workers with the key eve are already connected", why.text);
    snprintf(rq->key_name, sizeof(rq->key_name), "ann");
    ASSERT_OK(workers_hello(service.workers, rq, "a", 1, "a", &worker, &why), why);
    ASSERT_EQ(1, workers_of_key(service.workers, "ann"));
    request_drop(rq);
    service_end();
}

TEST(there_are_at_most_so_many_workers)
{
    struct worker *worker;
    struct told *told;
    struct errbuf why;
    char name[24];

    service_make(1, PLENTY);
    for (int i = 0; i < WORKERS_MAX; i++) {
        snprintf(name, sizeof(name), "w%d", i);
        hello(name, 1, "a");
        told_forget();
    }
    struct request *rq = request_of(&net, MSG_WORKER_HELLO, "more", NULL, &told);
    ASSERT_EQ(-ERANGE, workers_hello(service.workers, rq, "more", 1, "a", &worker, &why));
    ASSERT_HAS("1024 workers are already connected", why.text);
    worker = hello("w7", 1, "a"); /* one of them may */
    workers_bye(service.workers, worker);
    ASSERT_OK(workers_hello(service.workers, rq, "more", 1, "a", &worker, &why), why);
    request_drop(rq);
    service_end();
}

TEST(a_worker_that_is_silent_is_forgotten_in_the_end)
{
    service_make(1, PLENTY);
    hello("ann", 1, "a");
    ASSERT_EQ(1, count_in(WORKER_COMPUTING));
    tick_workers(SILENT_MS - 1);
    ASSERT_EQ(1, count_in(WORKER_COMPUTING));
    tick_workers(1);
    ASSERT_EQ(1, count_in(WORKER_SILENT));
    tick_workers(FORGET_MS - SILENT_MS);
    ASSERT_EQ(1, rows());
    tick_workers(1);
    ASSERT_EQ(0, rows());
    service_end();
}

/* --- asking for work --- */

TEST(without_work_a_request_is_held_so_long_and_no_longer)
{
    service_make(1, PLENTY);
    struct worker *ann = hello("ann", 1, "a");
    struct told *told = next(ann);
    ASSERT_EQ(1, count_in(WORKER_WAITING));
    tick_workers(HOLD_MS - 1);
    ASSERT_EQ(0, told->answers);
    tick_workers(1);
    ASSERT_EQ(1, told->answers);
    ASSERT_STR("none", told_text(told, "task"));
    ASSERT_EQ(0, count_in(WORKER_WAITING));
    ASSERT_EQ(1, count_in(WORKER_COMPUTING));
    service_end();
}

TEST(a_worker_has_one_request_at_a_time)
{
    service_make(1, PLENTY);
    struct worker *ann = hello("ann", 1, "a");
    struct told *first = next(ann), *second = next(ann);
    ASSERT_EQ(1, first->drops);
    ASSERT_EQ(0, second->drops + second->answers);
    workers_dismiss(service.workers);
    ASSERT_EQ(0, first->answers);
    ASSERT_STR("none", told_text(second, "task"));
    struct told *last = next_with(ann, "{\"leaving\": true}");
    ASSERT_STR("none", told_text(last, "task"));
    struct told *held = next(ann);
    workers_bye(service.workers, ann);
    ASSERT_EQ(1, held->drops);
    service_end();
}

TEST(what_a_worker_says_it_has_is_judged)
{
    service_make(1, PLENTY);
    struct worker *ann = hello("ann", 1, "a");
    ASSERT_REFUSED("bad_field", next_with(ann, "{\"have\": 3}"));
    ASSERT_REFUSED("bad_field", next_with(ann, "{\"have\": {\"job\": 0}}"));
    ASSERT_REFUSED("bad_field", next_with(ann, "{\"have\": {\"job\": 1, \"incarnation\": 1, "
                                               "\"step\": 0, \"phase\": 10}}"));
    ASSERT_REFUSED("bad_field", next_with(ann, "{\"leaving\": 1}"));
    ASSERT_EQ(0, count_in(WORKER_WAITING)); /* none of them is held */
    service_end();
}

TEST(a_job_gives_its_round_to_those_who_ask)
{
    service_make(1, PLENTY);
    struct worker *ann = hello("ann", 1, "a"), *ben = hello("ben", 1, "b");
    struct job *job = submit_running(1, RELAXED);
    struct told *one = next(ann), *two = next(ben);
    ASSERT_STR("train", told_text(one, "task"));
    ASSERT_EQ(job->rec.job, told_number(one, "job"));
    ASSERT_EQ(1, told_number(one, "incarnation"));
    ASSERT_EQ(SHARD, told_number(one, "shard"));
    ASSERT_EQ(60000 * node_size(node_of(one)), told_number(one, "lease_ms"));
    ASSERT_STR("train", told_text(two, "task"));
    ASSERT(node_of(one).hi <= node_of(two).lo || node_of(two).hi <= node_of(one).lo);
    ASSERT_EQ(2, count_in(WORKER_COMPUTING));
    ASSERT_EQ(job->rec.job, ann->job);
    service_end();
}

TEST(who_waits_gets_the_work_that_comes)
{
    service_make(1, PLENTY);
    struct told *told = next(hello("ann", 4, "a"));
    submit(1, RELAXED);
    jobs_pump(service.jobs);
    ASSERT_EQ(0, told->answers);
    settle();
    ASSERT_STR("train", told_text(told, "task"));
    service_end();
}

/* --- classes --- */

TEST(a_strict_job_takes_the_class_of_the_first_result)
{
    char waiting[400];

    service_make(1, PLENTY);
    struct worker *eve = hello("eve", 1, "evil"), *ann = hello("ann", 1, "avx2");
    struct worker *ben = hello("ben", 1, "sse");
    struct job *job = submit_running(1, "");
    struct told *wish = next(eve), *one = next(ann);
    settle();
    ASSERT_EQ(0, next(ben)->answers); /* the round is given out */
    ASSERT_STR("train", told_text(wish, "task"));
    ASSERT_STR("", job->rec.numerics_class); /* a wish decides nothing */
    ASSERT(workers_result_fits(eve, job) && workers_result_fits(ann, job));
    count_result(job, ann, node_of(one));
    ASSERT_STR("avx2", job->rec.numerics_class);
    ASSERT_EQ(0, eve->job); /* its node is free again */
    ASSERT(!run_holds(job->run, workers_number(eve), node_of(wish)));
    struct told *rest = next(ann);
    ASSERT_EQ(0, rest->answers); /* no more work before the class is on the disk */
    settle();
    ASSERT_EQ(node_of(wish).lo, node_of(rest).lo);
    ASSERT(workers_result_fits(ann, job));
    ASSERT(!workers_result_fits(ben, job));
    ASSERT(!workers_waiting(service.workers, job, waiting, sizeof(waiting)));
    ASSERT_STR("", workers_wanted_class(service.workers, ben)); /* it is not needed */
    workers_bye(service.workers, ann);
    ASSERT(workers_waiting(service.workers, job, waiting, sizeof(waiting)));
    ASSERT_HAS("2 workers connected, 0 in numerics class avx2", waiting);
    ASSERT_STR("avx2", workers_wanted_class(service.workers, ben));
    ASSERT_STR("", workers_wanted_class(service.workers, hello("cid", 1, "avx2")));
    service_end();
}

TEST(a_class_of_which_nothing_is_left_is_given_back)
{
    service_make(1, PLENTY);
    struct worker *ann = hello("ann", 1, "avx2"), *ben = hello("ben", 1, "sse");
    struct job *job = submit_running(1, "");
    /* As after a restart: its class is on the disk, no checkpoint is. */
    snprintf(job->rec.numerics_class, sizeof(job->rec.numerics_class), "avx2");
    struct told *told = next(ben);
    ASSERT_EQ(0, told->answers);
    workers_bye(service.workers, ann);
    tick_workers(0);
    tick_workers(9999);
    settle();
    ASSERT_STR("avx2", job->rec.numerics_class);
    tick_workers(1);
    settle();
    ASSERT_STR("", job->rec.numerics_class);
    ASSERT_STR("train", told_text(told, "task"));
    count_result(job, ben, node_of(told));
    settle();
    ASSERT_STR("sse", job->rec.numerics_class);
    workers_bye(service.workers, ben);
    hello("cid", 1, "avx2");
    tick_workers(0);
    tick_workers(30000);
    settle();
    ASSERT_STR("sse", job->rec.numerics_class); /* now something was */
    service_end();
}

/* --- leases --- */

TEST(a_lease_that_runs_out_gives_its_node_to_another)
{
    service_make(1, PLENTY);
    struct worker *ann = hello("ann", 4, "a"), *ben = hello("ben", 4, "a");
    submit_running(1, RELAXED);
    struct told *one = next(ann), *rest = next(ben), *two;
    int64_t lease_ms = (int64_t)told_number(one, "lease_ms");
    ASSERT(node_size(node_of(rest)) > 0);
    now_ms += lease_ms / 2;
    two = next(ben);
    ASSERT(node_of(two).lo == node_of(rest).lo); /* it gave back what it had */
    tick_workers(lease_ms / 2 - 1);
    ASSERT_EQ(2, count_in(WORKER_COMPUTING));
    ASSERT_EQ(0, net.metrics.counts[COUNT_LEASES_EXPIRED]);
    tick_workers(1);
    ASSERT_EQ(1, net.metrics.counts[COUNT_LEASES_EXPIRED]);
    ASSERT_EQ(1, count_in(WORKER_SILENT));
    struct told *again = next(hello("cid", 1, "a"));
    ASSERT_EQ(node_of(one).lo, node_of(again).lo);
    service_end();
}

TEST(who_is_at_work_keeps_its_lease)
{
    service_make(1, PLENTY);
    struct worker *ann = hello("ann", 4, "a");
    struct job *job = submit_running(1, RELAXED);
    struct told *told = next(ann);
    int64_t lease_ms = (int64_t)told_number(told, "lease_ms");
    now_ms += lease_ms - 1;
    ASSERT(workers_renew(ann, job) >= 10000);
    tick_workers(9999);
    ASSERT_EQ(0, net.metrics.counts[COUNT_LEASES_EXPIRED]);
    workers_fetches(service.workers, "nobody");
    workers_fetches(service.workers, "ann");
    tick_workers(9999);
    ASSERT_EQ(0, net.metrics.counts[COUNT_LEASES_EXPIRED]);
    ASSERT_EQ(1, count_in(WORKER_COMPUTING));
    tick_workers(600000);
    ASSERT_EQ(1, net.metrics.counts[COUNT_LEASES_EXPIRED]);
    service_end();
}

TEST(what_a_worker_held_is_free_when_it_says_bye)
{
    service_make(1, PLENTY);
    struct worker *ann = hello("ann", 4, "a"), *ben = hello("ben", 4, "a");
    submit_running(1, RELAXED);
    struct told *one = next(ann), *two = next(ben);
    struct node first = node_of(one);
    workers_bye(service.workers, ben);
    struct told *waits = next(hello("cid", 4, "a"));
    ASSERT_EQ(node_of(two).lo, node_of(waits).lo);
    struct told *held = next(hello("dot", 4, "a"));
    ASSERT_EQ(0, held->answers); /* the round is given out */
    ASSERT_EQ(1, workers_bye(service.workers, ann));
    ASSERT_EQ(1, held->answers);
    ASSERT_EQ(first.lo, node_of(held).lo);
    service_end();
}

TEST(results_make_leases_short_and_are_counted)
{
    service_make(1, PLENTY);
    struct worker *ann = hello("ann", 4, "a");
    struct job *job = submit_running(1, RELAXED);
    struct told *told = next(ann);
    now_ms += 700;
    count_result(job, ann, node_of(told));
    ASSERT_EQ(4, ann->shards);
    ASSERT_EQ(4, net.metrics.counts[COUNT_SHARDS_OK]);
    ASSERT(job->touched);
    told = next(ann);
    ASSERT_EQ(7000, told_number(told, "lease_ms")); /* ten times what it took */
    service_end();
}

/* --- faults --- */

/* The worker takes a task and sends what cannot be, `count` times. */
static void fault(struct worker *worker, struct job *job, int count)
{
    for (int i = 0; i < count; i++)
        workers_fault(service.workers, worker, job, false, 1, "grad holds NaN");
}

TEST(the_third_fault_sets_a_worker_aside_longer_each_time)
{
    static const int64_t aside_s[] = {30, 60, 120, 240, 480, 600, 600};
    char waiting[400];

    service_make(1, PLENTY);
    struct worker *ann = hello("ann", 4, "a");
    struct job *job = submit_running(1, RELAXED);
    fault(ann, job, 2);
    ASSERT_EQ(0, count_in(WORKER_ASIDE));
    for (size_t i = 0; i < sizeof(aside_s) / sizeof(aside_s[0]); i++) {
        fault(ann, job, 1);
        ASSERT_EQ(1, count_in(WORKER_ASIDE));
        struct told *told = next(ann);
        ASSERT_EQ(0, told->answers);
        ASSERT(workers_waiting(service.workers, job, waiting, sizeof(waiting)));
        ASSERT_HAS("1 worker is set aside for bad results", waiting);
        for (int64_t s = 1; s < aside_s[i]; s++) {
            tick_workers(1000);
            if (told->answers) /* none */
                told = next(ann);
            ASSERT_EQ(1, count_in(WORKER_ASIDE));
        }
        tick_workers(1000);
        ASSERT_STR("train", told_text(told, "task"));
        told_forget();
    }
    ASSERT_EQ(JOB_RUNNING, job->rec.state);
    service_end();
}

TEST(saying_bye_makes_nobody_better)
{
    service_make(1, PLENTY);
    struct worker *ann = hello("ann", 4, "a");
    struct job *job = submit_running(1, RELAXED);
    fault(ann, job, 3);
    workers_bye(service.workers, ann);
    struct told *told;
    struct request *rq = request_of(&net, MSG_TASK_NEXT, "ann", NULL, &told);
    ASSERT(!workers_of(service.workers, rq)); /* it has left */
    ASSERT_REFUSED("unknown_worker", told);
    ASSERT(hello("ann", 4, "a") == ann);
    ASSERT_EQ(1, count_in(WORKER_ASIDE));
    ASSERT_EQ(0, next(ann)->answers);
    service_end();
}

TEST(a_hundred_good_results_make_up_for_faults)
{
    service_make(1, PLENTY);
    struct worker *ann = hello("ann", 4, "a");
    struct job *job = submit_running(1, RELAXED);
    fault(ann, job, 2);
    for (int i = 0; i < 99; i++)
        worker_counted_good(service.workers, ann, job);
    ASSERT_EQ(2, ann->strikes);
    worker_counted_good(service.workers, ann, job);
    ASSERT_EQ(0, ann->strikes);
    fault(ann, job, 2);
    ASSERT_EQ(0, count_in(WORKER_ASIDE));
    for (int i = 0; i < 99; i++)
        worker_counted_good(service.workers, ann, job);
    fault(ann, job, 1); /* the count begins again */
    ASSERT_EQ(1, count_in(WORKER_ASIDE));
    ASSERT_EQ(5, ann->faults);
    service_end();
}

TEST(where_three_workers_fail_it_is_the_job)
{
    service_make(1, PLENTY);
    struct worker *ann = hello("ann", 1, "a"), *ben = hello("ben", 1, "a");
    struct worker *cid = hello("cid", 1, "a"), *dot = hello("dot", 1, "a");
    struct job *job = submit_running(1, RELAXED);
    fault(ann, job, 3);
    ASSERT_EQ(1, count_in(WORKER_ASIDE));
    fault(ben, job, 1);
    fault(cid, job, 1);
    ASSERT_EQ(JOB_RUNNING, job->rec.state); /* dot has not tried it */
    workers_bye(service.workers, dot);
    fault(cid, job, 1);
    ASSERT_EQ(JOB_FAILED, job->rec.state);
    ASSERT_HAS("step 0 failed 6 times: grad holds NaN", job->rec.reason);
    ASSERT_EQ(0, count_in(WORKER_ASIDE)); /* nothing of it counts against them */
    ASSERT_EQ(0, ann->strikes + ben->strikes + cid->strikes);
    service_end();
}

TEST(what_workers_report_themselves_is_believed_sooner)
{
    service_make(1, PLENTY);
    struct worker *ann = hello("ann", 1, "a");
    struct job *job = submit_running(1, RELAXED);
    workers_fault(service.workers, ann, job, true, 1, "no memory");
    workers_fault(service.workers, ann, job, true, 1, "no memory");
    ASSERT_EQ(JOB_RUNNING, job->rec.state);
    workers_fault(service.workers, ann, job, true, 2, "no memory");
    ASSERT_EQ(JOB_FAILED, job->rec.state);
    ASSERT_HAS("failed 3 times: no memory", job->rec.reason);
    ASSERT_EQ(2, net.metrics.counts[COUNT_SHARDS_BURIED]);
    service_end();
}

/* --- refusals --- */

TEST(a_job_that_a_worker_refuses_is_not_offered_to_it_again)
{
    char waiting[400];

    service_make(1, PLENTY);
    struct worker *ann = hello("ann", 4, "a");
    struct job *job = submit_running(1, RELAXED);
    next(ann);
    workers_refuse(service.workers, ann, job, REFUSAL_MEMORY, "it needs 9 GB");
    ASSERT_EQ(0, ann->job);
    struct told *told = next(ann);
    tick_workers(HOLD_MS - 1);
    ASSERT_EQ(0, told->answers);
    ASSERT(workers_waiting(service.workers, job, waiting, sizeof(waiting)));
    ASSERT_HAS("none can do this job; worker ann: it needs 9 GB", waiting);
    workers_refuse(service.workers, ann, job, REFUSAL_MEMORY, "it needs 9 GB"); /* once more */
    ASSERT_EQ(1, job->refusals.count);
    told = next(ann);
    workers_forgive(service.workers, job->rec.job);
    workers_wake(service.workers);
    ASSERT_STR("train", told_text(told, "task"));
    service_end();
}

TEST(what_may_pass_is_offered_again_later_each_time)
{
    static const int64_t after_s[] = {30, 60, 120, 240, 480, 600, 600};

    service_make(1, PLENTY);
    struct worker *ann = hello("ann", 4, "a");
    struct job *job = submit_running(1, RELAXED);
    for (size_t i = 0; i < sizeof(after_s) / sizeof(after_s[0]); i++) {
        workers_refuse(service.workers, ann, job, REFUSAL_DISK, "its disk is full");
        ASSERT(worker_refuses(ann, job));
        now_ms += 1000 * after_s[i] - 1;
        ASSERT(worker_refuses(ann, job));
        ASSERT(worker_has_refused(ann, job->rec.job));
        now_ms += 1;
        ASSERT(!worker_refuses(ann, job));
    }
    ASSERT_EQ(0, job->refusals.count); /* none of them ends it */
    ASSERT(node_size(node_of(next(ann))) > 0);
    service_end();
}

TEST(memory_that_was_lacking_may_be_there_later)
{
    service_make(1, PLENTY);
    struct worker *ann = hello("ann", 4, "a");
    struct job *job = submit_running(1, RELAXED);
    /* One worker, however often: the job waits for it, or for another. */
    for (int i = 0; i < 4; i++) {
        workers_refuse(service.workers, ann, job, REFUSAL_MEMORY, "no memory for a task");
        ASSERT(worker_refuses(ann, job));
        now_ms += 600000;
        ASSERT(!worker_refuses(ann, job));
        ASSERT_EQ(1, job->refusals.count);
    }
    ASSERT_EQ(JOB_RUNNING, job->rec.state);
    ASSERT(node_size(node_of(next(ann))) > 0);
    workers_refuse(service.workers, ann, job, REFUSAL_UNSUPPORTED, "too new");
    now_ms += 600000;
    ASSERT(worker_refuses(ann, job)); /* a program does not come to know more */
    service_end();
}

TEST(a_job_that_nobody_can_do_fails_after_three)
{
    service_make(1, PLENTY);
    struct worker *ann = hello("ann", 1, "a"), *ben = hello("ben", 1, "a");
    struct worker *cid = hello("cid", 1, "a"), *dot = hello("dot", 1, "a");
    struct job *job = submit_running(1, RELAXED);
    workers_refuse(service.workers, ann, job, REFUSAL_MEMORY, "too large");
    workers_refuse(service.workers, ben, job, REFUSAL_UNSUPPORTED, "too new");
    workers_refuse(service.workers, cid, job, REFUSAL_DISK, "no room");
    workers_refuse(service.workers, dot, job, REFUSAL_MEMORY, "too large");
    ASSERT_EQ(JOB_RUNNING, job->rec.state); /* there may be room later */
    worker_forgive(cid, 0);
    workers_refuse(service.workers, cid, job, REFUSAL_MEMORY, "too large");
    ASSERT_EQ(JOB_FAILED, job->rec.state);
    ASSERT_HAS("no worker can do it, 4 have tried; worker cid: too large", job->rec.reason);
    service_end();
}

TEST(what_was_begun_is_not_thrown_away_for_refusals)
{
    service_make(1, PLENTY);
    struct worker *ann = hello("ann", 4, "a");
    struct job *job = submit_running(1, RELAXED);
    struct told *told = next(ann);
    count_result(job, ann, node_of(told));
    workers_bye(service.workers, ann);
    for (int i = 0; i < 5; i++) {
        char name[8] = {'w', (char)('0' + i)};
        workers_refuse(service.workers, hello(name, 1, "a"), job, REFUSAL_MEMORY, "too large");
    }
    ASSERT_EQ(5, job->refusals.count);
    ASSERT_EQ(JOB_RUNNING, job->rec.state);
    service_end();
}

TEST(a_class_that_an_update_changed_is_told_from_one_of_another_machine)
{
    const char *job = "avx2.4/Haswell/0123456789abcdef";

    ASSERT(class_is_other_version("avx2.4/Haswell/fedcba9876543210", job));
    ASSERT(class_is_other_version("avx2.5/Haswell/fedcba9876543210", job));
    ASSERT(!class_is_other_version(job, job));
    ASSERT(!class_is_other_version("avx2.4/Zen/fedcba9876543210", job));
    ASSERT(!class_is_other_version("avx2.4/Haswell2/0123456789abcdef", job));
    ASSERT(!class_is_other_version("avx512.4/Haswell/0123456789abcdef", job));
    ASSERT(!class_is_other_version("avx2", "avx512") && !class_is_other_version("", job));
}
