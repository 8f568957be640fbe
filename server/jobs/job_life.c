/* What happens to a job. The state in memory changes at once, on the loop; the store follows on its
 * lane, in order; answers go out when it is durable.
 *
 * End of an epoch, in this order: fold of the scores (its last transaction commits the epoch and
 * its hash), checkpoint file, row of the checkpoint. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "common/text.h"
#include "server/jobs/jobs_internal.h"
#include "server/server.h"
#include "server/store/checkpoint.h"

#define FIGURE_BYTES 40

void job_set_state(struct jobs *jobs, struct job *job, enum job_state to)
{
    assert(job_state_allowed(job->rec.state, to));
    job->rec.state = to;
    jobs_update_running(jobs);
}

static void remember(struct job *job, const struct job_record *rec)
{
    job->kept_state = rec->state;
    memcpy(job->kept_reason, rec->reason, sizeof(job->kept_reason));
    job->kept_finished_ms = rec->finished_unix_ms;
}

void job_kept(struct job *job, const struct job_record *rec)
{
    remember(job, rec);
    job->unwritten[0] = 0;
}

/* Nothing of what was asked is on the disk. A job that was running goes on from its checkpoint. */
static void go_back(struct jobs *jobs, struct job *job)
{
    job->rec.state = job->kept_state;
    memcpy(job->rec.reason, job->kept_reason, sizeof(job->rec.reason));
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
    char text[sizeof(((struct job_record *)0)->reason) + 16];
    unsigned number; /* among the changes of the job */
};

static void change_work(struct op *op)
{
    struct change *c = op->arg;

    if (c->checkpoint)
        op->rc = job_save_checkpoint(op->server, c->rec.job, c->checkpoint, &op->why);
    if (op->rc == 0)
        op->rc = store_job_update(op->server->store, &c->rec, c->text[0] ? "state" : NULL, c->text,
                                  &op->why);
}

/* What a change that cannot be written leaves: of several that were asked, the last one decides. */
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
    struct jobs *jobs = op->server->jobs;
    struct errbuf gone;
    struct job *job = NULL;

    if (jobs_find(jobs, c->rec.job, &job, &gone) == 0 && op->rq)
        job->asked--;
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
    workers_wake(op->server->workers);
}

void job_write(struct jobs *jobs, struct job *job, struct checkpoint *checkpoint, const char *text,
               struct request *rq)
{
    struct change *c = xcalloc(1, sizeof(*c));

    c->rec = job_record_copy(job);
    c->checkpoint = checkpoint;
    c->number = ++job->changes;
    job->asked += rq != NULL;
    snprintf(c->text, sizeof(c->text), "%s", text);
    text_make_printable(c->text);
    if (text[0])
        log_info("job.state", "job=%" PRId64 " text=\"%s\"", job->rec.job, text);
    op_run(
        jobs->server->store_lane,
        (struct op){
            .rq = rq, .server = jobs->server, .arg = c, .work = change_work, .done = change_done});
}

void jobs_write_again(struct jobs *jobs, int64_t now_ms)
{
    char text[sizeof(((struct job *)NULL)->unwritten)];

    for (struct job *job = jobs->list; job; job = job->next)
        if (job->unwritten[0] && !job->asked && now_ms >= job->unwritten_ms) {
            memcpy(text, job->unwritten, sizeof(text));
            job->unwritten[0] = 0;
            job_write(jobs, job, NULL, text, NULL);
        }
}

void job_drop_run(struct jobs *jobs, struct job *job)
{
    if (job->run)
        job->step = run_step(job->run);
    if (job->run)
        metrics_count_many(&jobs->server->metrics, COUNT_SHARDS_RETRY, run_reissued(job->run));
    run_free(job->run);
    job->run = NULL;
    job->refusals = (struct job_refusals){0};
    workers_forget_job(jobs->server->workers, job->rec.job);
}

/* --- epochs --- */

struct closing {
    struct job_record rec; /* as it is to be written when this was the last epoch */
    struct run_epoch epoch;
    const struct dataset *data;
    struct checkpoint *checkpoint;
    bool last;
};

static struct fold closing_fold(const struct closing *c)
{
    const struct run_epoch *e = &c->epoch;

    return (struct fold){
        .epoch = {.job = c->rec.job,
                  .epoch = e->epoch,
                  .share = e->share,
                  .scheduled = e->scheduled,
                  .lr = e->lr,
                  .train_loss = e->train_loss,
                  .train_accuracy = e->train_accuracy,
                  .sharpness = e->sharpness,
                  .test_loss = e->test_loss,
                  .test_accuracy = e->test_accuracy,
                  .adv_accuracy = e->adv_accuracy,
                  .mean_gap = e->mean_gap,
                  .seconds = e->seconds},
        .scores = e->scores,
        .adm = e->adm,
        .labels = c->data->labels,
        .samples = c->data->samples,
        .test_scores = e->test_scores,
        .test_adm = e->test_adm,
        .test_labels = c->data->test_labels,
        .test_samples = c->data->test_samples,
    };
}

/* What was not measured is left out: the loss of a job that trains nothing, what a test set says.
 */
static void epoch_text(const struct run_epoch *e, char *out, size_t bytes)
{
    int used = snprintf(out, bytes, "epoch %" PRId64 ": ", e->epoch);

    if (!isnan(e->train_loss))
        used += snprintf(out + used, bytes - (size_t)used, "train loss %.4g, ", e->train_loss);
    if (!isnan(e->test_accuracy))
        used +=
            snprintf(out + used, bytes - (size_t)used, "test accuracy %.4f, ", e->test_accuracy);
    else if (!isnan(e->mean_gap))
        used += snprintf(out + used, bytes - (size_t)used, "mean gap %.4g, ", e->mean_gap);
    snprintf(out + used, bytes - (size_t)used, "%.1f s", e->seconds);
}

/* " name=value", or "" for what was not measured. */
static const char *figure(const char *name, double value, char buf[FIGURE_BYTES])
{
    buf[0] = 0;
    if (!isnan(value))
        snprintf(buf, FIGURE_BYTES, " %s=%.5g", name, value);
    return buf;
}

static void log_epoch(const struct job *job, const struct run_epoch *e)
{
    char share[FIGURE_BYTES], loss[FIGURE_BYTES], accuracy[FIGURE_BYTES], gap[FIGURE_BYTES];

    log_info("job.epoch", "job=%" PRId64 " epoch=%" PRId64 "%s%s%s%s seconds=%.1f", job->rec.job,
             e->epoch, figure("share", e->share, share), figure("train_loss", e->train_loss, loss),
             figure("test_accuracy", e->test_accuracy, accuracy),
             figure("mean_gap", e->mean_gap, gap), e->seconds);
}

static void close_work(struct op *op)
{
    struct closing *c = op->arg;
    struct server *s = op->server;
    struct fold fold = closing_fold(c);
    char hash[SHA256_HEX], text[160];

    /* An epoch whose fold failed leaves a gap that nothing may be written behind. */
    if (c->epoch.epoch > 0)
        op->rc = store_epoch_hash(s->store, c->rec.job, c->epoch.epoch - 1, hash, &op->why);
    if (op->rc == 0)
        op->rc = store_fold(s->store, &fold, hash, &op->why);
    if (op->rc < 0)
        return;
    failpoint_hit(store_failpoint(s->store), "epoch.folded");
    op->rc = job_save_checkpoint(s, c->rec.job, c->checkpoint, &op->why);
    if (op->rc < 0)
        return;
    epoch_text(&c->epoch, text, sizeof(text));
    if (!c->last) {
        op->rc = store_event_add(s->store, c->rec.job, "epoch", text, &op->why);
        return;
    }
    store_event_add(s->store, c->rec.job, "epoch", text, NULL);
    checkpoint_model_hash(c->checkpoint, c->rec.model_sha256);
    failpoint_hit(store_failpoint(s->store), "job.done");
    c->rec.state = JOB_DONE;
    c->rec.finished_unix_ms = clock_unix_ms();
    op->rc = store_job_update(s->store, &c->rec, "state", "done", &op->why);
}

static void close_done(struct op *op)
{
    struct closing *c = op->arg;
    struct jobs *jobs = op->server->jobs;
    struct job *job;

    if (jobs_find(jobs, c->rec.job, &job, NULL) == 0) {
        bool current = job->rec.state == JOB_RUNNING && job->rec.incarnation == c->rec.incarnation;

        job->closing--;
        if (op->rc == 0 && c->last)
            job_kept(job, &c->rec);
        if (op->rc < 0 && current) {
            job_pause_for(jobs, job, op->rc, op->why.text);
        } else if (op->rc == 0) {
            job->epochs_done = c->epoch.epoch + 1;
            job->loss = c->epoch.train_loss;
            job->accuracy = c->epoch.test_accuracy;
        }
        if (op->rc == 0 && c->last && current) {
            job_drop_run(jobs, job);
            job_set_state(jobs, job, JOB_DONE);
            job->rec.finished_unix_ms = c->rec.finished_unix_ms;
            memcpy(job->rec.model_sha256, c->rec.model_sha256, SHA256_HEX);
            log_info("job.state", "job=%" PRId64 " to=done model_sha256=%s", job->rec.job,
                     job->rec.model_sha256);
            jobs_pump(jobs);
        }
        workers_wake(op->server->workers);
    }
    if (op->rc == 0)
        op->server->metrics.checkpoint_ms = clock_mono_ms();
    checkpoint_free(c->checkpoint);
    run_epoch_done(&c->epoch);
    free(c);
}

static void close_epoch(struct jobs *jobs, struct job *job, struct run_epoch *e)
{
    struct closing *c = xcalloc(1, sizeof(*c));

    c->rec = job_record_copy(job);
    c->epoch = *e;
    c->data = job->data;
    c->last = run_finished(job->run);
    c->checkpoint = checkpoint_take(job->run, clock_mono_ms());
    job->saved_ms = clock_mono_ms();
    job->saved_step = run_step(job->run);
    log_epoch(job, e);
    if (!c->checkpoint) {
        run_epoch_done(e);
        free(c);
        job_pause_for(jobs, job, -ENOMEM, "no memory for a checkpoint");
        return;
    }
    job->closing++;
    op_run(jobs->server->store_lane,
           (struct op){.server = jobs->server, .arg = c, .work = close_work, .done = close_done});
}

void jobs_advance(struct jobs *jobs, struct job *job)
{
    enum run_event event;
    struct run_epoch epoch;
    uint64_t step = run_step(job->run);
    enum phase phase = run_phase(job->run);
    int rc = run_advance(job->run, clock_mono_ms(), &event, &epoch);

    if (rc < 0) {
        jobs_fail(jobs, job, err_text(rc));
        return;
    }
    if (run_step(job->run) != step) {
        metrics_step(&jobs->server->metrics, &job->last_step, run_step(job->run), clock_mono_s());
        failpoint_hit(&jobs->server->failpoint, "step");
    }
    if (run_phase(job->run) != phase) {
        log_debug("job.phase", "job=%" PRId64 " step=%" PRIu64 " phase=%d", job->rec.job,
                  run_step(job->run), run_phase(job->run));
        if (run_phase(job->run) == PHASE_DESCENT)
            failpoint_hit(&jobs->server->failpoint, "ascent");
    }
    if (event == RUN_EPOCH)
        close_epoch(jobs, job, &epoch);
    if (event != RUN_WAIT)
        workers_wake(jobs->server->workers);
}

/* --- verbs and ends --- */

void jobs_fail(struct jobs *jobs, struct job *job, const char *reason)
{
    char text[sizeof(job->rec.reason) + 16];

    job_drop_run(jobs, job);
    job_set_state(jobs, job, JOB_FAILED);
    job->rec.finished_unix_ms = clock_unix_ms();
    snprintf(job->rec.reason, sizeof(job->rec.reason), "%s", reason);
    text_make_printable(job->rec.reason); /* a worker's words, perhaps cut inside of one */
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
    struct jobs *jobs = op->server->jobs;
    struct job *job;
    int rc = jobs_find(jobs, late->job, &job, &op->why);

    if (rc == 0)
        jobs_verb(jobs, job, late->verb, op->rq);
    else
        request_fail(op->rq, rc, &op->why);
    free(late);
}

/* The last epoch is on its way to the disk: the verb meets the job as it is behind that. */
static void verb_later(struct jobs *jobs, struct job *job, enum job_verb verb, struct request *rq)
{
    struct late_verb *late = xmalloc(sizeof(*late));

    *late = (struct late_verb){job->rec.job, verb};
    op_run(
        jobs->server->store_lane,
        (struct op){
            .rq = rq, .server = jobs->server, .arg = late, .work = late_work, .done = late_done});
}

void jobs_verb(struct jobs *jobs, struct job *job, enum job_verb verb, struct request *rq)
{
    struct checkpoint *checkpoint = NULL;
    enum job_state to, from = job->rec.state;
    struct errbuf why;
    char text[80];

    if (job->run && run_finished(job->run)) {
        verb_later(jobs, job, verb, rq);
        return;
    }
    if (!job->asked)
        remember(job, &job->rec);
    int rc = job_verb_apply(from, verb, &to, &why);
    if (rc == -EALREADY && verb == VERB_PAUSE) /* it may have waited for the disk only */
        snprintf(job->rec.reason, sizeof(job->rec.reason), PAUSED_BY_PERSON);
    if (rc == -EALREADY) { /* durable already, or on its way in front of this one */
        job_write(jobs, job, NULL, "", rq);
        return;
    }
    if (rc < 0) {
        request_error(rq, ERR_NOT_ALLOWED, "job %" PRId64 " %s", job->rec.job, why.text);
        return;
    }
    if (verb == VERB_PAUSE && job->run)
        checkpoint = checkpoint_take(job->run, clock_mono_ms());
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

/* --- stop --- */

static void stop_work(struct op *op)
{
    struct change *c = op->arg;

    op->rc = job_save_checkpoint(op->server, c->rec.job, c->checkpoint, &op->why);
    if (op->rc < 0)
        log_error("job.stop", "job=%" PRId64 " error=\"%s\"", c->rec.job, op->why.text);
    checkpoint_free(c->checkpoint);
    free(c);
}

static void stop_done(struct op *op)
{
    (void)op;
}

static void stop_job(struct jobs *jobs, struct job *job)
{
    struct change *c;

    if (!job->run || run_finished(job->run))
        return;
    c = xcalloc(1, sizeof(*c));
    c->rec = job_record_copy(job);
    c->checkpoint = checkpoint_take(job->run, clock_mono_ms());
    job_drop_run(jobs, job);
    if (!c->checkpoint) {
        free(c);
        return;
    }
    op_run(jobs->server->store_lane,
           (struct op){.server = jobs->server, .arg = c, .work = stop_work, .done = stop_done});
}

void jobs_stop(struct jobs *jobs)
{
    for (size_t i = 0; jobs->running[i]; i++)
        stop_job(jobs, jobs->running[i]);
}
