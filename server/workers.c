#include "server/workers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/field.h"
#include "common/log.h"
#include "server/server.h"

#define LEASE_FIRST_MS 60000 /* before a shard's time is known */
#define LEASE_MIN_MS 3000
#define LEASE_MAX_MS 600000
#define LEASE_FACTOR 10 /* times the slowest recent time */
#define PIECE_MS 10000  /* most time between two pieces, at least */
#define SCORE_SHARDS 8  /* most shards of a sweep or test per thread and trip */
#define SILENT_MS (HOLD_MS + 10000)
#define FORGET_MS 600000

/* The vector that it holds. */
struct have {
    int64_t job, incarnation;
    uint64_t step;
    int64_t phase; /* in a descent theta hat, otherwise theta of the step */
    bool valid;
};

struct worker {
    uint32_t number;
    char sender[37], name[NAME_MAX_BYTES], class[80];
    char key_name[NAME_MAX_BYTES]; /* of the key that it said hello with; "" without */
    uint32_t threads;
    int64_t seen_ms;
    struct request *held; /* waits for work */
    int64_t held_until_ms;
    struct have have;
    int64_t job; /* it computes for, 0: none */
    int64_t lease_start_ms, lease_end_ms;
    uint32_t lease_shards;
    uint64_t shards; /* counted in all */
    struct worker *next;
};

struct workers {
    struct server *server;
    struct worker *list;
    uint32_t count, last_number;
};

int workers_open(struct server *s, struct workers **ret)
{
    struct workers *w = xcalloc(1, sizeof(*w));

    w->server = s;
    *ret = w;
    return 0;
}

static void forget(struct workers *w, struct worker *worker)
{
    struct worker **at = &w->list;

    while (*at != worker)
        at = &(*at)->next;
    *at = worker->next;
    w->count--;
    if (worker->held)
        request_drop(worker->held);
    free(worker);
}

void workers_close(struct workers *w)
{
    if (!w)
        return;
    while (w->list)
        forget(w, w->list);
    free(w);
}

struct worker *workers_of(struct workers *w, struct request *rq)
{
    for (struct worker *worker = w->list; worker; worker = worker->next)
        if (strcmp(worker->sender, rq->sender) == 0) {
            if (strcmp(worker->key_name, rq->key_name) != 0)
                break; /* whoever learnt its UUID is not that worker */
            worker->seen_ms = clock_mono_ms();
            return worker;
        }
    request_error(rq, ERR_UNKNOWN_WORKER,
                  "this server does not know worker %s; say worker.hello first", rq->sender);
    return NULL;
}

/* Computing or waiting for a reply, as far as the server can know. */
static bool alive(const struct worker *worker, int64_t now_ms)
{
    if (worker->held)
        return true;
    if (worker->job)
        return now_ms < worker->lease_end_ms;
    return now_ms < worker->seen_ms + SILENT_MS;
}

/* May it compute for this job? A strict job without a class takes any, and keeps that one. */
static bool fits(const struct worker *worker, const struct job *job)
{
    return job->spec.numerics == NUMERICS_RELAXED || !job->rec.numerics_class[0] ||
           strcmp(job->rec.numerics_class, worker->class) == 0;
}

int workers_hello(struct workers *w, const struct request *rq, const char *name, int64_t threads,
                  const char *class, uint32_t *ret_number, struct errbuf *why)
{
    struct worker *worker = w->list;

    while (worker && strcmp(worker->sender, rq->sender) != 0)
        worker = worker->next;
    if (worker && strcmp(worker->key_name, rq->key_name) != 0)
        return err_set(why, -EPERM, "worker %s said hello with another key", rq->sender);
    if (!worker) {
        if (w->count >= WORKERS_MAX)
            return err_set(why, -ERANGE, "%u workers are connected already, allowed is %d",
                           w->count, WORKERS_MAX);
        worker = xcalloc(1, sizeof(*worker));
        worker->number = ++w->last_number;
        memcpy(worker->sender, rq->sender, sizeof(worker->sender));
        memcpy(worker->key_name, rq->key_name, sizeof(worker->key_name));
        struct worker **end = &w->list;
        while (*end)
            end = &(*end)->next;
        *end = worker;
        w->count++;
        log_info("worker.hello", "worker=%u name=%s threads=%d class=%s", worker->number, name,
                 (int)threads, class);
    }
    snprintf(worker->name, sizeof(worker->name), "%s", name);
    snprintf(worker->class, sizeof(worker->class), "%s", class);
    worker->threads = (uint32_t)threads;
    worker->seen_ms = clock_mono_ms();
    *ret_number = worker->number;
    return 0;
}

static uint32_t release(struct workers *w, struct worker *worker)
{
    struct job *job = jobs_active(w->server->jobs);

    worker->job = 0;
    return job && job->run ? run_release(job->run, worker->number) : 0;
}

uint32_t workers_bye(struct workers *w, struct worker *worker)
{
    uint32_t released = release(w, worker);

    log_info("worker.bye", "worker=%u released=%u", worker->number, released);
    forget(w, worker);
    if (released)
        workers_wake(w);
    return released;
}

static int64_t lease_ttl(const struct job *job, enum phase phase, uint32_t shards)
{
    double ms = job->shard_ms[phase];

    for (int p = 0; ms <= 0 && p <= PHASE_TEST; p++)
        ms = 2 * job->shard_ms[p];
    if (ms <= 0)
        return LEASE_FIRST_MS;
    double ttl = ms * LEASE_FACTOR * shards;
    return ttl < LEASE_MIN_MS ? LEASE_MIN_MS : ttl > LEASE_MAX_MS ? LEASE_MAX_MS : (int64_t)ttl;
}

uint32_t workers_number(const struct worker *worker)
{
    return worker->number;
}

int64_t workers_renew(struct workers *w, struct worker *worker, struct job *job)
{
    int64_t now_ms = clock_mono_ms();
    int64_t ttl_ms = lease_ttl(job, run_phase(job->run), worker->lease_shards);

    (void)w;
    ttl_ms = ttl_ms < PIECE_MS ? PIECE_MS : ttl_ms;
    run_renew(job->run, worker->number, now_ms, ttl_ms);
    if (worker->job == job->rec.job && worker->lease_end_ms < now_ms + ttl_ms)
        worker->lease_end_ms = now_ms + ttl_ms;
    return ttl_ms;
}

/* Shards to ask for: its share of the round by threads, so that a step is one trip per worker. */
static uint32_t wanted_shards(struct workers *w, const struct worker *worker, const struct job *job,
                              int64_t now_ms)
{
    uint64_t total = worker->threads, shards = run_shards(job->run);

    for (const struct worker *o = w->list; o; o = o->next)
        if (o != worker && alive(o, now_ms) && fits(o, job))
            total += o->threads;
    uint64_t want = (shards * worker->threads + total - 1) / total;
    if (!phase_trains(run_phase(job->run)) && want > (uint64_t)SCORE_SHARDS * worker->threads)
        want = (uint64_t)SCORE_SHARDS * worker->threads;
    return want ? (uint32_t)want : 1;
}

static cJSON *task_fields(const struct job *job, const struct run_task *task, int64_t ttl_ms)
{
    static const char *const kinds[] = {"train", "train", "train", "score", "test"};
    cJSON *out = cJSON_CreateObject();

    cJSON_AddStringToObject(out, "task", kinds[task->phase]);
    cJSON_AddNumberToObject(out, "job", (double)job->rec.job);
    cJSON_AddNumberToObject(out, "incarnation", (double)job->rec.incarnation);
    cJSON_AddNumberToObject(out, "step", (double)task->step);
    cJSON_AddNumberToObject(out, "phase", task->phase);
    cJSON_AddNumberToObject(out, "lo", task->node.lo);
    cJSON_AddNumberToObject(out, "hi", task->node.hi);
    cJSON_AddNumberToObject(out, "shard", (double)job->spec.shard);
    cJSON_AddNumberToObject(out, "count", task->count);
    cJSON_AddNumberToObject(out, "lease_ms", (double)ttl_ms);
    if (!task->ids)
        cJSON_AddNumberToObject(out, "first", task->first);
    return out;
}

/* Has it the vector at which the task is computed? */
static bool holds(const struct have *have, const struct job *job, const struct run_task *task)
{
    return have->valid && have->job == job->rec.job && have->incarnation == job->rec.incarnation &&
           have->step == task->step &&
           (have->phase == PHASE_DESCENT) == (task->phase == PHASE_DESCENT);
}

/* Answers the held request with a task when there is one. */
static bool grant(struct workers *w, struct worker *worker)
{
    struct job *job = jobs_active(w->server->jobs);
    int64_t now_ms = clock_mono_ms();
    struct run_task task;
    struct tensor tensors[3];
    size_t theta_bytes = 0;
    int count = 0;

    if (!jobs_ready(job) || job->class_pending || !fits(worker, job))
        return false;
    if (job->spec.numerics == NUMERICS_STRICT && !job->rec.numerics_class[0]) {
        jobs_pin_class(w->server->jobs, job, worker->class);
        return false;
    }
    uint32_t want = wanted_shards(w, worker, job, now_ms);
    int64_t ttl_ms = lease_ttl(job, run_phase(job->run), want);
    if (run_take(job->run, worker->number, want, now_ms, ttl_ms, &task) < 0)
        return false;
    if (task.ids)
        tensors[count++] = tensor_1d("ids", DTYPE_U32, task.count, task.ids);
    if (task.weights)
        tensors[count++] = tensor_1d("weights", DTYPE_F32, task.count, task.weights);
    if (!holds(&worker->have, job, &task)) {
        if (run_in_pieces(job->run))
            theta_bytes = job->model.floats * sizeof(float);
        else
            tensors[count++] =
                tensor_1d("theta", DTYPE_F32, job->model.floats, run_round_theta(job->run));
    }
    worker->job = job->rec.job;
    worker->lease_start_ms = now_ms;
    worker->lease_end_ms = now_ms + ttl_ms;
    worker->lease_shards = node_size(task.node);
    struct request *rq = worker->held;
    worker->held = NULL;
    cJSON *out = task_fields(job, &task, ttl_ms);
    if (theta_bytes)
        cJSON_AddNumberToObject(out, "theta_bytes", (double)theta_bytes);
    if (rq->result)
        cJSON_AddStringToObject(out, "result", rq->result);
    request_reply(rq, out, tensors, count);
    return true;
}

static int read_have(const struct request *rq, struct have *ret, struct errbuf *why)
{
    static const char *const keys[] = {"job", "incarnation", "step", "phase", NULL};
    const cJSON *obj = NULL;
    int64_t step = 0;

    *ret = (struct have){0};
    int rc = field_obj(rq->message.json, message_names[rq->type], "have", false, &obj, why);
    if (rc < 0 || !obj)
        return rc;
    rc = field_known(obj, "have", keys, why);
    if (rc == 0)
        rc = field_i64(obj, "have", "job", true, 1, INT32_MAX, &ret->job, why);
    if (rc == 0)
        rc = field_i64(obj, "have", "incarnation", true, 0, INT64_C(1) << 50, &ret->incarnation,
                       why);
    if (rc == 0)
        rc = field_i64(obj, "have", "step", true, 0, INT64_C(1) << 50, &step, why);
    if (rc == 0)
        rc = field_i64(obj, "have", "phase", false, 0, PHASE_TEST, &ret->phase, why);
    ret->step = (uint64_t)step;
    ret->valid = rc == 0;
    return rc;
}

static void answer_none(struct worker *worker)
{
    cJSON *out = cJSON_CreateObject();
    struct request *rq = worker->held;

    worker->held = NULL;
    cJSON_AddStringToObject(out, "task", "none");
    if (rq->result)
        cJSON_AddStringToObject(out, "result", rq->result);
    request_reply(rq, out, NULL, 0);
}

void workers_next(struct workers *w, struct worker *worker, struct request *rq)
{
    struct errbuf why;
    int rc = read_have(rq, &worker->have, &why);

    if (rc < 0) {
        request_fail(rq, rc, &why);
        return;
    }
    /* One request at a time: whoever asks computes nothing, so what it held is free again. */
    release(w, worker);
    if (worker->held)
        request_drop(worker->held);
    worker->held = rq;
    worker->held_until_ms = clock_mono_ms() + HOLD_MS;
    request_forget_body(rq);
    grant(w, worker);
}

void workers_counted(struct workers *w, struct worker *worker, struct job *job, uint32_t shards)
{
    worker->shards += shards;
    metrics_count_many(&w->server->metrics, COUNT_SHARDS_OK, shards);
    if (worker->job != job->rec.job || worker->lease_shards != shards)
        return;
    double ms = (double)(clock_mono_ms() - worker->lease_start_ms) / shards;
    metrics_time(&w->server->metrics.shard, ms / 1000);
    double *slow = &job->shard_ms[run_phase(job->run)];
    *slow = ms > *slow ? ms : 0.95 * *slow + 0.05 * ms;
}

void workers_wake(struct workers *w)
{
    for (struct worker *worker = w->list; worker; worker = worker->next)
        if (worker->held)
            grant(w, worker);
}

void workers_tick(struct workers *w, int64_t now_ms)
{
    struct job *job = jobs_active(w->server->jobs);

    if (job && job->run) {
        uint32_t expired = run_expire(job->run, now_ms);
        if (expired) {
            metrics_count_many(&w->server->metrics, COUNT_LEASES_EXPIRED, expired);
            log_warn("lease.expired", "job=%" PRId64 " step=%" PRIu64 " nodes=%u", job->rec.job,
                     run_step(job->run), expired);
            workers_wake(w);
        }
    }
    for (struct worker *worker = w->list, *next; worker; worker = next) {
        next = worker->next;
        if (worker->held && now_ms >= worker->held_until_ms)
            answer_none(worker);
        else if (!alive(worker, now_ms) && now_ms > worker->seen_ms + FORGET_MS)
            forget(w, worker);
    }
}

void workers_dismiss(struct workers *w)
{
    for (struct worker *worker = w->list; worker; worker = worker->next)
        if (worker->held)
            answer_none(worker);
}

bool workers_waiting(struct workers *w, const struct job *job, char *out, size_t bytes)
{
    int64_t now_ms = clock_mono_ms();
    unsigned live = 0, fit = 0;

    for (const struct worker *worker = w->list; worker; worker = worker->next)
        if (alive(worker, now_ms)) {
            live++;
            fit += fits(worker, job);
        }
    if (fit)
        return false;
    if (!live)
        snprintf(out, bytes, "no worker is connected");
    else
        snprintf(out, bytes, "%u worker%s connected, 0 in numerics class %s", live,
                 live == 1 ? "" : "s", job->rec.numerics_class);
    return true;
}

static const char *const state_names[] = {"computing", "waiting", "silent"};

/* Index in state_names. */
static int state_of(const struct worker *worker, int64_t now_ms)
{
    return !alive(worker, now_ms) ? 2 : worker->held ? 1 : 0;
}

void workers_count(struct workers *w, unsigned ret[3])
{
    int64_t now_ms = clock_mono_ms();

    for (const struct worker *worker = w->list; worker; worker = worker->next)
        ret[state_of(worker, now_ms)]++;
}

cJSON *workers_rows(struct workers *w)
{
    int64_t now_ms = clock_mono_ms();
    cJSON *rows = cJSON_CreateArray();

    for (const struct worker *worker = w->list; worker; worker = worker->next) {
        cJSON *row = cJSON_CreateObject();
        bool live = alive(worker, now_ms);

        cJSON_AddNumberToObject(row, "worker", worker->number);
        cJSON_AddStringToObject(row, "name", worker->name);
        cJSON_AddNumberToObject(row, "threads", worker->threads);
        cJSON_AddStringToObject(row, "class", worker->class);
        cJSON_AddStringToObject(row, "state", state_names[state_of(worker, now_ms)]);
        if (live && worker->job)
            cJSON_AddNumberToObject(row, "job", (double)worker->job);
        cJSON_AddNumberToObject(row, "last_seen_ms", (double)(now_ms - worker->seen_ms));
        cJSON_AddNumberToObject(row, "shards", (double)worker->shards);
        cJSON_AddItemToArray(rows, row);
    }
    return rows;
}
