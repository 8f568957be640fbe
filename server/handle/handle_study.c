/* study.*: what people ask of studies; study.submit is in handle_study_submit.c. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/field.h"
#include "common/file.h"
#include "common/log.h"
#include "server/handle/handlers.h"
#include "server/jobs/attached.h"
#include "server/jobs/service.h"
#include "server/net/op.h"
#include "server/store/state_dir.h"

/* The study that rq names; NULL: rq was answered. */
static struct study *study_of(struct request *rq)
{
    struct study *study;
    const char *name = NULL;
    struct errbuf why;
    int rc = field_str(rq->message.json, message_names[rq->type], "study", true, NAME_MAX_BYTES,
                       &name, &why);

    if (rc == 0)
        rc = studies_find(rq->service->studies, name, &study, &why);
    if (rc == 0)
        return study;
    request_fail(rq, rc, &why);
    return NULL;
}

void handle_study_list(struct request *rq)
{
    const struct studies *studies = rq->service->studies;
    cJSON *out = cJSON_CreateObject(), *rows = cJSON_AddArrayToObject(out, "studies");

    for (int i = 0; i < studies_count(studies); i++)
        cJSON_AddItemToArray(rows, studies_row(studies, studies_at(studies, i)));
    request_reply(rq, out, NULL, 0);
}

/* --- show, curves --- */

struct look {
    struct study *study; /* a copy */
    cJSON *row;
    int by;
    char data[STUDY_ARM_BYTES];
};

static void look_free(struct look *look)
{
    study_free(look->study);
    cJSON_Delete(look->row);
    free(look);
}

static struct look *look_at(struct request *rq, const struct study *study)
{
    struct look *look = xcalloc(1, sizeof(*look));

    look->study = studies_look(rq->service->studies, study);
    look->row = studies_row(rq->service->studies, study);
    return look;
}

static void show_work(struct op *op)
{
    struct look *look = op->arg;

    op->rc = query_study(op->service->query, look->study, &op->out, &op->why);
    if (op->rc == 0) {
        cJSON_AddItemToObject(op->out, "study", look->row);
        look->row = NULL;
    }
    look_free(look);
}

void handle_study_show(struct request *rq)
{
    const struct study *study = study_of(rq);

    if (study)
        op_run(rq->service->net->query_lane,
               (struct op){
                   .rq = rq, .service = rq->service, .arg = look_at(rq, study), .work = show_work});
}

static void curves_work(struct op *op)
{
    struct look *look = op->arg;

    op->rc = query_study_curves(op->service->query, look->study, look->by,
                                look->data[0] ? look->data : NULL, &op->out, &op->why);
    look_free(look);
}

static bool has_data(const struct study *study, const char *name)
{
    for (int i = 0; i < study->data_count; i++)
        if (strcmp(study->data[i], name) == 0)
            return true;
    return false;
}

void handle_study_curves(struct request *rq)
{
    const cJSON *json = rq->message.json;
    const char *data = "";
    struct errbuf why;
    int by = 0;

    int rc = field_enum(json, "study.curves", "by", false, query_curve_names, &by, &why);
    if (rc == 0)
        rc = field_str(json, "study.curves", "dataset", false, STUDY_ARM_BYTES, &data, &why);
    if (rc < 0) {
        request_fail(rq, rc, &why);
        return;
    }
    const struct study *study = study_of(rq);
    if (!study)
        return;
    if (*data && !has_data(study, data)) {
        request_error(rq, ERR_NOT_FOUND, "study %s has no dataset %s", study->name, data);
        return;
    }
    struct look *look = look_at(rq, study);
    look->by = by;
    memcpy(look->data, data, strlen(data) + 1);
    op_run(rq->service->net->query_lane,
           (struct op){.rq = rq, .service = rq->service, .arg = look, .work = curves_work});
}

/* --- verbs --- */

/* A verb on its way to all jobs: a request of its own for each, and the answer when all have
 * theirs.
 */
struct verb {
    struct request *rq;
    char study[NAME_MAX_BYTES];
    int open, changed;
    bool failed;
    enum error_code code; /* of the first that failed */
    char why[sizeof(((struct errbuf *)0)->text)];
};

static void verb_end(struct verb *v)
{
    struct studies *studies = v->rq->service->studies;
    struct study *study = NULL;
    struct errbuf why;

    int rc = studies_find(studies, v->study, &study, &why);
    if (v->failed) {
        request_error(v->rq, v->code, "%s", v->why);
    } else if (rc < 0) {
        request_fail(v->rq, rc, &why);
    } else {
        cJSON *out = cJSON_CreateObject();
        cJSON_AddItemToObject(out, "study", studies_row(studies, study));
        cJSON_AddNumberToObject(out, "changed", v->changed);
        request_reply(v->rq, out, NULL, 0);
    }
    free(v);
    studies_leave(studies);
}

static void close_one(struct verb *v)
{
    if (--v->open == 0)
        verb_end(v);
}

/* A job that ended just before cannot be paused any more, and need not be. */
static void on_reply(struct request *rq, struct answer *answer)
{
    struct verb *v = rq->from;
    const cJSON *why = cJSON_GetObjectItemCaseSensitive(answer->json, "error");

    v->changed -= answer->code == ERR_NOT_ALLOWED;
    if (answer->code != ERR_COUNT && answer->code != ERR_NOT_ALLOWED && !v->failed) {
        v->failed = true;
        v->code = answer->code;
        snprintf(v->why, sizeof(v->why), "%s", cJSON_IsString(why) ? why->valuestring : "");
    }
    close_one(v);
}

static void on_drop(struct request *rq)
{
    close_one(rq->from);
}

static void handle_verb(struct request *rq, enum job_verb verb, enum message_type type,
                        void (*again)(struct request *rq))
{
    static const struct carrier carrier = {.reply = on_reply, .drop = on_drop};
    struct service *s = rq->service;

    if (!studies_enter(s->studies, rq, again))
        return;
    struct study *study = study_of(rq);
    if (!study) {
        studies_leave(s->studies);
        return;
    }
    struct verb *v = xcalloc(1, sizeof(*v));
    memcpy(v->study, study->name, sizeof(v->study));
    v->rq = rq;
    v->open = 1;
    for (int i = 0; i < study->job_count; i++) {
        enum job_state to;
        struct job *job;
        if (jobs_find(s->jobs, study->jobs[i].job, &job, NULL) < 0)
            continue;
        bool changes = job_verb_apply(job->rec.state, verb, &to, NULL) == 0;
        /* One that waits for the disk is from now on paused by a person. */
        if (!changes && (verb != VERB_PAUSE || job->rec.state != JOB_PAUSED))
            continue;
        v->changed += changes;
        struct request *one = request_new(s->net, &carrier, v);
        one->type = type;
        v->open++;
        jobs_verb(s->jobs, job, verb, one);
    }
    close_one(v);
}

void handle_study_pause(struct request *rq)
{
    handle_verb(rq, VERB_PAUSE, MSG_JOB_PAUSE, handle_study_pause);
}

void handle_study_resume(struct request *rq)
{
    handle_verb(rq, VERB_RESUME, MSG_JOB_RESUME, handle_study_resume);
}

void handle_study_cancel(struct request *rq)
{
    handle_verb(rq, VERB_CANCEL, MSG_JOB_CANCEL, handle_study_cancel);
}

/* --- rm --- */

static void remove_files(struct service *s, struct job *job)
{
    char path[STATE_PATH_BYTES];
    struct errbuf why;

    state_dir_job(path, s->dir, job->rec.job);
    if (file_remove_folder(path, &why) < 0)
        log_warn("job.rm", "job=%" PRId64 " error=\"%s\"", job->rec.job, why.text);
    attached_remove(s->dir, job->rec.uuid, &job->spec);
}

struct removal {
    struct study *study; /* a copy */
    struct job **jobs;   /* [study->job_count]; they are removed after this, by done */
};

static void remove_work(struct op *op)
{
    struct removal *r = op->arg;

    op->rc = store_study_remove(op->service->store, r->study, &op->why);
    for (int i = 0; op->rc == 0 && i < r->study->job_count; i++)
        remove_files(op->service, r->jobs[i]);
}

static void remove_done(struct op *op)
{
    struct removal *r = op->arg;
    struct service *s = op->service;
    struct study *study;

    if (op->rc < 0) {
        request_fail(op->rq, op->rc, &op->why);
    } else {
        if (studies_find(s->studies, r->study->name, &study, NULL) == 0)
            studies_remove(s->studies, study);
        for (int i = 0; i < r->study->job_count; i++)
            jobs_remove(s->jobs, r->jobs[i]);
        cJSON *out = cJSON_CreateObject();
        cJSON_AddStringToObject(out, "removed", r->study->name);
        cJSON_AddNumberToObject(out, "jobs", r->study->job_count);
        request_reply(op->rq, out, NULL, 0);
    }
    study_free(r->study);
    free(r->jobs);
    free(r);
    studies_leave(s->studies);
}

/* All its jobs, which must have ended. */
static int take_jobs(struct service *s, struct removal *r, struct errbuf *why)
{
    const struct study *study = r->study;
    int rc = 0, open = 0;

    r->jobs = xcalloc((size_t)study->job_count + 1, sizeof(struct job *));
    for (int i = 0; rc == 0 && i < study->job_count; i++) {
        rc = jobs_find(s->jobs, study->jobs[i].job, &r->jobs[i], why);
        open += rc == 0 && !job_state_final(r->jobs[i]->rec.state);
    }
    if (rc == 0 && open > 0)
        rc = err_set(why, -EPERM, "study %s has %d job%s that %s not ended; cancel it first",
                     study->name, open, open == 1 ? "" : "s", open == 1 ? "has" : "have");
    return rc;
}

/* Behind all that is to be written of its jobs. */
static enum lane_turn turn_of(const struct removal *r)
{
    enum lane_turn turn = LANE_SOON;

    for (int i = 0; i < r->study->job_count; i++)
        turn = job_store_turn(r->jobs[i]) > turn ? job_store_turn(r->jobs[i]) : turn;
    return turn;
}

/* While one of its jobs is on a lane. */
static bool study_waits(struct request *rq, const struct study *study)
{
    struct jobs *jobs = rq->service->jobs;
    struct job *job;

    for (int i = 0; i < study->job_count; i++)
        if (jobs_find(jobs, study->jobs[i].job, &job, NULL) == 0 &&
            job_waits(jobs, job, rq, handle_study_rm))
            return true;
    return false;
}

void handle_study_rm(struct request *rq)
{
    struct service *s = rq->service;
    struct errbuf why;

    if (!studies_enter(s->studies, rq, handle_study_rm))
        return;
    struct study *study = study_of(rq);
    if (!study || study_waits(rq, study)) {
        studies_leave(s->studies);
        return;
    }
    struct removal *r = xcalloc(1, sizeof(*r));
    r->study = study_copy(study);
    int rc = take_jobs(s, r, &why);
    if (rc < 0) {
        request_fail(rq, rc, &why);
        study_free(r->study);
        free(r->jobs);
        free(r);
        studies_leave(s->studies);
        return;
    }
    op_run(s->net->store_lane, (struct op){.rq = rq,
                                           .service = s,
                                           .turn = turn_of(r),
                                           .arg = r,
                                           .work = remove_work,
                                           .done = remove_done});
}
