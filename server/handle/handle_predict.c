/* predict.*: what a client asks of a prediction. To open one copies the model as model.get gives
 * it: from the run, or from the newest checkpoint. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/field.h"
#include "common/hash.h"
#include "common/text.h"
#include "server/handle/handlers.h"
#include "server/jobs/service.h"
#include "server/net/op.h"
#include "server/store/checkpoint.h"

#define BATCHES_MAX INT32_MAX

struct open_args {
    char uuid[UUID_BYTES];
    bool only_newest;
    struct checkpoint_shape shape;
    struct checkpoint *checkpoint;
    struct prediction_source source;
};

/* The prediction that the request names, and the number of its batch; NULL: rq was answered. */
static struct prediction *find(struct request *rq, int64_t *ret_batch)
{
    const char *uuid;
    struct errbuf why;
    int rc = handle_uuid_of(rq, &uuid, &why);

    if (rc == 0)
        rc = field_i64(rq->message.json, message_names[rq->type], "batch", true, 0, BATCHES_MAX,
                       ret_batch, &why);
    if (rc < 0) {
        request_error(rq, ERR_BAD_FIELD, "%s", why.text);
        return NULL;
    }
    struct prediction *p = predictions_find(rq->service->predictions, uuid, rq->key_name);
    if (!p)
        request_error(rq, ERR_NOT_FOUND,
                      "there is no prediction %s: it was closed, not asked for during %d seconds, "
                      "or the server was restarted",
                      uuid, PREDICT_IDLE_MS / 1000);
    return p;
}

/* --- open --- */

static void reply_open(struct request *rq, const struct prediction *p)
{
    const struct prediction_source *source = &p->source;
    const struct model *m = &source->model;
    const double dims[] = {m->in.h, m->in.w, m->in.c};
    char hash[SHA256_HEX];
    cJSON *out = cJSON_CreateObject();

    sha256_hex_of(source->theta, m->floats * sizeof(float), hash);
    cJSON_AddNumberToObject(out, "job", (double)source->job);
    cJSON_AddNumberToObject(out, "epoch", (double)source->epoch);
    cJSON_AddNumberToObject(out, "step", (double)source->step);
    cJSON_AddBoolToObject(out, "final", source->final);
    if (source->best)
        cJSON_AddTrueToObject(out, "best");
    if (source->averaged)
        cJSON_AddTrueToObject(out, "averaged");
    cJSON_AddStringToObject(out, "sha256", hash);
    cJSON_AddItemToObject(out, "input", cJSON_CreateDoubleArray(dims, 3));
    cJSON_AddNumberToObject(out, "classes", m->classes);
    cJSON *names = source->class_names ? cJSON_Parse(source->class_names) : NULL;
    if (names)
        cJSON_AddItemToObject(out, "class_names", names);
    cJSON_AddNumberToObject(out, "batch", p->most);
    request_reply(rq, out, NULL, 0);
}

static void open_free(struct open_args *a)
{
    checkpoint_free(a->checkpoint);
    prediction_source_done(&a->source);
    free(a);
}

/* The source is complete: the prediction begins. A request that came twice finds it. */
static void open_end(struct request *rq, struct open_args *a)
{
    struct predictions *all = rq->service->predictions;
    struct prediction *p = predictions_find(all, a->uuid, rq->key_name);
    struct errbuf why = {""};
    int rc = p ? 0 : predictions_check(all, rq->key_name, a->source.model.floats, &why);

    if (!p && rc == 0)
        rc = predictions_add(all, a->uuid, rq->key_name, &a->source, &p, &why);
    if (rc < 0)
        request_fail(rq, rc, &why);
    else
        reply_open(rq, p);
    open_free(a);
}

/* Where the parameters come from, and which they are. 0 or -ENOMEM. */
static int copy_theta(struct open_args *a, const float *theta, int64_t epoch, uint64_t step,
                      const char *class_names)
{
    struct prediction_source *source = &a->source;

    source->theta = alloc_bytes(source->model.floats, sizeof(float));
    if (!source->theta)
        return -ENOMEM;
    memcpy(source->theta, theta, source->model.floats * sizeof(float));
    source->epoch = epoch;
    source->step = step;
    source->best = source->best && epoch > 0;
    if (class_names) {
        free(source->class_names);
        source->class_names = xstrdup(class_names);
    }
    return 0;
}

static void open_work(struct op *op)
{
    struct open_args *a = op->arg;
    int64_t epochs;

    op->rc = job_lookup_checkpoint(op->service, a->source.job, &a->shape, a->only_newest,
                                   &a->checkpoint, &op->why);
    if (op->rc < 0)
        return;
    const float *theta = checkpoint_model(a->checkpoint, &epochs);
    op->rc = copy_theta(a, theta, epochs, checkpoint_step(a->checkpoint),
                        checkpoint_class_names(a->checkpoint));
}

static void open_done(struct op *op)
{
    struct open_args *a = op->arg;

    if (op->rc < 0) {
        request_fail(op->rq, op->rc, &op->why);
        open_free(a);
    } else {
        open_end(op->rq, a);
    }
}

/* All but the parameters. 0 or -errno. */
static int fill_source(const struct job *job, bool adversarial, bool relaxed,
                       struct prediction_source *source, struct errbuf *why)
{
    const struct model *m = &job->model;
    int rc = model_parse(job->spec.model, m->in, m->classes, m->mean, m->std, &source->model, why);

    if (rc < 0)
        return rc;
    cJSON *spec = jobspec_json(&job->spec);
    source->spec_json = spec ? cJSON_PrintUnformatted(spec) : NULL;
    cJSON_Delete(spec);
    if (!source->spec_json)
        return err_set(why, -ENOMEM, "no memory for the description of job %" PRId64, job->rec.job);
    source->job = job->rec.job;
    source->final = job->rec.state == JOB_DONE;
    source->best = job->spec.keep == KEEP_BEST;
    source->averaged = source->final && run_averages(&job->spec);
    source->adversarial = adversarial;
    source->class_names = xstrdup(job->data->class_names_json);
    if (!relaxed && !job_class_is_relaxed(job))
        memcpy(source->class, job->rec.numerics_class, sizeof(source->class));
    return 0;
}

static void open_start(struct request *rq, const struct job *job, struct open_args *a)
{
    int64_t epochs;

    if (!job->run || run_in_pieces(job->run)) {
        op_run(
            rq->service->net->read_lane,
            (struct op){
                .rq = rq, .service = rq->service, .arg = a, .work = open_work, .done = open_done});
        return;
    }
    const float *theta = run_model(job->run, &epochs);
    if (copy_theta(a, theta, epochs, run_step(job->run), run_class_names(job->run)) == 0) {
        open_end(rq, a);
        return;
    }
    request_error(rq, ERR_UNAVAILABLE, "no memory for the parameters of job %" PRId64,
                  job->rec.job);
    open_free(a);
}

void handle_predict_open(struct request *rq)
{
    const cJSON *json = rq->message.json;
    bool adversarial = false, relaxed = false;
    struct open_args *a = NULL;
    const char *uuid;
    struct job *job;
    int64_t number;
    struct errbuf why;
    int rc = handle_uuid_of(rq, &uuid, &why);

    if (rc == 0)
        rc = field_i64(json, "predict.open", "job", true, 1, INT32_MAX, &number, &why);
    if (rc == 0)
        rc = field_bool(json, "predict.open", "adversarial", false, &adversarial, &why);
    if (rc == 0)
        rc = field_bool(json, "predict.open", "relaxed", false, &relaxed, &why);
    if (rc == 0)
        rc = jobs_find(rq->service->jobs, number, &job, &why);
    if (rc == 0 && job->epochs_done == 0 &&
        job_waits(rq->service->jobs, job, rq, handle_predict_open))
        return; /* it has no checkpoint yet */
    if (rc == 0)
        rc = job_check_model(job, &why);
    if (rc == 0)
        rc = jobs_prepare(rq->service, job, &why);
    struct prediction *p =
        rc == 0 ? predictions_find(rq->service->predictions, uuid, rq->key_name) : NULL;
    if (p) {
        reply_open(rq, p);
        return;
    }
    if (rc == 0)
        rc = predictions_check(rq->service->predictions, rq->key_name, job->model.floats, &why);
    if (rc == 0) {
        a = xcalloc(1, sizeof(*a));
        snprintf(a->uuid, sizeof(a->uuid), "%s", uuid);
        a->only_newest = job->rec.state == JOB_DONE;
        a->shape = job_checkpoint_shape(job);
        rc = fill_source(job, adversarial, relaxed, &a->source, &why);
    }
    if (rc == 0) {
        open_start(rq, job, a);
        return;
    }
    request_fail(rq, rc, &why);
    if (a)
        open_free(a);
}

/* --- put, get, close --- */

/* The pictures of a batch. 0 or -EINVAL. */
static int read_images(const struct request *rq, const struct prediction *p,
                       const struct tensor **ret, struct errbuf *why)
{
    const struct dims in = p->source.model.in;
    const struct tensor *t = tensor_find(rq->message.tensors, rq->message.tensor_count, "images");

    if (!t || t->dtype != DTYPE_U8 || t->dims != 4)
        return err_set(why, -EINVAL, "tensor images is %s, allowed is U8 [n, %u, %u, %u]",
                       t ? "of another type or number of dims" : "missing", in.h, in.w, in.c);
    const uint64_t *shape = t->shape;
    *ret = t;
    if (shape[0] < 1 || shape[0] > p->most || shape[1] != in.h || shape[2] != in.w ||
        shape[3] != in.c)
        return err_set(why, -EINVAL,
                       "images are [%" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64
                       "], allowed is 1 to %u of [%u, %u, %u]",
                       shape[0], shape[1], shape[2], shape[3], p->most, in.h, in.w, in.c);
    return 0;
}

void handle_predict_put(struct request *rq)
{
    const struct tensor *images = NULL;
    struct errbuf why;
    int64_t batch;
    struct prediction *p = find(rq, &batch);

    if (!p)
        return;
    if (read_images(rq, p, &images, &why) < 0) {
        request_error(rq, ERR_BAD_TENSOR, "%s", why.text);
        return;
    }
    int rc = prediction_put(rq->service->predictions, p, batch, images->data,
                            (uint32_t)images->shape[0], &why);
    if (rc < 0) {
        request_fail(rq, rc, &why);
        return;
    }
    cJSON *out = cJSON_CreateObject();
    cJSON_AddNumberToObject(out, "batch", (double)batch);
    request_reply(rq, out, NULL, 0);
}

void handle_predict_get(struct request *rq)
{
    int64_t batch;
    struct prediction *p = find(rq, &batch);

    if (!p)
        return;
    if (batch != p->batch) {
        request_error(rq, ERR_NOT_ALLOWED,
                      "batch %" PRId64 " is not there, the last one is %" PRId64, batch, p->batch);
    } else {
        request_forget_body(rq);
        prediction_get(rq->service->predictions, p, rq);
    }
}

void handle_predict_close(struct request *rq)
{
    const char *uuid;
    struct errbuf why;

    if (handle_uuid_of(rq, &uuid, &why) < 0) {
        request_error(rq, ERR_BAD_FIELD, "%s", why.text);
        return;
    }
    struct prediction *p = predictions_find(rq->service->predictions, uuid, rq->key_name);
    if (p)
        predictions_remove(rq->service->predictions, p);
    cJSON *out = cJSON_CreateObject();
    cJSON_AddTrueToObject(out, "closed");
    request_reply(rq, out, NULL, 0);
}
