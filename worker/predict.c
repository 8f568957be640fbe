#include "worker/predict.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/field.h"
#include "common/jobspec.h"
#include "common/log.h"
#include "common/text.h"
#include "worker/refusal.h"
#include "worker/room.h"
#include "worker/runner.h"

#define LOAD_MS 10000
#define WHERE "predict.load"

struct predict {
    int64_t number;
    struct model model;
    struct step_spec spec;
    uint32_t shard;
    bool adversarial;
    struct runner *runner;
    struct group *group; /* whose other ranks have it loaded too; NULL: they do not yet */
    float *theta;
    uint8_t *images; /* [room, h, w, c] of a task, and what is computed of them */
    float *logits;
    int32_t *twins;
    uint32_t room;
};

struct predict_work {
    int64_t prediction, batch, lo, hi, count;
};

static void free_buffers(struct predict *p)
{
    free(p->images);
    free(p->logits);
    free(p->twins);
    p->images = NULL;
    p->logits = NULL;
    p->twins = NULL;
    p->room = 0;
}

void predict_free(struct predict *p)
{
    if (!p)
        return;
    if (p->group)
        group_drop(p->group, GROUP_PREDICTION);
    runner_free(p->runner);
    model_done(&p->model);
    free_buffers(p);
    free(p->theta);
    free(p);
}

static size_t pixels(const struct predict *p)
{
    return (size_t)p->model.in.h * p->model.in.w * p->model.in.c;
}

/* --- loading --- */

static int read_floats(const cJSON *json, const char *name, uint32_t count, float *ret,
                       struct errbuf *why)
{
    const cJSON *array, *entry;
    uint32_t n = 0;
    double value;
    int rc = field_arr(json, WHERE, name, true, CHANNELS_MAX, &array, why);

    if (rc < 0)
        return rc;
    cJSON_ArrayForEach(entry, array)
    {
        if (!cJSON_IsString(entry) || n == count ||
            !text_f64(entry->valuestring, -1e30, 1e30, &value))
            break;
        ret[n++] = (float)value;
    }
    return n == count ? 0
                      : err_set(why, -EINVAL, WHERE ": %s does not have %u numbers", name, count);
}

static int read_model(const cJSON *json, struct predict *p, struct errbuf *why)
{
    float mean[CHANNELS_MAX], std[CHANNELS_MAX];
    int64_t h = 0, w = 0, c = 0, classes = 0;
    int rc = field_i64(json, WHERE, "h", true, 1, IMAGE_SIDE_MAX, &h, why);

    if (rc == 0)
        rc = field_i64(json, WHERE, "w", true, 1, IMAGE_SIDE_MAX, &w, why);
    if (rc == 0)
        rc = field_i64(json, WHERE, "c", true, 1, CHANNELS_MAX, &c, why);
    if (rc == 0)
        rc = field_i64(json, WHERE, "classes", true, 1, CLASSES_MAX, &classes, why);
    if (rc == 0)
        rc = read_floats(json, "mean", (uint32_t)c, mean, why);
    if (rc == 0)
        rc = read_floats(json, "std", (uint32_t)c, std, why);
    if (rc == 0)
        rc = model_parse(cJSON_GetObjectItemCaseSensitive(json, "model"),
                         (struct dims){(uint32_t)h, (uint32_t)w, (uint32_t)c}, (uint32_t)classes,
                         mean, std, &p->model, why);
    return rc;
}

/* The job's spec says how its scores attack. */
static int read_spec(const cJSON *json, struct predict *p, struct errbuf *why)
{
    const cJSON *obj = NULL;
    struct jobspec spec;
    int64_t shard = 0;
    int rc = field_i64(json, WHERE, "shard", true, 1, SHARD_MAX, &shard, why);

    if (rc == 0)
        rc = field_bool(json, WHERE, "adversarial", true, &p->adversarial, why);
    if (rc == 0)
        rc = field_obj(json, WHERE, "spec", true, &obj, why);
    if (rc == 0)
        rc = jobspec_parse(obj, &spec, why);
    if (rc < 0)
        return rc;
    p->shard = (uint32_t)shard;
    p->spec = (struct step_spec){.attack = (enum attack)spec.attack,
                                 .epsilon = spec.epsilon,
                                 .alpha = spec.alpha,
                                 .moves = (uint32_t)spec.attack_steps,
                                 .random_start = spec.random_start,
                                 .seed = spec.seed};
    jobspec_done(&spec);
    return 0;
}

/* A piece of theta from `offset` on, at most `bytes`; the first reply describes the model. */
static int get_piece(const struct talk *talk, const struct predict *p, size_t offset, size_t bytes,
                     struct message *ret, struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject();

    cJSON_AddNumberToObject(request, "prediction", (double)p->number);
    cJSON_AddNumberToObject(request, "offset", (double)offset);
    cJSON_AddNumberToObject(request, "bytes", (double)bytes);
    int rc = talk_call(talk, MSG_PREDICT_LOAD, request, NULL, 0, LOAD_MS, 0, ret, why);
    cJSON_Delete(request);
    return rc;
}

static int make_crew(struct predict *p, const struct duty_options *options, struct errbuf *why)
{
    const struct footprint_job job = {.model = &p->model, .shard = p->shard};
    const unsigned threads = (unsigned)options->threads;
    const struct room_crew crew = {threads, group_housemates(options->group)};
    int rc = room_check(&job, crew, why);

    if (rc == 0)
        rc = runner_create(&p->model, options->kernels, job.shard, threads, false, &p->runner, why);
    if (rc == 0 && !(p->theta = alloc_bytes(p->model.floats, sizeof(*p->theta))))
        rc = -ENOMEM;
    return rc == -ENOMEM ? room_refuse(&job, crew, why) : rc;
}

/* json: of the reply that described the model. */
static int load_group(struct predict *p, const struct duty_options *options, const cJSON *json,
                      struct errbuf *why)
{
    const struct scaling scaling = scaling_of_model(&p->model);
    const struct group_plan plan = {.model = cJSON_GetObjectItemCaseSensitive(json, "model"),
                                    .image = p->model.in,
                                    .classes = p->model.classes,
                                    .mean = scaling.mean,
                                    .std = scaling.std,
                                    .shard = p->shard,
                                    .sha256 = ""};
    int rc = group_load(options->group, GROUP_PREDICTION, &plan, why);

    if (rc == 0)
        p->group = options->group;
    return rc;
}

static int take_piece(struct predict *p, const struct message *m, size_t *io_at, struct errbuf *why)
{
    const size_t whole = p->model.floats * sizeof(*p->theta);
    const struct tensor *t;
    int rc = message_tensor(m, "piece", DTYPE_U8, 1, NULL, &t, why);

    if (rc < 0)
        return rc;
    if (t->bytes == 0 || t->bytes > whole - *io_at)
        return err_set(why, -EINVAL, WHERE ": a piece of %zu bytes, %zu are missing", t->bytes,
                       whole - *io_at);
    memcpy((char *)p->theta + *io_at, t->data, t->bytes);
    *io_at += t->bytes;
    return 0;
}

static int load(struct predict *p, const struct duty_options *options, const struct talk *talk,
                struct errbuf *why)
{
    struct message m = {0};
    size_t at = 0;
    int rc = get_piece(talk, p, 0, PIECE_BYTES_MAX, &m, why);

    if (rc < 0)
        return rc;
    rc = read_model(m.json, p, why);
    if (rc == 0)
        rc = read_spec(m.json, p, why);
    if (rc == 0)
        rc = make_crew(p, options, why);
    if (rc == 0)
        rc = load_group(p, options, m.json, why);
    while (rc == 0) {
        rc = take_piece(p, &m, &at, why);
        message_done(&m);
        m = (struct message){0};
        if (rc < 0 || at == p->model.floats * sizeof(*p->theta))
            break;
        rc = get_piece(talk, p, at, PIECE_BYTES_MAX, &m, why);
    }
    message_done(&m);
    if (rc == 0)
        group_share(p->group, GROUP_PREDICTION, GROUP_THETA, p->theta, p->model.floats);
    if (rc == 0)
        log_info("predict.load", "prediction=%lld model=%s parameters=%zu", (long long)p->number,
                 p->model.name, p->model.param_total);
    return rc;
}

/* --- a task --- */

static int read_work(const struct message *m, struct predict_work *ret, struct errbuf *why)
{
    const struct {
        const char *name;
        int64_t max, *to;
    } fields[] = {
        {"prediction", INT64_C(1) << 50, &ret->prediction},
        {"batch", INT32_MAX, &ret->batch},
        {"lo", UINT32_MAX, &ret->lo},
        {"hi", UINT32_MAX, &ret->hi},
        {"count", PREDICT_PICTURES_MAX, &ret->count},
    };

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        int rc =
            field_i64(m->json, "task", fields[i].name, true, 0, fields[i].max, fields[i].to, why);
        if (rc < 0)
            return rc;
    }
    return ret->count > 0 && ret->lo < ret->hi
               ? 0
               : err_set(why, -EINVAL, "a task of %lld pictures makes no sense",
                         (long long)ret->count);
}

static int make_room(struct predict *p, uint32_t count)
{
    if (count <= p->room)
        return 0;
    free_buffers(p);
    p->images = alloc_bytes(count, pixels(p));
    p->logits = alloc_bytes((size_t)count * p->model.classes, sizeof(*p->logits));
    p->twins = alloc_bytes(count, sizeof(*p->twins));
    if (!p->images || !p->logits || !p->twins) {
        free_buffers(p);
        return -ENOMEM;
    }
    p->room = count;
    return 0;
}

static int take_images(struct predict *p, const struct message *m, const struct predict_work *w,
                       struct errbuf *why)
{
    const struct dims in = p->model.in;
    const uint64_t shape[] = {(uint64_t)w->count, in.h, in.w, in.c};
    const struct tensor *t;
    int rc = message_tensor(m, "images", DTYPE_U8, 4, shape, &t, why);

    if (rc == 0 && (w->hi - w->lo) * p->shard < w->count)
        rc = err_set(why, -EINVAL, "a task of %lld pictures in %lld shards of %u",
                     (long long)w->count, (long long)(w->hi - w->lo), p->shard);
    if (rc == 0)
        rc = make_room(p, (uint32_t)w->count);
    if (rc == 0)
        memcpy(p->images, t->data, t->bytes);
    return rc;
}

static int compute(struct predict *p, const struct predict_work *w, const struct talk *talk,
                   struct errbuf *why)
{
    struct work work = {.images = p->images,
                        .spec = p->spec,
                        .theta = p->theta,
                        .count = (uint32_t)w->count,
                        .stop = talk->stop};
    struct yield yield = {.logits = p->logits, .twins = p->adversarial ? p->twins : NULL};

    work.spec.step = (uint64_t)w->batch;
    work.spec.slot = (uint32_t)(w->lo * p->shard);
    return group_run(p->group, GROUP_PREDICTION, p->runner, &work, &yield, why);
}

static cJSON *key_of(const struct predict_work *w)
{
    cJSON *request = cJSON_CreateObject();

    cJSON_AddNumberToObject(request, "prediction", (double)w->prediction);
    cJSON_AddNumberToObject(request, "batch", (double)w->batch);
    cJSON_AddNumberToObject(request, "lo", (double)w->lo);
    cJSON_AddNumberToObject(request, "hi", (double)w->hi);
    return request;
}

/* The task has no result; refused: this worker can do nothing for the prediction. */
static void answer_failure(const struct predict_work *w, int rc, bool refused,
                           const struct errbuf *why, struct predict_answer *ret)
{
    char reason[REFUSAL_BYTES_MAX];

    log_warn("predict.fail", "prediction=%lld reason=\"%s\"", (long long)w->prediction, why->text);
    snprintf(reason, sizeof(reason), "%.*s", (int)sizeof(reason) - 1,
             why->text[0] ? why->text : err_text(rc));
    *ret = (struct predict_answer){.type = MSG_PREDICT_FAIL, .request = key_of(w)};
    cJSON_AddStringToObject(ret->request, "reason", reason);
    if (refused)
        cJSON_AddStringToObject(ret->request, "cause", refusal_names[refusal_cause(rc)]);
}

static void answer_result(const struct predict *p, const struct predict_work *w,
                          struct predict_answer *ret)
{
    const uint64_t shape[] = {(uint64_t)w->count, p->model.classes};

    *ret = (struct predict_answer){.type = MSG_PREDICT_RESULT, .request = key_of(w)};
    ret->tensors[ret->tensor_count++] = tensor_make("logits", DTYPE_F32, 2, shape, p->logits);
    if (p->adversarial)
        ret->tensors[ret->tensor_count++] =
            tensor_1d("twins", DTYPE_I32, (uint64_t)w->count, p->twins);
}

int predict_task(struct predict **io, const struct duty_options *options, const struct talk *talk,
                 const struct message *m, struct predict_answer *ret, struct errbuf *why)
{
    struct predict_work w;
    int rc = read_work(m, &w, why);
    struct predict *p = *io;

    if (rc < 0)
        return rc;
    if (!p || p->number != w.prediction) {
        predict_free(p);
        *io = p = xcalloc(1, sizeof(*p));
        p->number = w.prediction;
        rc = load(p, options, talk, why);
    }
    if (rc == 0)
        rc = take_images(p, m, &w, why);
    const bool loaded = rc == 0;
    if (rc == 0)
        rc = compute(p, &w, talk, why);
    if (rc == 0) {
        answer_result(p, &w, ret);
        return 0;
    }
    predict_free(p);
    *io = NULL;
    if (rc == -EINTR || rc == -ESTALE || rc == -ENOTCONN || (!loaded && !refusal_is(rc)))
        return rc;
    answer_failure(&w, rc, rc == -ENOMEM || !loaded, why, ret);
    return 0;
}
