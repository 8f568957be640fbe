#include "server/net/request.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"
#include "common/text.h"
#include "proto/key.h"
#include "server/net/net.h"

struct request *request_new(struct net *net, const struct carrier *carrier, void *from)
{
    struct request *rq = xcalloc(1, sizeof(*rq));

    rq->net = net;
    rq->service = net->service;
    rq->carrier = carrier;
    rq->from = from;
    rq->id = -1;
    return rq;
}

static void end(struct request *rq)
{
    waits_end(rq);
    message_done(&rq->message);
    free(rq);
}

void request_drop(struct request *rq)
{
    rq->carrier->drop(rq);
    end(rq);
}

static void know_nobody(const struct request *rq, char ret[PEER_BYTES])
{
    (void)rq;
    ret[0] = 0;
}

static void tell_nobody(struct request *rq, struct answer *answer)
{
    (void)rq;
    (void)answer;
}

static void drop_nothing(struct request *rq)
{
    (void)rq;
}

void request_orphan(struct request *rq)
{
    static const struct carrier nobody = {
        .reply = tell_nobody, .drop = drop_nothing, .peer = know_nobody};

    rq->carrier = &nobody;
    rq->orphan = true;
    if (waits_is_waiting(rq))
        end(rq);
}

void request_asker(const struct request *rq, char ret[REQUEST_ASKER_BYTES])
{
    char connection[2 * TOKEN_CONNECTION_BYTES + 1];

    if (rq->key_name[0]) {
        snprintf(ret, REQUEST_ASKER_BYTES, "key %s", rq->key_name);
    } else if (rq->transport) {
        text_hex(rq->token.bytes, TOKEN_CONNECTION_BYTES, connection);
        snprintf(ret, REQUEST_ASKER_BYTES, "connection %s", connection);
    } else {
        snprintf(ret, REQUEST_ASKER_BYTES, "%s", rq->owner);
    }
}

const char *request_who(const struct request *rq)
{
    if (strcmp(rq->key_name, KEY_BROWSER_NAME) == 0)
        return "key " KEY_BROWSER_NAME;
    return rq->key_name[0] || rq->transport ? rq->key_name : KEY_BROWSER_NAME;
}

void request_forget_body(struct request *rq)
{
    if (rq->message.release)
        rq->message.release(rq->message.body);
    rq->message.release = NULL;
    rq->message.body = NULL;
    rq->message.tensor_count = 0;
}

void request_record(struct request *rq, const char *changes)
{
    rq->carrier->peer(rq, rq->peer);
    rq->changes = changes;
}

void request_answer(struct request *rq, struct answer *answer)
{
    if (rq->changes) {
        rq->net->record(rq, answer);
        return;
    }
    rq->carrier->reply(rq, answer);
    cJSON_Delete(answer->json);
    free(answer->made);
    end(rq);
}

static void add_id(cJSON *json, const struct request *rq)
{
    if (rq->id >= 0)
        cJSON_AddNumberToObject(json, "id", (double)rq->id);
}

static void add_envelope(cJSON *json, const struct request *rq)
{
    cJSON_AddStringToObject(json, "type", message_names[rq->type]);
    add_id(json, rq);
    cJSON_AddTrueToObject(json, "ok");
}

void request_prepare(const struct request *rq, struct answer *answer)
{
    if (!answer->json)
        answer->json = cJSON_CreateObject();
    add_envelope(answer->json, rq);
    if (rq->carrier->prepare)
        rq->carrier->prepare(rq, answer);
}

void request_reply(struct request *rq, cJSON *fields, const struct tensor *tensors, int count)
{
    struct answer answer = {.json = fields ? fields : cJSON_CreateObject(),
                            .tensors = tensors,
                            .tensor_count = count,
                            .code = ERR_COUNT};

    add_envelope(answer.json, rq);
    request_answer(rq, &answer);
}

void request_reply_files(struct request *rq, cJSON *fields, const int *files, int count)
{
    struct answer answer = {.json = fields, .files = files, .file_count = count, .code = ERR_COUNT};

    add_envelope(answer.json, rq);
    request_answer(rq, &answer);
}

cJSON *request_error_json(const struct request *rq, enum error_code code, const char *text)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "type", "error");
    add_id(json, rq);
    cJSON_AddStringToObject(json, "code", error_names[code]);
    cJSON_AddStringToObject(json, "error", text);
    return json;
}

void request_error(struct request *rq, enum error_code code, const char *fmt, ...)
{
    struct answer answer = {.code = code};
    struct errbuf why;
    va_list ap;

    va_start(ap, fmt);
    err_vset(&why, fmt, ap);
    va_end(ap);
    log_debug("request.error", "code=%s error=\"%s\"", error_names[code], why.text);
    answer.json = request_error_json(rq, code, why.text);
    request_answer(rq, &answer);
}

void request_busy(struct request *rq, int64_t retry_ms, const char *fmt, ...)
{
    struct answer answer = {.code = ERR_UNAVAILABLE};
    struct errbuf why;
    va_list ap;

    va_start(ap, fmt);
    err_vset(&why, fmt, ap);
    va_end(ap);
    answer.json = request_error_json(rq, ERR_UNAVAILABLE, why.text);
    cJSON_AddNumberToObject(answer.json, "retry_ms", (double)retry_ms);
    request_answer(rq, &answer);
}

static enum error_code code_of(int rc)
{
    static const struct {
        int rc;
        enum error_code code;
    } map[] = {
        {-EINVAL, ERR_BAD_FIELD},    {-ENOENT, ERR_NOT_FOUND},   {-EEXIST, ERR_EXISTS},
        {-EPERM, ERR_NOT_ALLOWED},   {-ENOSPC, ERR_UNAVAILABLE}, {-EROFS, ERR_UNAVAILABLE},
        {-EACCES, ERR_UNAVAILABLE},  {-ENOMEM, ERR_UNAVAILABLE}, {-EFBIG, ERR_TOO_LARGE},
        {-EMSGSIZE, ERR_TOO_LARGE},  {-ETIMEDOUT, ERR_TIMEOUT},  {-ESHUTDOWN, ERR_UNAVAILABLE},
        {-ERANGE, ERR_LIMIT},        {-EDQUOT, ERR_UNAVAILABLE}, {-EAGAIN, ERR_UNAVAILABLE},
        {-EBUSY, ERR_UNAVAILABLE},   {-ESTALE, ERR_UNAVAILABLE}, {-EMFILE, ERR_UNAVAILABLE},
        {-ENFILE, ERR_UNAVAILABLE},  {-EIO, ERR_UNAVAILABLE},    {-EUCLEAN, ERR_UNAVAILABLE},
        {-ENOTSUP, ERR_UNAVAILABLE},
    };

    for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
        if (map[i].rc == rc)
            return map[i].code;
    return ERR_INTERNAL;
}

enum error_code request_unread(int rc)
{
    return rc == -EMSGSIZE ? ERR_TOO_LARGE : rc == -ENOMEM ? ERR_UNAVAILABLE : ERR_BAD_MESSAGE;
}

void request_fail(struct request *rq, int rc, const struct errbuf *why)
{
    enum error_code code = code_of(rc);

    if (code == ERR_INTERNAL)
        log_error("request.internal", "type=%s error=\"%s\"", message_names[rq->type], why->text);
    request_error(rq, code, "%s", why->text[0] ? why->text : err_text(rc));
}

bool request_is_of_people(const struct request *rq)
{
    /* The machine's administrator runs workers without a key, too. */
    return rq->role == ROLE_ADMIN && !rq->session
               ? !(message_roles(rq->type) & ROLE_BIT(ROLE_WORKER))
               : rq->role != ROLE_WORKER;
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
