/* The revisions of its dataset that a job trains on: those of its file, and those that it takes
 * while it runs. A job's result follows from the job, the data and the list of (epoch, revision),
 * which is part of its description.
 *
 * A revision is taken at the next epoch that has not begun. While that is on its way to the disk
 * the run opens no other epoch, so that none begins with what may still be lost. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "server/jobs/attached.h"
#include "server/jobs/externals.h"
#include "server/jobs/jobs_internal.h"
#include "server/jobs/service.h"
#include "server/net/op.h"

void job_revisions_done(struct overlay *overlays)
{
    for (int i = 0; i < JOB_REVISIONS_MAX; i++)
        overlay_done(&overlays[i]);
}

int job_revisions_load(struct service *s, const char *sha256, const char *name,
                       const struct dataset *data, const struct revisions *at, struct overlay *ret,
                       struct errbuf *why)
{
    int rc = 0;

    for (int i = 0; rc == 0 && i < at->count; i++) {
        if (at->at[i].number == 0)
            continue; /* as imported: nothing is changed */
        rc = store_revision_load(s->store, sha256, at->at[i].number, at->at[i].sha256,
                                 data->samples, data->classes, &ret[i], why);
        if (rc < 0)
            err_prefix(why, rc, "dataset %s", name);
    }
    if (rc < 0)
        job_revisions_done(ret);
    return rc;
}

int job_revisions_check(const struct jobspec *spec, const struct dataset *data,
                        const struct attached *attached, const struct overlay *overlays, int count,
                        struct errbuf *why)
{
    uint8_t *use = NULL;
    char name[REVISION_NAME_BYTES];
    int rc = spec->epochs > 0 && count > 0 ? job_split(spec, data, &use, why) : 0;

    const bool validates = use && memchr(use, USE_VALIDATION, data->samples);
    for (int i = 0; rc == 0 && spec->epochs > 0 && i < count; i++) {
        const uint32_t left = run_revision_left(data->samples, use, USE_TRAIN, attached->excluded,
                                                attached->excluded_count, &overlays[i]);
        revision_name(spec->dataset, overlays[i].number, name);
        if (left < spec->batch)
            rc = err_set(why, -EINVAL,
                         "batch is %lld, but %s leaves only %u of the %u training samples",
                         (long long)spec->batch, name, left, data->samples);
        else if (validates &&
                 run_revision_left(data->samples, use, USE_VALIDATION, attached->excluded,
                                   attached->excluded_count, &overlays[i]) == 0)
            rc = err_set(why, -EINVAL, "%s leaves no sample to validate with", name);
    }
    free(use);
    return rc;
}

/* --- apply --- */

struct apply {
    int64_t job;
    char uuid[UUID_BYTES], sha256[SHA256_HEX];
    struct jobspec *spec; /* of the job, which outlives this: its removal comes later on the lane */
    const struct dataset *data;
    int64_t epoch; /* from which on; -1: behind the one after the last that is committed */
    struct revision_at at;
    struct overlay overlay;
    char *spec_json;            /* the description; then that with the revision */
    struct revisions revisions; /* with the revision */
    int rc;                     /* while it waits for the run */
    struct errbuf why;
};

static void apply_free(struct apply *a)
{
    overlay_done(&a->overlay);
    free(a->spec_json);
    free(a);
}

/* Adds the revision to the list. One that has not begun yet is replaced. */
static int add(struct apply *a, struct errbuf *why)
{
    struct revisions *r = &a->revisions;

    a->at.epoch = a->epoch;
    if (r->count > 0 && r->at[r->count - 1].epoch == a->epoch)
        r->count--;
    if (r->count == JOB_REVISIONS_MAX)
        return err_set(why, -ERANGE, "job %" PRId64 " has %d revisions, more are not allowed",
                       a->job, JOB_REVISIONS_MAX);
    r->at[r->count++] = a->at;
    return 0;
}

static int describe(struct apply *a, struct errbuf *why)
{
    cJSON *json = cJSON_Parse(a->spec_json);
    char *text;

    cJSON_DeleteItemFromObjectCaseSensitive(json, "revisions");
    cJSON_AddItemToObject(json, "revisions",
                          jobspec_revisions_json(a->spec->dataset, &a->revisions));
    text = json ? cJSON_PrintUnformatted(json) : NULL;
    cJSON_Delete(json);
    if (!text)
        return err_set(why, -ENOMEM, "no memory for the job description");
    free(a->spec_json);
    a->spec_json = text;
    return 0;
}

static int judge(struct service *s, struct apply *a, struct errbuf *why)
{
    const struct revisions only = {.count = 1, .at = {a->at}};
    struct overlay overlays[JOB_REVISIONS_MAX] = {0};
    struct attached attached = {0};
    int rc = job_revisions_load(s, a->sha256, a->spec->dataset, a->data, &only, overlays, why);

    if (rc == 0)
        rc = attached_load(s->dir, &s->net->giving_up, a->uuid, a->spec, NULL, a->data->samples,
                           &attached, why);
    if (rc == 0)
        rc = job_revisions_check(a->spec, a->data, &attached, overlays, 1, why);
    attached_done(&attached);
    a->overlay = overlays[0];
    return rc;
}

static void apply_work(struct op *op)
{
    struct apply *a = op->arg;
    struct service *s = op->service;
    char name[REVISION_NAME_BYTES], text[128];
    int64_t committed = 0;

    op->rc = judge(s, a, &op->why);
    if (op->rc == 0 && a->epoch < 0) {
        op->rc = store_epochs_committed(s->store, a->job, &committed, &op->why);
        a->epoch = committed + 1;
    }
    if (op->rc == 0 && a->epoch >= jobspec_epochs(a->spec))
        op->rc = err_set(&op->why, -EPERM, "job %" PRId64 " has no epoch left that has not begun",
                         a->job);
    if (op->rc == 0)
        op->rc = add(a, &op->why);
    if (op->rc == 0)
        op->rc = describe(a, &op->why);
    snprintf(text, sizeof(text), "%s from epoch %" PRId64 " on",
             revision_name(a->spec->dataset, a->at.number, name), a->epoch + 1);
    if (op->rc == 0)
        op->rc = store_job_describe(s->store, a->job, a->spec_json, "revision", text, &op->why);
}

static void reply(struct request *rq, struct job *job)
{
    const struct revisions *r = &job->spec.revisions;
    cJSON *out = cJSON_CreateObject();

    cJSON_AddItemToObject(out, "job", jobs_row(rq->service->jobs, job));
    cJSON_AddItemToObject(out, "revisions", jobspec_revisions_json(job->spec.dataset, r));
    if (r->count > 0)
        cJSON_AddNumberToObject(out, "from", (double)r->at[r->count - 1].epoch);
    request_reply(rq, out, NULL, 0);
}

/* The run goes on; it has the revision, if that is on the disk. */
static void let_go(struct jobs *jobs, struct job *job, const struct apply *a, bool written)
{
    int rc = written ? run_revise(job->run, a->epoch, &a->overlay) : 0;

    if (rc < 0) /* its last checkpoint is whole */
        job_pause_for(jobs, job, rc, "no memory for the next epoch");
    else if (run_let_go(job->run))
        job_go_on(jobs, job);
}

static void apply_done(struct op *op);

static void wait_work(struct op *op)
{
    const struct apply *a = op->arg;

    op->rc = a->rc;
    op->why = a->why;
}

/* Once the run is back. */
static void apply_when_back(struct jobs *jobs, struct job *job, struct op *op)
{
    struct apply *a = op->arg;

    a->rc = op->rc;
    a->why = op->why;
    job_lane_run(
        jobs, job,
        (struct op){
            .rq = op->rq, .service = op->service, .arg = a, .work = wait_work, .done = apply_done});
}

static void apply_done(struct op *op)
{
    struct apply *a = op->arg;
    struct jobs *jobs = op->service->jobs;
    struct job *job;
    int rc = jobs_find(jobs, a->job, &job, op->rc < 0 ? NULL : &op->why);

    if (rc == 0 && job->away.run) {
        apply_when_back(jobs, job, op);
        return;
    }
    if (rc == 0) {
        job->applying = false;
        if (op->rc == 0) {
            job->spec.revisions = a->revisions;
            free(job->rec.spec_json);
            job->rec.spec_json = a->spec_json;
            a->spec_json = NULL;
            log_info("job.apply", "job=%" PRId64 " revision=%" PRId64 " epoch=%" PRId64, a->job,
                     a->at.number, a->epoch);
        }
        if (job->run)
            let_go(jobs, job, a, op->rc == 0);
        external_job_forget(job); /* it is known again with the revision */
    }
    if (op->rc < 0 || rc < 0)
        request_fail(op->rq, op->rc < 0 ? op->rc : rc, &op->why);
    else
        reply(op->rq, job);
    apply_free(a);
    jobs_pump(jobs);
    workers_wake(op->service->workers);
}

struct later {
    int64_t job;
    struct revision_at at;
};

static void later_work(struct op *op)
{
    (void)op;
}

static void later_done(struct op *op)
{
    struct later *later = op->arg;
    struct job *job;
    int rc = jobs_find(op->service->jobs, later->job, &job, &op->why);

    if (rc == 0)
        job_apply(op->service->jobs, job, later->at.number, op->rq);
    else
        request_fail(op->rq, rc, &op->why);
    free(later);
}

/* It is being started, its run is away, it has the change of another request on its way, or is
 * being written as done.
 */
static void apply_later(struct jobs *jobs, struct job *job, int64_t number, struct request *rq)
{
    struct later *later = xmalloc(sizeof(*later));

    const struct op op = {
        .rq = rq, .service = jobs->service, .arg = later, .work = later_work, .done = later_done};
    *later = (struct later){job->rec.job, {.number = number}};
    if (job->away.run || job->making)
        job_lane_run(jobs, job, op);
    else
        job_store_run(jobs, job, 0, op);
}

static int check_job(struct jobs *jobs, struct job *job, int64_t number, struct revision_at *ret,
                     struct errbuf *why)
{
    struct revisions one = {.count = 1, .at = {{.number = number}}};
    bool pinned;

    if (job_state_final(job->rec.state))
        return err_set(why, -EPERM, "job %" PRId64 " is %s; it takes no revision any more",
                       job->rec.job, job_state_names[job->rec.state]);
    if (job->in_study)
        return err_set(why, -EPERM,
                       "job %" PRId64
                       " is part of a study, whose jobs are compared as they were submitted",
                       job->rec.job);
    int rc = jobs_prepare(jobs->service, job, why);
    if (rc == 0)
        rc = datasets_pin(jobs->service->datasets, job->spec.dataset, job->rec.dataset_sha256, &one,
                          &pinned, why);
    *ret = one.at[0];
    return rc;
}

void job_apply(struct jobs *jobs, struct job *job, int64_t number, struct request *rq)
{
    const struct revisions *r = &job->spec.revisions;
    struct revision_at at;
    struct errbuf why;

    if (job->starting || job->away.run || job->applying || (job->external && job->external->busy) ||
        (job->run && run_finished(job->run))) {
        apply_later(jobs, job, number, rq);
        return;
    }
    int rc = check_job(jobs, job, number, &at, &why);
    if (rc < 0) {
        request_fail(rq, rc, &why);
        return;
    }
    if (at.number == (r->count > 0 ? r->at[r->count - 1].number : 0)) {
        reply(rq, job);
        return;
    }
    struct apply *a = xcalloc(1, sizeof(*a));
    a->job = job->rec.job;
    memcpy(a->uuid, job->rec.uuid, sizeof(a->uuid));
    memcpy(a->sha256, job->rec.dataset_sha256, sizeof(a->sha256));
    a->spec = &job->spec;
    a->data = job->data;
    a->at = at;
    a->epoch = job->run                    ? run_progress(job->run).epoch + 1
               : job->rec.incarnation == 0 ? 0 /* it never started */
                                           : -1;
    a->revisions = *r;
    a->spec_json = xstrdup(job->rec.spec_json);
    job->applying = true;
    if (job->run)
        run_hold(job->run);
    job_store_run(
        jobs, job, 0,
        (struct op){
            .rq = rq, .service = jobs->service, .arg = a, .work = apply_work, .done = apply_done});
}
