/* external.*: what the program asks for that trains an external job (PROTOCOL.md). What takes long
 * is on lanes (jobs/externals.h); orders and reports are answered from memory, on the loop. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/field.h"
#include "common/text.h"
#include "server/handle/handlers.h"
#include "server/jobs/externals.h"
#include "server/jobs/service.h"
#include "server/net/op.h"

#define ORDER_MAX (1 << 19)  /* positions of a message */
#define REPORT_MAX (1 << 17) /* samples of a message */
#define WAITING_MAX 64       /* ranks that are named */

/* Is it an external job? Else rq is answered. */
static bool is_external(struct request *rq, const struct job *job)
{
    if (job->external)
        return true;
    request_error(rq, ERR_NOT_ALLOWED,
                  "job %" PRId64 " is trained by workers; only a job of engine external has a "
                  "training program",
                  job->rec.job);
    return false;
}

static int read_dataset(const struct request *rq, struct job *job, struct errbuf *why)
{
    const cJSON *json = rq->message.json;
    const char *name = message_names[rq->type], *sha256 = NULL;
    uint8_t digest[SHA256_BYTES];

    if (!cJSON_GetObjectItemCaseSensitive(json, "dataset_sha256"))
        return 0;
    int rc = field_sha256(json, name, "dataset_sha256", digest, why);
    if (rc == 0)
        rc = field_str(json, name, "dataset_sha256", true, SHA256_HEX, &sha256, why);
    if (rc == 0)
        rc = jobs_prepare(rq->service, job, why);
    if (rc == 0 && strcmp(sha256, job->rec.dataset_sha256) != 0)
        rc = err_set(why, -EINVAL,
                     "the program has the dataset %s, job %" PRId64 " has %s (%s); scores are "
                     "matched by sample number",
                     sha256, job->rec.job, job->rec.dataset_sha256, job->rec.dataset);
    return rc;
}

static int read_opening(const struct request *rq, struct external_opening *ret, struct errbuf *why)
{
    const cJSON *json = rq->message.json;
    const char *name = message_names[rq->type];
    int rc = field_i64(json, name, "epoch", false, 0, EPOCHS_MAX, &ret->epoch, why);

    if (rc == 0)
        rc = field_str(json, name, "program", false, EXTERNAL_PROGRAM_BYTES, &ret->program, why);
    if (rc == 0 && cJSON_GetObjectItemCaseSensitive(json, "uuid"))
        rc = handle_uuid_of(rq, &ret->uuid, why);
    return rc;
}

void handle_external_open(struct request *rq)
{
    struct job *job = handle_job_of(rq);
    struct external_opening o = {.epoch = -1, .program = "", .uuid = ""};
    struct errbuf why;

    if (!job)
        return;
    if (read_opening(rq, &o, &why) < 0) {
        request_fail(rq, -EINVAL, &why);
        return;
    }
    if (!is_external(rq, job))
        return;
    if (read_dataset(rq, job, &why) < 0)
        request_fail(rq, -EINVAL, &why);
    else
        external_job_open(rq->service->jobs, job, &o, rq);
}

static int read_incarnation(const struct request *rq, int64_t *ret, struct errbuf *why)
{
    return field_i64(rq->message.json, message_names[rq->type], "incarnation", true, 1, INT32_MAX,
                     ret, why);
}

void handle_external_join(struct request *rq)
{
    struct job *job = handle_job_of(rq);
    int64_t incarnation;
    struct errbuf why;

    if (!job)
        return;
    if (read_incarnation(rq, &incarnation, &why) < 0)
        request_fail(rq, -EINVAL, &why);
    else if (is_external(rq, job) && external_job_enter(rq->service->jobs, job, incarnation, rq))
        external_job_reply(rq, job, external_job_row(rq->service->jobs, job), NULL, 0);
}

/* What all messages to an open epoch say. */
struct told {
    int64_t incarnation, epoch, rank, world;
};

static int read_told(const struct request *rq, bool ranks, struct told *ret, struct errbuf *why)
{
    const cJSON *json = rq->message.json;
    const char *name = message_names[rq->type];

    *ret = (struct told){.world = 1};
    int rc = read_incarnation(rq, &ret->incarnation, why);
    if (rc == 0)
        rc = field_i64(json, name, "epoch", true, 0, EPOCHS_MAX, &ret->epoch, why);
    if (rc == 0 && ranks)
        rc = field_i64(json, name, "world", false, 1, EXTERNAL_WORLD_MAX, &ret->world, why);
    if (rc == 0 && ranks)
        rc = field_i64(json, name, "rank", false, 0, EXTERNAL_WORLD_MAX - 1, &ret->rank, why);
    return rc;
}

/* The open epoch, which the message must be about; NULL: rq was answered. */
static struct external *enter(struct request *rq, struct job *job, const struct told *told)
{
    struct external *e = external_job_enter(rq->service->jobs, job, told->incarnation, rq);

    if (!e || told->epoch == external_epoch(e))
        return e;
    request_error(rq, ERR_BAD_FIELD,
                  "epoch %" PRId64 " of job %" PRId64 " is not open; epoch %" PRId64
                  " is (counted from 0)",
                  told->epoch, job->rec.job, external_epoch(e));
    return NULL;
}

/* --- order --- */

static void reply_order(struct request *rq, const struct job *job, const struct external *e,
                        const struct told *told, int64_t first, int64_t count)
{
    const struct external_order o = external_order(e);
    uint32_t *ids = alloc_bytes(count > 0 ? (size_t)count : 1, sizeof(*ids));
    float *weights = alloc_bytes(count > 0 ? (size_t)count : 1, sizeof(*weights));

    if (!ids || !weights) {
        request_error(rq, ERR_UNAVAILABLE, "no memory for %" PRId64 " positions", count);
    } else {
        external_positions(e, (uint32_t)told->rank, (uint32_t)told->world, (uint64_t)first,
                           (uint32_t)count, ids, weights);
        struct tensor t[] = {tensor_1d("ids", DTYPE_U32, (uint64_t)count, ids),
                             tensor_1d("weights", DTYPE_F32, (uint64_t)count, weights)};
        cJSON *out = cJSON_CreateObject();
        cJSON_AddNumberToObject(out, "epoch", (double)told->epoch);
        cJSON_AddNumberToObject(out, "first", (double)first);
        cJSON_AddNumberToObject(out, "count", (double)count);
        cJSON_AddNumberToObject(out, "total", (double)(o.positions / (uint64_t)told->world));
        cJSON_AddStringToObject(out, "stream_sha256", o.sha256);
        cJSON_AddNumberToObject(out, "share", o.share);
        cJSON_AddNumberToObject(out, "scheduled", o.scheduled);
        external_job_reply(rq, job, out, t, 2);
    }
    free(ids);
    free(weights);
}

static void order(struct request *rq)
{
    struct job *job = handle_job_of(rq);
    int64_t first = 0, count = 0;
    struct told told;
    struct errbuf why;

    if (!job)
        return;
    int rc = read_told(rq, true, &told, &why);
    if (rc == 0)
        rc = field_i64(rq->message.json, "external.order", "first", true, 0, SAMPLES_MAX, &first,
                       &why);
    if (rc == 0)
        rc = field_i64(rq->message.json, "external.order", "count", true, 0, ORDER_MAX, &count,
                       &why);
    if (rc < 0) {
        request_fail(rq, rc, &why);
        return;
    }
    const struct external *e = is_external(rq, job) ? enter(rq, job, &told) : NULL;
    if (!e)
        return;
    rc = external_check_rank(e, told.rank, told.world, &why);
    const int64_t total = (int64_t)(external_order(e).positions / (uint64_t)told.world);
    if (rc == 0 && first + count > total)
        rc = err_set(&why, -EINVAL,
                     "positions %" PRId64 " to %" PRId64 " are asked for; a rank of %" PRId64
                     " has %" PRId64 " of an epoch",
                     first, first + count - 1, told.world, total);
    if (rc < 0)
        request_fail(rq, rc, &why);
    else
        reply_order(rq, job, e, &told, first, count);
}

/* --- report --- */

static int read_values(const struct request *rq, const struct tensor *t, struct external_report *r,
                       struct errbuf *why)
{
    const int measure = text_index(t->name, external_measure_names);
    const bool is_class = measure >= EXTERNAL_PREDICTED;
    const struct tensor *found;

    if (measure < 0)
        return err_set(why, -EINVAL,
                       "tensor \"%s\" is no measure; allowed are loss, adv_loss, grad_norm, el2n, "
                       "margin, predicted, adv_predicted and probabilities",
                       t->name);
    const bool f32 = !is_class && t->dtype == DTYPE_F32;
    const enum dtype dtype = is_class ? DTYPE_I32 : f32 ? DTYPE_F32 : DTYPE_F64;
    const uint64_t shape[] = {r->count};
    int rc = message_tensor(&rq->message, t->name, dtype, 1, shape, &found, why);
    if (rc < 0)
        return rc;
    r->values[measure].at = found->data;
    r->values[measure].f32 = f32;
    return 0;
}

/* How many classes it has to have the job knows, which may not be in memory. */
static int read_probabilities(const struct request *rq, const struct tensor *t,
                              struct external_report *r, struct errbuf *why)
{
    const uint64_t shape[] = {r->count, t->dims == 2 ? t->shape[1] : 0};
    int rc = message_tensor(&rq->message, t->name, DTYPE_F32, 2, shape, &t, why);

    if (rc < 0)
        return rc;
    r->probabilities = t->data;
    r->classes = t->shape[1];
    return 0;
}

static int read_report(const struct request *rq, struct external_report *ret, struct errbuf *why)
{
    const struct message *m = &rq->message;
    const struct tensor *ids;
    int rc = message_tensor(m, "ids", DTYPE_U32, 1, NULL, &ids, why);

    if (rc == 0 && ids->shape[0] > REPORT_MAX)
        rc = err_set(why, -EINVAL, "ids has %" PRIu64 " samples, allowed is up to %d",
                     ids->shape[0], REPORT_MAX);
    if (rc == 0 && m->tensor_count < 2)
        rc = err_set(why, -EINVAL, "there are ids, but no measure of them");
    if (rc < 0)
        return rc;
    ret->ids = ids->data;
    ret->count = (uint32_t)ids->shape[0];
    for (int i = 0; rc == 0 && i < m->tensor_count; i++)
        if (strcmp(m->tensors[i].name, "probabilities") == 0)
            rc = read_probabilities(rq, &m->tensors[i], ret, why);
        else if (strcmp(m->tensors[i].name, "ids") != 0)
            rc = read_values(rq, &m->tensors[i], ret, why);
    return rc;
}

static void reply_counted(struct request *rq, const struct job *job, uint64_t counted,
                          uint64_t dropped)
{
    cJSON *out = cJSON_CreateObject();

    cJSON_AddNumberToObject(out, "counted", (double)counted);
    cJSON_AddNumberToObject(out, "dropped", (double)dropped);
    external_job_reply(rq, job, out, NULL, 0);
}

static void take_report(struct request *rq, struct job *job, const struct told *told,
                        const struct external_report *r)
{
    const uint64_t values = (uint64_t)r->count * (uint64_t)(rq->message.tensor_count - 1);
    struct external *e = external_job_enter(rq->service->jobs, job, told->incarnation, rq);
    uint64_t counted = 0, dropped = 0;
    struct errbuf why;

    if (!e)
        return;
    if (told->epoch < external_epoch(e)) { /* it was on its way when the epoch closed */
        external_drop(e, values);
        reply_counted(rq, job, 0, values);
        return;
    }
    if (told->epoch > external_epoch(e)) {
        enter(rq, job, told);
        return;
    }
    int rc = external_report(e, r, &counted, &dropped, &why);
    if (rc == -EINVAL)
        request_error(rq, ERR_BAD_TENSOR, "%s", why.text);
    else if (rc < 0)
        request_fail(rq, rc, &why);
    else
        reply_counted(rq, job, counted, dropped);
}

static void report(struct request *rq)
{
    static const char *const splits[] = {"train", "test", NULL};
    struct external_report r = {0};
    struct job *job = handle_job_of(rq);
    struct told told;
    struct errbuf why;
    int split = 0;

    if (!job)
        return;
    if (read_told(rq, false, &told, &why) < 0 ||
        field_enum(rq->message.json, "external.report", "split", false, splits, &split, &why) < 0) {
        request_fail(rq, -EINVAL, &why);
        return;
    }
    if (read_report(rq, &r, &why) < 0) {
        request_error(rq, ERR_BAD_TENSOR, "%s", why.text);
        return;
    }
    r.test = split == 1;
    if (is_external(rq, job))
        take_report(rq, job, &told, &r);
}

/* --- in turns --- */

static void rest(struct op *op)
{
    (void)op;
}

/* Hundreds of ranks ask at the same time, each for milliseconds of the loop. Between two of them it
 * sees to everybody else: so each goes by a lane, where nothing is done. */
static void in_turn(struct request *rq, void (*done)(struct op *op))
{
    op_run(rq->service->net->upload_lane,
           (struct op){.rq = rq, .service = rq->service, .work = rest, .done = done});
}

static struct request *taken(struct op *op)
{
    struct request *rq = op->rq;

    op->rq = NULL;
    return rq;
}

static void order_rested(struct op *op)
{
    order(taken(op));
}

void handle_external_order(struct request *rq)
{
    in_turn(rq, order_rested);
}

static void report_rested(struct op *op)
{
    report(taken(op));
}

void handle_external_report(struct request *rq)
{
    in_turn(rq, report_rested);
}

/* --- close --- */

static int read_metrics(const struct request *rq, struct metric **ret, uint32_t *ret_count,
                        struct errbuf *why)
{
    const cJSON *metrics = NULL, *item;
    uint32_t n = 0;
    int rc = field_obj(rq->message.json, "external.close", "metrics", false, &metrics, why);

    if (rc < 0 || !metrics)
        return rc;
    const int count = cJSON_GetArraySize(metrics);
    if (count > METRICS_MAX)
        return err_set(why, -EINVAL, "metrics has %d names, allowed is up to %d", count,
                       METRICS_MAX);
    struct metric *list = xcalloc((size_t)count + 1, sizeof(*list));
    cJSON_ArrayForEach(item, metrics)
    {
        if (!cJSON_IsNumber(item) || strlen(item->string) >= METRIC_NAME_BYTES) {
            rc = err_set(why, -EINVAL, "metrics: \"%.80s\" %s", item->string,
                         cJSON_IsNumber(item) ? "is too long a name; allowed are 64 characters"
                                              : "is not a number");
            break;
        }
        snprintf(list[n].name, sizeof(list[n].name), "%s", item->string);
        list[n++].value = item->valuedouble;
    }
    if (rc < 0) {
        free(list);
        return rc;
    }
    *ret = list;
    *ret_count = n;
    return 0;
}

/* Not closed yet: who has not said so. */
static void reply_waiting(struct request *rq, const struct job *job, const struct told *told,
                          const uint32_t *waiting, uint32_t count)
{
    cJSON *out = cJSON_CreateObject(), *list;

    cJSON_AddNumberToObject(out, "epoch", (double)told->epoch);
    cJSON_AddBoolToObject(out, "closed", false);
    list = cJSON_AddArrayToObject(out, "waiting");
    for (uint32_t i = 0; i < count && i < WAITING_MAX; i++)
        cJSON_AddItemToArray(list, cJSON_CreateNumber(waiting[i]));
    external_job_reply(rq, job, out, NULL, 0);
}

static void close_rank(struct request *rq, struct job *job, const struct told *told,
                       const char *life, const struct metric *metrics, uint32_t count)
{
    struct external *e = enter(rq, job, told);
    uint32_t waiting[WAITING_MAX];
    const uint32_t world = (uint32_t)told->world;
    struct errbuf why;

    if (!e)
        return;
    int rc = external_check_rank(e, told->rank, told->world, &why);
    /* Else its reports went to a memory that is no more: they have to come again first. */
    const bool counts = strcmp(life, job->external->life) == 0;
    if (rc == 0 && counts)
        rc = external_rank_closes(e, (uint32_t)told->rank, world, metrics, count, &why);
    if (rc < 0) {
        request_fail(rq, rc, &why);
        return;
    }
    const uint32_t left = external_waiting(e, world, waiting, WAITING_MAX);
    if (left > 0 || !counts)
        reply_waiting(rq, job, told, waiting, left);
    else
        external_job_close(rq->service->jobs, job, rq);
}

static void close_epoch(struct request *rq, struct job *job, const struct told *told,
                        const char *life, const struct metric *metrics, uint32_t count)
{
    if (external_job_closing(job, told->incarnation, told->epoch))
        reply_waiting(rq, job, told, NULL, 0);
    else if (!external_job_closed(rq->service->jobs, job, told->incarnation, told->epoch, rq))
        close_rank(rq, job, told, life, metrics, count);
}

void handle_external_close(struct request *rq)
{
    struct job *job = handle_job_of(rq);
    struct metric *metrics = NULL;
    const char *life = "";
    uint32_t count = 0;
    struct told told;
    struct errbuf why;

    if (!job)
        return;
    int rc = read_told(rq, true, &told, &why);
    if (rc == 0)
        rc = field_str(rq->message.json, "external.close", "life", true, UUID_BYTES, &life, &why);
    if (rc == 0)
        rc = read_metrics(rq, &metrics, &count, &why);
    if (rc < 0)
        request_fail(rq, rc, &why);
    else if (is_external(rq, job))
        close_epoch(rq, job, &told, life, metrics, count);
    free(metrics);
}
