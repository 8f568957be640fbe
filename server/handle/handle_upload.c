/* Vectors that are not in the messages of a step. Above 8 MiB they travel in pieces: params.get
 * sends them to the workers, result.offer and result.put bring them back. Workers on this machine
 * have them in memory that task.share gives them. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/field.h"
#include "common/log.h"
#include "server/handle/handlers.h"
#include "server/handle/task_key.h"
#include "server/jobs/service.h"
#include "server/net/local.h"

#define TAKE_MS 250 /* one that waits for another's sum asks again */
#define VECTOR_BYTES_MAX ((int64_t)PARAM_FLOATS_MAX * (int64_t)sizeof(float))

static const char *const offer_answers[] = {
    [TREE_SEND] = "send", [TREE_TAKE] = "take", [TREE_GIVE] = "give", [TREE_DROP] = "drop"};

/* --- task.share --- */

/* Did it come from a process of the server's own user? Nobody else is to have its memory. */
static bool is_own(const struct request *rq)
{
    const struct local *who =
        rq->transport && !rq->session ? transport_local(rq->transport, &rq->token) : NULL;

    return who && who->owner;
}

void handle_task_share(struct request *rq)
{
    struct worker *worker = workers_of(rq->service->workers, rq);
    struct workers_share share;
    struct errbuf why;
    struct job *job = worker ? handle_job_of(rq) : NULL;

    if (!job) /* and rq is gone */
        return;
    if (!workers_has_task(worker, job)) {
        request_error(rq, ERR_GONE, "this worker has no task of job %" PRId64, job->rec.job);
        return;
    }
    int rc = is_own(rq)
                 ? workers_share(rq->service->workers, worker, job, &share, &why)
                 : err_set(&why, -EPERM,
                           "memory is shared only over ipc, with workers of the server's user");
    if (rc < 0) {
        request_fail(rq, rc, &why);
        return;
    }
    cJSON *out = cJSON_CreateObject();
    cJSON_AddNumberToObject(out, "share", (double)share.number);
    cJSON_AddNumberToObject(out, "incarnation", (double)job->rec.incarnation);
    cJSON_AddNumberToObject(out, "bytes", (double)share.bytes);
    cJSON_AddNumberToObject(out, "place_bytes", (double)share.place_bytes);
    request_reply_files(rq, out, (const int[]){share.theta_fd, share.grad_fd}, 2);
    workers_shared(worker);
}

/* --- params.get --- */

struct range {
    int64_t offset, bytes;
    bool vector; /* of the vector of a product, not of theta */
};

static int read_range(const struct request *rq, struct range *ret, struct errbuf *why)
{
    int rc = field_i64(rq->message.json, "params.get", "offset", true, 0, VECTOR_BYTES_MAX,
                       &ret->offset, why);

    if (rc == 0)
        rc = field_i64(rq->message.json, "params.get", "bytes", true, 1, PIECE_BYTES_MAX,
                       &ret->bytes, why);
    if (rc == 0)
        rc = field_bool(rq->message.json, "params.get", "vector", false, &ret->vector, why);
    return rc;
}

static void reply_params(struct request *rq, const struct job *job, const struct range *range)
{
    const int64_t whole = (int64_t)(job->model.floats * sizeof(float));
    const char *from =
        (const char *)(range->vector ? run_vector(job->run) : run_round_theta(job->run));

    if (range->offset > whole || range->bytes > whole - range->offset) {
        request_error(rq, ERR_BAD_FIELD,
                      "params.get: %" PRId64 " bytes from %" PRId64
                      " are asked for, the parameters have %" PRId64,
                      range->bytes, range->offset, whole);
        return;
    }
    struct tensor t = tensor_1d("piece", DTYPE_U8, (uint64_t)range->bytes, from + range->offset);
    cJSON *out = cJSON_CreateObject();
    cJSON_AddNumberToObject(out, "bytes", (double)whole);
    request_reply(rq, out, &t, 1);
}

void handle_params_get(struct request *rq)
{
    struct worker *worker = workers_of(rq->service->workers, rq);
    struct task_key key;
    struct range range = {0};
    struct errbuf why;

    if (!worker)
        return;
    if (task_key_read_round(rq, &key, &why) < 0 || read_range(rq, &range, &why) < 0) {
        request_error(rq, ERR_BAD_FIELD, "%s", why.text);
        return;
    }
    struct job *job = task_key_round(rq->service, &key);
    if (job && !run_holds_any(job->run, workers_number(worker))) {
        request_error(rq, ERR_GONE,
                      "this worker holds no node of step %" PRId64 " of job %" PRId64
                      "; it has to ask for a task",
                      key.step, key.job);
        return;
    }
    if (!job || (range.vector && !run_vector(job->run))) {
        request_error(rq, ERR_GONE, "step %" PRId64 " of job %" PRId64 " is over", key.step,
                      key.job);
        return;
    }
    workers_renew(worker, job);
    reply_params(rq, job, &range);
}

/* --- result.offer, result.put --- */

/* What both have in common: the worker, and the node. */
struct upload_request {
    struct worker *worker;
    struct task_key key;
    struct run_upload upload;
    struct job *job; /* NULL: nobody waits for it any more */
    int64_t end;     /* of an offer: where what was combined ends */
    bool alone;      /* likewise: it could not reach another worker */
};

/* False: rq was answered. */
static bool read_upload(struct request *rq, struct upload_request *ret)
{
    struct errbuf why;
    uint32_t count;

    ret->worker = workers_of(rq->service->workers, rq);
    if (!ret->worker)
        return false;
    if (task_key_read(rq, &ret->key, &why) < 0) {
        request_error(rq, ERR_BAD_FIELD, "%s", why.text);
        return false;
    }
    ret->job = task_key_job(rq->service, &ret->key, &count);
    ret->upload = (struct run_upload){.phase = (enum phase)ret->key.phase,
                                      .step = (uint64_t)ret->key.step,
                                      .node = task_key_node(&ret->key),
                                      .worker = workers_number(ret->worker),
                                      .hand = workers_hand(ret->worker)};
    if (!ret->job || run_in_pieces(ret->job->run) ||
        (rq->type == MSG_RESULT_OFFER && workers_combines(ret->worker, ret->job))) {
        if (ret->job && !task_key_held(ret->job, &ret->key, ret->upload.worker))
            ret->job = NULL; /* its lease went back: nobody waits for it */
        return true;
    }
    request_error(rq, ERR_NOT_ALLOWED,
                  "the gradients of job %" PRId64 " fit a message; they come in task.result",
                  ret->key.job);
    return false;
}

/* pieces 0: without the list of missing pieces. */
static void reply_answer(struct request *rq, enum upload_answer answer, uint64_t have,
                         uint32_t pieces)
{
    cJSON *out = cJSON_CreateObject();

    cJSON_AddStringToObject(out, "answer", upload_answer_names[answer]);
    if (answer == UPLOAD_WAIT)
        cJSON_AddNumberToObject(out, "wait_ms", UPLOAD_WAIT_MS);
    if (answer == UPLOAD_SEND && pieces) {
        cJSON *list = cJSON_AddArrayToObject(out, "missing");
        for (uint32_t i = 0; i < pieces; i++)
            if (!(have >> i & 1))
                cJSON_AddItemToArray(list, cJSON_CreateNumber(i));
    }
    request_reply(rq, out, NULL, 0);
}

static uint32_t pieces_of(int64_t bytes)
{
    return (uint32_t)((bytes + PIECE_BYTES_MAX - 1) / PIECE_BYTES_MAX);
}

static int read_offer(const struct request *rq, struct upload_request *up, int64_t *ret_bytes,
                      struct errbuf *why)
{
    const cJSON *json = rq->message.json;
    int rc = field_i64(json, "result.offer", "bytes", true, 1, VECTOR_BYTES_MAX, ret_bytes, why);

    up->end = up->key.hi;
    up->alone = false;
    if (rc == 0)
        rc = field_i64(json, "result.offer", "end", false, up->key.hi, UINT32_MAX, &up->end, why);
    return rc < 0 ? rc : field_bool(json, "result.offer", "alone", false, &up->alone, why);
}

/* What becomes of a sum that others may add to. True: rq was answered; else it is to be sent, all
 * of it. */
static bool meet(struct request *rq, struct upload_request *up)
{
    struct run_upload *u = &up->upload;
    struct tree_answer a;
    cJSON *out;

    if (up->alone)
        workers_leave_alone(up->worker);
    a = run_meet(up->job->run, u->worker, u->node, (uint32_t)up->end, up->alone);
    u->node.hi = (uint32_t)up->end;
    if (a.turn == TREE_SEND)
        return false;
    out = cJSON_CreateObject();
    cJSON_AddStringToObject(out, "answer", offer_answers[a.turn]);
    if (a.turn == TREE_TAKE) {
        cJSON_AddNumberToObject(out, "lo", a.node.lo);
        cJSON_AddNumberToObject(out, "hi", a.node.hi);
        cJSON_AddNumberToObject(out, "count",
                                run_node_samples(up->job->run, u->phase, u->step, a.node));
        cJSON_AddNumberToObject(out, "wait_ms", TAKE_MS);
    } else if (a.turn == TREE_GIVE) {
        cJSON_AddNumberToObject(out, "to", a.worker);
        /* One that has gone takes its leases along: the next time the answer is to send. */
        workers_add_peer(rq->service->workers, a.worker, out);
    }
    request_reply(rq, out, NULL, 0);
    return true;
}

void handle_result_offer(struct request *rq)
{
    struct upload_request up;
    struct errbuf why;
    int64_t bytes;
    uint64_t have = 0;

    if (!read_upload(rq, &up))
        return;
    if (read_offer(rq, &up, &bytes, &why) < 0) {
        request_fail(rq, -EINVAL, &why);
        return;
    }
    if (!up.job) {
        reply_answer(rq, UPLOAD_DROP, 0, 0);
        return;
    }
    if ((uint64_t)bytes != up.job->model.floats * sizeof(float)) {
        request_error(rq, ERR_BAD_FIELD,
                      "result.offer.bytes is %" PRId64 ", a gradient of job %" PRId64 " has %zu",
                      bytes, up.key.job, up.job->model.floats * sizeof(float));
        return;
    }
    int64_t ttl_ms = workers_renew(up.worker, up.job);
    if (workers_combines(up.worker, up.job) && meet(rq, &up))
        return;
    if (!run_in_pieces(up.job->run)) { /* it comes in task.result */
        reply_answer(rq, UPLOAD_SEND, 0, 0);
        return;
    }
    int rc = run_offer(up.job->run, &up.upload, clock_mono_ms(), ttl_ms, &have);
    if (rc < 0) {
        err_set(&why, rc, "no memory for a gradient of %" PRId64 " bytes", bytes);
        request_fail(rq, rc, &why);
        return;
    }
    reply_answer(rq, (enum upload_answer)rc, have, pieces_of(bytes));
}

/* As run_put. */
static int keep_piece(struct request *rq, struct upload_request *up, int64_t piece,
                      struct errbuf *why)
{
    const struct tensor *t;
    int64_t ttl_ms = workers_renew(up->worker, up->job);
    int rc = message_tensor(&rq->message, "piece", DTYPE_U8, 1, NULL, &t, why);

    return rc < 0 ? rc
                  : run_put(up->job->run, &up->upload, piece, t->data, t->bytes, clock_mono_ms(),
                            ttl_ms, why);
}

static void reply_gone(struct request *rq, const struct task_key *k)
{
    request_error(rq, ERR_GONE,
                  "the upload of shards %" PRId64 " to %" PRId64 " was dropped; offer it again",
                  k->lo, k->hi);
}

void handle_result_put(struct request *rq)
{
    struct upload_request up;
    struct errbuf why;
    int64_t piece;

    if (!read_upload(rq, &up))
        return;
    if (field_i64(rq->message.json, "result.put", "piece", true, 0, PIECES_MAX - 1, &piece, &why) <
        0) {
        request_error(rq, ERR_BAD_FIELD, "%s", why.text);
        return;
    }
    int rc = up.job ? keep_piece(rq, &up, piece, &why) : -EALREADY;
    failpoint_hit(&rq->service->failpoint, "result.put");
    if (rc == -EDOM)
        workers_fault(rq->service->workers, up.worker, up.job, false,
                      (uint32_t)(up.key.hi - up.key.lo), why.text);
    if (rc == -ENOENT)
        reply_gone(rq, &up.key);
    else if (rc < 0 && rc != -EALREADY)
        request_error(rq, ERR_BAD_TENSOR, "%s", why.text);
    else
        reply_answer(rq, rc == 0 ? UPLOAD_SEND : UPLOAD_DROP, 0, 0);
}
