/* job.schedule: what an epoch trains on, with which weights. The page is copied from the epoch that
 * is open, or cut on a lane from a schedule that is computed again (jobs/schedules.h). */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/field.h"
#include "server/handle/handlers.h"
#include "server/jobs/externals.h"
#include "server/jobs/schedules.h"
#include "server/jobs/service.h"
#include "server/net/op.h"

struct page {
    struct schedule_ask ask; /* of an epoch that is over; else zeroed */
    int64_t epoch, first, limit;
    uint32_t steps, shard; /* shard 0: samples have weights of their own */
    float *places;         /* [shard] otherwise */
    struct schedule open;  /* of an epoch that is open: the page, owned */
    uint32_t count;        /* of its whole schedule */
    struct tensor tensors[2];
};

static int read_page(const struct request *rq, struct page *p, struct errbuf *why)
{
    const cJSON *json = rq->message.json;

    *p = (struct page){.limit = SCHEDULE_ENTRIES_MAX};
    if (field_i64(json, "job.schedule", "epoch", true, 0, EPOCHS_MAX, &p->epoch, why) < 0 ||
        field_i64(json, "job.schedule", "first", false, 0, SAMPLES_MAX, &p->first, why) < 0 ||
        field_i64(json, "job.schedule", "limit", false, 1, SCHEDULE_ENTRIES_MAX, &p->limit, why) <
            0)
        return -EINVAL;
    return 0;
}

/* Is it an epoch that has a schedule by now? */
static int check_epoch(const struct job *job, int64_t epoch, struct errbuf *why)
{
    int64_t open =
        job->run && !run_finished(job->run) ? run_progress(job->run).epoch : job->epochs_done;

    if (job->run && run_is_between(job->run)) /* it is not open yet */
        open--;
    if (job->spec.epochs == 0)
        return err_set(why, -EINVAL,
                       "job %" PRId64
                       " measures its weights and trains nothing: it has no schedule",
                       job->rec.job);
    if (epoch >= job->spec.epochs)
        return err_set(why, -EINVAL,
                       "there is no epoch %" PRId64 ", job %" PRId64 " has epochs 1 to %" PRId64,
                       epoch + 1, job->rec.job, job->spec.epochs);
    if (epoch > open)
        return err_set(
            why, -EINVAL,
            "epoch %" PRId64 " of job %" PRId64
            " has no schedule yet: it needs scores that are not measured yet; epochs 1 to %" PRId64
            " have one",
            epoch + 1, job->rec.job, open + 1);
    return 0;
}

/* That of the epoch which is open now, or NULL. */
static const struct schedule *open_schedule(const struct job *job, int64_t epoch)
{
    const struct external *e = job->external ? job->external->open : NULL;

    if (e && external_epoch(e) == epoch)
        return external_schedule(e);
    return job->run && !run_finished(job->run) && !run_is_between(job->run) &&
                   epoch == run_progress(job->run).epoch
               ? run_schedule(job->run)
               : NULL;
}

/* The part of s that is asked for. */
static struct schedule cut(const struct page *p, const struct schedule *s)
{
    const uint32_t first = p->first < s->count ? (uint32_t)p->first : s->count;
    const uint32_t left = s->count - first;

    return (struct schedule){.ids = s->ids + first,
                             .weights = s->weights + first,
                             .count = left < p->limit ? left : (uint32_t)p->limit,
                             .share = s->share};
}

/* With a curriculum inside the step no sample has a weight of its own: places have them. */
static int weigh_places(const struct job *job, struct page *p)
{
    if (!jobspec_online(&job->spec))
        return 0;
    p->shard = (uint32_t)job->spec.shard;
    p->places = alloc_bytes(p->shard, sizeof(*p->places));
    if (p->places)
        schedule_places(&job->spec, curriculum_share(&job->spec, p->epoch), p->shard, p->places);
    return p->places ? 0 : -ENOMEM;
}

/* Makes the reply, of a part of a schedule of `count` samples. */
static void fill(struct op *op, const struct schedule *part, uint32_t count)
{
    struct page *p = op->arg;

    p->tensors[0] = tensor_1d("ids", DTYPE_U32, part->count, part->ids);
    p->tensors[1] = p->places ? tensor_1d("places", DTYPE_F32, p->shard, p->places)
                              : tensor_1d("weights", DTYPE_F32, part->count, part->weights);
    op->out = cJSON_CreateObject();
    op->tensors = p->tensors;
    op->tensor_count = 2;
    cJSON_AddNumberToObject(op->out, "epoch", (double)p->epoch);
    cJSON_AddNumberToObject(op->out, "share", part->share);
    cJSON_AddNumberToObject(op->out, "count", count);
    cJSON_AddNumberToObject(op->out, "steps", p->steps);
}

static void replay_work(struct op *op)
{
    struct page *p = op->arg;
    const struct schedule *s = NULL;

    op->rc = schedules_find(op->service, &p->ask, &s, &op->why);
    if (op->rc == 0) {
        const struct schedule part = cut(p, s);
        fill(op, &part, s->count);
    }
}

static void open_work(struct op *op)
{
    struct page *p = op->arg;

    fill(op, &p->open, p->count);
}

static void page_free(struct service *s, struct page *p)
{
    schedule_ask_done(s, &p->ask);
    schedule_done(&p->open);
    free(p->places);
    free(p);
}

static void page_reply(struct op *op)
{
    op_reply(op);
    page_free(op->service, op->arg);
}

/* A copy, since the run goes on. */
static int take_open(struct page *p, const struct schedule *s)
{
    const struct schedule part = cut(p, s);

    p->count = s->count;
    p->open = (struct schedule){.ids = alloc_bytes(part.count, sizeof(*part.ids)),
                                .weights = alloc_bytes(part.count, sizeof(*part.weights)),
                                .count = part.count,
                                .share = part.share};
    if (!p->open.ids || !p->open.weights)
        return -ENOMEM;
    memcpy(p->open.ids, part.ids, part.count * sizeof(*part.ids));
    memcpy(p->open.weights, part.weights, part.count * sizeof(*part.weights));
    return 0;
}

static int prepare(struct request *rq, struct job *job, struct page *p, struct errbuf *why)
{
    int rc = read_page(rq, p, why);

    if (rc == 0)
        rc = check_epoch(job, p->epoch, why);
    if (rc == 0)
        rc = jobs_prepare(rq->service, job, why);
    if (rc < 0)
        return rc;
    p->steps = jobspec_epoch_steps(&job->spec, job->uses[USE_TRAIN]);
    const struct schedule *open = open_schedule(job, p->epoch);
    if (weigh_places(job, p) < 0 || (open && take_open(p, open) < 0))
        return err_set(why, -ENOMEM, "no memory for a page of a schedule");
    if (!open)
        schedule_ask_begin(rq->service, job, p->epoch, &p->ask);
    return 0;
}

void handle_job_schedule(struct request *rq)
{
    struct job *job = handle_job_of(rq);
    struct net *net = rq->service->net;
    struct errbuf why;

    if (!job || job_waits(rq->service->jobs, job, rq, handle_job_schedule))
        return;
    struct page *p = xcalloc(1, sizeof(*p));
    int rc = prepare(rq, job, p, &why);
    if (rc < 0) {
        request_fail(rq, rc, &why);
        page_free(rq->service, p);
        return;
    }
    op_run(p->ask.data ? net->replay_lane : net->read_lane,
           (struct op){.rq = rq,
                       .service = rq->service,
                       .arg = p,
                       .work = p->ask.data ? replay_work : open_work,
                       .done = page_reply,
                       .replies = true});
}
