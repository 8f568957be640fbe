/* job.schedule: what an epoch trains on, with which weights; that of an earlier epoch is computed
 * again from the scores. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/field.h"
#include "server/core/ranks.h"
#include "server/handle/handlers.h"
#include "server/jobs/attached.h"
#include "server/jobs/service.h"
#include "server/net/op.h"

struct schedule_args {
    int64_t job, epoch, first, limit;
    char uuid[UUID_BYTES];
    struct jobspec *spec; /* parsed anew: the job may be removed while a lane works */
    struct dataset data;  /* its counts and labels only, for the same reason */
    uint32_t steps;
    uint8_t *use; /* job_split */
    struct ranks ranks;
    struct schedule schedule;
};

/* With a curriculum inside the step no sample has a weight of its own: places have them. */
static void reply_schedule(struct request *rq, const struct schedule_args *a,
                           const struct schedule *s)
{
    uint64_t first = (uint64_t)a->first < s->count ? (uint64_t)a->first : s->count;
    uint64_t n = s->count - first < (uint64_t)a->limit ? s->count - first : (uint64_t)a->limit;
    uint32_t shard = (uint32_t)a->spec->shard;
    float *places = NULL;

    if (jobspec_online(a->spec)) {
        places = alloc_bytes(shard, sizeof(*places));
        if (!places) {
            request_error(rq, ERR_UNAVAILABLE, "no memory for the weights of %u places", shard);
            return;
        }
        schedule_places(a->spec, s->share, shard, places);
    }
    struct tensor t[2] = {tensor_1d("ids", DTYPE_U32, n, s->ids + first),
                          places ? tensor_1d("places", DTYPE_F32, shard, places)
                                 : tensor_1d("weights", DTYPE_F32, n, s->weights + first)};
    cJSON *out = cJSON_CreateObject();

    cJSON_AddNumberToObject(out, "epoch", (double)a->epoch);
    cJSON_AddNumberToObject(out, "share", s->share);
    cJSON_AddNumberToObject(out, "count", s->count);
    cJSON_AddNumberToObject(out, "steps", a->steps);
    request_reply(rq, out, t, 2);
    free(places);
}

static int replay_one(void *arg, int64_t epoch, const struct score *scores)
{
    struct schedule_args *a = arg;

    ranks_advance(&a->ranks, epoch);
    return ranks_take(&a->ranks, scores);
}

static void schedule_work(struct op *op)
{
    struct schedule_args *a = op->arg;
    struct service *s = op->service;
    struct attached attached = {0};

    op->rc = attached_load(s->dir, &s->net->giving_up, a->uuid, a->spec, NULL, a->data.samples,
                           &attached, &op->why);
    if (op->rc == 0) {
        struct run_inputs in = attached_inputs(&attached);
        in.use = a->use;
        op->rc = ranks_begin(&a->ranks, a->spec, &a->data, &in);
    }
    attached_done(&attached);
    for (int i = 0; op->rc == 0 && i < a->spec->revisions.count; i++)
        op->rc = query_overlay(s->replays, a->job, a->spec->revisions.at[i].number,
                               &a->ranks.overlays[i], &op->why);
    if (op->rc == 0 && !jobspec_online(a->spec))
        op->rc =
            query_replay(s->replays, a->job, a->epoch, a->data.samples, replay_one, a, &op->why);
    if (op->rc == 0)
        ranks_advance(&a->ranks, a->epoch);
    if (op->rc == 0)
        op->rc = ranks_schedule(&a->ranks, a->epoch, &a->schedule);
}

static void schedule_free(struct schedule_args *a)
{
    if (a->spec)
        jobspec_done(a->spec);
    free(a->spec);
    free(a->data.labels);
    free(a->use);
    ranks_done(&a->ranks);
    schedule_done(&a->schedule);
    free(a);
}

static void schedule_reply(struct op *op)
{
    struct schedule_args *a = op->arg;

    if (op->rc < 0)
        request_fail(op->rq, op->rc, &op->why);
    else
        reply_schedule(op->rq, a, &a->schedule);
    schedule_free(a);
}

static int read_schedule(struct request *rq, struct job *job, struct schedule_args *a,
                         struct errbuf *why)
{
    const cJSON *json = rq->message.json;
    int64_t open =
        job->run && !run_finished(job->run) ? run_progress(job->run).epoch : job->epochs_done;
    if (job->run && run_is_between(job->run)) /* it is not open yet */
        open--;
    cJSON *spec = NULL;

    *a = (struct schedule_args){.job = job->rec.job, .limit = SCHEDULE_ENTRIES_MAX};
    if (field_i64(json, "job.schedule", "epoch", true, 0, EPOCHS_MAX, &a->epoch, why) < 0 ||
        field_i64(json, "job.schedule", "first", false, 0, SAMPLES_MAX, &a->first, why) < 0 ||
        field_i64(json, "job.schedule", "limit", false, 1, SCHEDULE_ENTRIES_MAX, &a->limit, why) <
            0)
        return -EINVAL;
    memcpy(a->uuid, job->rec.uuid, sizeof(a->uuid));
    if (job->spec.epochs == 0)
        return err_set(why, -EINVAL,
                       "job %" PRId64
                       " measures its weights and trains nothing: it has no schedule",
                       job->rec.job);
    if (a->epoch >= job->spec.epochs)
        return err_set(why, -EINVAL,
                       "there is no epoch %" PRId64 ", job %" PRId64 " has epochs 1 to %" PRId64,
                       a->epoch + 1, job->rec.job, job->spec.epochs);
    if (a->epoch > open)
        return err_set(
            why, -EINVAL,
            "epoch %" PRId64 " of job %" PRId64
            " has no schedule yet: it needs scores that are not measured yet; epochs 1 to %" PRId64
            " have one",
            a->epoch + 1, job->rec.job, open + 1);
    int rc = jobs_prepare(rq->service, job, why);
    if (rc < 0)
        return rc;
    a->data.samples = job->data->samples;
    a->data.classes = job->data->classes;
    a->steps = jobspec_epoch_steps(&job->spec, job->uses[USE_TRAIN]);
    a->spec = xcalloc(1, sizeof(*a->spec));
    rc = field_parse(job->rec.spec_json, strlen(job->rec.spec_json), JSON_REPLY_BYTES_MAX, "job",
                     &spec, why);
    if (rc == 0)
        rc = jobspec_parse(spec, a->spec, why);
    cJSON_Delete(spec);
    if (rc == 0)
        rc = job_split(a->spec, job->data, &a->use, why);
    if (rc < 0)
        return rc;
    a->data.labels = alloc_bytes(a->data.samples, sizeof(*a->data.labels));
    if (!a->data.labels)
        return err_set(why, -ENOMEM, "no memory for a schedule of %u samples", a->data.samples);
    memcpy(a->data.labels, job->data->labels, a->data.samples * sizeof(*a->data.labels));
    return 0;
}

void handle_job_schedule(struct request *rq)
{
    struct job *job = handle_job_of(rq);
    struct errbuf why;

    if (!job || job_waits(rq->service->jobs, job, rq, handle_job_schedule))
        return;
    struct schedule_args *a = xcalloc(1, sizeof(*a));
    int rc = read_schedule(rq, job, a, &why);
    if (rc < 0) {
        request_fail(rq, rc, &why);
        schedule_free(a);
    } else if (job->run && !run_finished(job->run) && !run_is_between(job->run) &&
               a->epoch == run_progress(job->run).epoch) {
        reply_schedule(rq, a, run_schedule(job->run));
        schedule_free(a);
    } else {
        op_run(rq->service->net->replay_lane, (struct op){.rq = rq,
                                                          .service = rq->service,
                                                          .arg = a,
                                                          .work = schedule_work,
                                                          .done = schedule_reply});
    }
}
