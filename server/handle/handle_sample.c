/* sample.images: what samples look like. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/field.h"
#include "common/png.h"
#include "server/handle/handlers.h"
#include "server/http/http.h"
#include "server/server.h"

struct images {
    const struct dataset *data; /* its file is lent */
    char sha256[SHA256_HEX];
    struct data_file file;
    int64_t bad;
    uint32_t count, samples[ROWS_MAX];
    uint8_t *pixels; /* [count, h, w, c] */
    uint8_t *png;    /* of the first, for a browser */
    size_t png_bytes;
};

static int add_sample(struct images *a, const cJSON *value, struct errbuf *why)
{
    double v = cJSON_IsNumber(value) ? value->valuedouble : -1;

    if (!(v >= 0) || v >= a->data->samples || v != (double)(uint32_t)v)
        return err_set(why, cJSON_IsNumber(value) ? -ENOENT : -EINVAL,
                       "sample.images.samples: there is no such sample, they are numbered 0 to %u",
                       a->data->samples - 1);
    a->samples[a->count++] = (uint32_t)v;
    return 0;
}

/* `samples` is an array, or one number. */
static int read_samples(const struct request *rq, struct images *a, struct errbuf *why)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(rq->message.json, "samples");
    const cJSON *list = NULL, *entry;
    int rc = 0;

    if (cJSON_IsNumber(value))
        return add_sample(a, value, why);
    rc = field_arr(rq->message.json, "sample.images", "samples", true, ROWS_MAX, &list, why);
    if (rc == 0 && rq->http)
        rc = err_set(why, -EINVAL, "samples must be one number");
    cJSON_ArrayForEach(entry, list)
    {
        if (rc == 0)
            rc = add_sample(a, entry, why);
    }
    if (rc == 0 && (size_t)a->count * a->data->image_bytes > PIECE_BYTES_MAX)
        rc = err_set(why, -EFBIG, "%u images of %zu bytes are more than one message holds, %u",
                     a->count, a->data->image_bytes, PIECE_BYTES_MAX);
    return rc;
}

/* A browser sees grey or RGB; of other channels the first. */
static int make_png(struct images *a)
{
    struct dims d = a->data->dims;
    uint32_t channels = d.c == 3 ? 3 : 1;
    uint8_t *shown = d.c == channels ? a->pixels : alloc_bytes((size_t)d.h * d.w, 1);

    if (!shown)
        return -ENOMEM;
    for (size_t i = 0; shown != a->pixels && i < (size_t)d.h * d.w; i++)
        shown[i] = a->pixels[i * d.c];
    int rc = png_encode(shown, d.w, d.h, channels, &a->png, &a->png_bytes);
    if (shown != a->pixels)
        free(shown);
    return rc;
}

/* On a lane: the file may have to be read from the disk. */
static void images_work(struct op *op)
{
    struct images *a = op->arg;
    size_t bytes = a->data->image_bytes;

    a->pixels = alloc_bytes(a->count ? a->count : 1, bytes);
    if (!a->pixels) {
        op->rc = err_set(&op->why, -ENOMEM, "no memory for %u images", a->count);
        return;
    }
    for (uint32_t i = 0; op->rc == 0 && i < a->count; i++)
        op->rc = data_file_read(&a->file, a->data->images_at + a->samples[i] * bytes, bytes,
                                a->pixels + i * bytes, &a->bad, &op->why);
    if (op->rc == 0 && op->rq->http)
        op->rc = make_png(a);
}

static void images_done(struct op *op)
{
    struct images *a = op->arg;
    struct request *rq = op->rq;
    struct dims d = a->data->dims;

    datasets_give_back(op->server->datasets, a->sha256, op->rc, a->bad, &op->why);
    if (op->rc < 0) {
        request_fail(rq, data_file_is_damage(op->rc) ? -EUCLEAN : op->rc, &op->why);
    } else if (rq->http) {
        http_answer_data(rq->http, "image/png", a->png, a->png_bytes);
        rq->http = NULL;
        request_drop(rq);
    } else {
        const uint64_t shape[] = {a->count, d.h, d.w, d.c};
        struct tensor t = tensor_make("images", DTYPE_U8, 4, shape, a->pixels);
        cJSON *out = cJSON_CreateObject();
        cJSON_AddNumberToObject(out, "count", a->count);
        request_reply(rq, out, &t, 1);
    }
    free(a->pixels);
    free(a);
}

void handle_sample_images(struct request *rq)
{
    struct images *a = xcalloc(1, sizeof(*a));
    struct errbuf why = {""};
    struct job *job;
    int64_t number;
    int rc = field_i64(rq->message.json, "sample.images", "job", true, 1, INT32_MAX, &number, &why);

    if (rc == 0)
        rc = jobs_find(rq->server->jobs, number, &job, &why);
    if (rc == 0)
        rc = jobs_prepare(rq->server, job, &why);
    if (rc == 0) {
        a->data = job->data;
        memcpy(a->sha256, job->rec.dataset_sha256, sizeof(a->sha256));
        rc = read_samples(rq, a, &why);
    }
    if (rc == 0)
        rc = datasets_lend(rq->server->datasets, a->sha256, &a->file, &why);
    if (rc < 0) {
        free(a);
        request_fail(rq, rc, &why);
        return;
    }
    op_run(rq->server->query_lane,
           (struct op){
               .rq = rq, .server = rq->server, .arg = a, .work = images_work, .done = images_done});
}
