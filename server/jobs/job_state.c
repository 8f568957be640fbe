/* The state of a job. Only this file changes it, for the verbs of people, holds and ends. The state
 * in memory changes at once, on the loop; the store follows on its lane, in order; answers go out
 * when it is durable. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "server/jobs/externals.h"
#include "server/jobs/jobs_internal.h"
#include "server/jobs/service.h"
#include "server/net/op.h"
#include "server/store/checkpoint.h"

void job_set_state(struct jobs *jobs, struct job *job, enum job_state to)
{
    assert(job_state_allowed(job->rec.state, to));
    job->rec.state = to;
    job->rec.wait = WAIT_NOTHING;
    jobs_update_running(jobs);
}

static void remember(struct job *job, const struct job_record *rec)
{
    job->kept_state = rec->state;
    memcpy(job->kept_reason, rec->reason, sizeof(job->kept_reason));
    job->kept_wait = rec->wait;
    job->kept_finished_ms = rec->finished_unix_ms;
}

void job_kept(struct job *job, const struct job_record *rec)
{
    remember(job, rec);
    job->unwritten[0] = 0;
}

/* Nothing of the request is on the disk. A job that was running goes on from its checkpoint. */
static void go_back(struct jobs *jobs, struct job *job)
{
    job->rec.state = job->kept_state;
    memcpy(job->rec.reason, job->kept_reason, sizeof(job->rec.reason));
    job->rec.wait = job->kept_wait;
    job->rec.finished_unix_ms = job->kept_finished_ms;
    jobs_update_running(jobs);
}

struct job_record job_record_copy(const struct job *job)
{
    struct job_record rec = job->rec;

    rec.spec_json = NULL;
    return rec;
}

/* --- changes of state --- */

void job_hold(struct job *job, const char *reason)
{
    snprintf(job->hold, sizeof(job->hold), "%.200s; tries again every %d s", reason,
             RETRY_MS / 1000);
    job->retry_ms = clock_mono_ms() + RETRY_MS;
}

#define PAUSED_BY_PERSON "paused by a person"

struct change {
    struct job_record rec;
    struct checkpoint *checkpoint; /* of a pause, else NULL */
    int64_t bytes;                 /* job_note_checkpoints */
    char text[sizeof(((struct job_record *)0)->reason) + 16];
    unsigned number; /* counted among the changes of the job */
};

static void change_work(struct op *op)
{
    struct change *c = op->arg;

    if (c->checkpoint)
        op->rc = job_save_checkpoint(op->service, c->rec.job, c->checkpoint, &c->bytes, &op->why);
    if (op->rc == 0)
        op->rc = store_job_update(op->service->store, &c->rec, c->text[0] ? "state" : NULL, c->text,
                                  &op->why);
}

/* The state after a change that cannot be written: of several requests the last one decides. */
static void change_failed(struct jobs *jobs, struct job *job, const struct change *c, bool asked)
{
    if (asked && job->changes == c->number)
        go_back(jobs, job);
    if (asked)
        return;
    snprintf(job->unwritten, sizeof(job->unwritten), "%s", c->text);
    job->unwritten_ms = clock_mono_ms() + RETRY_MS;
}

static void change_done(struct op *op)
{
    struct change *c = op->arg;
    struct jobs *jobs = op->service->jobs;
    struct errbuf gone;
    struct job *job = NULL;

    if (jobs_find(jobs, c->rec.job, &job, &gone) == 0 && op->rq)
        job->asked--;
    if (job)
        job_note_checkpoints(job, c->bytes);
    if (job && op->rc == 0)
        job_kept(job, &c->rec);
    else if (job)
        change_failed(jobs, job, c, op->rq);
    if (op->rc < 0) {
        log_error("job.change", "job=%" PRId64 " error=\"%s\"", c->rec.job, op->why.text);
        if (op->rq)
            request_fail(op->rq, op->rc, &op->why);
    } else if (op->rq && !job) {
        request_fail(op->rq, -ENOENT, &gone);
    } else if (op->rq) {
        cJSON *out = cJSON_CreateObject();
        cJSON_AddItemToObject(out, "job", jobs_row(jobs, job));
        request_reply(op->rq, out, NULL, 0);
    }
    checkpoint_free(c->checkpoint);
    free(c);
    jobs_pump(jobs);
    workers_wake(op->service->workers);
}

void job_write(struct jobs *jobs, struct job *job, struct checkpoint *checkpoint, const char *text,
               struct request *rq)
{
    struct change *c = xcalloc(1, sizeof(*c));

    c->bytes = -1;
    c->rec = job_record_copy(job);
    c->checkpoint = checkpoint;
    c->number = ++job->changes;
    job->asked += rq != NULL;
    snprintf(c->text, sizeof(c->text), "%s", text);
    text_make_printable(c->text);
    if (text[0])
        log_info("job.state", "job=%" PRId64 " text=\"%s\"", job->rec.job, text);
    job_store_run(jobs, job, STORE_ROW | (checkpoint ? STORE_LONG : STORE_PASS),
                  (struct op){.rq = rq,
                              .service = jobs->service,
                              .arg = c,
                              .work = change_work,
                              .done = change_done});
}

void jobs_write_again(struct jobs *jobs, int64_t now_ms)
{
    char text[sizeof(((struct job *)NULL)->unwritten)];

    for (struct job *job = jobs->list; job; job = job->next)
        if (job->unwritten[0] && !job->asked && now_ms >= job->unwritten_ms &&
            !(job->external && job->external->busy)) { /* which writes another incarnation */
            memcpy(text, job->unwritten, sizeof(text));
            job->unwritten[0] = 0;
            job_write(jobs, job, NULL, text, NULL);
        }
}

void job_drop_run(struct jobs *jobs, struct job *job)
{
    struct metrics *m = &jobs->service->net->metrics;

    if (job->run) {
        job->step = run_step(job->run);
        metrics_count_many(m, COUNT_SHARDS_RETRY, run_reissued(job->run));
        job_discard_run(jobs, job, job->run);
    } else if (job->away.run) {
        job->step = job->away.progress.step;
        metrics_count_many(m, COUNT_SHARDS_RETRY, job->away.reissued);
    }
    job->run = job->away.run = NULL; /* that comes back and is freed */
    if (job->making)
        job->starting = false;
    job->making = NULL;
    external_job_forget(job);
    job_verify_forget(job);
    job->refusals = (struct job_refusals){0};
    workers_forget_job(jobs->service->workers, job->rec.job);
}

/* --- verbs and ends --- */

void jobs_fail(struct jobs *jobs, struct job *job, const char *reason)
{
    char text[sizeof(job->rec.reason) + 16];

    job_drop_run(jobs, job);
    job_set_state(jobs, job, JOB_FAILED);
    job->rec.finished_unix_ms = clock_unix_ms();
    snprintf(job->rec.reason, sizeof(job->rec.reason), "%s", reason);
    text_make_printable(job->rec.reason); /* a worker's words, perhaps cut within a character */
    snprintf(text, sizeof(text), "failed: %s", job->rec.reason);
    job_write(jobs, job, NULL, text, NULL);
}

struct late_verb {
    int64_t job;
    enum job_verb verb;
};

static void late_work(struct op *op)
{
    (void)op;
}

static void late_done(struct op *op)
{
    struct late_verb *late = op->arg;
    struct jobs *jobs = op->service->jobs;
    struct job *job;
    int rc = jobs_find(jobs, late->job, &job, &op->why);

    if (rc == 0)
        jobs_verb(jobs, job, late->verb, op->rq);
    else
        request_fail(op->rq, rc, &op->why);
    free(late);
}

/* The run is away, the last epoch is on its way to the disk, or any of an external job: the verb
 * applies to the job after that. */
static void verb_later(struct jobs *jobs, struct job *job, enum job_verb verb, struct request *rq)
{
    struct late_verb *late = xmalloc(sizeof(*late));
    const struct op op = {
        .rq = rq, .service = jobs->service, .arg = late, .work = late_work, .done = late_done};

    *late = (struct late_verb){job->rec.job, verb};
    if (job->away.run)
        job_lane_run(jobs, job, op);
    else
        job_store_run(jobs, job, 0, op);
}

/* checkpoint: of the run that is paused; ownership passes. */
static void apply_verb(struct jobs *jobs, struct job *job, enum job_verb verb,
                       struct checkpoint *checkpoint, struct request *rq)
{
    enum job_state to, from = job->rec.state;
    struct errbuf why;
    char text[80];

    if (!job->asked)
        remember(job, &job->rec);
    int rc = job_verb_apply(from, verb, &to, &why);
    if (rc == -EALREADY && verb == VERB_PAUSE) { /* it may only have waited for the disk */
        snprintf(job->rec.reason, sizeof(job->rec.reason), PAUSED_BY_PERSON);
        job->rec.wait = WAIT_NOTHING;
    }
    if (rc < 0)
        checkpoint_free(checkpoint);
    if (rc == -EALREADY) { /* already durable, or on its way before this one */
        job_write(jobs, job, NULL, "", rq);
        return;
    }
    if (rc < 0) {
        request_error(rq, ERR_NOT_ALLOWED, "job %" PRId64 " %s", job->rec.job, why.text);
        return;
    }
    job_drop_run(jobs, job);
    job_set_state(jobs, job, to);
    job->rec.reason[0] = 0;
    job->hold[0] = 0;
    if (verb == VERB_PAUSE)
        snprintf(job->rec.reason, sizeof(job->rec.reason), PAUSED_BY_PERSON);
    if (job_state_final(to))
        job->rec.finished_unix_ms = clock_unix_ms();
    snprintf(text, sizeof(text), "%s -> %s", job_state_names[from], job_state_names[to]);
    job_write(jobs, job, checkpoint, text, rq);
}

static void pause_back(struct jobs *jobs, struct job *job, struct trip *t)
{
    struct errbuf why;
    int rc;

    if (job) {
        apply_verb(jobs, job, VERB_PAUSE, t->checkpoint, t->rq);
        return;
    }
    rc = jobs_find(jobs, t->job, &job, &why);
    if (rc == 0)
        jobs_verb(jobs, job, VERB_PAUSE, t->rq);
    else
        request_fail(t->rq, rc, &why);
}

void jobs_verb(struct jobs *jobs, struct job *job, enum job_verb verb, struct request *rq)
{
    /* A cancel needs nothing of the run. */
    if (job->away.run && verb != VERB_CANCEL)
        verb_later(jobs, job, verb, rq);
    else if ((job->run && run_finished(job->run)) || (job->external && job->external->busy))
        verb_later(jobs, job, verb, rq);
    else if (verb == VERB_PAUSE && job->run)
        job_send(jobs, job, &(struct trip){.saves = true, .back = pause_back, .rq = rq});
    else
        apply_verb(jobs, job, verb, NULL, rq);
}
