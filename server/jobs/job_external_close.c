/* The end of an epoch of an external job: what it makes is computed on one lane, folded on the
 * store's, and only then does the next epoch take its place. Until then nothing of the open epoch
 * changes, so that a close that failed may be asked for again; only metrics that could not be
 * kept are forgotten. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "server/jobs/externals.h"
#include "server/jobs/jobs_internal.h"
#include "server/jobs/service.h"
#include "server/net/op.h"

struct closing {
    struct job *job;       /* stays while the job is busy */
    struct job_record rec; /* as it is to be written if this was the last epoch */
    struct external_closed closed;
    bool done; /* that is written */
    char sha256[SHA256_HEX];
};

static void reply_closed(struct request *rq, const struct job *job,
                         const struct external_last *last)
{
    cJSON *out = cJSON_CreateObject();

    cJSON_AddNumberToObject(out, "epoch", (double)last->epoch);
    cJSON_AddBoolToObject(out, "closed", true);
    cJSON_AddNumberToObject(out, "missing", last->missing);
    cJSON_AddNumberToObject(out, "dropped", (double)last->dropped);
    cJSON_AddStringToObject(out, "scores_sha256", last->sha256);
    if (last->epoch + 1 < job->spec.epochs)
        cJSON_AddNumberToObject(out, "next", (double)last->epoch + 1);
    external_job_reply(rq, job, out, NULL, 0);
}

static void closing_free(struct closing *c)
{
    external_closed_done(&c->closed);
    free(c);
}

/* --- on the store's lane --- */

static void fold_work(struct op *op)
{
    struct closing *c = op->arg;
    struct store *store = op->service->store;
    struct fold fold = job_fold(&c->closed.epoch, c->job->data);
    char figures[160], text[240];

    fold.partial = true;
    fold.metrics = &c->closed.metrics;
    if (fold.record.epoch > 0)
        op->rc = store_epoch_hash(store, c->rec.job, fold.record.epoch - 1, c->sha256, &op->why);
    if (op->rc == 0)
        op->rc = store_fold(store, &fold, c->sha256, &op->why);
    if (op->rc < 0)
        return;
    failpoint_hit(store_failpoint(store), "epoch.folded");
    job_epoch_text(&fold.record, figures, sizeof(figures));
    snprintf(text, sizeof(text), "%s; %" PRIu32 " missing, %" PRIu64 " dropped", figures,
             c->closed.missing, c->closed.dropped);
    /* The epoch is committed, whatever becomes of what is said of it. */
    store_event_add(store, c->rec.job, "epoch", text, NULL);
    if (c->closed.next)
        return;
    failpoint_hit(store_failpoint(store), "job.done");
    c->rec.state = JOB_DONE;
    c->rec.finished_unix_ms = clock_unix_ms();
    /* If not now, the job is marked later (external_jobs_tick): the epoch is committed. */
    c->done = store_job_update(store, &c->rec, "state", "done", NULL) == 0;
}

static void take_closed(struct jobs *jobs, struct job *job, struct closing *c)
{
    const struct epoch_record *e = &c->closed.epoch.record;
    struct external_state *x = job->external;

    if (c->closed.next)
        external_take_room(c->closed.next, x->open);
    external_free(x->open);
    x->open = c->closed.next;
    c->closed.next = NULL;
    x->last = (struct external_last){
        .epoch = e->epoch, .missing = c->closed.missing, .dropped = c->closed.dropped};
    memcpy(x->last.sha256, c->sha256, sizeof(c->sha256));
    job->epochs_done = e->epoch + 1;
    job->loss = e->train_loss;
    job->accuracy = e->test_accuracy;
    job->validation_accuracy = e->validation_accuracy;
    if (!c->done)
        return;
    job_kept(job, &c->rec);
    job_set_state(jobs, job, JOB_DONE);
    job->rec.finished_unix_ms = c->rec.finished_unix_ms;
    log_info("job.state", "job=%" PRId64 " to=done", job->rec.job);
    jobs_pump(jobs);
}

static void fold_done(struct op *op)
{
    struct closing *c = op->arg;
    struct job *job = c->job;

    job->external->busy = false;
    if (op->rc == -EINVAL) /* more names of metrics than a job may have: others may do */
        external_unclose(job->external->open);
    if (op->rc < 0) {
        request_fail(op->rq, op->rc, &op->why);
    } else {
        metrics_time(&op->service->net->metrics.epoch, op->seconds);
        job_log_epoch(&c->closed.epoch.record);
        take_closed(op->service->jobs, job, c);
        reply_closed(op->rq, job, &job->external->last);
    }
    closing_free(c);
}

/* --- before it --- */

static void close_work(struct op *op)
{
    struct closing *c = op->arg;

    op->rc = external_close(c->job->external->open, clock_mono_ms(), &c->closed, &op->why);
}

static void close_done(struct op *op)
{
    struct closing *c = op->arg;

    if (op->rc < 0) {
        c->job->external->busy = false;
        request_fail(op->rq, op->rc, &op->why);
        free(c);
        return;
    }
    job_store_run(
        op->service->jobs, c->job, STORE_LONG | (c->closed.next ? 0 : STORE_ROW),
        (struct op){
            .rq = op->rq, .service = op->service, .arg = c, .work = fold_work, .done = fold_done});
}

void external_job_close(struct jobs *jobs, struct job *job, struct request *rq)
{
    struct closing *c = xcalloc(1, sizeof(*c));

    c->job = job;
    c->rec = job_record_copy(job);
    job->external->busy = true;
    op_run(
        jobs->service->net->replay_lane,
        (struct op){
            .rq = rq, .service = jobs->service, .arg = c, .work = close_work, .done = close_done});
}

bool external_job_closing(const struct job *job, int64_t incarnation, int64_t epoch)
{
    const struct external_state *x = job->external;

    return x->busy && x->open && job->rec.state == JOB_RUNNING &&
           incarnation == job->rec.incarnation && epoch == external_epoch(x->open);
}

/* --- what was closed before --- */

struct again {
    int64_t number, epoch;
    char sha256[SHA256_HEX];
};

static void again_work(struct op *op)
{
    struct again *a = op->arg;

    op->rc = store_epoch_hash(op->service->store, a->number, a->epoch, a->sha256, &op->why);
}

/* Nobody knows any more what was missing. */
static void again_done(struct op *op)
{
    struct again *a = op->arg;
    struct job *job;
    int rc = op->rc < 0 ? op->rc : jobs_find(op->service->jobs, a->number, &job, &op->why);

    if (rc < 0) {
        request_fail(op->rq, rc, &op->why);
    } else {
        cJSON *out = cJSON_CreateObject();
        cJSON_AddNumberToObject(out, "epoch", (double)a->epoch);
        cJSON_AddBoolToObject(out, "closed", true);
        cJSON_AddStringToObject(out, "scores_sha256", a->sha256);
        if (a->epoch + 1 < job->spec.epochs)
            cJSON_AddNumberToObject(out, "next", (double)a->epoch + 1);
        external_job_reply(op->rq, job, out, NULL, 0);
    }
    free(a);
}

bool external_job_closed(struct jobs *jobs, struct job *job, int64_t incarnation, int64_t epoch,
                         struct request *rq)
{
    const struct external_state *x = job->external;

    if (incarnation != job->rec.incarnation || x->busy || epoch < 0 || epoch >= job->epochs_done ||
        (job->rec.state != JOB_DONE && job->rec.state != JOB_RUNNING))
        return false;
    if (epoch == x->last.epoch) {
        reply_closed(rq, job, &x->last);
        return true;
    }
    struct again *a = xcalloc(1, sizeof(*a));
    a->number = job->rec.job;
    a->epoch = epoch;
    job_store_run(
        jobs, job, 0,
        (struct op){
            .rq = rq, .service = jobs->service, .arg = a, .work = again_work, .done = again_done});
    return true;
}
