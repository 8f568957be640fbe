/* What a worker may do with the task that it has, and with none: the messages of workers as the
 * handlers take them, from workers with keys. And what many workers of one key may do. */
#include <errno.h>

#include "server/handle/handlers.h"
#include "tests/unit/server/service_fixture.h"

static void open_world(void)
{
    service_make(2, PLENTY);
    ASSERT_EQ(0, lane_open(&net.loop, "data", NULL, &net.data_lane));
}

static void close_world(void)
{
    lane_close(net.data_lane);
    service_end();
}

/* The worker says this. */
static struct told *say(const struct worker *worker, enum message_type type,
                        void (*handle)(struct request *rq), const char *json)
{
    struct told *told;
    struct request *rq = request_of(&net, type, worker->sender, json, &told);

    rq->role = ROLE_WORKER;
    memcpy(rq->key_name, worker->key_name, sizeof(rq->key_name));
    handle(rq);
    return told;
}

#define SAY(worker, TYPE, handle, ...)                                                             \
    (snprintf(said, sizeof(said), __VA_ARGS__), say(worker, TYPE, handle, said))
static char said[400];

#define KEY(job, more)                                                                             \
    "{\"job\": %d, \"incarnation\": 1, \"step\": 0, \"phase\": 0, \"lo\": %u, \"hi\": %u" more     \
    "}",                                                                                           \
        job

TEST(nobody_fails_a_node_that_is_not_leased_to_it)
{
    open_world();
    struct worker *ann = hello_by("host1", "ann", 4, "a"), *eve = hello_by("eve", "eve", 1, "a");
    struct job *job = submit_running(1, RELAXED);
    struct node n = node_of(next(ann));
    for (int i = 0; i < 9; i++)
        SAY(eve, MSG_TASK_FAIL, handle_task_fail, KEY(1, ", \"reason\": \"boo\""), n.lo, n.hi);
    ASSERT_EQ(0, eve->faults);
    ASSERT_EQ(0, job->faults.count);
    ASSERT_EQ(JOB_RUNNING, job->rec.state);
    /* Ann's own report counts, once: what the network repeats is not a second one. */
    for (int i = 0; i < 3; i++)
        SAY(ann, MSG_TASK_FAIL, handle_task_fail,
            KEY(1, ", \"reason\": \"boo\", \"leaving\": true"), n.lo, n.hi);
    ASSERT_EQ(1, ann->faults);
    close_world();
}

TEST(a_result_counts_from_whom_the_node_was_leased_to)
{
    open_world();
    struct worker *ann = hello_by("host1", "ann", 4, "a"), *eve = hello_by("eve", "eve", 1, "a");
    struct job *job = submit_running(1, RELAXED);
    struct node n = node_of(next(ann));
    struct told *told =
        SAY(eve, MSG_TASK_RESULT, handle_task_result, KEY(1, ", \"leaving\": true"), n.lo, n.hi);
    ASSERT_STR("dropped", told_text(told, "result"));
    ASSERT_EQ(0, eve->faults); /* it was not even looked at */
    told = SAY(ann, MSG_TASK_RESULT, handle_task_result, KEY(1, ""), n.lo, n.hi);
    ASSERT_REFUSED("bad_tensor", told); /* this one was: it has no tensors */
    ASSERT_EQ(1, ann->faults);
    now_ms += 300000; /* its lease runs out; it may still bring the result */
    workers_tick(service.workers, now_ms);
    ASSERT(run_holds(job->run, workers_number(ann), n));
    told = SAY(ann, MSG_TASK_RESULT, handle_task_result, KEY(1, ""), n.lo, n.hi);
    ASSERT_REFUSED("bad_tensor", told);
    SAY(ann, MSG_TASK_NEXT, handle_task_next, "{\"leaving\": true}"); /* it gives it back */
    told = SAY(ann, MSG_TASK_RESULT, handle_task_result, KEY(1, ", \"leaving\": true"), n.lo, n.hi);
    ASSERT_STR("dropped", told_text(told, "result"));
    close_world();
}

TEST(nobody_refuses_a_job_of_which_it_has_no_task)
{
    open_world();
    struct worker *eve = hello_by("eve", "eve", 1, "a");
    struct job *job = submit_running(1, RELAXED);
    const char *no = "{\"job\": 1, \"cause\": \"memory\", \"reason\": \"no\", \"have\": 3}";
    for (int i = 0; i < 5; i++)
        say(eve, MSG_TASK_REFUSE, handle_task_refuse, no);
    ASSERT_EQ(0, job->refusals.count);
    next(eve);
    say(eve, MSG_TASK_REFUSE, handle_task_refuse, no);
    ASSERT_EQ(1, job->refusals.count);
    close_world();
}

TEST(a_job_is_described_to_those_who_have_a_task_of_it)
{
    open_world();
    struct worker *ann = hello_by("host1", "ann", 4, "a"), *eve = hello_by("eve", "eve", 1, "a");
    struct worker nobody = {.sender = "nobody"};
    submit_running(1, RELAXED);
    struct job *other = submit(2, RELAXED);
    next(ann);
    ASSERT_REFUSED("unknown_worker", SAY(&nobody, MSG_TASK_JOB, handle_task_job, "{\"job\": 1}"));
    struct told *told = SAY(eve, MSG_TASK_JOB, handle_task_job, "{\"job\": 1}");
    ASSERT_REFUSED("gone", told);
    ASSERT_HAS("has no task of job 1", told_text(told, "error"));
    told = SAY(ann, MSG_TASK_JOB, handle_task_job, "{\"job\": 1}");
    ASSERT_EQ(1, told_number(told, "job"));
    told = SAY(ann, MSG_TASK_JOB, handle_task_job, "{\"job\": %lld}", (long long)other->rec.job);
    ASSERT_REFUSED("gone", told);
    close_world();
}

TEST(parameters_are_for_those_who_hold_a_node)
{
    open_world();
    struct worker *ann = hello_by("host1", "ann", 4, "a"), *eve = hello_by("eve", "eve", 1, "a");
    submit_running(1, RELAXED);
    next(ann);
    const char *range = "{\"job\": 1, \"incarnation\": 1, \"step\": 0, \"phase\": 0, \"offset\": "
                        "0, \"bytes\": 8}";
    struct told *told = say(eve, MSG_PARAMS_GET, handle_params_get, range);
    ASSERT_REFUSED("gone", told);
    ASSERT_HAS("holds no node of step 0", told_text(told, "error"));
    ASSERT(told_number(say(ann, MSG_PARAMS_GET, handle_params_get, range), "bytes") > 0);
    close_world();
}

TEST(a_workers_key_opens_the_data_of_its_task_only)
{
    open_world();
    struct worker *ann = hello_by("host1", "ann", 4, "a"), *eve = hello_by("eve", "eve", 1, "a");
    struct worker nobody = {.sender = "nobody"};
    struct job *job = submit_running(1, RELAXED);
    const char *sha256 = job->rec.dataset_sha256;
#define PIECE "{\"sha256\": \"%s\", \"offset\": 0, \"bytes\": 8}", sha256
    next(ann);
    ASSERT_REFUSED("unknown_worker", SAY(&nobody, MSG_DATASET_GET, handle_dataset_get, PIECE));
    struct told *told = SAY(eve, MSG_DATASET_GET, handle_dataset_get, PIECE);
    ASSERT_REFUSED("gone", told);
    ASSERT_HAS("no task of a job with dataset", told_text(told, "error"));
    told = SAY(ann, MSG_DATASET_GET, handle_dataset_get, PIECE);
    while (!told->answers)
        uv_run(&net.loop, UV_RUN_ONCE);
    ASSERT(told_number(told, "bytes") > 0);
    /* People need no task. */
    struct request *rq = request_of(&net, MSG_DATASET_GET, "ada", said, &told);
    rq->role = ROLE_READ;
    handle_dataset_get(rq);
    while (!told->answers)
        uv_run(&net.loop, UV_RUN_ONCE);
    ASSERT(told_number(told, "bytes") > 0);
    close_world();
}

/* --- faults count by key --- */

static unsigned count_aside(void)
{
    unsigned counts[WORKER_STATES] = {0};

    workers_count(service.workers, counts);
    return counts[WORKER_ASIDE];
}

static void fault_thrice(struct worker *worker, struct job *job)
{
    for (int i = 0; i < 3; i++)
        workers_fault(service.workers, worker, job, false, 1, "grad holds NaN");
}

/* Three hellos of one key, each with a fault that it reports. */
static void speak_thrice(const char *key, struct job *job)
{
    for (int i = 0; i < 3; i++) {
        char name[24];
        snprintf(name, sizeof(name), "%s-%d", key, i);
        struct worker *voice = hello_by(key, name, 1, "a");
        if (job->run)
            workers_fault(service.workers, voice, job, true, 1, "no memory");
    }
}

TEST(one_key_has_one_voice)
{
    open_world();
    struct worker *ann = hello_by("host1", "ann", 1, "a");
    struct job *job = submit_running(1, RELAXED);
    next(ann);
    speak_thrice("eve", job);
    ASSERT_EQ(JOB_RUNNING, job->rec.state);
    ASSERT_EQ(3, count_aside()); /* all that have the key, */
    hello_by("eve", "more", 1, "a");
    ASSERT_EQ(4, count_aside()); /* and whoever else comes with it */
    tick_workers(29999);
    ASSERT_EQ(4, count_aside());
    next(ann); /* it is still there */
    tick_workers(1);
    ASSERT_EQ(0, count_aside());
    speak_thrice("mallory", job);
    ASSERT_EQ(JOB_RUNNING, job->rec.state);
    speak_thrice("trudy", job);
    ASSERT_EQ(JOB_FAILED, job->rec.state); /* three keys say so */
    ASSERT_EQ(0, count_aside());
    close_world();
}

TEST(the_last_key_that_is_there_does_not_end_what_another_began)
{
    open_world();
    struct worker *ann = hello_by("host1", "ann", 4, "a");
    struct job *job = submit_running(1, RELAXED);
    struct told *told = next(ann);
    count_result(job, ann, node_of(told));
    workers_bye(service.workers, ann);
    speak_thrice("eve", job);
    ASSERT_EQ(JOB_RUNNING, job->rec.state);
    ASSERT_EQ(3, count_aside());
    close_world();
}

TEST(a_key_that_is_alone_speaks_for_the_job)
{
    open_world();
    struct job *job = submit_running(1, RELAXED);
    speak_thrice("host1", job);
    ASSERT_EQ(JOB_FAILED, job->rec.state);
    ASSERT_EQ(0, count_aside());
    close_world();
}

TEST(one_broken_worker_does_not_stop_all_that_share_its_key)
{
    open_world();
    struct worker *ann = hello_by("all", "ann", 4, "a"), *bad = hello_by("all", "bad", 1, "a");
    struct job *job = submit_running(1, RELAXED);
    struct told *told = next(ann);
    count_result(job, ann, node_of(told));
    fault_thrice(bad, job);
    ASSERT_EQ(1, count_aside());
    fault_thrice(hello_by("all", "bad again", 1, "a"), job);
    ASSERT_EQ(3, count_aside()); /* six are too many */
    for (int i = 0; i < 100; i++)
        worker_counted_good(service.workers, ann, job);
    tick_workers(60000);
    tick_workers(0);
    ASSERT(!service.workers->standings);
    close_world();
}
