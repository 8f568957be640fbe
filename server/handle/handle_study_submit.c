/* study.submit: the file is expanded, what the study has already is found again, and all jobs that
 * are new come into being in one transaction, or none. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/field.h"
#include "common/log.h"
#include "common/studyfile.h"
#include "common/text.h"
#include "server/handle/handlers.h"
#include "server/handle/submission.h"
#include "server/jobs/disk_share.h"
#include "server/net/op.h"

struct plan {
    struct service *service;
    char key[NAME_MAX_BYTES]; /* of the sender; "": none */
    struct study *next;       /* the study as it will be; owned until it is in the table */
    struct submission **new;  /* [next->job_count], NULL: that job is there */
    struct job_record **recs; /* likewise */
    const struct job_notes **notes;
    int added;
};

static void plan_free(struct plan *p)
{
    for (int i = 0; p->new &&i < p->next->job_count; i++)
        submission_free(p->new[i]);
    study_free(p->next);
    free(p->new);
    free(p->recs);
    free(p->notes);
    free(p);
}

static void reply(struct request *rq, const struct study *study, int added)
{
    cJSON *out = cJSON_CreateObject();

    cJSON_AddItemToObject(out, "study", studies_row(rq->service->studies, study));
    cJSON_AddNumberToObject(out, "added", added);
    request_reply(rq, out, NULL, 0);
}

/* --- what is there --- */

/* The dataset of the study's job, and of the file: the same data? */
static int check_data(struct service *s, const struct study *study, const struct job *job,
                      struct errbuf *why)
{
    const struct dataset *data;
    struct dataset_record rec;
    int rc = datasets_find(s->datasets, job->spec.dataset, &data, &rec, why);

    if (rc < 0)
        return err_prefix(why, rc, "study %s has it, but", study->name);
    if (strcmp(rec.sha256, job->rec.dataset_sha256) != 0)
        return err_set(why, -EEXIST,
                       "dataset %s is other data than study %s has (sha256 %.12s.. now, %.12s.. "
                       "then); give it a name of its own, or the study",
                       job->spec.dataset, study->name, rec.sha256, job->rec.dataset_sha256);
    return 0;
}

/* A job that the study has: *ret_again when it failed or was cancelled, and is to be made again. */
static int check_old(struct service *s, const struct study *study, const struct study_job *old,
                     const struct studyfile_job *new, bool *ret_again, struct errbuf *why)
{
    struct job *job;
    int rc = studyfile_compare(old->described, new->described, why);

    if (rc == -EEXIST)
        return err_prefix(
            why, rc,
            "study %s has an arm \"%s\" that means something else (give the changed one "
            "a name of its own)",
            study->name, study->arms[old->arm]);
    if (rc == 0)
        rc = jobs_find(s->jobs, old->job, &job, why);
    if (rc == 0)
        rc = check_data(s, study, job, why);
    if (rc == 0)
        *ret_again = job->rec.state == JOB_FAILED || job->rec.state == JOB_CANCELLED;
    return rc;
}

/* A job that is new: does the study have it under another arm's name? */
static int check_twin(const struct study *study, int arm, int data, const struct studyfile_job *new,
                      struct errbuf *why)
{
    for (int i = 0; i < study->job_count; i++) {
        const struct study_job *j = &study->jobs[i];
        if (j->arm != arm && j->data == data &&
            j->seed == new->seed &&strcmp(j->described, new->described) == 0)
            return err_set(why, -EEXIST,
                           "the arm \"%s\" comes to the same job as \"%s\", which study %s has; "
                           "leave it out",
                           study->arms[arm], study->arms[j->arm], study->name);
    }
    return 0;
}

/* A file that names no control leaves the study its own. */
static int merge_control(struct study *next, const struct studyfile *f, struct errbuf *why)
{
    const int was = next->control, is = study_arm(next, f->arms[f->control]);

    if (was >= 0 && !f->control_given)
        return 0;
    if (was >= 0 && is != was && next->halving)
        return err_set(why, -EEXIST,
                       "control is \"%s\", but study %s stops arms by halving and has the control "
                       "\"%s\", which never stopped; give the other study a name of its own",
                       f->arms[f->control], next->name, next->arms[was]);
    next->control = is;
    return 0;
}

/* Puts the jobs of the file into p->next; those that have to be made have the number 0 there. */
static int merge(struct plan *p, const struct studyfile *f, struct errbuf *why)
{
    struct study *next = p->next;
    int rc = 0;

    for (int i = 0; rc == 0 && i < f->job_count; i++) {
        const struct studyfile_job *job = &f->jobs[i];
        int arm = study_arm(next, f->arms[job->arm]), data = study_data(next, f->data[job->data]);
        struct study_job *old = study_find(next, arm, data, job->seed);
        bool again = false;
        if (!old) {
            rc = check_twin(next, arm, data, job, why);
            study_add(next, arm, data, job->seed, job->described);
            p->added++;
            continue;
        }
        rc = check_old(p->service, next, old, job, &again, why);
        if (rc == 0 && again && !next->halving) {
            old->job = 0;
            p->added++;
        }
    }
    if (rc == 0 && next->study && next->halving && p->added > 0)
        rc = err_set(
            why, -EPERM,
            "study %s stops arms by halving, so it takes no more jobs: those that there are "
            "were compared without them; give the larger study a name of its own",
            next->name);
    if (rc == 0 && next->study && next->halving != f->halving)
        rc = err_set(why, -EEXIST, "study %s %s; give the other one a name of its own", next->name,
                     next->halving ? "stops arms by halving" : "has no halving");
    if (rc == 0)
        rc = merge_control(next, f, why);
    if (rc == 0 && next->job_count > STUDY_JOBS_MAX)
        rc = err_set(why, -ERANGE, "study %s would have %d jobs with these; a study has at most %d",
                     next->name, next->job_count, STUDY_JOBS_MAX);
    return rc;
}

static int check_room(struct service *s, const char *key, int added, struct errbuf *why)
{
    int open = 0;

    if (added == 0)
        return 0;
    for (struct job *job = jobs_first(s->jobs); job; job = job->next)
        open += job->in_study && !job_state_final(job->rec.state);
    if (open + added > STUDY_JOBS_OPEN_MAX)
        return err_set(
            why, -ERANGE,
            "the study adds %d jobs to %d of studies that are queued, running or paused; "
            "allowed are %d",
            added, open, STUDY_JOBS_OPEN_MAX);
    return submission_room(s, key, added, why);
}

/* --- making jobs --- */

static int read_new(struct plan *p, const struct studyfile *f, struct errbuf *why)
{
    struct study *next = p->next;
    size_t room = (size_t)next->job_count + 1;
    int rc = 0;

    p->new = xcalloc(room, sizeof(struct submission *));
    p->recs = xcalloc(room, sizeof(struct job_record *));
    p->notes = xcalloc(room, sizeof(struct job_notes *));
    for (int i = 0; rc == 0 && i < f->job_count; i++) {
        const struct studyfile_job *job = &f->jobs[i];
        struct study_job *mine = study_find(next, study_arm(next, f->arms[job->arm]),
                                            study_data(next, f->data[job->data]), job->seed);
        size_t at = (size_t)(mine - next->jobs);
        char uuid[UUID_BYTES];
        if (mine->job)
            continue;
        text_uuid(uuid);
        rc = submission_read(p->service, p->key, job->spec, uuid, &p->new[at], why);
        if (rc == 0 && jobspec_external(&p->new[at]->job->spec))
            rc = err_set(why, -EINVAL,
                         "engine is external; a study starts its jobs by itself: use steppe");
        if (rc < 0)
            return f->arm_count > 1 ? err_prefix(why, rc, "arm %s", f->arms[job->arm]) : rc;
        submission_hold(p->new[at]);
        p->recs[at] = &p->new[at]->job->rec;
        p->notes[at] = &p->new[at]->notes;
    }
    return rc;
}

/* Each of them fits by itself; do all of them? */
static int check_disk(const struct plan *p, struct errbuf *why)
{
    int64_t bytes = 0;

    for (int i = 0; i < p->next->job_count; i++)
        bytes += p->new[i] ? job_disk_need(p->new[i]->job) : 0;
    return p->added > 0 ? disk_share_jobs(p->service, p->key, bytes, why) : 0;
}

static bool needs_scores(const struct plan *p)
{
    for (int i = 0; i < p->next->job_count; i++)
        if (p->new[i] && submission_needs_scores(p->new[i]))
            return true;
    return false;
}

static void submit_work(struct op *op)
{
    struct plan *p = op->arg;
    int i;

    for (i = 0; op->rc == 0 && i < p->next->job_count; i++)
        if (p->new[i])
            op->rc = submission_collect(p->new[i], &op->why);
    if (op->rc == 0)
        op->rc = store_study_put(op->service->store, p->next, p->recs, p->notes, &op->why);
    while (op->rc < 0 && i-- > 0)
        if (p->new[i])
            submission_undo(p->new[i]);
}

static void submit_done(struct op *op)
{
    struct plan *p = op->arg;
    struct service *s = op->service;
    struct study *study = p->next;

    if (op->rc < 0) {
        request_fail(op->rq, op->rc, &op->why);
    } else {
        for (int i = 0; i < study->job_count; i++) {
            if (!p->new[i])
                continue;
            submission_let_go(p->new[i]);
            jobs_add(s->jobs, p->new[i]->job);
            p->new[i]->job = NULL;
            submission_free(p->new[i]);
            p->new[i] = NULL;
        }
        log_info("study.submit", "study=%s jobs=%d added=%d", study->name, study->job_count,
                 p->added);
        p->next = NULL;
        free(p->new);
        p->new = NULL;
        studies_put(s->studies, study);
        reply(op->rq, study, p->added); /* before anything of the jobs' starts, as job.submit */
        jobs_pump(s->jobs);
    }
    plan_free(p);
    studies_leave(s->studies);
}

static void start_submit(struct request *rq, struct plan *p)
{
    op_run(
        rq->service->net->store_lane,
        (struct op){
            .rq = rq, .service = rq->service, .arg = p, .work = submit_work, .done = submit_done});
}

static void scores_work(struct op *op)
{
    struct plan *p = op->arg;

    for (int i = 0; op->rc == 0 && i < p->next->job_count; i++)
        if (p->new[i] && submission_needs_scores(p->new[i]))
            op->rc = submission_scores(p->new[i], &op->why);
}

static void scores_done(struct op *op)
{
    struct service *s = op->service;

    if (op->rc == 0) {
        start_submit(op->rq, op->arg);
        return;
    }
    request_fail(op->rq, op->rc, &op->why);
    plan_free(op->arg);
    studies_leave(s->studies);
}

/* --- reading --- */

static int make_plan(struct service *s, const char *key, const char *uuid,
                     const struct studyfile *f, struct plan *p, struct errbuf *why)
{
    struct study *known = NULL;

    p->service = s;
    snprintf(p->key, sizeof(p->key), "%s", key);
    if (studies_find(s->studies, f->name, &known, NULL) == 0) {
        p->next = study_copy(known);
    } else {
        p->next = study_create(f->name);
        p->next->created_unix_ms = clock_unix_ms();
        p->next->halving = f->halving;
    }
    if (!known && studies_count(s->studies) >= STUDIES_MAX)
        return err_set(why, -ERANGE, "there are %d studies, allowed is %d",
                       studies_count(s->studies), STUDIES_MAX);
    int rc = merge(p, f, why);
    if (rc == 0)
        rc = check_room(s, p->key, p->added, why);
    if (rc == 0)
        rc = read_new(p, f, why);
    if (rc == 0)
        rc = check_disk(p, why);
    if (rc == 0 && p->added > 0)
        study_add_uuid(p->next, uuid);
    return rc;
}

static int read_file(struct request *rq, const char **ret_uuid, struct studyfile *ret,
                     struct errbuf *why)
{
    const cJSON *spec = NULL;
    int rc = handle_uuid_of(rq, ret_uuid, why);

    if (rc == 0)
        rc = field_obj(rq->message.json, "study.submit", "spec", true, &spec, why);
    return rc < 0 ? rc : studyfile_parse(spec, ret, why);
}

static void submit(struct request *rq, const char *uuid, const struct studyfile *f)
{
    struct service *s = rq->service;
    struct plan *p = xcalloc(1, sizeof(*p));
    struct errbuf why = {""};
    int rc = make_plan(s, rq->key_name, uuid, f, p, &why);

    if (rc == 0 && needs_scores(p)) {
        op_run(s->net->query_lane,
               (struct op){
                   .rq = rq, .service = s, .arg = p, .work = scores_work, .done = scores_done});
    } else if (rc == 0) {
        start_submit(rq, p);
    } else {
        request_fail(rq, rc, &why);
        plan_free(p);
        studies_leave(s->studies);
    }
}

void handle_study_submit(struct request *rq)
{
    struct studies *studies = rq->service->studies;
    struct studyfile f = {.control = 0};
    const char *uuid = NULL;
    struct errbuf why = {""};

    if (!studies_enter(studies, rq, handle_study_submit))
        return;
    int rc = read_file(rq, &uuid, &f, &why);
    const struct study *known = rc == 0 ? studies_by_uuid(studies, uuid) : NULL;
    if (rc == 0 && !known) {
        submit(rq, uuid, &f);
    } else {
        if (known)
            reply(rq, known, 0);
        else
            request_fail(rq, rc, &why);
        studies_leave(studies);
    }
    studyfile_done(&f);
}
