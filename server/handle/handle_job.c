/* job.*: what people ask of jobs; job.submit is in handle_submit.c. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/field.h"
#include "common/file.h"
#include "common/log.h"
#include "common/text.h"
#include "server/handle/handlers.h"
#include "server/jobs/attached.h"
#include "server/jobs/job_left.h"
#include "server/jobs/service.h"
#include "server/net/op.h"
#include "server/store/state_dir.h"

#define LIST_BYTES_MAX                                                                             \
    (768 << 10) /* of JSON_REPLY_BYTES_MAX, with the last row and the envelope                     \
                 */

struct job *handle_job_of(struct request *rq)
{
    struct job *job;
    int64_t number;
    struct errbuf why;
    int rc = field_i64(rq->message.json, message_names[rq->type], "job", true, 1, INT32_MAX,
                       &number, &why);

    if (rc == 0)
        rc = jobs_find(rq->service->jobs, number, &job, &why);
    if (rc == 0)
        return job;
    request_fail(rq, rc, &why);
    return NULL;
}

int handle_uuid_of(const struct request *rq, const char **ret, struct errbuf *why)
{
    const char *type = message_names[rq->type];
    int rc = field_str(rq->message.json, type, "uuid", true, UUID_BYTES, ret, why);

    if (rc == 0 && !text_is_uuid(*ret))
        rc = err_set(why, -EINVAL, "%s.uuid is \"%s\", allowed is a UUID", type, *ret);
    return rc;
}

/* --- list, show, log --- */

/* Drops the last rows of a list that would not fit a reply; true when there were any. */
static bool drop_what_is_too_long(cJSON *rows)
{
    size_t bytes = 0;
    cJSON *row = rows->child, *next;

    for (; row && bytes < LIST_BYTES_MAX; row = row->next)
        for (const cJSON *value = row->child; value; value = value->next)
            bytes += strlen(value->string) + 30 +
                     (cJSON_IsString(value) ? 2 * strlen(value->valuestring) : 0); /* escapes */
    bool any = row != NULL;
    for (; row; row = next) {
        next = row->next;
        cJSON_Delete(cJSON_DetachItemViaPointer(rows, row));
    }
    return any;
}

/* The newest jobs whose number is below `before`, at most `limit`, and no more than fit a reply. */
static bool is_called(const struct job *job, const char *name)
{
    return !name || strcmp(job->rec.name, name) == 0;
}

void handle_job_list(struct request *rq)
{
    int64_t limit = 100, before = INT32_MAX, total = 0, older = 0;
    const cJSON *json = rq->message.json;
    struct jobs *jobs = rq->service->jobs;
    const char *name = NULL; /* only jobs that are called so */
    struct errbuf why;

    if (field_str(json, "job.list", "name", false, NAME_MAX_BYTES, &name, &why) < 0 ||
        field_i64(json, "job.list", "limit", false, 1, ROWS_MAX, &limit, &why) < 0 ||
        field_i64(json, "job.list", "before", false, 1, INT32_MAX, &before, &why) < 0) {
        request_fail(rq, -EINVAL, &why);
        return;
    }
    for (struct job *job = jobs_first(jobs); job; job = job->next) {
        total += is_called(job, name);
        older += is_called(job, name) && job->rec.job < before;
    }
    int64_t skip = older > limit ? older - limit : 0, left = older;
    cJSON *out = cJSON_CreateObject(), *rows = cJSON_AddArrayToObject(out, "jobs");
    for (struct job *job = jobs_first(jobs); job && left > 0; job = job->next)
        if (is_called(job, name) && left-- <= older - skip)
            cJSON_InsertItemInArray(rows, 0, jobs_row(jobs, job));
    cJSON_AddNumberToObject(out, "total", (double)total);
    cJSON_AddBoolToObject(out, "more", drop_what_is_too_long(rows) || skip > 0);
    request_reply(rq, out, NULL, 0);
}

struct show {
    int64_t job, from;
    bool best;     /* its model is that of the best epoch */
    bool flatness; /* it measures it */
    bool fold;     /* it leaves one out, and has no folds of its own */
    struct job_left *left;
    cJSON *notes;
};

static void show_work(struct op *op)
{
    struct show *show = op->arg;
    cJSON *test = NULL, *flatness = NULL;

    job_left_count(op->service, show->left);

    op->rc = query_notes(op->service->query, show->job, &show->notes, &op->why);
    if (op->rc == 0 && !show->fold)
        op->rc = query_note_by_heart(op->service->query, show->job, show->notes, &op->why);
    if (op->rc == 0)
        op->rc = query_epochs(op->service->query, show->job, show->from, &op->out, &op->why);
    if (op->rc == 0)
        op->rc = query_test(op->service->query, show->job, show->best, &test, &op->why);
    if (op->rc == 0 && test->child)
        cJSON_AddItemToObject(op->out, "test", test);
    else
        cJSON_Delete(test);
    if (op->rc == 0 && show->flatness)
        op->rc = query_flatness_newest(op->service->query, show->job, &flatness, &op->why);
    if (flatness)
        cJSON_AddItemToObject(op->out, "flatness", flatness);
}

/* How many samples the job trains on and holds out; nothing when it holds none out, or when they
 * cannot be counted. */
static void add_uses(cJSON *out, const struct job *job)
{
    static const char *const names[USES] = {"train", "validation", "test", "aside", "fold"};
    const uint32_t *left = job_left(job);

    if (job->uses[USE_TRAIN] == job->data->samples || !left)
        return;
    cJSON *uses = cJSON_AddObjectToObject(out, "samples");
    for (int i = 0; i < USES; i++)
        cJSON_AddNumberToObject(uses, names[i], left[i]);
}

/* Why it ended, when that was before its last epoch. */
static void add_end(cJSON *notes, const struct job *job)
{
    const long long epochs = job->spec.epochs, patience = job->spec.patience;
    char text[160];

    if (job->rec.state != JOB_DONE || patience == 0 || job->epochs_done >= epochs)
        return;
    snprintf(text, sizeof(text),
             "ended after epoch %lld of %lld: no better validation accuracy for %lld epoch%s "
             "(early_stopping.patience)",
             (long long)job->epochs_done, epochs, patience, patience == 1 ? "" : "s");
    cJSON_AddItemToArray(notes, cJSON_CreateString(text));
}

static void show_done(struct op *op)
{
    struct show *show = op->arg;
    struct service *s = op->service;
    struct job *job;
    char path[STATE_PATH_BYTES];

    int rc = op->rc < 0 ? op->rc : jobs_find(s->jobs, show->job, &job, &op->why);
    cJSON *notes = show->notes;
    job_left_done(s, rc < 0 ? NULL : job, show->left);
    free(show);
    if (rc < 0) {
        cJSON_Delete(notes);
        request_fail(op->rq, rc, &op->why);
        return;
    }
    cJSON *out = cJSON_CreateObject();
    cJSON_AddItemToObject(out, "job", jobs_row(s->jobs, job));
    cJSON *place = studies_place(s->studies, job->rec.job);
    if (place)
        cJSON_AddItemToObject(out, "study", place);
    cJSON_AddItemToObject(out, "spec", jobspec_json(&job->spec));
    add_end(notes, job);
    cJSON_AddItemToObject(out, "notes", notes);
    if (job->data && !job->external) {
        request_add_decimals(out, "mean", job->model.mean, job->model.in.c);
        request_add_decimals(out, "std", job->model.std, job->model.in.c);
    }
    if (job->data)
        add_uses(out, job);
    if (job->rec.numerics_class[0])
        cJSON_AddStringToObject(out, "numerics_class", job->rec.numerics_class);
    if (!job->external)
        cJSON_AddItemToObject(out, "promise", job_class_promise(job));
    cJSON_AddNumberToObject(out, "incarnation", (double)job->rec.incarnation);
    if (job->rec.model_sha256[0])
        cJSON_AddStringToObject(out, "model_sha256", job->rec.model_sha256);
    state_dir_file(path, s->dir, DIFFICULTY_DB);
    cJSON_AddStringToObject(out, "difficulty_db", path);
    while (op->out->child) {
        cJSON *part = cJSON_DetachItemViaPointer(op->out, op->out->child);
        cJSON_AddItemToObject(out, part->string, part);
    }
    request_reply(op->rq, out, NULL, 0);
}

void handle_job_show(struct request *rq)
{
    struct job *job = handle_job_of(rq);
    int64_t from = 0;
    struct errbuf why;

    if (!job)
        return;
    if (field_i64(rq->message.json, "job.show", "epochs_from", false, 0, EPOCHS_MAX, &from, &why) <
        0) {
        request_fail(rq, -EINVAL, &why);
        return;
    }
    struct show *show = xmalloc(sizeof(*show));
    *show = (struct show){.job = job->rec.job,
                          .from = from,
                          .best = job->spec.keep == KEEP_BEST,
                          .flatness = job->spec.flatness.every > 0,
                          .left = job->data ? job_left_begin(rq->service, job) : NULL,
                          .fold = job->spec.fold.of > 0};
    op_run(
        rq->service->net->query_lane,
        (struct op){
            .rq = rq, .service = rq->service, .arg = show, .work = show_work, .done = show_done});
}

struct log_args {
    int64_t job, after, limit;
};

static void log_work(struct op *op)
{
    struct log_args *a = op->arg;

    op->rc = query_events(op->service->query, a->job, a->after, a->limit, &op->out, &op->why);
    free(a);
}

void handle_job_log(struct request *rq)
{
    struct job *job = handle_job_of(rq);
    struct log_args a = {.limit = 200};
    struct errbuf why;

    if (!job)
        return;
    const cJSON *json = rq->message.json;
    a.job = job->rec.job;
    if (field_i64(json, "job.log", "after", false, 0, INT64_C(1) << 50, &a.after, &why) < 0 ||
        field_i64(json, "job.log", "limit", false, 1, ROWS_MAX, &a.limit, &why) < 0) {
        request_fail(rq, -EINVAL, &why);
        return;
    }
    struct log_args *copy = xmalloc(sizeof(*copy));
    *copy = a;
    op_run(rq->service->net->query_lane,
           (struct op){.rq = rq, .service = rq->service, .arg = copy, .work = log_work});
}

/* --- verbs --- */

static void handle_verb(struct request *rq, enum job_verb verb)
{
    struct job *job = handle_job_of(rq);

    if (job)
        jobs_verb(rq->service->jobs, job, verb, rq);
}

void handle_job_pause(struct request *rq)
{
    handle_verb(rq, VERB_PAUSE);
}

void handle_job_resume(struct request *rq)
{
    struct job *job = handle_job_of(rq);
    bool relaxed = false;
    struct errbuf why;

    if (!job || job_waits(rq->service->jobs, job, rq, handle_job_resume))
        return;
    if (field_bool(rq->message.json, "job.resume", "relaxed", false, &relaxed, &why) < 0)
        request_fail(rq, -EINVAL, &why);
    else if (relaxed)
        job_class_relax(rq->service->jobs, job, rq);
    else
        jobs_verb(rq->service->jobs, job, VERB_RESUME, rq);
}

void handle_job_unpin(struct request *rq)
{
    struct job *job = handle_job_of(rq);
    const char *class;
    struct errbuf why;

    if (!job || job_waits(rq->service->jobs, job, rq, handle_job_unpin))
        return;
    if (field_str(rq->message.json, "job.unpin", "class", true, sizeof(job->rec.numerics_class),
                  &class, &why) < 0)
        request_fail(rq, -EINVAL, &why);
    else
        job_class_unpin(rq->service->jobs, job, class, rq);
}

/* "photos@2" of the job's dataset; without it the newest. */
static int read_revision(const struct request *rq, const struct job *job, int64_t *ret,
                         struct errbuf *why)
{
    const char *text = NULL;
    char name[NAME_MAX_BYTES];

    *ret = REVISION_LATEST;
    int rc = field_str(rq->message.json, "job.apply", "revision", false, REVISION_NAME_BYTES, &text,
                       why);
    if (rc < 0 || !text)
        return rc;
    if (revision_split(text, name, ret) != 1)
        return err_set(why, -EINVAL, "the revision is \"%s\", allowed is %s@NUMBER or %s@latest",
                       text, job->spec.dataset, job->spec.dataset);
    if (strcmp(name, job->spec.dataset) != 0)
        return err_set(why, -EINVAL,
                       "the revision is %s, which is of dataset %s; job %" PRId64 " trains on %s",
                       text, name, job->rec.job, job->spec.dataset);
    return 0;
}

void handle_job_apply(struct request *rq)
{
    struct job *job = handle_job_of(rq);
    int64_t number;
    struct errbuf why;

    if (!job)
        return;
    if (read_revision(rq, job, &number, &why) < 0)
        request_fail(rq, -EINVAL, &why);
    else
        job_apply(rq->service->jobs, job, number, rq);
}

void handle_job_cancel(struct request *rq)
{
    handle_verb(rq, VERB_CANCEL);
}

struct remove_args {
    int64_t job;
    char uuid[UUID_BYTES];
    struct jobspec *spec; /* of the job, which is removed after this */
};

static void remove_work(struct op *op)
{
    struct remove_args *a = op->arg;
    struct service *s = op->service;
    struct errbuf why;
    char path[STATE_PATH_BYTES];

    op->rc = store_job_remove(s->store, a->job, &op->why);
    if (op->rc < 0)
        return;
    /* Removes the whole folder: a crash may have left files without a row. */
    state_dir_job(path, s->dir, a->job);
    if (file_remove_folder(path, &why) < 0)
        log_warn("job.rm", "job=%" PRId64 " error=\"%s\"", a->job, why.text);
    attached_remove(s->dir, a->uuid, a->spec);
}

static void remove_done(struct op *op)
{
    struct remove_args *a = op->arg;
    struct job *job;

    if (op->rc < 0) {
        request_fail(op->rq, op->rc, &op->why);
    } else {
        if (jobs_find(op->service->jobs, a->job, &job, NULL) == 0)
            jobs_remove(op->service->jobs, job);
        cJSON *out = cJSON_CreateObject();
        cJSON_AddNumberToObject(out, "removed", (double)a->job);
        request_reply(op->rq, out, NULL, 0);
    }
    free(a);
}

void handle_job_rm(struct request *rq)
{
    struct job *job = handle_job_of(rq);

    if (!job || job_waits(rq->service->jobs, job, rq, handle_job_rm))
        return;
    if (!job_state_final(job->rec.state)) {
        request_error(rq, ERR_NOT_ALLOWED, "job %" PRId64 " is %s; cancel it first", job->rec.job,
                      job_state_names[job->rec.state]);
        return;
    }
    const struct study *study = studies_of_job(rq->service->studies, job->rec.job);
    if (study) {
        request_error(rq, ERR_NOT_ALLOWED,
                      "job %" PRId64
                      " is part of study %s, which goes as a whole (steppe study rm)",
                      job->rec.job, study->name);
        return;
    }
    struct remove_args *a = xmalloc(sizeof(*a));
    *a = (struct remove_args){.job = job->rec.job, .spec = &job->spec};
    memcpy(a->uuid, job->rec.uuid, sizeof(a->uuid));
    op_run(rq->service->net->store_lane, (struct op){.rq = rq,
                                                     .service = rq->service,
                                                     .turn = job_store_turn(job),
                                                     .arg = a,
                                                     .work = remove_work,
                                                     .done = remove_done});
}
