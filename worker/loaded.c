#include "worker/loaded.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#include "common/alloc.h"
#include "common/field.h"
#include "common/log.h"
#include "common/text.h"
#include "proto/client.h"
#include "worker/cache.h"
#include "worker/refusal.h"
#include "worker/room.h"

#define JOB_MS 10000

static void drop_buffers(struct loaded *p)
{
    free(p->ids);
    free(p->weights);
    free(p->scores);
    free(p->probabilities);
    result_room_done(&p->packed);
    p->ids = NULL;
    p->weights = NULL;
    p->scores = NULL;
    p->probabilities = NULL;
    p->capacity = 0;
}

void loaded_drop(struct loaded *p)
{
    struct peer *peer = p->peer;

    peer_hide(peer);
    if (p->group)
        group_drop(p->group, GROUP_JOB);
    runner_print(p->runner, stdout);
    runner_free(p->runner);
    model_done(&p->model);
    cache_close(&p->data);
    jobspec_done(&p->spec);
    share_close(&p->share);
    free(p->theta);
    free(p->vector);
    free(p->labels);
    drop_buffers(p);
    *p = (struct loaded){.step = -1, .peer = peer};
    alloc_give_back();
}

int loaded_room(struct loaded *p, uint32_t count, struct errbuf *why)
{
    if (count <= p->capacity)
        return 0;
    drop_buffers(p);
    p->ids = alloc_bytes(count, sizeof(*p->ids));
    p->weights = alloc_bytes(count, sizeof(*p->weights));
    p->scores = alloc_bytes(count, sizeof(*p->scores));
    if (p->spec.score_probabilities)
        p->probabilities = alloc_bytes((size_t)count * p->model.classes, sizeof(*p->probabilities));
    if (!p->ids || !p->weights || !p->scores ||
        (p->spec.score_probabilities && !p->probabilities) ||
        result_room(&p->packed, count, why) < 0) {
        drop_buffers(p);
        return err_set(why, -ENOMEM, "no memory for a task of %u samples", count);
    }
    p->capacity = count;
    return 0;
}

static int read_job(struct loaded *p, const struct talk *talk, int64_t number,
                    char sha256[SHA256_HEX], int64_t *ret_bytes, struct errbuf *why)
{
    cJSON *request = cJSON_CreateObject();
    struct message reply = {0};
    const cJSON *spec = NULL;
    enum error_code code = ERR_INTERNAL;
    uint8_t digest[SHA256_BYTES];

    cJSON_AddNumberToObject(request, "job", (double)number);
    int rc =
        client_call(talk->client, MSG_TASK_JOB, request, NULL, 0, JOB_MS, 0, &reply, &code, why);
    cJSON_Delete(request);
    rc = talk_refusal(rc, code);
    if (rc == 0)
        rc = field_obj(reply.json, "task.job", "spec", true, &spec, why);
    if (rc == 0)
        rc = jobspec_parse(spec, &p->spec, why);
    if (rc == 0)
        rc = field_sha256(reply.json, "task.job", "sha256", digest, why);
    if (rc == 0)
        rc = field_i64(reply.json, "task.job", "bytes", true, 1, (int64_t)DATASET_BYTES_MAX,
                       ret_bytes, why);
    if (rc == 0)
        text_hex(digest, sizeof(digest), sha256);
    message_done(&reply);
    return rc;
}

static struct footprint_job footprint_job_of(const struct loaded *p)
{
    return (struct footprint_job){.model = &p->model,
                                  .shard = (uint32_t)p->spec.shard,
                                  .splits = jobspec_splits_shards(&p->spec),
                                  .flatness = p->spec.flatness.every > 0};
}

static struct room_crew crew_of(const struct duty_options *options)
{
    return (struct room_crew){(unsigned)options->threads, group_housemates(options->group)};
}

int loaded_no_memory(const struct loaded *p, const struct duty_options *options, struct errbuf *why)
{
    const struct footprint_job job = footprint_job_of(p);

    return room_refuse(&job, crew_of(options), why);
}

/* The threads with their memory, and theta. */
static int make_crew(struct loaded *p, const struct duty_options *options, struct errbuf *why)
{
    const struct footprint_job job = footprint_job_of(p);
    struct footprint_job more = job;
    const struct room_crew crew = crew_of(options);
    struct errbuf narrow;
    int rc = room_check(&job, crew, why);

    if (rc < 0)
        return rc;
    more.combines = true;
    p->combines = room_check(&more, crew, &narrow) == 0;
    rc = runner_create(&p->model, options->kernels, job.shard, crew.threads, job.splits, &p->runner,
                       why);
    if (rc == 0 && options->profile)
        rc = runner_profile(p->runner);
    if (rc == 0) {
        p->theta = alloc_bytes(p->model.floats, sizeof(float));
        rc = p->theta ? 0 : -ENOMEM;
    }
    if (rc == 0 && job.flatness) {
        p->vector = alloc_bytes(p->model.floats, sizeof(float));
        rc = p->vector ? 0 : -ENOMEM;
    }
    return rc == -ENOMEM ? room_refuse(&job, crew, why) : rc;
}

/* --- the other ranks --- */

struct beaten {
    const struct talk *talk;
    const char *sha256;
};

static void beat(void *arg)
{
    const struct beaten *b = arg;

    cache_beat(b->talk->client, b->sha256);
}

static int load_group(struct loaded *p, const struct duty_options *options, const struct talk *talk,
                      const char *sha256, int64_t bytes, const struct scaling *scaling,
                      struct errbuf *why)
{
    struct beaten beaten = {talk, sha256};
    const struct group_plan plan = {.model = p->spec.model,
                                    .image = p->data.dataset.dims,
                                    .classes = p->data.dataset.classes,
                                    .mean = scaling->mean,
                                    .std = scaling->std,
                                    .shard = (uint32_t)p->spec.shard,
                                    .splits = jobspec_splits_shards(&p->spec),
                                    .flatness = p->spec.flatness.every > 0,
                                    .sha256 = sha256,
                                    .bytes = (uint64_t)bytes,
                                    .fd = p->data.fd,
                                    .beat = beat,
                                    .beat_arg = &beaten};
    int rc = group_load(options->group, GROUP_JOB, &plan, why);

    if (rc == 0)
        p->group = options->group;
    return rc;
}

/* Says that the dataset does not fit the folder's free space. */
static int explain_cache(const char *folder, int64_t bytes, int rc, struct errbuf *why)
{
    char needed[TEXT_F64_BYTES], free_there[TEXT_F64_BYTES];
    struct statvfs fs = {.f_frsize = 0};

    if (rc == -ENOMEM)
        return room_refuse_dataset(bytes, why);
    if (rc == -EPERM || !refusal_is(rc) || refusal_cause(rc) != REFUSAL_DISK)
        return rc;
    statvfs(folder, &fs);
    return err_prefix(why, rc, "a dataset of %s into %s, which has %s free",
                      text_of_bytes(bytes, needed), folder,
                      text_of_bytes((int64_t)(fs.f_bavail * fs.f_frsize), free_there));
}

void loaded_share(struct loaded *p, const struct duty_options *options, const struct talk *talk)
{
    struct errbuf why = {""};

    if (p->lone)
        return;
    share_close(&p->share);
    int rc = share_open(options->server, talk->client, p->job, p->model.floats, &p->share, &why);
    p->lone = rc < 0 && rc != -EAGAIN;
    if (p->lone)
        log_debug("worker.share", "job=%lld error=\"%s\"", (long long)p->job, why.text);
}

int loaded_take_shared(struct loaded *p, const struct task *t, struct errbuf *why)
{
    const struct task *told = &p->told;

    p->step = -1;
    if (!p->share.number)
        return err_set(why, -EINVAL, "the task names memory that is not shared");
    p->at = share_theta(&p->share, t->theta_place);
    if (told->job != t->job || told->incarnation != t->incarnation || told->step != t->step ||
        told->phase != t->phase || told->turn != t->turn)
        group_share(p->group, GROUP_JOB, GROUP_THETA, p->at, p->model.floats);
    p->told = *t;
    return 0;
}

int loaded_check(struct loaded *p)
{
    if (cache_unchanged(&p->data))
        return 0;
    log_warn("dataset.changed", "job=%lld", (long long)p->job);
    loaded_drop(p);
    return -ESTALE;
}

int loaded_take(struct loaded *p, const struct duty_options *options, const struct talk *talk,
                struct cache *cache, struct halves *halves, int64_t number, struct errbuf *why)
{
    const struct dataset *data = &p->data.dataset;
    char sha256[SHA256_HEX];
    struct errbuf note = {""};
    struct scaling scaling;
    int64_t bytes;
    int rc;

    if (p->job == number)
        return loaded_check(p);
    loaded_drop(p);
    rc = read_job(p, talk, number, sha256, &bytes, why);
    if (rc == 0) {
        rc = cache_open(cache, talk->client, sha256, (uint64_t)bytes, talk->stop, &p->data, &note,
                        why);
        rc = explain_cache(cache->dir, bytes, rc, why);
    }
    if (note.text[0])
        talk_note(talk, number, note.text);
    if (rc == 0)
        rc = scaling_of_job(&p->spec, data, &scaling, why);
    if (rc == 0)
        rc = model_parse(p->spec.model, data->dims, data->classes, scaling.mean, scaling.std,
                         &p->model, why);
    if (rc == 0)
        rc = make_crew(p, options, why);
    if (rc == 0)
        rc = load_group(p, options, talk, sha256, bytes, &scaling, why);
    if (rc < 0) {
        loaded_drop(p);
        return rc;
    }
    runner_halves(p->runner, halves);
    p->job = number;
    log_info("job.load", "job=%lld name=%s model=%s parameters=%zu", (long long)number,
             p->spec.name, p->model.name, p->model.param_total);
    return 0;
}
