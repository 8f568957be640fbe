/* job.submit. Before the job exists, everything that the job file names outside itself is
 * collected: the scores of another job on the query lane, its weights and uploads on the store's.
 * Then the job is inserted, with the hashes of all that in its spec. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/field.h"
#include "common/log.h"
#include "common/text.h"
#include "server/handle/handlers.h"
#include "server/jobs/attached.h"
#include "server/jobs/service.h"
#include "server/net/op.h"

struct submit {
    struct job *job; /* not in the table yet */
    struct service *service;
    const struct dataset *held;         /* the job's, NULL until it is */
    struct jobspec scores_by;           /* the order of the other job's scores */
    struct checkpoint_shape weights_of; /* of the other job's checkpoints */
    struct weights_said weights_say;    /* of the other job's model */
    enum job_state weights_from; /* the other job's state; done: only its last checkpoint will do */
    struct job_notes notes;
    unsigned attached; /* kinds that this attempt added to the attached files */
    bool holds;        /* the uploads that it names stay meanwhile */
};

/* Begins or ends keeping the uploads that the job file names. */
static void hold_uploads(struct submit *s, bool begins)
{
    struct incoming *in = s->service->incoming;

    for (enum attached_kind kind = 0; kind < ATTACHED_KINDS; kind++) {
        const struct given *g = jobspec_attached(&s->job->spec, kind);
        if (!g || g->kind != GIVEN_FILE || !g->sha256[0])
            continue;
        if (begins)
            incoming_hold(in, g->sha256);
        else
            incoming_released(in, g->sha256, clock_mono_ms());
    }
    s->holds = begins;
}

/* As far as is known, are the uploads that the job file names complete? */
static int check_uploads(struct submit *s, struct errbuf *why)
{
    int rc = 0;

    for (enum attached_kind kind = 0; rc == 0 && kind < ATTACHED_KINDS; kind++) {
        const struct given *g = jobspec_attached(&s->job->spec, kind);
        if (g && g->kind == GIVEN_FILE && g->sha256[0])
            rc = incoming_whole(s->service->incoming, g->sha256, why);
        if (rc < 0)
            err_prefix(why, rc, "%s", jobspec_attached_names[kind]);
    }
    return rc;
}

static void submit_free(struct submit *s)
{
    if (s->holds)
        hold_uploads(s, false);
    if (s->held)
        datasets_release(s->service->datasets, s->held);
    job_free(s->job);
    weights_said_done(&s->weights_say);
    job_notes_done(&s->notes);
    free(s);
}

static void reply_row(struct request *rq, struct job *job, const struct job_notes *notes)
{
    cJSON *out = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(out, "notes");

    cJSON_AddItemToObject(out, "job", jobs_row(rq->service->jobs, job));
    for (int i = 0; notes && i < notes->count; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(notes->text[i]));
    request_reply(rq, out, NULL, 0);
}

/* --- on the store's lane --- */

static int take_weights(struct service *server, struct submit *s, struct errbuf *why)
{
    struct job *job = s->job;
    struct checkpoint *c = NULL;
    int rc;

    if (job->spec.weights.kind != GIVEN_JOB)
        return 0;
    rc = job_newest_checkpoint(server, job->spec.weights.job, &s->weights_of,
                               s->weights_from == JOB_DONE, &c, why);
    if (rc == 0 && checkpoint_class_names(c)) {
        free(s->weights_say.class_names);
        s->weights_say.class_names = xstrdup(checkpoint_class_names(c));
    }
    if (rc == 0 && s->weights_from != JOB_DONE)
        s->notes.text[s->notes.count++] =
            xasprintf("the weights are those of job %" PRId64 " after epoch %" PRId64
                      ", step %" PRIu64 ": it was %s then, not done",
                      job->spec.weights.job, checkpoint_epoch(c), checkpoint_step(c),
                      job_state_names[s->weights_from]);
    if (rc == 0)
        rc = attached_write_weights(server->dir, job->rec.uuid, &job->spec.weights, &job->model,
                                    checkpoint_theta(c), &s->weights_say, &s->attached, why);
    checkpoint_free(c);
    return rc;
}

/* Everything has come: can this job use it? */
static int judge_attached(struct service *server, struct job *job, struct job_notes *notes,
                          struct errbuf *why)
{
    struct attached a = {0};
    int rc = attached_load(server->dir, job->rec.uuid, &job->spec, &job->model, job->data->samples,
                           &a, why);

    if (rc == 0)
        rc = job_said_settle(job, &a.said, notes, why);
    if (rc == 0)
        rc = job_check_samples(job, job->data, a.excluded, a.excluded_count, why);
    attached_done(&a);
    return rc;
}

static void insert_job(struct op *op)
{
    struct submit *s = op->arg;
    struct job *job = s->job;

    op->rc = attached_adopt(op->service->dir, job->rec.uuid, &job->spec, &s->attached, &op->why);
    if (op->rc == 0)
        op->rc = take_weights(op->service, s, &op->why);
    if (op->rc == 0)
        op->rc = judge_attached(op->service, job, &s->notes, &op->why);
    if (op->rc < 0)
        return;
    cJSON *json = jobspec_json(&job->spec);
    job->rec.spec_json = json ? cJSON_PrintUnformatted(json) : NULL;
    cJSON_Delete(json);
    op->rc = job->rec.spec_json
                 ? store_job_insert(op->service->store, &job->rec, &s->notes, &op->why)
                 : err_set(&op->why, -ENOMEM, "no memory for the job description");
}

static void submit_work(struct op *op)
{
    struct submit *s = op->arg;

    insert_job(op);
    if (op->rc < 0) /* another attempt sends them again, or finds them for a while */
        attached_undo(op->service->dir, s->job->rec.uuid, &s->job->spec, s->attached);
}

static void submit_done(struct op *op)
{
    struct jobs *jobs = op->service->jobs;
    struct submit *s = op->arg;
    struct job *job = s->job, *known;
    int64_t number = job->rec.job;

    hold_uploads(s, false);
    if (op->rc == 0) {
        s->job = NULL;
        log_info("job.submit", "job=%" PRId64 " name=%s dataset=%s", number, job->rec.name,
                 job->rec.dataset);
        jobs_add(jobs, job);
        jobs_pump(jobs);
        reply_row(op->rq, job, &s->notes);
    } else if (op->rc == -EEXIST && jobs_find(jobs, number, &known, &op->why) == 0) {
        reply_row(op->rq, known, NULL);
    } else {
        request_fail(op->rq, op->rc, &op->why);
    }
    submit_free(s);
}

static void start_submit(struct request *rq, struct submit *s)
{
    op_run(
        rq->service->net->store_lane,
        (struct op){
            .rq = rq, .service = rq->service, .arg = s, .work = submit_work, .done = submit_done});
}

/* --- scores of another job, on the query lane --- */

static void scores_work(struct op *op)
{
    struct submit *s = op->arg;
    struct job *job = s->job;
    struct given *g = &job->spec.curriculum.given;
    uint32_t n = job->data->samples;
    struct score *scores = alloc_bytes(n, sizeof(*scores));
    double *key = alloc_bytes(n, sizeof(*key));

    if (!scores || !key)
        op->rc = err_set(&op->why, -ENOMEM, "no memory for %u scores", n);
    else
        op->rc = query_scores(op->service->query, g->job, &g->epoch, n, scores, &op->why);
    for (uint32_t i = 0; op->rc == 0 && i < n; i++)
        key[i] = scores[i].flags & SCORE_MEASURED
                     ? curriculum_key(&s->scores_by, &scores[i], NULL, i)
                     : NAN;
    if (op->rc == 0)
        op->rc = attached_write_order(op->service->dir, job->rec.uuid, g, key, n, &s->attached,
                                      &op->why);
    free(scores);
    free(key);
}

static void scores_done(struct op *op)
{
    if (op->rc == 0) {
        start_submit(op->rq, op->arg);
        return;
    }
    request_fail(op->rq, op->rc, &op->why);
    submit_free(op->arg);
}

/* --- reading --- */

static int check_room(struct jobs *jobs, struct errbuf *why)
{
    int open = 0;

    for (struct job *job = jobs_first(jobs); job; job = job->next)
        open += !job_state_final(job->rec.state);
    return open < JOBS_OPEN_MAX
               ? 0
               : err_set(why, -ERANGE, "%d jobs are queued, running or paused, allowed is %d", open,
                         JOBS_OPEN_MAX);
}

/* The job that a key of the job file names. */
static int find_other(struct service *server, const char *key, int64_t number, struct job **ret,
                      struct errbuf *why)
{
    int rc = jobs_find(server->jobs, number, ret, why);

    if (rc == 0)
        rc = jobs_prepare(server, *ret, why);
    return rc < 0 ? err_prefix(why, rc, "%s", key) : 0;
}

static int find_scores(struct service *server, struct submit *s, struct errbuf *why)
{
    const struct given *g = jobspec_attached(&s->job->spec, ATTACHED_ORDER);
    struct job *other;

    if (!g || g->kind != GIVEN_JOB)
        return 0;
    int rc = find_other(server, "curriculum.measure", g->job, &other, why);
    if (rc < 0)
        return rc;
    if (other->data->samples != s->job->data->samples)
        return err_set(why, -EINVAL,
                       "curriculum.measure: job %" PRId64
                       " scored the %u samples of dataset %s, this job trains on the %u of %s; "
                       "scores are matched by sample number",
                       g->job, other->data->samples, other->rec.dataset, s->job->data->samples,
                       s->job->rec.dataset);
    if (strcmp(other->rec.dataset_sha256, s->job->rec.dataset_sha256) != 0)
        s->notes.text[s->notes.count++] =
            xasprintf("curriculum.measure: job %" PRId64
                      " scored dataset %s, whose data differ from those of %s: each sample gets "
                      "the score of the sample with the same number",
                      g->job, other->rec.dataset, s->job->rec.dataset);
    s->scores_by = (struct jobspec){.normaliser = other->spec.normaliser,
                                    .curriculum = {.measure = g->measure}};
    return 0;
}

static bool same_layout(const struct model *a, const struct model *b)
{
    bool same = a->param_count == b->param_count && a->floats == b->floats;

    for (int i = 0; same && i < a->param_count; i++)
        same = strcmp(a->params[i].name, b->params[i].name) == 0 &&
               a->params[i].dims == b->params[i].dims &&
               memcmp(a->params[i].shape, b->params[i].shape, sizeof(a->params[i].shape)) == 0 &&
               a->params[i].flattened.w == b->params[i].flattened.w &&
               a->params[i].flattened.c == b->params[i].flattened.c;
    return same;
}

static int find_weights(struct service *server, struct submit *s, struct errbuf *why)
{
    const struct given *g = &s->job->spec.weights;
    struct job *other;

    if (g->kind != GIVEN_JOB)
        return 0;
    int rc = find_other(server, "weights", g->job, &other, why);
    if (rc < 0)
        return rc;
    const struct model *ours = &s->job->model, *theirs = &other->model;
    if (ours->in.c != theirs->in.c)
        return err_set(
            why, -EINVAL,
            "weights: the model of job %" PRId64 " is of images with %u channel%s, those of "
            "dataset %s have %u",
            g->job, theirs->in.c, theirs->in.c == 1 ? "" : "s", s->job->rec.dataset, ours->in.c);
    if (!same_layout(ours, theirs))
        return err_set(why, -EINVAL,
                       "weights: the model of job %" PRId64
                       " (%s) is another than this one (%s): of "
                       "%u x %u pixels and %u classes, this one of %u x %u and %u",
                       g->job, theirs->name, ours->name, theirs->in.h, theirs->in.w,
                       theirs->classes, ours->in.h, ours->in.w, ours->classes);
    s->weights_of = job_checkpoint_shape(other);
    s->weights_say = (struct weights_said){.scaling = scaling_of_model(theirs),
                                           .class_names = xstrdup(other->data->class_names_json),
                                           .layers = model_layers_json(theirs)};
    s->weights_from = other->rec.state;
    return 0;
}

static int read_submit(struct request *rq, const char *uuid, struct submit *s, struct errbuf *why)
{
    struct job *job = s->job;
    const cJSON *spec = NULL;
    int rc = field_obj(rq->message.json, "job.submit", "spec", true, &spec, why);

    if (rc == 0)
        rc = jobspec_parse(spec, &job->spec, why);
    if (rc < 0)
        return rc;
    memcpy(job->rec.uuid, uuid, sizeof(job->rec.uuid));
    memcpy(job->rec.name, job->spec.name, sizeof(job->rec.name));
    memcpy(job->rec.dataset, job->spec.dataset, sizeof(job->rec.dataset));
    job->rec.state = JOB_QUEUED;
    job->rec.created_unix_ms = clock_unix_ms();
    rc = check_room(rq->service->jobs, why);
    if (rc == 0)
        rc = upkeep_room(rq->service->upkeep, why);
    if (rc == 0)
        rc = jobs_prepare(rq->service, job, why);
    if (rc == 0)
        rc = job_memory_check(rq->service, job, why);
    if (rc == 0)
        rc = find_scores(rq->service, s, why);
    return rc < 0 ? rc : find_weights(rq->service, s, why);
}

void handle_job_submit(struct request *rq)
{
    struct submit *s = xcalloc(1, sizeof(*s));
    const char *uuid = NULL;
    struct errbuf why = {""};
    struct job *known = NULL;
    int rc = field_str(rq->message.json, "job.submit", "uuid", true, UUID_BYTES, &uuid, &why);

    s->job = xcalloc(1, sizeof(*s->job));
    s->job->loss = s->job->accuracy = s->job->validation_accuracy = NAN;
    if (rc == 0 && !text_is_uuid(uuid))
        rc = err_set(&why, -EINVAL, "job.submit.uuid is \"%s\", allowed is a UUID", uuid);
    if (rc == 0)
        known = jobs_by_uuid(rq->service->jobs, uuid);
    s->service = rq->service;
    if (rc == 0 && !known)
        rc = read_submit(rq, uuid, s, &why);
    if (rc == 0 && !known)
        rc = check_uploads(s, &why);
    if (rc < 0 || known) {
        submit_free(s);
        if (known)
            reply_row(rq, known, NULL);
        else
            request_fail(rq, rc, &why);
        return;
    }
    s->held = s->job->data;
    datasets_hold(rq->service->datasets, s->held);
    hold_uploads(s, true);
    const struct given *g = jobspec_attached(&s->job->spec, ATTACHED_ORDER);
    if (!g || g->kind != GIVEN_JOB) {
        start_submit(rq, s);
        return;
    }
    op_run(
        rq->service->net->query_lane,
        (struct op){
            .rq = rq, .service = rq->service, .arg = s, .work = scores_work, .done = scores_done});
}
