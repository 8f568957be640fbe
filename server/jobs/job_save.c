/* What of a job goes to the disk while it runs: checkpoints inside its epochs and when the server
 * stops, and its log. */
#include <errno.h>
#include <inttypes.h>
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
#include "server/jobs/service.h"
#include "server/net/op.h"
#include "server/store/checkpoint.h"
#include "server/store/state_dir.h"

static void unlink_checkpoint(struct service *s, int64_t job, const char *file)
{
    char path[STATE_PATH_BYTES];

    state_dir_checkpoint(path, s->dir, job, file);
    unlink(path);
}

/* Two checkpoints of one step (before and after a sweep) have different files: until its row is
 * replaced, the old one needs its file unchanged. *ret_replaced: that file, "" for none. */
static int name_file(struct service *s, struct checkpoint_record *rec, char ret_replaced[64],
                     struct errbuf *why)
{
    struct checkpoint_record old[CHECKPOINTS_READ];
    int count, rc = store_checkpoints_load(s->store, rec->job, old, CHECKPOINTS_READ, &count, why);

    snprintf(rec->file, sizeof(rec->file), "step-%" PRId64 ".safetensors", rec->step);
    ret_replaced[0] = 0;
    for (int i = 0; rc == 0 && i < count; i++) {
        if (old[i].step != rec->step)
            continue;
        memcpy(ret_replaced, old[i].file, sizeof(old[i].file));
        if (strcmp(old[i].file, rec->file) == 0)
            snprintf(rec->file, sizeof(rec->file), "step-%" PRId64 "-b.safetensors", rec->step);
    }
    return rc;
}

static bool is_before(const struct checkpoint_record *c, struct job_place at)
{
    return c->step < at.step || (c->step == at.step && c->epoch <= at.epoch);
}

/* Removes all but the newest two, and of a job that is checked the newest from before each of its
 * keys began: list[0] is the newest. Some may go that would save work; the last place is for a new
 * one. */
static void trim_checkpoints(struct service *s, int64_t job)
{
    struct checkpoint_record list[CHECKPOINTS_READ];
    struct job_place began[CHECKPOINTS_READ], liar;
    int count, keys = 0;

    if (store_checkpoints_load(s->store, job, list, CHECKPOINTS_READ, &count, NULL) < 0 ||
        store_hands_load(s->store, job, began, CHECKPOINTS_READ, &keys, &liar, NULL) < 0)
        return;
    for (int i = CHECKPOINTS_KEPT; i < count; i++) {
        bool needed = false;

        for (int k = 0; k < keys && i < CHECKPOINTS_READ - 1; k++)
            needed |= is_before(&list[i], began[k]) && !is_before(&list[i - 1], began[k]);
        if (!needed && store_checkpoint_remove(s->store, job, list[i].step, NULL) == 0)
            unlink_checkpoint(s, job, list[i].file);
    }
}

int job_save_checkpoint(struct service *s, int64_t job, const struct checkpoint *c,
                        int64_t *io_bytes, struct errbuf *why)
{
    struct checkpoint_record rec = {
        .job = job, .step = (int64_t)checkpoint_step(c), .epoch = checkpoint_epoch(c)};
    char path[STATE_PATH_BYTES], replaced[sizeof(rec.file)];
    int rc = name_file(s, &rec, replaced, why);

    if (rc == 0 && rec.epoch > 0) {
        rc = store_epoch_hash(s->store, job, rec.epoch - 1, rec.scores_sha256, why);
        if (rc == -ENOENT) /* its fold, which ran earlier on this lane, has failed */
            rc = err_set(why, -EAGAIN, "epoch %" PRId64 " of job %" PRId64 " could not be written",
                         rec.epoch, job);
    }
    state_dir_job(path, s->dir, job);
    if (rc == 0)
        rc = file_mkdirs(path, 0700, why);
    state_dir_checkpoint(path, s->dir, job, rec.file);
    if (rc == 0)
        rc = checkpoint_write(c, path, &s->net->giving_up, rec.sha256, why);
    failpoint_hit(store_failpoint(s->store), "checkpoint.written");
    bool written = rc == 0;
    if (rc == 0)
        rc = store_checkpoint_add(s->store, &rec, why);
    /* A lock stopped it before anything was written: nobody will look for the file. */
    if (rc == -EBUSY && written)
        unlink_checkpoint(s, job, rec.file);
    if (rc < 0)
        return rc;
    if (replaced[0])
        unlink_checkpoint(s, job, replaced);
    trim_checkpoints(s, job);
    *io_bytes = job_checkpoints_bytes(s, job);
    return 0;
}

/* --- the log --- */

struct event {
    int64_t job;
    char kind[16], text[512];
};

static void event_work(struct op *op)
{
    const struct event *e = op->arg;

    op->rc = store_event_add(op->service->store, e->job, e->kind, e->text, &op->why);
}

static void event_done(struct op *op)
{
    const struct event *e = op->arg;

    if (op->rc < 0)
        log_error("job.log", "job=%" PRId64 " error=\"%s\"", e->job, op->why.text);
    free(op->arg);
}

void jobs_event(struct jobs *jobs, const struct job *job, const char *kind, const char *text)
{
    struct event *e = xcalloc(1, sizeof(*e));

    e->job = job->rec.job;
    snprintf(e->kind, sizeof(e->kind), "%s", kind);
    snprintf(e->text, sizeof(e->text), "%s", text);
    text_make_printable(e->text);
    op_run(jobs->service->net->store_lane, (struct op){.service = jobs->service,
                                                       .turn = job_store_turn(job),
                                                       .arg = e,
                                                       .work = event_work,
                                                       .done = event_done});
}

/* --- inside an epoch --- */

struct save {
    int64_t job, incarnation, bytes;
    struct checkpoint *checkpoint;
};

static void save_work(struct op *op)
{
    struct save *save = op->arg;

    op->rc = job_save_checkpoint(op->service, save->job, save->checkpoint, &save->bytes, &op->why);
    checkpoint_free(save->checkpoint); /* here, since that takes long of a large one */
}

/* A failure costs nothing yet: the earlier ones exist, and the epoch's end will write one. */
static void save_done(struct op *op)
{
    struct save *save = op->arg;
    struct job *job;

    if (op->rc < 0)
        log_warn("job.save", "job=%" PRId64 " error=\"%s\"", save->job, op->why.text);
    else
        op->service->net->metrics.checkpoint_ms = clock_mono_ms();
    if (jobs_find(op->service->jobs, save->job, &job, NULL) == 0) {
        job_note_checkpoints(job, save->bytes);
        if (job->rec.incarnation == save->incarnation)
            job->saving = false;
    }
    free(save);
}

bool job_save_is_due(const struct jobs *jobs, const struct job *job, int64_t now_ms)
{
    return !job->saving && !job->closing && !job->class_pending && !run_finished(job->run) &&
           run_step(job->run) != job->saved_step &&
           now_ms - job->saved_ms >= 1000 * jobs->service->checkpoint_s;
}

void job_save(struct jobs *jobs, struct job *job, struct checkpoint *checkpoint)
{
    struct save *save;

    job->saved_ms = clock_mono_ms();
    if (!checkpoint)
        return; /* no memory now; perhaps the next time */
    job->saving = true;
    job->saved_step = checkpoint_step(checkpoint);
    save = xmalloc(sizeof(*save));
    *save = (struct save){job->rec.job, job->rec.incarnation, -1, checkpoint};
    job_store_run(
        jobs, job, STORE_LONG,
        (struct op){.service = jobs->service, .arg = save, .work = save_work, .done = save_done});
}

static void idle_back(struct jobs *jobs, struct job *job, struct trip *t)
{
    if (!job)
        return;
    if (jobs->service->net->stopping)
        job_stop_with(jobs, job, t->checkpoint);
    else
        job_save(jobs, job, t->checkpoint);
    workers_wake(jobs->service->workers);
}

/* While something is in the hands of workers, its end is waited for (jobs_advance): of a run that
 * is away no result is taken. */
void job_save_when_idle(struct jobs *jobs, struct job *job, int64_t now_ms)
{
    struct round_held held;

    if (job->run && job_save_is_due(jobs, job, now_ms) && !run_held(job->run, &held))
        job_send(jobs, job, &(struct trip){.saves = true, .back = idle_back});
}

/* --- when the server stops --- */

static void stop_work(struct op *op)
{
    struct save *save = op->arg;

    op->rc = job_save_checkpoint(op->service, save->job, save->checkpoint, &save->bytes, &op->why);
    if (op->rc < 0)
        log_error("job.stop", "job=%" PRId64 " error=\"%s\"", save->job, op->why.text);
    checkpoint_free(save->checkpoint);
    free(save);
}

static void stop_done(struct op *op)
{
    (void)op;
}

void job_stop_with(struct jobs *jobs, struct job *job, struct checkpoint *checkpoint)
{
    struct save *save;

    job_drop_run(jobs, job);
    if (!checkpoint)
        return;
    save = xmalloc(sizeof(*save));
    *save = (struct save){job->rec.job, job->rec.incarnation, -1, checkpoint};
    job_store_run(
        jobs, job, STORE_LONG,
        (struct op){.service = jobs->service, .arg = save, .work = stop_work, .done = stop_done});
}

static void stop_back(struct jobs *jobs, struct job *job, struct trip *t)
{
    if (job)
        job_stop_with(jobs, job, t->checkpoint);
}

static void stop_job(struct jobs *jobs, struct job *job)
{
    if (!job->run || run_finished(job->run))
        return;               /* one that is away is stopped when it is back */
    if (job->class_pending) { /* it has just begun */
        job_drop_run(jobs, job);
        return;
    }
    job_send(jobs, job, &(struct trip){.saves = true, .back = stop_back});
}

void jobs_stop(struct jobs *jobs)
{
    for (size_t i = 0; jobs->running[i]; i++)
        stop_job(jobs, jobs->running[i]);
}
