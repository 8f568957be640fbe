/* sample.find and sample.uris: what samples are called. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/field.h"
#include "common/uris.h"
#include "server/handle/handlers.h"
#include "server/jobs/service.h"
#include "server/net/op.h"

struct names_op {
    struct uri_of of;
    char dataset[NAME_MAX_BYTES], sha256[SHA256_HEX];
    const char **uris; /* sample.find; borrowed from the request */
    int count;
    int64_t first, limit; /* sample.uris */
    struct uri_rows rows;
};

static void names_free(struct names_op *a)
{
    uri_rows_done(&a->rows);
    free((void *)a->uris);
    free(a);
}

static int read_dataset(const struct request *rq, struct names_op *a, struct errbuf *why)
{
    struct dataset_record rec;
    const struct dataset *data;
    const char *name = NULL;
    int rc = field_str(rq->message.json, message_names[rq->type], "dataset", true, NAME_MAX_BYTES,
                       &name, why);

    if (rc == 0)
        rc = datasets_find(rq->service->datasets, name, &data, &rec, why);
    if (rc < 0)
        return rc;
    memcpy(a->dataset, rec.name, sizeof(a->dataset));
    memcpy(a->sha256, rec.sha256, sizeof(a->sha256));
    a->of.dataset = a->dataset;
    a->of.sha256 = a->sha256;
    return 0;
}

/* Whose samples: one of job and dataset. */
static int read_of(const struct request *rq, struct names_op *a, struct errbuf *why)
{
    static const char *const splits[] = {"train", "test", NULL};
    const cJSON *json = rq->message.json;
    const char *where = message_names[rq->type];
    bool job = cJSON_HasObjectItem(json, "job"), dataset = cJSON_HasObjectItem(json, "dataset");
    struct job *found;
    int split = 0, rc;

    if (job == dataset)
        return err_set(why, -EINVAL, "%s needs job or dataset, %s", where,
                       job ? "not both" : "whose samples are meant");
    if (job) {
        rc = field_i64(json, where, "job", true, 1, INT32_MAX, &a->of.job, why);
        if (rc == 0)
            rc = jobs_find(rq->service->jobs, a->of.job, &found, why);
    } else {
        rc = read_dataset(rq, a, why);
    }
    if (rc == 0)
        rc = field_enum(json, where, "split", false, splits, &split, why);
    a->of.test = split == 1;
    return rc;
}

static int read_list(const struct request *rq, struct names_op *a, struct errbuf *why)
{
    const cJSON *list = NULL, *entry;
    int rc = field_arr(rq->message.json, "sample.find", "uris", true, ROWS_MAX, &list, why);

    cJSON_ArrayForEach(entry, list)
    {
        if (!cJSON_IsString(entry))
            return err_set(why, -EINVAL, "sample.find.uris[%d] is not a string", a->count);
        a->uris[a->count++] = entry->valuestring;
    }
    return rc;
}

/* An array, or one string. */
static int read_uris(const struct request *rq, struct names_op *a, struct errbuf *why)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(rq->message.json, "uris");
    char called[40];
    int rc = 0;

    a->uris = xcalloc(ROWS_MAX, sizeof(*a->uris));
    if (cJSON_IsString(value))
        a->uris[a->count++] = value->valuestring;
    else
        rc = read_list(rq, a, why);
    for (int i = 0; rc == 0 && i < a->count; i++) {
        snprintf(called, sizeof(called), "sample.find.uris[%d]", i);
        rc = uri_check(called, a->uris[i], strlen(a->uris[i]), why);
    }
    return rc;
}

/* Refuses the request, or asks its question on the query lane; a belongs to it. */
static void names_run(struct request *rq, struct names_op *a, int rc, const struct errbuf *why,
                      struct op op)
{
    if (rc < 0) {
        names_free(a);
        request_fail(rq, rc, why);
        return;
    }
    op.rq = rq;
    op.service = rq->service;
    op.arg = a;
    op_run(rq->service->net->query_lane, op);
}

static void find_work(struct op *op)
{
    struct names_op *a = op->arg;

    op->rc = query_uri_find(op->service->query, &a->of, a->uris, a->count, &op->out, &op->why);
}

static void find_done(struct op *op)
{
    op_reply(op);
    names_free(op->arg);
}

void handle_sample_find(struct request *rq)
{
    struct names_op *a = xcalloc(1, sizeof(*a));
    struct errbuf why;
    int rc = read_of(rq, a, &why);

    if (rc == 0)
        rc = read_uris(rq, a, &why);
    names_run(rq, a, rc, &why, (struct op){.work = find_work, .replies = true, .done = find_done});
}

static void uris_work(struct op *op)
{
    struct names_op *a = op->arg;

    op->rc = query_uris(op->service->query, &a->of, a->first, a->limit, &a->rows, &op->why);
}

static void uris_done_reply(struct op *op)
{
    struct names_op *a = op->arg;

    if (op->rc < 0) {
        request_fail(op->rq, op->rc, &op->why);
    } else {
        const struct uri_rows *r = &a->rows;
        struct tensor tensors[] = {
            tensor_1d("ends", DTYPE_U32, r->count, r->ends),
            tensor_1d("bytes", DTYPE_U8, r->count ? r->ends[r->count - 1] : 0, r->bytes),
        };
        cJSON *out = cJSON_CreateObject();
        cJSON_AddNumberToObject(out, "first", (double)a->first);
        cJSON_AddNumberToObject(out, "total", (double)r->total);
        cJSON_AddBoolToObject(out, "named", r->named);
        request_reply(op->rq, out, tensors, 2);
    }
    names_free(a);
}

void handle_sample_uris(struct request *rq)
{
    struct names_op *a = xcalloc(1, sizeof(*a));
    const cJSON *json = rq->message.json;
    struct errbuf why;

    a->limit = ROWS_PIECE_MAX;
    int rc = read_of(rq, a, &why);
    if (rc == 0)
        rc = field_i64(json, "sample.uris", "first", false, 0, SAMPLES_MAX, &a->first, &why);
    if (rc == 0)
        rc = field_i64(json, "sample.uris", "limit", false, 1, ROWS_PIECE_MAX, &a->limit, &why);
    names_run(rq, a, rc, &why, (struct op){.work = uris_work, .done = uris_done_reply});
}
