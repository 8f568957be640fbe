/* job.submit: one submission, inserted on the store's lane. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/field.h"
#include "common/log.h"
#include "common/text.h"
#include "server/handle/handlers.h"
#include "server/handle/submission.h"
#include "server/net/op.h"

/* For whoever submits it again and did not mean to. */
static void note_equal(const struct job *job, const struct job *other, cJSON *list)
{
    bool same_bits = !job->external && job->spec.numerics == NUMERICS_STRICT &&
                     !other->rec.relaxed && !other->rec.broken[0] &&
                     other->rec.state != JOB_FAILED && other->rec.state != JOB_CANCELLED;
    char *text =
        xasprintf("job %" PRId64 " (%s, %s) has the same keys and the same data%s", other->rec.job,
                  other->rec.name, job_state_names[other->rec.state],
                  same_bits ? "; workers of one numerics class make the same model of both" : "");

    cJSON_AddItemToArray(list, cJSON_CreateString(text));
    free(text);
}

/* notes: of a job that is new; NULL: it was there already. */
static void reply_row(struct request *rq, struct job *job, const struct job_notes *notes)
{
    cJSON *out = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(out, "notes");
    const struct job *other = notes ? jobs_equal(rq->service->jobs, job) : NULL;
    char text[240];

    cJSON_AddItemToObject(out, "job", jobs_row(rq->service->jobs, job));
    for (int i = 0; notes && i < notes->count; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(notes->text[i]));
    if (other)
        note_equal(job, other, list);
    if (notes && job_verify_note(rq->service->jobs, job, text, sizeof(text)))
        cJSON_AddItemToArray(list, cJSON_CreateString(text));
    request_reply(rq, out, NULL, 0);
}

static void submit_work(struct op *op)
{
    struct submission *s = op->arg;

    op->rc = submission_collect(s, &op->why);
    if (op->rc == 0)
        op->rc = store_job_insert(op->service->store, &s->job->rec, &s->notes, &op->why);
    if (op->rc < 0)
        submission_undo(s);
}

static void submit_done(struct op *op)
{
    struct jobs *jobs = op->service->jobs;
    struct submission *s = op->arg;
    struct job *job = s->job, *known;
    int64_t number = job->rec.job;

    submission_let_go(s);
    if (op->rc == 0) {
        s->job = NULL;
        log_info("job.submit", "job=%" PRId64 " name=%s dataset=%s", number, job->rec.name,
                 job->rec.dataset);
        jobs_add(jobs, job);
        reply_row(op->rq, job, &s->notes); /* whose audit row then waits for no start of the job */
        jobs_pump(jobs);
    } else if (op->rc == -EEXIST && jobs_find(jobs, number, &known, &op->why) == 0) {
        reply_row(op->rq, known, NULL);
    } else {
        request_fail(op->rq, op->rc, &op->why);
    }
    submission_free(s);
}

static void start_submit(struct request *rq, struct submission *s)
{
    op_run(
        rq->service->net->store_lane,
        (struct op){
            .rq = rq, .service = rq->service, .arg = s, .work = submit_work, .done = submit_done});
}

static void scores_work(struct op *op)
{
    op->rc = submission_scores(op->arg, &op->why);
}

static void scores_done(struct op *op)
{
    if (op->rc == 0) {
        start_submit(op->rq, op->arg);
        return;
    }
    request_fail(op->rq, op->rc, &op->why);
    submission_free(op->arg);
}

static int read_submit(struct request *rq, const char *uuid, struct submission **ret,
                       struct errbuf *why)
{
    const cJSON *spec = NULL;
    int rc = field_obj(rq->message.json, "job.submit", "spec", true, &spec, why);

    return rc < 0 ? rc : submission_read(rq->service, rq->key_name, spec, uuid, ret, why);
}

void handle_job_submit(struct request *rq)
{
    struct submission *s = NULL;
    const char *uuid = NULL;
    struct errbuf why = {""};
    struct job *known = NULL;
    int rc = handle_uuid_of(rq, &uuid, &why);

    if (rc == 0)
        known = jobs_by_uuid(rq->service->jobs, uuid);
    if (rc == 0 && !known)
        rc = read_submit(rq, uuid, &s, &why);
    if (rc < 0 || known) {
        submission_free(s);
        if (known)
            reply_row(rq, known, NULL);
        else
            request_fail(rq, rc, &why);
        return;
    }
    submission_hold(s);
    if (!submission_needs_scores(s)) {
        start_submit(rq, s);
        return;
    }
    op_run(
        rq->service->net->query_lane,
        (struct op){
            .rq = rq, .service = rq->service, .arg = s, .work = scores_work, .done = scores_done});
}
