/* /api/TYPE: the messages of proto/PROTOCOL.md for a browser. The query of a GET, or the JSON body
 * of a POST, becomes a message of that type; the handlers are the same. What only looks is a GET,
 * what changes something a POST. */
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/field.h"
#include "common/text.h"
#include "server/http/http_internal.h"
#include "server/server.h"

#define SCORE_PREFIX "score."
#define IMAGE_NAME "sample.png" /* sample.images of one sample, as a picture */

static const enum message_type changing[] = {MSG_JOB_SUBMIT, MSG_JOB_PAUSE, MSG_JOB_RESUME,
                                             MSG_JOB_CANCEL};
static const enum message_type looking[] = {MSG_PING,       MSG_JOB_LIST,     MSG_JOB_SHOW,
                                            MSG_JOB_LOG,    MSG_DATASET_LIST, MSG_DATASET_SHOW,
                                            MSG_WORKER_LIST};

static bool in(int type, const enum message_type *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if ((int)list[i] == type)
            return true;
    return false;
}

/* A word of the query as the JSON that a program would have written. */
static cJSON *value_of(const char *text)
{
    double number;

    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
        return cJSON_CreateBool(text[0] == 't');
    if (text_f64(text, -9007199254740991.0, 9007199254740991.0, &number))
        return cJSON_CreateNumber(number);
    return cJSON_CreateString(text);
}

struct words {
    cJSON *keys;
    bool broken; /* a word is not KEY=VALUE in UTF-8, or its key came before */
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
    cJSON_AddItemToObject(words->keys, key, value_of(value));
    return MHD_YES;
}

/* The keys of the message; NULL: x was answered. */
static cJSON *read_keys(struct http_exchange *x, bool post)
{
    struct words words = {NULL};
    cJSON *json = NULL;
    struct errbuf why;

    if (post && x->body_bytes > 0) {
        if (field_parse(x->body, x->body_bytes, JSON_REQUEST_BYTES_MAX, "the body", &json, &why) <
            0) {
            http_refuse(x, MHD_HTTP_BAD_REQUEST, ERR_BAD_MESSAGE, "%s", why.text);
            return NULL;
        }
        return json;
    }
    words.keys = cJSON_CreateObject();
    if (!post)
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
    bool image = strcmp(name, IMAGE_NAME) == 0;
    int type = image ? MSG_SAMPLE_IMAGES : text_index(name, message_names);
    bool change = in(type, changing, sizeof(changing) / sizeof(changing[0]));
    bool look = image || in(type, looking, sizeof(looking) / sizeof(looking[0])) ||
                (type >= 0 && type != MSG_SCORE_ROWS &&
                 strncmp(name, SCORE_PREFIX, strlen(SCORE_PREFIX)) == 0);

    if (!change && !look) {
        http_refuse(x, MHD_HTTP_NOT_FOUND, ERR_UNKNOWN_TYPE,
                    type < 0 ? "there is no request \"%.64s\"" : "%.64s is not for browsers", name);
        return -1;
    }
    if (change != post) {
        http_refuse(x, MHD_HTTP_METHOD_NOT_ALLOWED, ERR_NOT_ALLOWED, "%s is a %s", name,
                    change ? "POST" : "GET");
        return -1;
    }
    return type;
}

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
    struct request *rq = xcalloc(1, sizeof(*rq));
    *rq = (struct request){
        .server = x->server, .http = x, .id = -1, .role = post ? ROLE_SUBMIT : ROLE_READ};
    rq->message.json = json;
    x->rq = rq;
    request_dispatch(rq);
}
