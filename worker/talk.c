#include "worker/talk.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "common/field.h"
#include "common/log.h"

#define BACKOFF_MS 500
#define BACKOFF_MAX_MS 10000
#define PIECE_MS 30000
#define OFFER_MS 10000
#define WAIT_MAX_MS 10000
#define NOTE_MS 10000

void talk_pause(const struct talk *t, int ms)
{
    const struct timespec tick = {.tv_nsec = 50000000};

    for (; ms > 0 && !*t->stop; ms -= 50)
        nanosleep(&tick, NULL);
}

void talk_backoff(const struct talk *t, int *io_ms)
{
    unsigned random = 0;
    int ms = *io_ms ? 2 * *io_ms : BACKOFF_MS;

    *io_ms = ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
    /* Workers that lost the server at the same time do not come back at the same time. */
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random))
        random = 0;
    talk_pause(t, *io_ms / 2 + (int)(random % ((unsigned)*io_ms / 2 + 1)));
}

/* The server's keys or ours are being changed: a person will see to it. */
static bool is_about_key(enum error_code code)
{
    return code == ERR_WRONG_KEY || code == ERR_KEY_NEEDED || code == ERR_NO_SESSION;
}

int talk_refusal(int rc, enum error_code code)
{
    if (rc != -EREMOTEIO)
        return rc;
    return code == ERR_UNKNOWN_WORKER ? -ENOTCONN : code == ERR_GONE ? -ESTALE : rc;
}

int talk_call(const struct talk *t, enum message_type type, cJSON *request,
              const struct tensor *tensors, int tensor_count, int64_t deadline_ms, int64_t retry_ms,
              struct message *ret, struct errbuf *why)
{
    enum error_code code = ERR_INTERNAL;
    int wait_ms = 0;

    for (;;) {
        int rc = client_call(t->client, type, request, tensors, tensor_count, deadline_ms, retry_ms,
                             ret, &code, why);
        rc = talk_refusal(rc, code);
        if (rc == 0 || rc == -EINTR || rc == -ENOTCONN || rc == -ESTALE)
            return rc;
        if (rc == -EREMOTEIO && code != ERR_UNAVAILABLE && code != ERR_LIMIT && !is_about_key(code))
            return rc;
        log_warn("worker.wait", "error=\"%s\"", why->text);
        talk_backoff(t, &wait_ms);
        if (*t->stop)
            return -EINTR;
    }
}

void talk_note(const struct talk *t, int64_t job, const char *text)
{
    cJSON *request = cJSON_CreateObject();
    struct message reply = {0};
    struct errbuf why;

    cJSON_AddNumberToObject(request, "job", (double)job);
    cJSON_AddStringToObject(request, "text", text);
    if (client_call(t->client, MSG_WORKER_NOTE, request, NULL, 0, NOTE_MS, 0, &reply, NULL, &why) ==
        0)
        message_done(&reply);
    else
        log_warn("worker.note", "error=\"%s\"", why.text);
    cJSON_Delete(request);
}

/* Length of the piece that begins at offset. */
static size_t piece_bytes(size_t bytes, size_t offset)
{
    return bytes - offset < PIECE_BYTES_MAX ? bytes - offset : PIECE_BYTES_MAX;
}

int talk_fetch_piece(const struct talk *t, const cJSON *key, size_t offset, size_t bytes, void *out,
                     struct errbuf *why)
{
    cJSON *request = cJSON_Duplicate(key, true);
    struct message reply = {0};
    const struct tensor *piece;
    const uint64_t shape[1] = {bytes};

    cJSON_AddNumberToObject(request, "offset", (double)offset);
    cJSON_AddNumberToObject(request, "bytes", (double)bytes);
    int rc = talk_call(t, MSG_PARAMS_GET, request, NULL, 0, PIECE_MS, 0, &reply, why);
    cJSON_Delete(request);
    if (rc < 0)
        return rc;
    rc = message_tensor(&reply, "piece", DTYPE_U8, 1, shape, &piece, why);
    if (rc == 0)
        memcpy(out, piece->data, bytes);
    else
        rc = err_prefix(why, -EBADMSG, "params.get");
    message_done(&reply);
    return rc;
}

int talk_fetch(const struct talk *t, const cJSON *key, size_t bytes, void *out, struct errbuf *why)
{
    int rc = 0;

    for (size_t at = 0; rc == 0 && at < bytes; at += PIECE_BYTES_MAX)
        rc = talk_fetch_piece(t, key, at, piece_bytes(bytes, at), (char *)out + at, why);
    return rc;
}

static const char *const answers[] = {"send", "wait", "drop", NULL};
enum { ANSWER_SEND, ANSWER_WAIT, ANSWER_DROP };

/* The answer to result.offer and result.put. */
static int read_answer(const struct message *reply, int *ret, struct errbuf *why)
{
    return field_enum(reply->json, "the answer", "answer", true, answers, ret, why) < 0 ? -EBADMSG
                                                                                        : 0;
}

/* A bit for every piece that the server lacks. */
static int read_missing(const cJSON *json, size_t bytes, uint64_t *ret, struct errbuf *why)
{
    const size_t pieces = (bytes + PIECE_BYTES_MAX - 1) / PIECE_BYTES_MAX;
    const cJSON *list, *entry;

    *ret = 0;
    if (field_arr(json, "the answer", "missing", true, PIECES_MAX, &list, why) < 0)
        return -EBADMSG;
    cJSON_ArrayForEach(entry, list)
    {
        if (!cJSON_IsNumber(entry) || !(entry->valuedouble >= 0 && entry->valuedouble < pieces))
            return err_set(why, -EBADMSG, "the answer names a piece that does not exist");
        *ret |= UINT64_C(1) << (unsigned)entry->valuedouble;
    }
    return 0;
}

/* Asks until the server wants it. 0, -EALREADY or as talk_call. */
static int offer(const struct talk *t, const cJSON *key, size_t bytes, uint64_t *ret_missing,
                 struct errbuf *why)
{
    cJSON *request = cJSON_Duplicate(key, true);
    int64_t wait_ms = 0;
    int rc, answer = ANSWER_WAIT;

    cJSON_AddNumberToObject(request, "bytes", (double)bytes);
    do {
        struct message reply = {0};

        talk_pause(t, (int)wait_ms);
        rc = talk_call(t, MSG_RESULT_OFFER, request, NULL, 0, OFFER_MS, 0, &reply, why);
        if (rc == 0)
            rc = read_answer(&reply, &answer, why);
        if (rc == 0 && answer == ANSWER_WAIT &&
            field_i64(reply.json, "the answer", "wait_ms", true, 1, WAIT_MAX_MS, &wait_ms, why) < 0)
            rc = -EBADMSG;
        if (rc == 0 && answer == ANSWER_SEND)
            rc = read_missing(reply.json, bytes, ret_missing, why);
        message_done(&reply);
    } while (rc == 0 && answer == ANSWER_WAIT);
    cJSON_Delete(request);
    return rc == 0 && answer == ANSWER_DROP ? -EALREADY : rc;
}

static int put_piece(const struct talk *t, const cJSON *key, unsigned number, size_t bytes,
                     const void *data, struct errbuf *why)
{
    const struct tensor piece = tensor_1d("piece", DTYPE_U8, bytes, data);
    cJSON *request = cJSON_Duplicate(key, true);
    struct message reply = {0};
    int answer;

    cJSON_AddNumberToObject(request, "piece", number);
    int rc = talk_call(t, MSG_RESULT_PUT, request, &piece, 1, PIECE_MS, 0, &reply, why);
    cJSON_Delete(request);
    if (rc < 0)
        return rc;
    rc = read_answer(&reply, &answer, why);
    message_done(&reply);
    return rc == 0 && answer == ANSWER_DROP ? -EALREADY : rc;
}

int talk_upload(const struct talk *t, const cJSON *key, size_t bytes, const void *data,
                struct errbuf *why)
{
    uint64_t missing = 0;
    int rc;

    do { /* an unfinished upload is offered again */
        rc = offer(t, key, bytes, &missing, why);
        for (unsigned i = 0; rc == 0 && i < PIECES_MAX; i++)
            if (missing >> i & 1) {
                size_t at = (size_t)i * PIECE_BYTES_MAX;
                rc = put_piece(t, key, i, piece_bytes(bytes, at), (const char *)data + at, why);
            }
    } while (rc == -ESTALE);
    return rc;
}
