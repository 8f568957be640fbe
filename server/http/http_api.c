/* /api/TYPE: the messages of proto/PROTOCOL.md for a browser. The query of a GET, or the JSON body
 * of a POST, becomes a message of that type; the handlers are the same. A request that only looks
 * is a GET, one that changes something a POST. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bounds.h"
#include "common/field.h"
#include "common/text.h"
#include "server/http/http_internal.h"

#define IMAGE_NAME "sample.png" /* sample.images of one sample, as a picture */

/* Keys of questions whose value is always text: a study may be called 7 or true. */
static const char *const texts[] = {"study", "dataset", "name", "sql", "uris", NULL};

/* A word of the query as the JSON that a program would write. */
static cJSON *value_of(const char *key, const char *text)
{
    double number;

    if (text_index(key, texts) >= 0)
        return cJSON_CreateString(text);
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
        return cJSON_CreateBool(text[0] == 't');
    if (text_f64(text, -9007199254740991.0, 9007199254740991.0, &number))
        return cJSON_CreateNumber(number);
    return cJSON_CreateString(text);
}

struct words {
    cJSON *keys;
    bool broken; /* a word is not KEY=VALUE in UTF-8, or its key came twice */
};

static enum MHD_Result add_word(void *arg, enum MHD_ValueKind kind, const char *key,
                                const char *value)
{
    struct words *words = arg;

    (void)kind;
    if (!value || !key[0] || cJSON_GetObjectItemCaseSensitive(words->keys, key) ||
        text_utf8_bytes(key, strlen(key)) != strlen(key) ||
        text_utf8_bytes(value, strlen(value)) != strlen(value)) {
        words->broken = true;
        return MHD_NO;
    }
    cJSON_AddItemToObject(words->keys, key, value_of(key, value));
    return MHD_YES;
}

bool http_take_body(struct http_exchange *x, const char *data, size_t bytes)
{
    if (bytes > http_body_max(x) - x->body_bytes)
        return false;
    char *body = x->body || x->body_bytes == 0 ? realloc(x->body, x->body_bytes + bytes + 1) : NULL;
    if (body) {
        memcpy(body + x->body_bytes, data, bytes);
        body[x->body_bytes + bytes] = 0;
    } else {
        free(x->body);
    }
    x->body = body;
    x->body_bytes += bytes; /* counted without memory for it as well */
    return true;
}

/* The keys of the message; NULL: x was answered. */
static cJSON *read_keys(struct http_exchange *x, bool post)
{
    const bool in_body = post && !x->drops;
    struct words words = {NULL};
    cJSON *json = NULL;
    struct errbuf why;

    if (in_body && x->body_bytes > 0) {
        int rc = x->body
                     ? field_parse(x->body, x->body_bytes, JSON_REQUEST_BYTES_MAX, "the body",
                                   &json, &why)
                     : err_set(&why, -ENOMEM, "no memory for a body of %zu bytes", x->body_bytes);
        enum error_code code = request_unread(rc);
        if (rc < 0)
            http_refuse(x, http_status(code), code, "%s", why.text);
        return json;
    }
    words.keys = cJSON_CreateObject();
    if (!in_body)
        MHD_get_connection_values(x->connection, MHD_GET_ARGUMENT_KIND, add_word, &words);
    if (!words.broken)
        return words.keys;
    cJSON_Delete(words.keys);
    http_refuse(x, MHD_HTTP_BAD_REQUEST, ERR_BAD_FIELD,
                "the query must be words KEY=VALUE in UTF-8, each key once");
    return NULL;
}

/* The message type that the path names; -1: x was answered. */
static int find_type(struct http_exchange *x, bool post)
{
    const char *name = x->path + strlen("/api/");
    int type = text_index(name, message_names);
    enum message_web web = type < 0 ? WEB_NONE : message_web((enum message_type)type);

    if (strcmp(name, IMAGE_NAME) == 0) {
        x->picture = true;
        type = MSG_SAMPLE_IMAGES;
        web = WEB_GET;
    }
    if (http_is_drop(x)) {
        type = MSG_PREDICT_PUT;
        web = WEB_POST;
    }
    if (web != WEB_GET && web != WEB_POST) {
        http_refuse(x, MHD_HTTP_NOT_FOUND, ERR_UNKNOWN_TYPE,
                    type < 0 ? "there is no request \"%.64s\"" : "%.64s is not for browsers", name);
        return -1;
    }
    if ((web == WEB_POST) != post) {
        http_refuse(x, MHD_HTTP_METHOD_NOT_ALLOWED, ERR_NOT_ALLOWED, "%s is a %s", name,
                    web == WEB_POST ? "POST" : "GET");
        return -1;
    }
    return type;
}

/* --- the answer --- */

static void reply(struct request *rq, struct answer *answer)
{
    http_drop_tell(rq->from, rq, answer);
    http_answer(rq->from, answer);
}

static void drop(struct request *rq)
{
    http_drop(rq->from);
}

static void prepare(const struct request *rq, struct answer *answer)
{
    const struct http_exchange *x = rq->from;

    if (x->picture)
        http_make_picture(answer);
    else
        answer->made = cJSON_PrintUnformatted(answer->json);
}

static void name_peer(const struct request *rq, char ret[PEER_BYTES])
{
    const struct http_exchange *x = rq->from;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr_in *at = info ? (const void *)info->client_addr : NULL;
    char host[INET_ADDRSTRLEN] = "";

    if (at && at->sin_family == AF_INET && inet_ntop(AF_INET, &at->sin_addr, host, sizeof(host)))
        snprintf(ret, PEER_BYTES, "http %s:%u", host, ntohs(at->sin_port));
    else
        snprintf(ret, PEER_BYTES, "http");
}

static const struct carrier browser = {
    .reply = reply, .drop = drop, .prepare = prepare, .peer = name_peer};

void http_api(struct http_exchange *x, const char *method)
{
    bool post = strcmp(method, MHD_HTTP_METHOD_POST) == 0;
    int type = find_type(x, post);
    cJSON *json = type < 0 ? NULL : read_keys(x, post);
    char sender[UUID_BYTES];

    if (!json)
        return;
    for (const char *const *key = (const char *const[]){"type", "v", "id", "sender", NULL}; *key;
         key++)
        if (cJSON_GetObjectItemCaseSensitive(json, *key)) {
            http_refuse(x, MHD_HTTP_BAD_REQUEST, ERR_BAD_FIELD, "\"%s\" is not for browsers", *key);
            cJSON_Delete(json);
            return;
        }
    text_uuid(sender);
    cJSON_AddStringToObject(json, "type", message_names[type]);
    cJSON_AddNumberToObject(json, "v", PROTOCOL_VERSION);
    cJSON_AddNumberToObject(json, "id", 0);
    cJSON_AddStringToObject(json, "sender", sender);
    struct request *rq = request_new(x->net, &browser, x);
    rq->role = x->pass.role;
    rq->message.json = json;
    /* One person's browser does not take the turns of another's. */
    snprintf(rq->owner, sizeof(rq->owner), "browser %08x", x->pass.who);
    /* What is done in it is on record under its key's name. */
    snprintf(rq->key_name, sizeof(rq->key_name), "%s", http_holder(x));
    rq->weight = HTTP_HEADER_BYTES_MAX;
    x->rq = rq;
    if (x->drops)
        http_drop_run(x, rq);
    else
        x->net->dispatch(rq);
}
