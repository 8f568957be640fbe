/* An external job from its opening on: incarnations, its memory, who may speak for it.
 *
 * Opening, in this order: the incarnation is written to state.db, epochs that are taken back leave
 * difficulty.db, the memory of the open epoch is made, the reply. A crash on the way leaves a job
 * that stands at its last committed epoch; who was not superseded has lost nothing, and who opened
 * it asks again. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "server/jobs/attached.h"
#include "server/jobs/externals.h"
#include "server/jobs/jobs_internal.h"
#include "server/jobs/service.h"
#include "server/net/op.h"

#define FORGET_MS 600000 /* the memory of a program that is silent for so long goes */
#define SILENT_MS 60000  /* people are told from then on */
#define BUSY_MS 50       /* when a message is to be asked again */
#define ROOM_MS 2000

/* --- what people see --- */

static const char *clock_text(int64_t unix_ms, char text[16])
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm tm;

    text[0] = 0;
    if (gmtime_r(&seconds, &tm))
        strftime(text, 16, "%H:%M UTC", &tm);
    return text;
}

bool external_job_waiting(const struct job *job, char *out, size_t bytes)
{
    const struct external_state *x = job->external;
    char when[16];

    if (job->rec.state == JOB_QUEUED || !x->heard_ms)
        snprintf(out, bytes, "for the training program");
    else if (clock_mono_ms() - x->heard_ms > SILENT_MS)
        snprintf(out, bytes, "for the training program: nothing was heard of it since %s",
                 clock_text(x->heard_unix_ms, when));
    else
        return false;
    return true;
}

void external_job_describe(const struct job *job, cJSON *row)
{
    const struct external_state *x = job->external;

    cJSON_AddStringToObject(row, "engine", engine_names[job->spec.engine]);
    if (x->program[0])
        cJSON_AddStringToObject(row, "program", x->program);
    if (x->heard_ms)
        cJSON_AddNumberToObject(row, "heard_unix_ms", (double)x->heard_unix_ms);
}

/* --- its memory --- */

void external_job_forget(struct job *job)
{
    if (!job->external || job->external->busy)
        return;
    external_free(job->external->open);
    job->external->open = NULL;
}

/* All of its epochs are committed, and the server ended before it was marked as done; its row may
 * even lack that it ran, where state.db could not be written. */
static bool finish(struct jobs *jobs, struct job *job)
{
    if ((job->rec.state != JOB_RUNNING && job->rec.state != JOB_QUEUED) ||
        job->epochs_done < job->spec.epochs)
        return false;
    external_job_forget(job);
    if (job->rec.state == JOB_QUEUED)
        job_set_state(jobs, job, JOB_RUNNING);
    job_set_state(jobs, job, JOB_DONE);
    job->rec.finished_unix_ms = clock_unix_ms();
    job_write(jobs, job, NULL, "done", NULL);
    return true;
}

void external_jobs_tick(struct jobs *jobs, int64_t now_ms)
{
    for (struct job *job = jobs->list; job; job = job->next) {
        if (!job->external || job->external->busy)
            continue;
        if (job->external->open && now_ms - job->external->heard_ms > FORGET_MS)
            external_job_forget(job);
        finish(jobs, job);
    }
}

static void heard(struct job *job)
{
    job->external->heard_ms = clock_mono_ms();
    job->external->heard_unix_ms = clock_unix_ms();
}

/* A job and what is on a lane for it; nothing else happens to the job meanwhile. */
struct load {
    struct job *job;
    struct job_record rec; /* as it is to be written */
    int64_t epoch;         /* that is to be open */
    int64_t dropped;       /* the first that is taken back; -1: none is */
    bool written, taken_back;
    char program[EXTERNAL_PROGRAM_BYTES], opened_as[UUID_BYTES];
    struct external *open;
};

static int replay_one(void *arg, int64_t epoch, const struct score *scores)
{
    return external_replay(arg, epoch, scores);
}

static int create(struct service *s, const struct job *job, int64_t incarnation, const uint8_t *use,
                  struct external **ret, struct errbuf *why)
{
    struct overlay overlays[JOB_REVISIONS_MAX] = {0};
    struct jobspec *spec = (struct jobspec *)&job->spec; /* notes what a file excludes, again */
    struct attached attached = {0};
    int rc = attached_load(s->dir, &s->net->giving_up, job->rec.uuid, spec, NULL,
                           job->data->samples, &attached, why);

    for (int i = 0; rc == 0 && i < spec->revisions.count; i++)
        rc = query_overlay(s->replays, job->rec.job, spec->revisions.at[i].number, &overlays[i],
                           why);
    if (rc == 0) {
        struct run_inputs in = attached_inputs(&attached);
        in.use = use;
        rc = external_create(spec, job->data, job->rec.job, incarnation, &in, overlays, ret);
    }
    attached_done(&attached);
    job_revisions_done(overlays);
    return rc;
}

/* On the replay lane. */
static void load_work(struct op *op)
{
    struct load *l = op->arg;
    struct service *s = op->service;
    uint8_t *use = NULL;

    op->rc = job_split(&l->job->spec, l->job->data, &use, &op->why);
    if (op->rc == 0)
        op->rc = create(s, l->job, l->rec.incarnation, use, &l->open, &op->why);
    if (op->rc == 0)
        op->rc = query_replay(s->replays, l->rec.job, l->epoch, l->job->data->samples, replay_one,
                              l->open, &op->why);
    if (op->rc == 0)
        op->rc = external_open(l->open, l->epoch, l->written ? clock_mono_ms() : -1);
    if (op->rc == -ENOMEM && !op->why.text[0])
        err_set(&op->why, op->rc, "no memory for epoch %" PRId64 " of job %" PRId64, l->epoch + 1,
                l->rec.job);
    free(use);
}

static void load_done(struct op *op)
{
    struct load *l = op->arg;
    struct job *job = l->job;
    struct external_state *x = job->external;

    x->busy = false;
    if (op->rc == 0) {
        external_free(x->open);
        x->open = l->open;
        l->open = NULL;
        text_uuid(x->life);
    }
    if (op->rq && op->rc < 0)
        request_fail(op->rq, op->rc, &op->why);
    else if (op->rq)
        external_job_reply(op->rq, job, external_job_row(op->service->jobs, job), NULL, 0);
    else if (op->rc < 0)
        log_error("job.external", "job=%" PRId64 " error=\"%s\"", l->rec.job, op->why.text);
    external_free(l->open);
    free(l);
}

static void load(struct jobs *jobs, struct load *l, struct request *rq)
{
    l->job->external->busy = true;
    op_run(jobs->service->net->replay_lane,
           (struct op){
               .rq = rq, .service = jobs->service, .arg = l, .work = load_work, .done = load_done});
}

/* Is there room for it beside the others? Else rq is answered. */
static bool has_room(struct jobs *jobs, struct job *job, struct request *rq)
{
    struct errbuf why;
    int rc = jobs_prepare(jobs->service, job, &why);

    if (rc == 0)
        rc = job_memory_check(jobs->service, job, &why);
    if (rc < 0) {
        request_fail(rq, rc, &why);
        return false;
    }
    if (job_memory_with(jobs, job) > jobs->service->memory_bytes) {
        request_busy(rq, ROOM_MS,
                     "job %" PRId64 " does not fit beside the jobs that run; --memory allows "
                     "no more",
                     job->rec.job);
        return false;
    }
    if (job_memory_of_one(jobs, job) <= jobs->service->memory_bytes / MEMORY_PARTS_OF_ONE)
        return true;
    request_busy(rq, ROOM_MS,
                 "job %" PRId64 " does not fit beside the other jobs with a training program of "
                 "the key %s; together they may take half of --memory",
                 job->rec.job, job->rec.key_name);
    return false;
}

/* --- opening --- */

/* Are the epochs gone, though not all of their rows could be removed? */
static bool has_gone(struct store *store, const struct load *l)
{
    int64_t committed;

    return store_epochs_committed(store, l->rec.job, &committed, NULL) == 0 &&
           committed <= l->dropped;
}

/* On the store's lane. */
static void open_work(struct op *op)
{
    struct load *l = op->arg;
    struct store *store = op->service->store;
    char text[EXTERNAL_PROGRAM_BYTES + 96];

    snprintf(text, sizeof(text), "running, incarnation %" PRId64 "%s%s, at epoch %" PRId64,
             l->rec.incarnation, l->program[0] ? ": " : "", l->program, l->epoch + 1);
    op->rc = store_job_update(store, &l->rec, "state", text, &op->why);
    l->written = op->rc == 0;
    if (op->rc == 0 && l->dropped >= 0) {
        op->rc = store_epochs_drop(store, l->rec.job, l->dropped, &op->why);
        l->taken_back = op->rc == 0 || has_gone(store, l);
    }
    snprintf(text, sizeof(text), "goes back: epochs from %" PRId64 " on are taken back",
             l->epoch + 1);
    if (op->rc == 0 && l->taken_back)
        op->rc = store_event_add(store, l->rec.job, "recover", text, &op->why);
}

static void take_opened(struct job *job, const struct load *l)
{
    struct external_state *x = job->external;

    job_kept(job, &l->rec);
    job->rec.incarnation = l->rec.incarnation;
    memcpy(x->program, l->program, sizeof(x->program));
    memcpy(x->opened_as, l->opened_as, sizeof(x->opened_as));
    x->opened_unix_ms = clock_unix_ms();
    x->last.epoch = -1;
    log_info("job.open", "job=%" PRId64 " incarnation=%" PRId64 " epoch=%" PRId64, job->rec.job,
             job->rec.incarnation, l->epoch);
}

static void open_done(struct op *op)
{
    struct load *l = op->arg;
    struct jobs *jobs = op->service->jobs;
    struct job *job = l->job;

    job->external->busy = false;
    if (l->taken_back)
        job->epochs_done = l->dropped;
    if (l->written) { /* else nothing has changed for who opened it before */
        external_job_forget(job);
        if (job->rec.state != JOB_RUNNING)
            job_set_state(jobs, job, JOB_RUNNING);
        job->rec.reason[0] = 0;
        job->rec.started_unix_ms = l->rec.started_unix_ms;
        take_opened(job, l);
    }
    if (op->rc < 0) {
        request_fail(op->rq, op->rc, &op->why);
        free(l);
        return;
    }
    load(jobs, l, op->rq);
}

/* Its program waits and asks again. */
static void say_paused(const struct job *job, struct request *rq)
{
    struct answer answer = {.code = ERR_NOT_ALLOWED};
    char text[96];

    snprintf(text, sizeof(text), "job %" PRId64 " is paused; steppe resume %" PRId64, job->rec.job,
             job->rec.job);
    answer.json = request_error_json(rq, ERR_NOT_ALLOWED, text);
    cJSON_AddStringToObject(answer.json, "state", job_state_names[JOB_PAUSED]);
    request_answer(rq, &answer);
}

/* A job of a state in which it cannot be opened: rq is answered. */
static bool is_over(const struct job *job, struct request *rq)
{
    if (job_state_final(job->rec.state)) {
        request_error(rq, ERR_GONE, "job %" PRId64 " is %s", job->rec.job,
                      job_state_names[job->rec.state]);
        return true;
    }
    if (job->rec.state != JOB_PAUSED)
        return false;
    say_paused(job, rq);
    return true;
}

static bool is_busy(const struct job *job, struct request *rq)
{
    if (!job->external->busy && !job->applying && !job->asked)
        return false;
    request_busy(rq, BUSY_MS, "job %" PRId64 " is being opened, read or closed; ask again",
                 job->rec.job);
    return true;
}

static struct load *load_of(struct job *job, const struct external_opening *o)
{
    struct load *l = xcalloc(1, sizeof(*l));
    const bool back = o->epoch >= 0 && o->epoch < job->epochs_done;

    l->job = job;
    l->rec = job_record_copy(job);
    l->rec.incarnation++;
    l->rec.state = JOB_RUNNING;
    l->rec.reason[0] = 0;
    if (!l->rec.started_unix_ms)
        l->rec.started_unix_ms = clock_unix_ms();
    l->epoch = back ? o->epoch : job->epochs_done;
    l->dropped = back ? o->epoch : -1;
    snprintf(l->program, sizeof(l->program), "%s", o->program);
    text_make_printable(l->program);
    snprintf(l->opened_as, sizeof(l->opened_as), "%s", o->uuid);
    return l;
}

/* A client that heard no answer asks again: nobody is superseded, nothing is taken back. */
static bool is_repeat(const struct job *job, const struct external_opening *o)
{
    const struct external_state *x = job->external;

    return o->uuid[0] && x->open && strcmp(o->uuid, x->opened_as) == 0;
}

void external_job_open(struct jobs *jobs, struct job *job, const struct external_opening *o,
                       struct request *rq)
{
    if (is_over(job, rq) || is_busy(job, rq))
        return;
    heard(job);
    if (is_repeat(job, o)) {
        external_job_reply(rq, job, external_job_row(jobs, job), NULL, 0);
        return;
    }
    if (o->epoch > job->epochs_done) {
        request_error(rq, ERR_BAD_FIELD,
                      "epoch is %" PRId64 ", but job %" PRId64 " has closed only %" PRId64
                      " epochs; allowed is 0 to %" PRId64,
                      o->epoch, job->rec.job, job->epochs_done, job->epochs_done);
        return;
    }
    if ((o->epoch < 0 || o->epoch == job->epochs_done) && finish(jobs, job)) {
        is_over(job, rq);
        return;
    }
    if (!has_room(jobs, job, rq))
        return;
    struct load *l = load_of(job, o);
    job->external->busy = true;
    job->changes++;
    job_store_run(
        jobs, job, STORE_LONG | STORE_ROW,
        (struct op){
            .rq = rq, .service = jobs->service, .arg = l, .work = open_work, .done = open_done});
}

/* --- the messages of a program that has opened it --- */

static void supersede(const struct job *job, struct request *rq)
{
    const struct external_state *x = job->external;
    char when[16];

    if (!x->opened_unix_ms)
        request_error(rq, ERR_GONE,
                      "job %" PRId64 " was opened again, as incarnation %" PRId64
                      ": this program is superseded",
                      job->rec.job, job->rec.incarnation);
    else
        request_error(rq, ERR_GONE,
                      "job %" PRId64 " was opened again at %s by %s: this program is superseded",
                      job->rec.job, clock_text(x->opened_unix_ms, when),
                      x->program[0] ? x->program : "another program");
}

/* It is not in memory: it is read, and the message is to come again. */
static void read_again(struct jobs *jobs, struct job *job, struct request *rq)
{
    if (!has_room(jobs, job, rq))
        return;
    struct load *l = xcalloc(1, sizeof(*l));
    l->job = job;
    l->rec = job_record_copy(job);
    l->epoch = job->epochs_done;
    l->dropped = -1;
    request_busy(rq, BUSY_MS, "job %" PRId64 " is read again; ask again", job->rec.job);
    load(jobs, l, NULL);
}

struct external *external_job_enter(struct jobs *jobs, struct job *job, int64_t incarnation,
                                    struct request *rq)
{
    if (job_state_final(job->rec.state) && is_over(job, rq))
        return NULL;
    if (incarnation != job->rec.incarnation) {
        if (incarnation > job->rec.incarnation || incarnation < 1)
            request_error(rq, ERR_BAD_FIELD,
                          "incarnation is %" PRId64 "; job %" PRId64 " was opened %" PRId64
                          " times",
                          incarnation, job->rec.job, job->rec.incarnation);
        else
            supersede(job, rq);
        return NULL;
    }
    heard(job);
    if (is_over(job, rq) || is_busy(job, rq))
        return NULL;
    if (finish(jobs, job)) {
        is_over(job, rq);
        return NULL;
    }
    if (job->rec.state == JOB_QUEUED) { /* it was paused, and a person has resumed it */
        job_set_state(jobs, job, JOB_RUNNING);
        job_write(jobs, job, NULL, "running, goes on", NULL);
    }
    if (job->external->open)
        return job->external->open;
    read_again(jobs, job, rq);
    return NULL;
}

cJSON *external_job_row(struct jobs *jobs, const struct job *job)
{
    const struct external *e = job->external->open;
    const struct dataset *d = job->data;
    cJSON *out = cJSON_CreateObject();

    cJSON_AddNumberToObject(out, "job", (double)job->rec.job);
    cJSON_AddNumberToObject(out, "incarnation", (double)job->rec.incarnation);
    cJSON_AddNumberToObject(out, "epoch", (double)external_epoch(e));
    cJSON_AddNumberToObject(out, "epochs", (double)job->spec.epochs);
    cJSON_AddNumberToObject(out, "batch", (double)job->spec.batch);
    cJSON_AddNumberToObject(out, "steps",
                            (double)(external_order(e).positions / (uint64_t)job->spec.batch));
    cJSON_AddNumberToObject(out, "samples", d->samples);
    cJSON_AddNumberToObject(out, "seed", (double)job->spec.seed);
    cJSON_AddNumberToObject(out, "classes", d->classes);
    if (d->class_names_json)
        cJSON_AddItemToObject(out, "class_names", cJSON_Parse(d->class_names_json));
    cJSON_AddStringToObject(
        out, "dataset",
        datasets_name(jobs->service->datasets, job->rec.dataset_sha256, job->rec.dataset));
    cJSON_AddStringToObject(out, "dataset_sha256", job->rec.dataset_sha256);
    cJSON_AddStringToObject(out, "name", job->rec.name);
    cJSON_AddNumberToObject(out, "scored_every", 1);
    if (job->spec.score_probabilities)
        cJSON_AddBoolToObject(out, "probabilities", true);
    return out;
}

void external_job_reply(struct request *rq, const struct job *job, cJSON *fields,
                        const struct tensor *tensors, int count)
{
    cJSON_AddStringToObject(fields, "life", job->external->life);
    request_reply(rq, fields, tensors, count);
}
