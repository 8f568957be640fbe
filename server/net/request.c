#include "server/net/request.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "proto/seal.h"
#include "server/http/http.h"
#include "server/net/gate.h"
#include "server/net/lane.h"
#include "server/server.h"

void request_drop(struct request *rq)
{
    if (rq->http)
        http_drop(rq->http);
    message_done(&rq->message);
    free(rq);
}

void request_forget_body(struct request *rq)
{
    if (rq->message.release)
        rq->message.release(rq->message.body);
    rq->message.release = NULL;
    rq->message.body = NULL;
    rq->message.tensor_count = 0;
}

static void add_id(cJSON *json, const struct request *rq)
{
    if (rq->id >= 0)
        cJSON_AddNumberToObject(json, "id", (double)rq->id);
}

/* Memory for a message with room for its seal around it. */
static void *alloc_sealed(size_t bytes)
{
    uint8_t *frame = transport_alloc(bytes + SEAL_BYTES);

    return frame ? frame + SEAL_HEAD_BYTES : NULL;
}

/* False: the session is over. */
static bool send_sealed(const struct request *rq, uint8_t *message, size_t bytes)
{
    uint8_t *frame = message - SEAL_HEAD_BYTES;
    bool good = gate_seal(rq->server->gate, rq, frame, bytes);

    if (good)
        transport_reply(rq->transport, &rq->token, frame);
    else
        transport_release(frame);
    return good;
}

static void send_http(struct request *rq, cJSON *json, char *text)
{
    struct http_exchange *x = rq->http;

    rq->http = NULL;
    http_answer(x, json, text);
    cJSON_Delete(json);
    request_drop(rq);
}

static void send_json(struct request *rq, cJSON *json, const struct tensor *tensors, int count)
{
    struct errbuf why;
    void *body;
    size_t bytes;

    if (rq->http) {
        send_http(rq, json, NULL);
        return;
    }
    if (!rq->transport) { /* its browser was sent away */
        cJSON_Delete(json);
        request_drop(rq);
        return;
    }
    int rc = message_encode(json, tensors, count, rq->server->halves,
                            rq->session ? alloc_sealed : transport_alloc, &body, &bytes, &why);

    if (rc == 0 && rq->session && !send_sealed(rq, body, bytes)) {
        /* Its client asks again at once, in a new session, instead of when it runs out of patience.
         */
        rq->session = 0;
        cJSON_Delete(json);
        request_error(rq, ERR_NO_SESSION, "the session is over; say hello again");
        return;
    }
    if (rc == 0 && !rq->session)
        transport_reply(rq->transport, &rq->token, body);
    else if (rc < 0)
        log_error("request.reply", "type=%s error=\"%s\"", message_names[rq->type], why.text);
    cJSON_Delete(json);
    request_drop(rq);
}

static void add_envelope(cJSON *json, const struct request *rq)
{
    cJSON_AddStringToObject(json, "type", message_names[rq->type]);
    add_id(json, rq);
    cJSON_AddTrueToObject(json, "ok");
}

void request_reply(struct request *rq, cJSON *fields, const struct tensor *tensors, int count)
{
    cJSON *json = fields ? fields : cJSON_CreateObject();

    add_envelope(json, rq);
    send_json(rq, json, tensors, count);
}

void request_error(struct request *rq, enum error_code code, const char *fmt, ...)
{
    struct errbuf why;
    va_list ap;

    va_start(ap, fmt);
    err_vset(&why, fmt, ap);
    va_end(ap);
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "type", "error");
    add_id(json, rq);
    cJSON_AddStringToObject(json, "code", error_names[code]);
    cJSON_AddStringToObject(json, "error", why.text);
    if (!rq->http)
        metrics_count(&rq->server->metrics, COUNT_REJECTED + code);
    log_debug("request.error", "code=%s error=\"%s\"", error_names[code], why.text);
    send_json(rq, json, NULL, 0);
}

static enum error_code code_of(int rc)
{
    static const struct {
        int rc;
        enum error_code code;
    } map[] = {
        {-EINVAL, ERR_BAD_FIELD},   {-ENOENT, ERR_NOT_FOUND},   {-EEXIST, ERR_EXISTS},
        {-EPERM, ERR_NOT_ALLOWED},  {-ENOSPC, ERR_UNAVAILABLE}, {-EROFS, ERR_UNAVAILABLE},
        {-EACCES, ERR_UNAVAILABLE}, {-ENOMEM, ERR_UNAVAILABLE}, {-EFBIG, ERR_TOO_LARGE},
        {-EMSGSIZE, ERR_TOO_LARGE}, {-ETIMEDOUT, ERR_TIMEOUT},  {-ESHUTDOWN, ERR_UNAVAILABLE},
        {-ERANGE, ERR_LIMIT},       {-EDQUOT, ERR_UNAVAILABLE}, {-EAGAIN, ERR_UNAVAILABLE},
        {-EBUSY, ERR_UNAVAILABLE},  {-ESTALE, ERR_UNAVAILABLE}, {-EMFILE, ERR_UNAVAILABLE},
        {-ENFILE, ERR_UNAVAILABLE}, {-EIO, ERR_UNAVAILABLE},    {-EUCLEAN, ERR_UNAVAILABLE},
    };

    for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
        if (map[i].rc == rc)
            return map[i].code;
    return ERR_INTERNAL;
}

void request_fail(struct request *rq, int rc, const struct errbuf *why)
{
    enum error_code code = code_of(rc);

    if (code == ERR_INTERNAL)
        log_error("request.internal", "type=%s error=\"%s\"", message_names[rq->type], why->text);
    request_error(rq, code, "%s", why->text[0] ? why->text : err_text(rc));
}

static void op_work(void *arg)
{
    struct op *op = arg;
    double start_s = clock_mono_s();

    op->work(op);
    op->seconds = clock_mono_s() - start_s;
    /* The text of a long reply is made here too: the loop has training steps to serve. */
    if (op->rq && op->rq->http && op->out && !op->done && op->rc == 0) {
        add_envelope(op->out, op->rq);
        op->text = cJSON_PrintUnformatted(op->out);
    }
}

static void op_done(void *arg)
{
    struct op *op = arg;

    if (op->lane != op->server->data_lane)
        metrics_lane(&op->server->metrics, op->lane == op->server->store_lane, op->seconds);
    if (op->done)
        op->done(op);
    else if (op->rq && op->rc < 0)
        request_fail(op->rq, op->rc, &op->why);
    else if (op->rq && op->text)
        send_http(op->rq, op->out, op->text), op->out = NULL;
    else if (op->rq) {
        request_reply(op->rq, op->out, NULL, 0);
        op->out = NULL;
    }
    cJSON_Delete(op->out);
    free(op);
}

void op_run(struct lane *lane, struct op op)
{
    struct op *o = xmalloc(sizeof(*o));

    *o = op;
    o->lane = lane;
    o->why.text[0] = 0;
    lane_run(lane, op_work, op_done, o);
}

void request_add_decimals(cJSON *out, const char *name, const float *v, uint32_t n)
{
    cJSON *array = cJSON_AddArrayToObject(out, name);
    char text[32];

    for (uint32_t i = 0; i < n; i++) {
        snprintf(text, sizeof(text), "%.9g", (double)v[i]);
        cJSON_AddItemToArray(array, cJSON_CreateString(text));
    }
}
