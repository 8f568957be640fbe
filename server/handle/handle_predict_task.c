/* predict.load, predict.result, predict.fail: what a worker says of a prediction. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "common/field.h"
#include "common/log.h"
#include "server/handle/handlers.h"
#include "server/jobs/service.h"

#define NUMBER_MAX (INT64_C(1) << 50)

struct predict_key {
    int64_t number, batch, lo, hi;
};

static int read_key(const struct request *rq, struct predict_key *ret, struct errbuf *why)
{
    const struct {
        const char *name;
        int64_t max, *to;
    } fields[] = {
        {"prediction", NUMBER_MAX, &ret->number},
        {"batch", INT32_MAX, &ret->batch},
        {"lo", UINT32_MAX, &ret->lo},
        {"hi", UINT32_MAX, &ret->hi},
    };

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        int rc = field_i64(rq->message.json, message_names[rq->type], fields[i].name, true, 0,
                           fields[i].max, fields[i].to, why);
        if (rc < 0)
            return rc;
    }
    return ret->lo < ret->hi
               ? 0
               : err_set(why, -EINVAL,
                         "%s: lo is %" PRId64 " and hi is %" PRId64 ", allowed is lo < hi",
                         message_names[rq->type], ret->lo, ret->hi);
}

static struct node node_of(const struct predict_key *k)
{
    return (struct node){(uint32_t)k->lo, (uint32_t)k->hi};
}

/* The prediction that waits for this node; NULL: nobody does. */
static struct prediction *waiting(struct service *s, const struct predict_key *k)
{
    struct prediction *p = predictions_number(s->predictions, k->number);

    return p && p->batch == k->batch && prediction_works(p) && round_wants(p->round, node_of(k))
               ? p
               : NULL;
}

void handle_predict_load(struct request *rq)
{
    struct worker *worker = workers_of(rq->service->workers, rq);
    int64_t number, offset, bytes;
    struct errbuf why;

    if (!worker)
        return;
    const cJSON *json = rq->message.json;
    if (field_i64(json, "predict.load", "prediction", true, 0, NUMBER_MAX, &number, &why) < 0 ||
        field_i64(json, "predict.load", "offset", true, 0,
                  (int64_t)PARAM_FLOATS_MAX * (int64_t)sizeof(float), &offset, &why) < 0 ||
        field_i64(json, "predict.load", "bytes", true, 1, PIECE_BYTES_MAX, &bytes, &why) < 0) {
        request_error(rq, ERR_BAD_FIELD, "%s", why.text);
        return;
    }
    struct prediction *p = predictions_number(rq->service->predictions, number);
    if (!p) {
        request_error(rq, ERR_GONE, "prediction %" PRId64 " is over", number);
        return;
    }
    const struct model *m = &p->source.model;
    const int64_t whole = (int64_t)(m->floats * sizeof(float));
    if (offset >= whole) {
        request_error(rq, ERR_BAD_FIELD,
                      "predict.load.offset is %" PRId64 ", the parameters have %" PRId64 " bytes",
                      offset, whole);
        return;
    }
    workers_renew_prediction(worker, p);
    bytes = bytes < whole - offset ? bytes : whole - offset;
    struct tensor piece =
        tensor_1d("piece", DTYPE_U8, (uint64_t)bytes, (const char *)p->source.theta + offset);
    cJSON *out = cJSON_CreateObject(), *spec = cJSON_Parse(p->source.spec_json);
    cJSON_AddNumberToObject(out, "bytes", (double)whole);
    cJSON_AddItemToObject(out, "model",
                          cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(spec, "model"), true));
    cJSON_AddItemToObject(out, "spec", spec);
    cJSON_AddNumberToObject(out, "h", m->in.h);
    cJSON_AddNumberToObject(out, "w", m->in.w);
    cJSON_AddNumberToObject(out, "c", m->in.c);
    cJSON_AddNumberToObject(out, "classes", m->classes);
    request_add_decimals(out, "mean", m->mean, m->in.c);
    request_add_decimals(out, "std", m->std, m->in.c);
    cJSON_AddNumberToObject(out, "shard", p->shard);
    cJSON_AddBoolToObject(out, "adversarial", p->source.adversarial);
    request_reply(rq, out, &piece, 1);
}

/* The numbers of a result may be anything. */
static int judge(const struct prediction *p, const struct tensor *logits,
                 const struct tensor *twins, struct errbuf *why)
{
    const size_t count = logits->bytes / sizeof(float);

    for (size_t i = 0; i < count; i++) {
        float v;
        memcpy(&v, (const char *)logits->data + i * sizeof(v), sizeof(v));
        if (!isfinite(v))
            return err_set(why, -EINVAL, "logit %zu is not finite", i);
    }
    for (size_t i = 0; twins && i < twins->bytes / sizeof(int32_t); i++) {
        int32_t v;
        memcpy(&v, (const char *)twins->data + i * sizeof(v), sizeof(v));
        if (v < 0 || (uint32_t)v >= p->source.model.classes)
            return err_set(why, -EINVAL, "twin %zu is of class %d, there are %u", i, v,
                           p->source.model.classes);
    }
    return 0;
}

/* 0: counted; -EALREADY: dropped; -EINVAL: not a result. */
static int take_result(struct request *rq, struct worker *worker, const struct predict_key *k,
                       struct errbuf *why)
{
    struct prediction *p = waiting(rq->service, k);
    const struct tensor *logits, *twins = NULL;
    uint32_t first;

    if (!p || !workers_prediction_fits(worker, p) ||
        !round_holds(p->round, workers_number(worker), node_of(k)))
        return -EALREADY;
    const uint64_t shape[] = {prediction_samples(p, node_of(k), &first), p->source.model.classes};
    int rc = message_tensor(&rq->message, "logits", DTYPE_F32, 2, shape, &logits, why);
    if (rc == 0 && p->source.adversarial)
        rc = message_tensor(&rq->message, "twins", DTYPE_I32, 1, shape, &twins, why);
    if (rc == 0)
        rc = judge(p, logits, twins, why);
    if (rc < 0) {
        prediction_fault(rq->service->predictions, p, worker, why->text);
        return -EINVAL;
    }
    workers_predicted(worker, p, node_of(k));
    prediction_take(p, node_of(k), logits->data, twins ? twins->data : NULL);
    return 0;
}

void handle_predict_result(struct request *rq)
{
    struct worker *worker = workers_of(rq->service->workers, rq);
    struct predict_key key;
    struct errbuf why = {""};

    if (!worker)
        return;
    if (read_key(rq, &key, &why) < 0) {
        request_error(rq, ERR_BAD_FIELD, "%s", why.text);
        return;
    }
    int rc = take_result(rq, worker, &key, &why);
    if (rc == -EINVAL) {
        log_warn("predict.refused", "prediction=%" PRId64 " error=\"%s\"", key.number, why.text);
        request_error(rq, ERR_BAD_TENSOR, "%s", why.text);
        return;
    }
    rq->result = rc == 0 ? "accepted" : "dropped";
    workers_next(rq->service->workers, worker, rq);
}

void handle_predict_fail(struct request *rq)
{
    struct worker *worker = workers_of(rq->service->workers, rq);
    int cause = REFUSAL_COUNT;
    struct predict_key key;
    const char *reason;
    struct errbuf why;

    if (!worker)
        return;
    const cJSON *json = rq->message.json;
    if (read_key(rq, &key, &why) < 0 ||
        field_str(json, "predict.fail", "reason", true, REFUSAL_BYTES_MAX, &reason, &why) < 0 ||
        field_enum(json, "predict.fail", "cause", false, refusal_names, &cause, &why) < 0) {
        request_error(rq, ERR_BAD_FIELD, "%s", why.text);
        return;
    }
    struct predictions *all = rq->service->predictions;
    struct prediction *p = predictions_number(all, key.number);
    /* Only who has a task of it can have tried. */
    if (p && cause != REFUSAL_COUNT && workers_has_prediction(worker, p))
        prediction_refuse(all, p, worker, reason);
    else if (cause == REFUSAL_COUNT && waiting(rq->service, &key) &&
             round_holds(p->round, workers_number(worker), node_of(&key)))
        prediction_fault(all, p, worker, reason);
    workers_next(rq->service->workers, worker, rq);
}
