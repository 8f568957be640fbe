/* What a server serves, in a folder of the test, without its sockets, ticks and time: jobs that
 * run, the lanes that write them, and workers that are what the test says. The job is that of
 * run_fixture.h, which has 4 shards a round. */
#ifndef STEPPE_TESTS_SERVICE_FIXTURE_H
#define STEPPE_TESTS_SERVICE_FIXTURE_H

#include "common/file.h"
#include "server/jobs/jobs_internal.h"
#include "server/jobs/service.h"
#include "server/jobs/workers_internal.h"
#include "server/net/lane.h"
#include "server/store/state_dir.h"
#include "tests/unit/server/answer_fixture.h"
#include "tests/unit/server/run_fixture.h"

#define PLENTY INT64_C(1) << 30

static struct net net;
static struct service service;

static void noop(void *arg)
{
    (void)arg;
}

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

/* Everything that was given to the store's lane is written and known, and what came of that too. */
static void settle(void)
{
    for (int i = 0; i < 4; i++) {
        bool done = false;

        lane_run_in(net.store_lane, LANE_LAST, noop, set_flag, &done);
        while (!done)
            uv_run(&net.loop, UV_RUN_ONCE);
    }
}

static void make_dataset(void)
{
    struct dataset_draft d = {
        .samples = SAMPLES, .test_samples = TESTS, .classes = CLASSES, .dims = {2, 2, 1}};
    struct dataset_commit *c = xcalloc(1, sizeof(*c));
    uint8_t digest[SHA256_BYTES];
    struct errbuf why;
    char path[STATE_PATH_BYTES];
    int rc;

    d.images = xcalloc(SAMPLES, 4);
    d.test_images = xcalloc(TESTS, 4);
    d.labels = xcalloc(SAMPLES, sizeof(*d.labels));
    d.test_labels = xcalloc(TESTS, sizeof(*d.test_labels));
    for (uint32_t i = 0; i < SAMPLES; i++)
        d.labels[i] = (uint16_t)(i * 7 % CLASSES);
    ASSERT_OK(dataset_write(&d, test_path("made"), digest, &why), why);
    dataset_draft_done(&d);
    for (int i = 0; i < SHA256_BYTES; i++)
        snprintf(c->rec.sha256 + 2 * i, 3, "%02x", digest[i]);
    snprintf(c->rec.name, sizeof(c->rec.name), "d");
    state_dir_folder(path, service.dir, STATE_DATASETS);
    ASSERT_OK(file_mkdirs(path, 0700, &why), why);
    state_dir_dataset(path, service.dir, c->rec.sha256);
    ASSERT_EQ(0, rename(test_path("made"), path));
    while ((rc = dataset_commit_read(service.dir, c, &why)) > 0)
        continue;
    ASSERT_OK(rc, why);
    ASSERT_OK(dataset_commit_store(service.dir, service.store, c, &why), why);
    dataset_commit_done(service.datasets, c, 0);
    dataset_commit_free(c);
}

/* Opens the folder state, which may be there already. */
static void service_open(int64_t max_running, int64_t memory_bytes)
{
    struct errbuf why;

    net = (struct net){.service = &service};
    service = (struct service){.net = &net,
                               .max_running = max_running,
                               .memory_bytes = memory_bytes,
                               .checkpoint_s = 3600};
    ASSERT_EQ(0, uv_loop_init(&net.loop));
    failpoint_init(&service.failpoint);
    snprintf(service.dir, sizeof(service.dir), "%s", test_path("state"));
    ASSERT_OK(store_open(service.dir, &service.store, &why), why);
    ASSERT_OK(query_open(service.dir, &service.query, &why), why);
    ASSERT_OK(datasets_open(service.dir, service.store, &service.datasets, &why), why);
    ASSERT_OK(workers_open(&service, &service.workers, &why), why);
    ASSERT_OK(jobs_open(&service, &service.jobs, &why), why);
    ASSERT_EQ(0, lane_open(&net.loop, "store", NULL, &net.store_lane));
}

/* A new one with the dataset. */
__attribute__((unused)) static void service_make(int64_t max_running, int64_t memory_bytes)
{
    service_open(max_running, memory_bytes);
    make_dataset();
}

static void service_close(void)
{
    net.stopping = true;
    lane_close(net.store_lane);
    workers_close(service.workers);
    uv_run(&net.loop, UV_RUN_DEFAULT);
    ASSERT_EQ(0, uv_loop_close(&net.loop));
    jobs_close(service.jobs);
    datasets_close(service.datasets);
    query_close(service.query);
    store_close(service.store);
}

/* Closes it, and forgets what was answered. */
__attribute__((unused)) static void service_end(void)
{
    service_close();
    told_forget();
}

/* The clock goes on, and the workers hear of it. */
__attribute__((unused)) static void tick_workers(int64_t ms)
{
    now_ms += ms;
    workers_tick(service.workers, now_ms);
}

/* A job as a person submits it, written; it is not pumped. rest: more keys, from ", " on. */
static struct job *submit(int number, const char *rest)
{
    struct job *job = xcalloc(1, sizeof(*job));
    struct errbuf why;
    char text[800];

    snprintf(text, sizeof(text),
             "{\"name\": \"j%d\", \"dataset\": \"d\", \"model\": {\"layers\": [{\"type\": "
             "\"flatten\"}, {\"type\": \"dense\", \"units\": 5}, {\"type\": \"relu\"}, {\"type\": "
             "\"dense\"}]}, \"epochs\": 1, \"batch\": %d, \"shard\": %d%s%s}",
             number, BATCH, SHARD, STILL, rest);
    cJSON *json = cJSON_Parse(text);
    ASSERT(json);
    ASSERT_OK(jobspec_parse(json, &job->spec, &why), why);
    cJSON_Delete(json);
    job->loss = job->accuracy = NAN;
    job->rec.created_unix_ms = 1;
    job->rec.spec_json = xstrdup(text);
    snprintf(job->rec.uuid, sizeof(job->rec.uuid), "00000000-0000-4000-8000-%012d", number);
    snprintf(job->rec.name, sizeof(job->rec.name), "%s", job->spec.name);
    snprintf(job->rec.dataset, sizeof(job->rec.dataset), "d");
    ASSERT_OK(jobs_prepare(&service, job, &why), why);
    settle(); /* the lane has nothing to do with the store now */
    ASSERT_OK(store_job_insert(service.store, &job->rec, NULL, &why), why);
    job_kept(job, &job->rec);
    jobs_add(service.jobs, job);
    return job;
}

#define RELAXED ", \"numerics\": \"relaxed\""

/* A job that has its run. */
__attribute__((unused)) static struct job *submit_running(int number, const char *rest)
{
    struct job *job = submit(number, rest);

    jobs_pump(service.jobs);
    settle();
    ASSERT(job->run);
    return job;
}

/* --- workers --- */

__attribute__((unused)) static struct worker *hello_by(const char *key, const char *sender,
                                                       int64_t threads, const char *class)
{
    struct worker *worker;
    struct told *told;
    struct errbuf why;
    struct request *rq = request_of(&net, MSG_WORKER_HELLO, sender, NULL, &told);

    snprintf(rq->key_name, sizeof(rq->key_name), "%s", key);
    ASSERT_OK(workers_hello(service.workers, rq, sender, threads, class, &worker, &why), why);
    request_drop(rq);
    return worker;
}

__attribute__((unused)) static struct worker *hello(const char *sender, int64_t threads,
                                                    const char *class)
{
    return hello_by("", sender, threads, class);
}

/* The worker asks for work; json as in task.next. */
__attribute__((unused)) static struct told *next_with(struct worker *worker, const char *json)
{
    struct told *told;

    workers_next(service.workers, worker,
                 request_of(&net, MSG_TASK_NEXT, worker->sender, json, &told));
    return told;
}

__attribute__((unused)) static struct told *next(struct worker *worker)
{
    return next_with(worker, NULL);
}

/* A result of this node of the open round is counted, with nothing but zeros in it. */
__attribute__((unused)) static void count_result(struct job *job, struct worker *worker,
                                                 struct node node)
{
    uint32_t samples = run_node_samples(job->run, run_phase(job->run), run_step(job->run), node);
    double sums[SUM_COUNT] = {[SUM_WEIGHT] = 1};
    struct score *scores = xcalloc(samples, sizeof(*scores));
    float *grad = xcalloc(job->model.floats, sizeof(*grad));
    struct errbuf why;

    ASSERT(samples > 0);
    for (uint32_t i = 0; i < samples; i++)
        scores[i].flags = SCORE_MEASURED;
    const struct run_result res = {.phase = run_phase(job->run),
                                   .step = run_step(job->run),
                                   .node = node,
                                   .worker = worker ? workers_number(worker) : 0,
                                   .grad = grad,
                                   .sums = sums,
                                   .scores = scores};
    ASSERT_OK(run_result(job->run, &res, &why), why);
    if (worker)
        workers_counted(service.workers, worker, job, node_size(node));
    jobs_advance(service.jobs, job);
    free(grad);
    free(scores);
}

/* The node of the task that was given. */
__attribute__((unused)) static struct node node_of(const struct told *told)
{
    ASSERT_EQ(1, told->answers);
    return (struct node){(uint32_t)told_number(told, "lo"), (uint32_t)told_number(told, "hi")};
}

/* Somebody takes what is left of the open round and computes it. */
__attribute__((unused)) static void close_round(struct job *job)
{
    struct run_task task;

    ASSERT_EQ(0, run_take(job->run, BY(1000000), run_shards(job->run), now_ms, 60000, &task));
    count_result(job, NULL, task.node);
}

__attribute__((unused)) static void go_to_step(struct job *job, uint64_t step)
{
    while (run_step(job->run) < step)
        close_round(job);
}

/* Closes rounds until the job has closed its last one. */
__attribute__((unused)) static void finish_rounds(struct job *job)
{
    while (job->run && !run_finished(job->run))
        close_round(job);
}

#endif
