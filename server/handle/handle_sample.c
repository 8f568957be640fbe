/* sample.images: pictures of samples. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/field.h"
#include "server/handle/handlers.h"
#include "server/jobs/service.h"
#include "server/net/op.h"

struct images {
    const struct dataset *data; /* its file is lent */
    char sha256[SHA256_HEX];
    struct data_file file;
    int64_t bad;
    uint32_t count, samples[ROWS_MAX];
    uint8_t *pixels; /* [count, h, w, c] */
    uint64_t shape[4];
    struct tensor tensor; /* of the pixels */
};

static int add_sample(struct images *a, const cJSON *value, struct errbuf *why)
{
    double v = cJSON_IsNumber(value) ? value->valuedouble : -1;

    if (!(v >= 0) || v >= a->data->samples || v != (double)(uint32_t)v)
        return err_set(why, cJSON_IsNumber(value) ? -ENOENT : -EINVAL,
                       "sample.images.samples: there is no such sample; they are numbered 0 to %u",
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
    cJSON_ArrayForEach(entry, list)
    {
        if (rc == 0)
            rc = add_sample(a, entry, why);
    }
    if (rc == 0 && (size_t)a->count * a->data->image_bytes > PIECE_BYTES_MAX)
        rc = err_set(why, -EFBIG, "%u images of %zu bytes are more than one message holds: %u",
                     a->count, a->data->image_bytes, PIECE_BYTES_MAX);
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
    if (op->rc < 0)
        return;
    op->out = cJSON_CreateObject();
    cJSON_AddNumberToObject(op->out, "count", a->count);
    const struct dims d = a->data->dims;
    memcpy(a->shape, (const uint64_t[]){a->count, d.h, d.w, d.c}, sizeof(a->shape));
    a->tensor = tensor_make("images", DTYPE_U8, 4, a->shape, a->pixels);
    op->tensors = &a->tensor;
    op->tensor_count = 1;
}

static void images_done(struct op *op)
{
    struct images *a = op->arg;

    datasets_give_back(op->service->datasets, a->sha256, op->rc, a->bad, &op->why);
    if (data_file_is_damage(op->rc))
        op->rc = -EUCLEAN;
    op_reply(op);
    free(a->pixels);
    free(a);
}

/* A manifest may have none. */
static int check_pictures(const struct request *rq, const struct job *job, struct errbuf *why)
{
    if (job->data->image_bytes)
        return 0;
    return err_set(
        why, -ENOENT, "dataset %s has no thumbnails, so there is nothing to show",
        datasets_name(rq->service->datasets, job->rec.dataset_sha256, job->spec.dataset));
}

void handle_sample_images(struct request *rq)
{
    struct images *a = xcalloc(1, sizeof(*a));
    struct errbuf why = {""};
    struct job *job;
    int64_t number;
    int rc = field_i64(rq->message.json, "sample.images", "job", true, 1, INT32_MAX, &number, &why);

    if (rc == 0)
        rc = jobs_find(rq->service->jobs, number, &job, &why);
    if (rc == 0)
        rc = jobs_prepare(rq->service, job, &why);
    if (rc == 0)
        rc = check_pictures(rq, job, &why);
    if (rc == 0) {
        a->data = job->data;
        memcpy(a->sha256, job->rec.dataset_sha256, sizeof(a->sha256));
        rc = read_samples(rq, a, &why);
    }
    if (rc == 0)
        rc = datasets_lend(rq->service->datasets, a->sha256, &a->file, &why);
    if (rc < 0) {
        free(a);
        request_fail(rq, rc, &why);
        return;
    }
    op_run(rq->service->net->query_lane, (struct op){.rq = rq,
                                                     .service = rq->service,
                                                     .arg = a,
                                                     .work = images_work,
                                                     .replies = true,
                                                     .done = images_done});
}
