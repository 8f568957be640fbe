/* POST /api/predict.picture: a picture's file becomes the predict.put of a program. The model's
 * size is among its words (predict.open tells it), since this room knows no job; predict.put judges
 * it. A page cannot read tensors, so what it would need of them is told in JSON. */
#include <errno.h>
#include <sodium/utils.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/bounds.h"
#include "common/field.h"
#include "common/likely.h"
#include "common/png.h"
#include "server/http/http_internal.h"
#include "server/net/op.h"

#define DROP_PATH "/api/predict.picture"
#define WHERE "predict.picture"

struct drop_work {
    struct http_exchange *x; /* it sleeps meanwhile */
    struct http_drop *drop;
    char *file;
    size_t file_bytes;
};

bool http_is_drop(const struct http_exchange *x)
{
    return strcmp(x->path, DROP_PATH) == 0;
}

size_t http_body_max(const struct http_exchange *x)
{
    return x->drops ? DROPPED_BYTES_MAX : JSON_REQUEST_BYTES_MAX;
}

void http_drop_free(struct http_drop *d)
{
    if (!d)
        return;
    free(d->answer);
    free(d->png_base64);
    free(d);
}

/* Takes what is not for predict.put out of keys. */
static int read_words(cJSON *keys, struct http_drop *d, struct errbuf *why)
{
    static const char *const own[] = {"h", "w", "c", "stored", NULL};
    int64_t h = 0, w = 0, c = 0;
    int rc = field_i64(keys, WHERE, "h", true, 1, IMAGE_SIDE_MAX, &h, why);

    if (rc == 0)
        rc = field_i64(keys, WHERE, "w", true, 1, IMAGE_SIDE_MAX, &w, why);
    if (rc == 0)
        rc = field_i64(keys, WHERE, "c", true, 1, CHANNELS_MAX, &c, why);
    if (rc == 0)
        rc = field_bool(keys, WHERE, "stored", false, &d->stored, why);
    for (int i = 0; own[i]; i++)
        cJSON_DeleteItemFromObjectCaseSensitive(keys, own[i]);
    d->h = (uint32_t)h;
    d->w = (uint32_t)w;
    d->c = (uint32_t)c;
    return rc;
}

/* The pixels as a page can show them. */
static void draw(struct http_drop *d)
{
    uint8_t *png = NULL;
    size_t bytes = 0;

    if ((d->c != 1 && d->c != 3) || png_encode(d->pixels, d->w, d->h, d->c, &png, &bytes) < 0)
        return;
    const size_t room = sodium_base64_ENCODED_LEN(bytes, sodium_base64_VARIANT_ORIGINAL);
    d->png_base64 = alloc_bytes(room, 1);
    if (d->png_base64)
        sodium_bin2base64(d->png_base64, room, png, bytes, sodium_base64_VARIANT_ORIGINAL);
    free(png);
}

static void decode_work(struct op *op)
{
    struct drop_work *work = op->arg;

    op->rc = http_decode(work->x->net, work->x->host->decoder, work->drop, work->file,
                         work->file_bytes, &op->why);
    if (op->rc == 0)
        draw(work->drop);
}

static void decode_done(struct op *op)
{
    struct drop_work *work = op->arg;
    struct http_drop *d = work->drop;
    struct request *rq = op->rq;

    work->x->dropped = d;
    free(work->file);
    free(work);
    if (op->rc < 0) {
        request_fail(rq, op->rc, &op->why);
        return;
    }
    const uint64_t shape[] = {1, d->h, d->w, d->c};
    rq->message.tensors[0] = tensor_make("images", DTYPE_U8, 4, shape, d->pixels);
    rq->message.tensor_count = 1;
    rq->net->dispatch(rq);
}

void http_drop_run(struct http_exchange *x, struct request *rq)
{
    struct drop_work *work = xcalloc(1, sizeof(*work));
    struct errbuf why = {""};

    rq->type = MSG_PREDICT_PUT;
    work->x = x;
    work->drop = xcalloc(1, sizeof(*work->drop));
    work->file = x->body;
    work->file_bytes = x->body_bytes;
    x->body = NULL;
    int rc = read_words(rq->message.json, work->drop, &why);
    if (rc == 0 && work->file_bytes == 0)
        rc = err_set(&why, -EINVAL, "the file is empty");
    if (rc == 0 && !work->file)
        rc = err_set(&why, -ENOMEM, "no memory for a file of %zu bytes", work->file_bytes);
    if (rc == 0) {
        op_run(x->net->decode_lane,
               (struct op){.rq = rq, .arg = work, .work = decode_work, .done = decode_done});
        return;
    }
    http_drop_free(work->drop);
    free(work->file);
    free(work);
    request_fail(rq, rc, &why);
}

/* --- what a page is told --- */

static cJSON *row_of(const float *logits, uint32_t classes, const int32_t *twin)
{
    const struct likely v = likely_of(logits, classes);
    cJSON *row = cJSON_CreateObject(), *numbers = cJSON_AddArrayToObject(row, "classes");
    cJSON *shares = cJSON_AddArrayToObject(row, "probabilities");

    for (uint32_t k = 0; k < v.shown; k++) {
        cJSON_AddItemToArray(numbers, cJSON_CreateNumber(v.class[k]));
        cJSON_AddItemToArray(shares, cJSON_CreateNumber(v.probability[k]));
    }
    if (v.shown > 1)
        cJSON_AddNumberToObject(row, "margin", v.margin);
    if (twin)
        cJSON_AddNumberToObject(row, "twin", *twin);
    return row;
}

static void tell_rows(struct answer *answer)
{
    const struct tensor *logits = tensor_find(answer->tensors, answer->tensor_count, "logits");
    const struct tensor *twins = tensor_find(answer->tensors, answer->tensor_count, "twins");

    if (!logits)
        return;
    const uint32_t classes = (uint32_t)logits->shape[1];
    cJSON *rows = cJSON_AddArrayToObject(answer->json, "rows");
    for (uint64_t i = 0; i < logits->shape[0]; i++)
        cJSON_AddItemToArray(rows, row_of((const float *)logits->data + i * classes, classes,
                                          twins ? (const int32_t *)twins->data + i : NULL));
}

void http_drop_tell(const struct http_exchange *x, const struct request *rq, struct answer *answer)
{
    const struct http_drop *d = x->dropped;

    if (answer->code != ERR_COUNT)
        return;
    if (rq->type == MSG_PREDICT_GET)
        tell_rows(answer);
    if (!d)
        return;
    const double size[] = {d->file_h, d->file_w};
    cJSON_AddItemToObject(answer->json, "file", cJSON_CreateDoubleArray(size, 2));
    if (d->png_base64)
        cJSON_AddStringToObject(answer->json, "png", d->png_base64);
}
