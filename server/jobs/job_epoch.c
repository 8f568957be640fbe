/* The epochs of a running job: from a counted result to the end of its epoch, and what is written
 * to the disk.
 *
 * End of an epoch, in this order: fold of the scores (its last transaction commits the epoch and
 * its hash), checkpoint file, row of the checkpoint. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "server/jobs/jobs_internal.h"
#include "server/jobs/service.h"
#include "server/net/op.h"
#include "server/store/checkpoint.h"

#define FIGURE_BYTES 40

struct closing {
    struct job_record rec; /* as it is to be written if this was the last epoch */
    struct run_epoch epoch;
    const struct dataset *data;
    struct checkpoint *checkpoint;
    int64_t bytes; /* job_note_checkpoints */
    bool last;
    bool lends;   /* the scores come back to the run, once they are written */
    bool pinning; /* the job's class is on its way to the disk, where it has to be first */
    char end[JOB_END_BYTES]; /* of the last: the event's text */
};

struct fold job_fold(const struct run_epoch *e, const struct dataset *data)
{
    return (struct fold){
        .record = e->record,
        .scores = e->scores,
        .adm = e->adm,
        .probabilities = e->probabilities,
        .labels = e->labels ? e->labels : data->labels,
        .samples = data->samples,
        .test_scores = e->test_scores,
        .test_adm = e->test_adm,
        .test_labels = data->test_labels,
        .test_ids = e->test_ids,
        .by_class = e->by_class,
        .by_domain = e->by_domain,
        .classes = data->classes,
        .domains = data->domain_count,
        .test_samples = e->tested,
        .flatness = e->flatness,
    };
}

/* Leaves out what was not measured: the loss of a job that trains nothing, figures of a missing
 * test set. */
void job_epoch_text(const struct epoch_record *e, char *out, size_t bytes)
{
    int used = snprintf(out, bytes, "epoch %" PRId64 ": ", e->epoch + 1);
    char share[TEXT_F64_BYTES];

    if (!isnan(e->train_loss))
        used += snprintf(out + used, bytes - (size_t)used, "train loss %.4g, ", e->train_loss);
    if (!isnan(e->validation_accuracy))
        used += snprintf(out + used, bytes - (size_t)used, "validation accuracy %s, ",
                         text_of_share(e->validation_accuracy, share));
    if (!isnan(e->test_accuracy))
        used += snprintf(out + used, bytes - (size_t)used, "test accuracy %s, ",
                         text_of_share(e->test_accuracy, share));
    else if (!isnan(e->mean_gap))
        used += snprintf(out + used, bytes - (size_t)used, "mean gap %.4g, ", e->mean_gap);
    if (isnan(e->seconds))
        out[used - 2] = 0; /* where the comma is, or the colon */
    else
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

void job_log_epoch(const struct epoch_record *e)
{
    char share[FIGURE_BYTES], loss[FIGURE_BYTES], validation[FIGURE_BYTES], accuracy[FIGURE_BYTES],
        gap[FIGURE_BYTES], seconds[FIGURE_BYTES];

    log_info("job.epoch", "job=%" PRId64 " epoch=%" PRId64 "%s%s%s%s%s%s", e->job, e->epoch,
             figure("share", e->share, share), figure("train_loss", e->train_loss, loss),
             figure("validation_accuracy", e->validation_accuracy, validation),
             figure("test_accuracy", e->test_accuracy, accuracy),
             figure("mean_gap", e->mean_gap, gap), figure("seconds", e->seconds, seconds));
}

static void fold_and_save(struct op *op)
{
    struct closing *c = op->arg;
    struct service *s = op->service;
    struct fold fold = job_fold(&c->epoch, c->data);
    char hash[SHA256_HEX], text[160];

    if (c->pinning)
        op->rc = store_job_update(s->store, &c->rec, NULL, "", &op->why);
    /* An epoch whose fold failed leaves a gap; nothing may be written after it. */
    if (op->rc == 0 && c->epoch.record.epoch > 0)
        op->rc = store_epoch_hash(s->store, c->rec.job, c->epoch.record.epoch - 1, hash, &op->why);
    if (op->rc == 0)
        op->rc = store_fold(s->store, &fold, hash, &op->why);
    if (op->rc < 0)
        return;
    failpoint_hit(store_failpoint(s->store), "epoch.folded");
    store_pass(s->store);
    op->rc = job_save_checkpoint(s, c->rec.job, c->checkpoint, &c->bytes, &op->why);
    if (op->rc < 0)
        return;
    job_epoch_text(&c->epoch.record, text, sizeof(text));
    if (!c->last) {
        op->rc = store_event_add(s->store, c->rec.job, "epoch", text, &op->why);
        return;
    }
    store_event_add(s->store, c->rec.job, "epoch", text, NULL);
    checkpoint_model_hash(c->checkpoint, c->rec.model_sha256);
    failpoint_hit(store_failpoint(s->store), "job.done");
    c->rec.state = JOB_DONE;
    c->rec.finished_unix_ms = clock_unix_ms();
    op->rc = store_job_update(s->store, &c->rec, "state", c->end, &op->why);
}

static void close_work(struct op *op)
{
    struct closing *c = op->arg;

    fold_and_save(op);
    /* Here, since that takes long of a large job. */
    checkpoint_free(c->checkpoint);
    struct score *lent = c->lends ? c->epoch.scores : NULL;
    if (lent)
        c->epoch.scores = NULL;
    run_epoch_done(&c->epoch);
    c->epoch = (struct run_epoch){.record = c->epoch.record, .scores = lent};
}

/* Before the job may sweep again. */
static void give_back(struct jobs *jobs, struct job *job, struct closing *c)
{
    const bool current = job->run && job->rec.incarnation == c->rec.incarnation;

    if (c->epoch.scores && !(current && run_take_back(job->run, c->epoch.scores)))
        job_lane_free(jobs, job, c->epoch.scores);
    c->epoch.scores = NULL;
}

static void close_done(struct op *op)
{
    struct closing *c = op->arg;
    struct jobs *jobs = op->service->jobs;
    struct job *job;

    if (jobs_find(jobs, c->rec.job, &job, NULL) == 0) {
        bool current = job->rec.state == JOB_RUNNING && job->rec.incarnation == c->rec.incarnation;

        give_back(jobs, job, c);
        job_closing_end(jobs, job);
        job_note_checkpoints(job, c->bytes);
        if (op->rc == 0 && c->last)
            job_kept(job, &c->rec);
        if (op->rc < 0 && current) {
            job_pause_for(jobs, job, op->rc, op->why.text);
        } else if (op->rc == 0) {
            job->epochs_done = c->epoch.record.epoch + 1;
            job->loss = c->epoch.record.train_loss;
            job->accuracy = c->epoch.record.test_accuracy;
            job->validation_accuracy = c->epoch.record.validation_accuracy;
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
        if (op->rc == 0 && !c->last && current && studies_job_waits(op->service->studies, job)) {
            job_wait_at_rung(jobs, job);
            jobs_pump(jobs);
        }
        workers_wake(op->service->workers);
    }
    if (op->rc == 0) {
        op->service->net->metrics.checkpoint_ms = clock_mono_ms();
        metrics_time(&op->service->net->metrics.epoch, op->seconds);
    }
    free(c->epoch.scores);
    free(c);
}

/* checkpoint: of its end; NULL: there is no memory for one. It passes, as do the scores. */
static void close_epoch(struct jobs *jobs, struct job *job, struct run_epoch *e,
                        struct checkpoint *checkpoint)
{
    struct closing *c = xcalloc(1, sizeof(*c));

    c->rec = job_record_copy(job);
    c->bytes = -1;
    c->epoch = *e;
    c->data = job->data;
    c->last = run_finished(job->run);
    c->lends = !c->last && job_lends_scores(job);
    c->pinning = job->class_pending;
    job_end_text(job, c->end);
    c->checkpoint = checkpoint;
    job->saved_ms = clock_mono_ms();
    job->saved_step = run_step(job->run);
    job_log_epoch(&e->record);
    if (!c->checkpoint) {
        run_epoch_done(e);
        free(c);
        job_pause_for(jobs, job, -ENOMEM, "no memory for a checkpoint");
        return;
    }
    job_closing_begin(jobs, job);
    job_store_run(
        jobs, job, STORE_LONG | (c->last || c->pinning ? STORE_ROW : 0),
        (struct op){.service = jobs->service, .arg = c, .work = close_work, .done = close_done});
}

static void took_step(struct jobs *jobs, struct job *job)
{
    metrics_step(&jobs->service->net->metrics, &job->last_step, run_step(job->run), clock_mono_s());
    failpoint_hit(&jobs->service->failpoint, "step");
}

static void entered(struct jobs *jobs, const struct job *job)
{
    log_debug("job.phase", "job=%" PRId64 " step=%" PRIu64 " phase=%d", job->rec.job,
              run_step(job->run), run_phase(job->run));
    if (run_phase(job->run) == PHASE_DESCENT)
        failpoint_hit(&jobs->service->failpoint, "ascent");
    if (run_phase(job->run) == PHASE_PRODUCT)
        failpoint_hit(&jobs->service->failpoint, "product");
}

/* The run has gone on from a round of that phase, as t says; what t owns passes. */
static void went_on(struct jobs *jobs, struct job *job, enum phase phase, struct trip *t)
{
    if (t->rc == -ENOMEM) { /* its last checkpoint is whole */
        job_pause_for(jobs, job, t->rc, "no memory for the next round");
        return;
    }
    if (t->rc < 0) {
        jobs_fail(jobs, job, err_text(t->rc));
        return;
    }
    if (run_phase(job->run) != phase)
        entered(jobs, job);
    if (t->event == RUN_EPOCH)
        close_epoch(jobs, job, &t->epoch, t->checkpoint);
    else if (t->saves)
        job_save(jobs, job, t->checkpoint);
    workers_wake(jobs->service->workers);
}

static void trip_back(struct jobs *jobs, struct job *job, struct trip *t)
{
    const bool stopping = jobs->service->net->stopping;

    if (job && stopping && t->rc == 0 && t->event != RUN_EPOCH)
        job_stop_with(jobs, job, t->checkpoint);
    else if (job)
        went_on(jobs, job, job->away.phase, t);
    if (job && stopping && job->run && !run_finished(job->run))
        job_drop_run(jobs, job);
}

void job_go_on(struct jobs *jobs, struct job *job)
{
    const int64_t now_ms = clock_mono_ms();
    struct trip t = {.goes_on = true, .back = trip_back};
    const enum phase phase = run_phase(job->run);

    t.saves = job_save_is_due(jobs, job, now_ms);
    if (t.saves || run_is_long(job->run)) {
        job_send(jobs, job, &t);
        return;
    }
    t.rc = run_go_on(job->run, now_ms, &t.event, &t.epoch);
    went_on(jobs, job, phase, &t);
}

void jobs_advance(struct jobs *jobs, struct job *job)
{
    const uint64_t step = run_step(job->run);

    if (!run_close_round(job->run, clock_mono_ms()))
        return;
    if (run_step(job->run) != step)
        took_step(jobs, job);
    job_go_on(jobs, job);
}
