/* worker.* and task.*: the messages of workers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/field.h"
#include "common/log.h"
#include "common/text.h"
#include "proto/address.h"
#include "proto/result.h"
#include "server/handle/handlers.h"
#include "server/handle/task_key.h"
#include "server/jobs/service.h"

void handle_worker_list(struct request *rq)
{
    cJSON *out = cJSON_CreateObject();

    cJSON_AddItemToObject(out, "workers", workers_rows(rq->service->workers));
    cJSON_AddItemToObject(out, "liars", workers_liars(rq->service->workers));
    request_reply(rq, out, NULL, 0);
}

void handle_worker_trust(struct request *rq)
{
    const char *key;
    struct errbuf why;
    int rc = field_str(rq->message.json, "worker.trust", "key", true, NAME_MAX_BYTES, &key, &why);

    if (rc == 0)
        rc = workers_trust(rq->service->workers, key, rq, &why);
    if (rc < 0)
        request_fail(rq, rc, &why);
}

/* People tell workers apart by what they see of these. */
static int check_visible(const char *key, const char *text, struct errbuf *why)
{
    if (text_is_visible(text))
        return 0;
    return err_set(why, -EINVAL,
                   "worker.hello.%s is \"%s\", allowed are characters that show and take a place",
                   key, text);
}

void handle_worker_hello(struct request *rq)
{
    const char *name, *class, *address = NULL;
    int64_t threads, ranks = 1, memory = 0;
    bool predicts = false;
    struct worker *worker = NULL;
    struct errbuf why;
    const cJSON *json = rq->message.json;
    int rc = field_str(json, "worker.hello", "name", true, NAME_MAX_BYTES, &name, &why);

    if (rc == 0)
        rc = field_str(json, "worker.hello", "class", true, 80, &class, &why);
    if (rc == 0)
        rc = check_visible("name", name, &why);
    if (rc == 0)
        rc = check_visible("class", class, &why);
    if (rc == 0)
        rc = field_i64(json, "worker.hello", "threads", true, 1, GROUP_THREADS_MAX, &threads, &why);
    if (rc == 0)
        rc = field_i64(json, "worker.hello", "ranks", false, 1, GROUP_THREADS_MAX, &ranks, &why);
    if (rc == 0)
        rc = field_bool(json, "worker.hello", "predicts", false, &predicts, &why);
    if (rc == 0)
        rc = field_i64(json, "worker.hello", "memory", false, 1, INT64_C(1) << 53, &memory, &why);
    if (rc == 0)
        rc = field_str(json, "worker.hello", "address", false, ADDRESS_BYTES_MAX, &address, &why);
    if (rc == 0 && address)
        rc = address_check(address, &why);
    if (rc == 0)
        rc = workers_hello(rq->service->workers, rq, name, threads, class, &worker, &why);
    if (rc < 0) {
        request_fail(rq, rc, &why);
        return;
    }
    workers_know_predictions(worker, predicts);
    workers_know_memory(worker, memory);
    workers_know_ranks(worker, (uint32_t)ranks);
    workers_know_address(worker, address);
    cJSON *out = cJSON_CreateObject();
    cJSON_AddNumberToObject(out, "worker", workers_number(worker));
    cJSON_AddNumberToObject(out, "hold_ms", HOLD_MS);
    const char *wanted = workers_wanted_class(rq->service->workers, worker);
    if (wanted[0])
        cJSON_AddStringToObject(out, "class", wanted);
    request_reply(rq, out, NULL, 0);
}

void handle_worker_bye(struct request *rq)
{
    struct worker *worker = workers_of(rq->service->workers, rq);

    if (!worker)
        return;
    cJSON *out = cJSON_CreateObject();
    cJSON_AddNumberToObject(out, "released", workers_bye(rq->service->workers, worker));
    request_reply(rq, out, NULL, 0);
}

void handle_worker_note(struct request *rq)
{
    struct worker *worker = workers_of(rq->service->workers, rq);
    char line[NOTE_BYTES_MAX + NAME_MAX_BYTES + 16];
    const char *text;
    struct errbuf why;
    struct job *job;
    int64_t number;

    if (!worker)
        return;
    int rc = field_i64(rq->message.json, "worker.note", "job", true, 1, INT32_MAX, &number, &why);
    if (rc == 0)
        rc = field_str(rq->message.json, "worker.note", "text", true, NOTE_BYTES_MAX, &text, &why);
    if (rc == 0)
        rc = jobs_find(rq->service->jobs, number, &job, &why);
    if (rc < 0) {
        request_fail(rq, rc, &why);
        return;
    }
    if (job->notes >= NOTES_MAX) {
        request_error(rq, ERR_LIMIT, "the log of job %lld already has %d notes of workers",
                      (long long)number, NOTES_MAX);
        return;
    }
    job->notes++;
    snprintf(line, sizeof(line), "worker %s: %s", workers_name(worker), text);
    text_make_printable(line);
    log_info("worker.note", "job=%lld text=\"%s\"", (long long)number, line);
    jobs_event(rq->service->jobs, job, "worker", line);
    cJSON *out = cJSON_CreateObject();
    cJSON_AddTrueToObject(out, "noted");
    request_reply(rq, out, NULL, 0);
}

void handle_task_next(struct request *rq)
{
    struct worker *worker = workers_of(rq->service->workers, rq);

    if (worker)
        workers_next(rq->service->workers, worker, rq);
}

/* *ret: the gradient that the worker has written to the memory that it has with the server; NULL:
 * it comes as a message has it. */
static int find_gradient(const struct request *rq, const struct worker *worker,
                         const struct job *job, struct result_shape *io, const float **ret,
                         struct errbuf *why)
{
    bool shared = false;
    int rc = field_bool(rq->message.json, "task.result", "shared", false, &shared, why);

    if (rc < 0 || !shared || !(io->floats || io->ahead))
        return rc;
    *ret = workers_shared_gradient(worker, job);
    io->floats = 0;
    io->ahead = false;
    return *ret ? 0
                : err_set(why, -ESTALE,
                          "the worker has no memory with the server for gradients of this run");
}

/* 0: counted, -EALREADY: dropped, -EINVAL: not a result, which counts against the worker, -ESTALE:
 * its upload is gone. */
static int take_result(struct request *rq, struct worker *worker, const struct task_key *k,
                       struct errbuf *why)
{
    struct service *s = rq->service;
    struct run_result res = {.phase = (enum phase)k->phase,
                             .step = (uint64_t)k->step,
                             .node = task_key_node(k),
                             .worker = workers_number(worker)};
    struct result result = {.grad = NULL};
    uint32_t count;
    struct job *job = task_key_job(s, k, &count);

    /* A lease that it gave back, or in a class that the job has since given back: others compute
     * it. */
    if (!job || !workers_result_fits(worker, job) || !task_key_held(job, k, res.worker))
        return -EALREADY;
    struct result_shape shape =
        result_shape(res.phase, job->spec.score_source == SOURCE_TRAIN, job->model.floats, count,
                     job->spec.score_probabilities ? job->model.classes : 0);
    const float *grad = NULL;
    int rc = find_gradient(rq, worker, job, &shape, &grad, why);
    if (rc == 0)
        rc = result_unpack(&rq->message, &shape, &s->results, &result, why);
    res.grad = grad ? grad : result.grad;
    res.sums = result.sums;
    res.scores = result.scores;
    res.probabilities = result.probabilities;
    if (rc == 0)
        rc = run_result(job->run, &res, why);
    if (rc == -EINVAL)
        workers_fault(s->workers, worker, job, false, node_size(res.node), why->text);
    if (rc < 0)
        return rc;
    if (rc == 0)
        workers_counted(s->workers, worker, job, node_size(res.node));
    else
        metrics_count_many(&s->net->metrics, COUNT_CHECKED, 1);
    if (!job_verify_judge(s->jobs, job))
        jobs_advance(s->jobs, job);
    if (job->run && run_unchecked(job->run))
        workers_wake(s->workers);
    return 0;
}

/* The worker says that it gave its sum to another one. 0, or -EALREADY: then that is nothing. */
static int take_word(struct request *rq, struct worker *worker, const struct task_key *k,
                     uint32_t to)
{
    struct service *s = rq->service;
    const struct node node = task_key_node(k);
    uint32_t count;
    struct job *job = task_key_job(s, k, &count);

    if (!job || !run_give(job->run, workers_number(worker), node, to))
        return -EALREADY;
    workers_gave(s->workers, worker, job, node_size(node));
    return 0;
}

void handle_task_result(struct request *rq)
{
    struct worker *worker = workers_of(rq->service->workers, rq);
    struct errbuf why = {""};
    struct task_key key;
    int64_t to = 0;

    if (!worker)
        return;
    if (task_key_read(rq, &key, &why) < 0 ||
        field_i64(rq->message.json, "task.result", "to", false, 1, UINT32_MAX, &to, &why) < 0) {
        request_error(rq, ERR_BAD_FIELD, "%s", why.text);
        return;
    }
    int rc = to ? take_word(rq, worker, &key, (uint32_t)to) : take_result(rq, worker, &key, &why);
    if (rc < 0 && rc != -EALREADY) {
        log_warn("result.refused", "job=%lld step=%lld lo=%lld error=\"%s\"", (long long)key.job,
                 (long long)key.step, (long long)key.lo, why.text);
        request_error(rq,
                      rc == -ESTALE   ? ERR_GONE
                      : rc == -ENOMEM ? ERR_UNAVAILABLE
                                      : ERR_BAD_TENSOR,
                      "%s", why.text);
        return;
    }
    rq->result = rc == 0 ? "accepted" : "dropped";
    if (rc < 0)
        metrics_count_many(&rq->service->net->metrics, COUNT_SHARDS_FENCED,
                           (uint64_t)(key.hi - key.lo));
    workers_next(rq->service->workers, worker, rq);
}

void handle_task_fail(struct request *rq)
{
    struct worker *worker = workers_of(rq->service->workers, rq);
    struct errbuf why;
    struct task_key key;
    const char *reason;
    uint32_t count;

    if (!worker)
        return;
    if (task_key_read(rq, &key, &why) < 0 ||
        field_str(rq->message.json, "task.fail", "reason", true, 200, &reason, &why) < 0) {
        request_error(rq, ERR_BAD_FIELD, "%s", why.text);
        return;
    }
    struct job *job = task_key_job(rq->service, &key, &count);
    if (job && task_key_held(job, &key, workers_number(worker)))
        workers_fault(rq->service->workers, worker, job, true, (uint32_t)(key.hi - key.lo), reason);
    workers_next(rq->service->workers, worker, rq);
}

void handle_task_refuse(struct request *rq)
{
    struct worker *worker = workers_of(rq->service->workers, rq);
    const char *reason;
    int64_t number;
    struct job *job;
    int cause;
    struct errbuf why;

    if (!worker) /* and rq is gone */
        return;
    const cJSON *json = rq->message.json;
    if (field_i64(json, "task.refuse", "job", true, 1, INT32_MAX, &number, &why) < 0 ||
        field_enum(json, "task.refuse", "cause", true, refusal_names, &cause, &why) < 0 ||
        field_str(json, "task.refuse", "reason", true, REFUSAL_BYTES_MAX, &reason, &why) < 0) {
        request_error(rq, ERR_BAD_FIELD, "%s", why.text);
        return;
    }
    /* A job that no longer runs needs no judging, and only who has a task of it can have tried. */
    if (jobs_find(rq->service->jobs, number, &job, NULL) == 0 && workers_has_task(worker, job))
        workers_refuse(rq->service->workers, worker, job, (enum refusal_cause)cause, reason);
    workers_next(rq->service->workers, worker, rq);
}

void handle_task_job(struct request *rq)
{
    struct dataset_record rec;
    const struct dataset *data;
    struct job *job;
    int64_t number;
    struct worker *worker = workers_of(rq->service->workers, rq);
    struct errbuf why;

    if (!worker)
        return;
    workers_fetches(rq->service->workers, rq->sender);
    int rc = field_i64(rq->message.json, "task.job", "job", true, 1, INT32_MAX, &number, &why);

    if (rc == 0)
        rc = jobs_find(rq->service->jobs, number, &job, &why);
    if (rc == 0 && !workers_has_task(worker, job)) {
        request_error(rq, ERR_GONE, "this worker has no task of job %lld; it has to ask for one",
                      (long long)number);
        return;
    }
    if (rc == 0)
        rc = jobs_prepare(rq->service, job, &why);
    if (rc == 0)
        rc = datasets_find_hash(rq->service->datasets, job->rec.dataset_sha256, &data, &rec, &why);
    if (rc < 0) {
        request_fail(rq, rc, &why);
        return;
    }
    cJSON *out = cJSON_CreateObject();
    cJSON_AddNumberToObject(out, "job", (double)number);
    cJSON *spec = jobspec_json(&job->spec);
    cJSON_DeleteItemFromObjectCaseSensitive(spec, "verify"); /* older workers do not know it */
    if (!job->spec.score_probabilities)                      /* likewise */
        cJSON_DeleteItemFromObjectCaseSensitive(cJSON_GetObjectItemCaseSensitive(spec, "score"),
                                                "probabilities");
    cJSON_AddItemToObject(out, "spec", spec);
    cJSON_AddStringToObject(out, "sha256", rec.sha256);
    cJSON_AddNumberToObject(out, "bytes", (double)rec.bytes);
    request_reply(rq, out, NULL, 0);
}
