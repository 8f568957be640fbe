#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/field.h"
#include "common/log.h"
#include "server/jobs/service.h"
#include "server/jobs/workers_internal.h"

#define SILENT_MS (HOLD_MS + 10000)
#define FORGET_MS 600000

int workers_open(struct service *s, struct workers **ret, struct errbuf *why)
{
    struct workers *w = xcalloc(1, sizeof(*w));

    w->service = s;
    *ret = w;
    int rc = store_verify_secret(s->store, w->secret, why);
    return rc < 0 ? rc : standings_load(w, why);
}

/* The place for workers whose UUID has this hash. */
static struct worker **bucket_of(struct workers *w, const char *sender)
{
    uint32_t hash = 2166136261u;

    for (; *sender; sender++)
        hash = (hash ^ (uint8_t)*sender) * 16777619u;
    return &w->buckets[hash % WORKER_BUCKETS];
}

static struct worker *find(struct workers *w, const char *sender)
{
    struct worker *worker = *bucket_of(w, sender);

    while (worker && strcmp(worker->sender, sender) != 0)
        worker = worker->same_bucket;
    return worker;
}

static void forget(struct workers *w, struct worker *worker)
{
    struct worker **at = &w->list, **in = bucket_of(w, worker->sender);

    while (*at != worker)
        at = &(*at)->next;
    *at = worker->next;
    while (*in != worker)
        in = &(*in)->same_bucket;
    *in = worker->same_bucket;
    w->count--;
    if (worker->held)
        request_drop(worker->held);
    worker_share_end(worker);
    free(worker);
}

void workers_close(struct workers *w)
{
    if (!w)
        return;
    while (w->list)
        forget(w, w->list);
    standings_free(w);
    free(w);
}

struct worker *workers_of(struct workers *w, struct request *rq)
{
    struct worker *worker = find(w, rq->sender);

    /* A peer that merely learnt its UUID is not that worker. */
    if (worker && !worker->left && strcmp(worker->key_name, rq->key_name) == 0) {
        worker->seen_ms = clock_mono_ms();
        return worker;
    }
    request_error(rq, ERR_UNKNOWN_WORKER,
                  "this server does not know worker %s; say worker.hello first", rq->sender);
    return NULL;
}

bool workers_needs_dataset(struct workers *w, const struct worker *worker, const char *sha256)
{
    struct job *job;

    return worker->job && jobs_find(w->service->jobs, worker->job, &job, NULL) == 0 &&
           workers_has_task(worker, job) && strcmp(job->rec.dataset_sha256, sha256) == 0;
}

bool worker_alive(const struct worker *worker, int64_t now_ms)
{
    if (worker->held)
        return true;
    if (worker->left)
        return false;
    if (worker->job || worker->predicting)
        return now_ms < worker->lease_end_ms;
    return now_ms < worker->seen_ms + SILENT_MS;
}

bool worker_has_class(const struct worker *worker, const struct job *job)
{
    return job_class_is_relaxed(job) || !job->rec.numerics_class[0] ||
           strcmp(job->rec.numerics_class, worker->class) == 0;
}

bool worker_fits(const struct worker *worker, const struct job *job)
{
    return worker_has_class(worker, job) && worker_holds(worker, job) &&
           !worker_refuses(worker, job);
}

bool workers_result_fits(const struct worker *worker, const struct job *job)
{
    return worker_has_class(worker, job);
}

int workers_of_key(const struct workers *w, const char *key)
{
    int count = 0;

    for (const struct worker *worker = w->list; worker; worker = worker->next)
        count += !key || strcmp(worker->key_name, key) == 0;
    return count;
}

int workers_hello(struct workers *w, const struct request *rq, const char *name, int64_t threads,
                  const char *class, struct worker **ret, struct errbuf *why)
{
    struct worker *worker = find(w, rq->sender);

    if (worker && strcmp(worker->key_name, rq->key_name) != 0)
        return err_set(why, -EPERM, "worker %s said hello with another key", rq->sender);
    if (!worker) {
        if (w->count >= WORKERS_MAX)
            return err_set(why, -ERANGE, "%u workers are already connected, allowed is %d",
                           w->count, WORKERS_MAX);
        if (rq->key_name[0] && workers_of_key(w, rq->key_name) >= WORKERS_OF_ONE_MAX)
            return err_set(why, -ERANGE,
                           "%d workers with the key %s are already connected, allowed is %d of one "
                           "key (steppe limits)",
                           workers_of_key(w, rq->key_name), rq->key_name, WORKERS_OF_ONE_MAX);
        worker = xcalloc(1, sizeof(*worker));
        worker->number = ++w->last_number;
        memcpy(worker->sender, rq->sender, sizeof(worker->sender));
        memcpy(worker->key_name, rq->key_name, sizeof(worker->key_name));
        struct worker **end = &w->list;
        while (*end)
            end = &(*end)->next;
        *end = worker;
        struct worker **bucket = bucket_of(w, worker->sender);
        worker->same_bucket = *bucket;
        *bucket = worker;
        w->count++;
        log_info("worker.hello", "worker=%u name=%s threads=%d class=%s", worker->number, name,
                 (int)threads, class);
    }
    snprintf(worker->name, sizeof(worker->name), "%s", name);
    snprintf(worker->class, sizeof(worker->class), "%s", class);
    worker->threads = (uint32_t)threads;
    worker->left = false;
    worker->seen_ms = clock_mono_ms();
    worker_forgive(worker, 0);
    worker_take_standing(w, worker);
    *ret = worker;
    return 0;
}

void workers_know_predictions(struct worker *worker, bool predicts)
{
    worker->predicts = predicts;
}

void workers_know_ranks(struct worker *worker, uint32_t ranks)
{
    worker->ranks = ranks;
}

uint32_t workers_bye(struct workers *w, struct worker *worker)
{
    uint32_t released = worker_release(w, worker);

    log_info("worker.bye", "worker=%u released=%u", worker->number, released);
    if (worker->strikes) { /* bye and hello do not clear its faults */
        worker->left = true;
        worker->loaded = 0;
        worker_share_end(worker);
        if (worker->held)
            request_drop(worker->held);
        worker->held = NULL;
    } else {
        forget(w, worker);
    }
    if (released)
        workers_wake(w);
    return released;
}

uint32_t workers_revoke(struct workers *w, const char *key_name)
{
    uint32_t count = 0;

    for (struct worker *worker = w->list, *next; worker; worker = next) {
        next = worker->next;
        if (worker->left || strcmp(worker->key_name, key_name) != 0)
            continue;
        workers_bye(w, worker);
        count++;
    }
    return count;
}

void workers_forget_job(struct workers *w, int64_t job)
{
    for (struct worker *worker = w->list; worker; worker = worker->next) {
        if (worker->share.job == job)
            worker_share_end(worker);
        if (worker->loaded == job)
            worker->loaded = 0;
        worker_forgive(worker, job);
    }
}

uint32_t workers_number(const struct worker *worker)
{
    return worker->number;
}

uint32_t workers_hand(const struct worker *worker)
{
    return worker->hand;
}

const uint8_t *workers_secret(const struct workers *w)
{
    return w->secret;
}

const char *workers_hand_name(const struct workers *w, uint32_t hand)
{
    return hand < w->hand_count ? standing_name(w->hands[hand]) : "nobody";
}

uint32_t workers_hands(struct workers *w, const struct job *job, uint32_t *ret_one)
{
    int64_t now_ms = clock_mono_ms();
    bool *seen = xcalloc(w->hand_count + 1, sizeof(*seen));
    uint32_t count = 0;

    for (const struct worker *o = w->list; o; o = o->next)
        if (!seen[o->hand] && !o->aside_until_ms && worker_alive(o, now_ms) &&
            worker_fits(o, job)) {
            seen[o->hand] = true;
            *ret_one = o->hand;
            count++;
        }
    free(seen);
    return count;
}

const char *workers_name(const struct worker *worker)
{
    return worker->name;
}

static int read_have(const struct request *rq, struct have *ret, struct errbuf *why)
{
    static const char *const keys[] = {"job",  "incarnation", "step",  "phase",
                                       "turn", "vector",      "share", NULL};
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
        rc = field_i64(obj, "have", "share", false, 1, INT64_C(1) << 50, &ret->share, why);
    if (rc == 0)
        rc = field_i64(obj, "have", "step", !ret->share, 0, INT64_C(1) << 50, &step, why);
    if (rc == 0)
        rc = field_i64(obj, "have", "phase", false, 0, PHASES - 1, &ret->phase, why);
    if (rc == 0)
        rc = field_i64(obj, "have", "turn", false, 0, UINT32_MAX, &ret->turn, why);
    if (rc == 0)
        rc = field_i64(obj, "have", "vector", false, 0, UINT32_MAX, &ret->vector, why);
    ret->step = (uint64_t)step;
    ret->valid = rc == 0 && cJSON_HasObjectItem(obj, "step");
    return rc;
}

const char *workers_wanted_class(struct workers *w, const struct worker *worker)
{
    const char *wanted = "";
    char waiting[80];
    struct job *job;

    for (size_t i = 0; (job = jobs_running(w->service->jobs, i)) != NULL; i++)
        if (worker_fits(worker, job))
            return "";
        else if (!wanted[0] && !worker_has_class(worker, job) &&
                 workers_waiting(w, job, waiting, sizeof(waiting)))
            wanted = job->rec.numerics_class;
    return wanted;
}

static void answer_none(struct workers *w, struct worker *worker)
{
    cJSON *out = cJSON_CreateObject();
    struct request *rq = worker->held;
    const char *class = workers_wanted_class(w, worker);

    if (class[0])
        cJSON_AddStringToObject(out, "class", class);

    worker->held = NULL;
    cJSON_AddStringToObject(out, "task", task_kind_names[TASK_NONE]);
    if (rq->result)
        cJSON_AddStringToObject(out, "result", rq->result);
    request_reply(rq, out, NULL, 0);
}

void workers_next(struct workers *w, struct worker *worker, struct request *rq)
{
    struct errbuf why;
    bool leaving = false;
    int rc = read_have(rq, &worker->have, &why);

    if (rc == 0)
        rc =
            field_bool(rq->message.json, message_names[rq->type], "leaving", false, &leaving, &why);
    if (rc < 0) {
        request_fail(rq, rc, &why);
        return;
    }
    /* One request at a time: a worker that asks computes nothing, so its leases are free again. */
    worker_release(w, worker);
    if (worker->held)
        request_drop(worker->held);
    worker->held = rq;
    worker->held_since_ms = clock_mono_ms();
    request_forget_body(rq);
    if (leaving)
        answer_none(w, worker);
    else
        worker_grant(w, worker);
}

/* The first result that counts decides the class of a strict job: asking for work costs nothing.
 * Whoever else has a task of it computes in vain. */
static void pin_class(struct workers *w, const struct worker *worker, struct job *job)
{
    if (job_class_is_relaxed(job) || job->rec.numerics_class[0])
        return;
    job_class_pin(w->service->jobs, job, worker->class);
    for (struct worker *o = w->list; o; o = o->next)
        if (o->job == job->rec.job && !worker_has_class(o, job))
            worker_release(w, o);
}

void workers_counted(struct workers *w, struct worker *worker, struct job *job, uint32_t shards)
{
    pin_class(w, worker, job);
    worker->shards += shards;
    worker->proven = job->rec.job;
    job->touched = true;
    job->moved_ms = clock_mono_ms();
    job->held_said = false;
    worker_counted_good(w, worker, job);
    metrics_count_many(&w->service->net->metrics, COUNT_SHARDS_OK, shards);
    if (worker->job == job->rec.job && worker->token[0] && worker->lease_shards < shards)
        shards = worker->lease_shards; /* the others' took as long */
    if (worker->job != job->rec.job || worker->lease_shards != shards)
        return;
    double ms = (double)(clock_mono_ms() - worker->lease_start_ms);
    metrics_time(&w->service->net->metrics.shard, ms / shards / 1000);
    pace_note(&job->pace, run_phase(job->run), shards, worker->threads, ms);
}

void workers_wake(struct workers *w)
{
    for (struct worker *worker = w->list; worker; worker = worker->next)
        if (worker->held)
            worker_grant(w, worker);
}

void workers_tick(struct workers *w, int64_t now_ms)
{
    workers_expire(w, now_ms);
    workers_judge_lost(w, now_ms);
    workers_tell_held(w, now_ms);
    workers_free_classes(w, now_ms);
    workers_judge_room(w, now_ms);
    standings_tick(w, now_ms);
    for (struct worker *worker = w->list, *next; worker; worker = next) {
        next = worker->next;
        if (worker->aside_until_ms && now_ms >= worker->aside_until_ms) {
            worker->aside_until_ms = 0;
            if (worker->held && worker_grant(w, worker))
                continue;
        }
        if (worker->held && now_ms >= worker->held_since_ms + HOLD_MS)
            answer_none(w, worker);
        else if (!worker_alive(worker, now_ms) && now_ms > worker->seen_ms + FORGET_MS &&
                 (now_ms > worker->aside_until_ms || worker->aside_until_ms == INT64_MAX))
            forget(w, worker);
    }
    if (workers_may_help(w, now_ms) || workers_may_repeat_prediction(w))
        workers_wake(w);
}

void workers_dismiss(struct workers *w)
{
    for (struct worker *worker = w->list; worker; worker = worker->next)
        if (worker->held)
            answer_none(w, worker);
}

/* "avx2.4/Haswell/0123456789abcdef": set of kernels, its revision, core, hash of a canary. */
bool class_is_other_version(const char *class, const char *other)
{
    const char *core = strchr(class, '/'), *other_core = strchr(other, '/');
    const size_t set = strcspn(class, "./"), core_bytes = core ? strcspn(core + 1, "/") : 0;

    return core && other_core && strcmp(class, other) != 0 && set == strcspn(other, "./") &&
           memcmp(class, other, set) == 0 && core_bytes == strcspn(other_core + 1, "/") &&
           memcmp(core, other_core, core_bytes + 1) == 0;
}

bool workers_waiting(struct workers *w, const struct job *job, char *out, size_t bytes)
{
    int64_t now_ms = clock_mono_ms();
    unsigned live = 0, fit = 0, aside = 0, refuse = 0, silent = 0, updated = 0;

    for (const struct worker *worker = w->list; worker; worker = worker->next)
        if (worker->aside_until_ms) {
            aside++;
        } else if (worker_alive(worker, now_ms)) {
            live++;
            fit += worker_fits(worker, job);
            updated += class_is_other_version(worker->class, job->rec.numerics_class);
            refuse += worker_has_class(worker, job) && worker_refuses(worker, job);
        } else if (!worker->left) {
            silent++;
        }
    if (fit)
        return job_verify_waiting(w->service->jobs, job, out, bytes);
    if (workers_too_small(w, job, out, bytes))
        return true;
    if (refuse)
        snprintf(out, bytes, "%u worker%s connected, none can do this job; %s", live,
                 live == 1 ? " is" : "s are", job->refusals.said);
    else if (!live && aside)
        snprintf(out, bytes, "%u worker%s set aside for bad results, no other is connected", aside,
                 aside == 1 ? " is" : "s are");
    else if (!live && job->refusals.count)
        snprintf(out, bytes, "no worker is connected; %s", job->refusals.said);
    else if (!live && silent)
        snprintf(out, bytes, "%u worker%s silent, no other is connected", silent,
                 silent == 1 ? " is" : "s are");
    else if (!live)
        snprintf(out, bytes, "no worker is connected");
    else if (updated)
        snprintf(
            out, bytes,
            "%u worker%s connected, 0 in numerics class %s: what computes on such machines now "
            "rounds differently (an update); let it go on with other bits: steppe resume "
            "%" PRId64 " --relaxed, or submit it again",
            live, live == 1 ? "" : "s", job->rec.numerics_class, job->rec.job);
    else
        snprintf(out, bytes,
                 "%u worker%s connected, 0 in numerics class %s; start one with --class %s, or let "
                 "any compute: steppe resume %" PRId64 " --relaxed",
                 live, live == 1 ? "" : "s", job->rec.numerics_class, job->rec.numerics_class,
                 job->rec.job);
    return true;
}

const char *const worker_state_names[WORKER_STATES + 1] = {
    [WORKER_COMPUTING] = "computing", [WORKER_WAITING] = "waiting", [WORKER_SILENT] = "silent",
    [WORKER_ASIDE] = "set aside",     [WORKER_STATES] = NULL,
};

static enum worker_state state_of(const struct worker *worker, int64_t now_ms)
{
    if (worker->aside_until_ms)
        return WORKER_ASIDE;
    if (!worker_alive(worker, now_ms))
        return WORKER_SILENT;
    return worker->held ? WORKER_WAITING : WORKER_COMPUTING;
}

void workers_count(struct workers *w, unsigned ret[WORKER_STATES])
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
        bool live = worker_alive(worker, now_ms);

        cJSON_AddNumberToObject(row, "worker", worker->number);
        cJSON_AddStringToObject(row, "name", worker->name);
        cJSON_AddNumberToObject(row, "threads", worker->threads);
        if (worker->memory_bytes)
            cJSON_AddNumberToObject(row, "memory_bytes", (double)worker->memory_bytes);
        if (worker->ranks > 1)
            cJSON_AddNumberToObject(row, "ranks", worker->ranks);
        cJSON_AddStringToObject(row, "class", worker->class);
        cJSON_AddStringToObject(row, "state", worker_state_names[state_of(worker, now_ms)]);
        if (live && worker->job)
            cJSON_AddNumberToObject(row, "job", (double)worker->job);
        cJSON_AddNumberToObject(row, "last_seen_ms", (double)(now_ms - worker->seen_ms));
        cJSON_AddNumberToObject(row, "shards", (double)worker->shards);
        if (worker->faults)
            cJSON_AddNumberToObject(row, "faults", (double)worker->faults);
        if (worker->aside_until_ms && worker->aside_until_ms != INT64_MAX)
            cJSON_AddNumberToObject(row, "aside_ms", (double)(worker->aside_until_ms - now_ms));
        cJSON_AddItemToArray(rows, row);
    }
    return rows;
}
