/* model.get: the parameters of a job, from its run or from its newest checkpoint. Parameters above
 * 8 MiB always come from the checkpoint, in pieces: its file does not change while it is read. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/field.h"
#include "common/hash.h"
#include "server/handle/handlers.h"
#include "server/jobs/service.h"
#include "server/net/op.h"
#include "server/store/checkpoint.h"
#include "server/store/state_dir.h"

struct model_args {
    int64_t job;
    bool final; /* only the newest will do */
    struct checkpoint_shape shape;
    struct checkpoint *checkpoint;
    int64_t step, offset, bytes; /* of a piece */
    uint8_t *piece;
};

static void reply_model(struct request *rq, struct job *job, int64_t epoch, uint64_t step,
                        const float *theta, const char *class_names)
{
    const double dims[] = {job->model.in.h, job->model.in.w, job->model.in.c};
    const bool inlined = job->model.floats <= INLINE_FLOATS_MAX;
    const size_t bytes = job->model.floats * sizeof(float);
    struct tensor t = tensor_1d("theta", DTYPE_F32, job->model.floats, theta);
    char hash[SHA256_HEX];
    cJSON *out = cJSON_CreateObject();

    sha256_hex_of(theta, bytes, hash);
    cJSON_AddNumberToObject(out, "job", (double)job->rec.job);
    cJSON_AddNumberToObject(out, "epoch", (double)epoch);
    cJSON_AddNumberToObject(out, "step", (double)step);
    cJSON_AddBoolToObject(out, "final", job->rec.state == JOB_DONE);
    if (job->spec.keep == KEEP_BEST && epoch > 0)
        cJSON_AddBoolToObject(out, "best", true);
    cJSON_AddStringToObject(out, "sha256", hash);
    cJSON_AddItemToObject(out, "model", cJSON_Duplicate(job->spec.model, true));
    cJSON_AddItemToObject(out, "input", cJSON_CreateDoubleArray(dims, 3));
    cJSON_AddNumberToObject(out, "classes", job->model.classes);
    request_add_decimals(out, "mean", job->model.mean, job->model.in.c);
    request_add_decimals(out, "std", job->model.std, job->model.in.c);
    cJSON *names = cJSON_Parse(class_names ? class_names : job->data->class_names_json);
    if (names)
        cJSON_AddItemToObject(out, "class_names", names);
    if (!inlined)
        cJSON_AddNumberToObject(out, "theta_bytes", (double)bytes);
    request_reply(rq, out, &t, inlined);
}

static void model_free(struct model_args *a)
{
    checkpoint_free(a->checkpoint);
    free(a->piece);
    free(a);
}

static void model_work(struct op *op)
{
    struct model_args *a = op->arg;

    op->rc =
        job_lookup_checkpoint(op->service, a->job, &a->shape, a->final, &a->checkpoint, &op->why);
}

static void model_done_reply(struct op *op)
{
    struct model_args *a = op->arg;
    struct job *job;
    int rc = op->rc < 0 ? op->rc : jobs_find(op->service->jobs, a->job, &job, &op->why);
    int64_t epochs;

    if (rc < 0) {
        request_fail(op->rq, rc, &op->why);
    } else {
        const float *theta = checkpoint_model(a->checkpoint, &epochs);
        reply_model(op->rq, job, epochs, checkpoint_step(a->checkpoint), theta,
                    checkpoint_class_names(a->checkpoint));
    }
    model_free(a);
}

/* --- pieces --- */

/* The checkpoint of the step that is asked for. */
static int find_step(struct service *s, const struct model_args *a, struct checkpoint_record *ret,
                     struct errbuf *why)
{
    struct checkpoint_record list[CHECKPOINTS_READ];
    int count = 0, i = 0;
    int rc = query_checkpoints(s->reader, a->job, list, CHECKPOINTS_READ, &count, why);

    if (rc < 0)
        return rc;
    while (i < count && list[i].step != a->step)
        i++;
    if (i == count)
        return err_set(why, -ESTALE,
                       "the checkpoint of step %" PRId64 " of job %" PRId64 " is gone", a->step,
                       a->job);
    *ret = list[i];
    return 0;
}

static void piece_work(struct op *op)
{
    struct model_args *a = op->arg;
    struct checkpoint_record before, after = {.step = 0};
    char path[STATE_PATH_BYTES];

    op->rc = find_step(op->service, a, &before, &op->why);
    while (op->rc == 0) {
        state_dir_checkpoint(path, op->service->dir, a->job, before.file);
        int rc = checkpoint_read_model(path, &a->shape, (size_t)a->offset, (size_t)a->bytes,
                                       a->piece, &op->why);
        struct errbuf gone;
        /* A file may have gone while it was read: then another has its step, or none. */
        op->rc = find_step(op->service, a, &after, &gone);
        if (op->rc < 0) {
            op->why = gone;
        } else if (strcmp(before.file, after.file) == 0) {
            op->rc = rc;
            break;
        }
        before = after;
    }
}

static void piece_reply(struct op *op)
{
    struct model_args *a = op->arg;

    if (op->rc == -ESTALE) {
        request_error(op->rq, ERR_GONE, "%s", op->why.text);
    } else if (op->rc < 0) {
        request_fail(op->rq, op->rc, &op->why);
    } else {
        struct tensor t = tensor_1d("piece", DTYPE_U8, (uint64_t)a->bytes, a->piece);
        cJSON *out = cJSON_CreateObject();
        cJSON_AddNumberToObject(out, "theta_bytes", (double)(a->shape.floats * sizeof(float)));
        request_reply(op->rq, out, &t, 1);
    }
    model_free(a);
}

static int read_piece(const struct request *rq, struct model_args *a, struct errbuf *why)
{
    const cJSON *json = rq->message.json;
    int rc = field_i64(json, "model.get", "step", true, 0, INT64_C(1) << 50, &a->step, why);

    if (rc == 0)
        rc = field_i64(json, "model.get", "offset", true, 0,
                       (int64_t)PARAM_FLOATS_MAX * (int64_t)sizeof(float), &a->offset, why);
    if (rc == 0)
        rc = field_i64(json, "model.get", "bytes", true, 1, PIECE_BYTES_MAX, &a->bytes, why);
    if (rc < 0)
        return rc;
    a->piece = alloc_bytes((size_t)a->bytes, 1);
    return a->piece ? 0
                    : err_set(why, -ENOMEM, "no memory for a piece of %" PRId64 " bytes", a->bytes);
}

static void start(struct request *rq, struct model_args *a, void (*work)(struct op *),
                  void (*done)(struct op *))
{
    op_run(rq->service->net->read_lane,
           (struct op){.rq = rq, .service = rq->service, .arg = a, .work = work, .done = done});
}

static void get_piece(struct request *rq, struct model_args *a)
{
    struct errbuf why;
    int rc = read_piece(rq, a, &why);

    if (rc == 0) {
        start(rq, a, piece_work, piece_reply);
        return;
    }
    request_fail(rq, rc, &why);
    model_free(a);
}

void handle_model_get(struct request *rq)
{
    struct job *job;
    int64_t number, epochs;
    struct errbuf why;
    int rc = field_i64(rq->message.json, "model.get", "job", true, 1, INT32_MAX, &number, &why);

    if (rc == 0)
        rc = jobs_find(rq->service->jobs, number, &job, &why);
    if (rc == 0)
        rc = job_check_model(job, &why);
    if (rc == 0)
        rc = jobs_prepare(rq->service, job, &why);
    if (rc < 0) {
        request_fail(rq, rc, &why);
        return;
    }
    if (job->epochs_done == 0 && job_waits(rq->service->jobs, job, rq, handle_model_get))
        return; /* it has no checkpoint yet */
    bool piece = cJSON_HasObjectItem(rq->message.json, "offset");
    if (!piece && job->run && !run_in_pieces(job->run)) {
        const float *theta = run_model(job->run, &epochs);
        reply_model(rq, job, epochs, run_step(job->run), theta, run_class_names(job->run));
        return;
    }
    struct model_args *a = xcalloc(1, sizeof(*a));
    a->job = job->rec.job;
    a->final = job->rec.state == JOB_DONE;
    a->shape = job_checkpoint_shape(job);
    if (piece)
        get_piece(rq, a);
    else
        start(rq, a, model_work, model_done_reply);
}
