/* What of a job goes to disk between its epochs, and what happens when the disk takes no more, or
 * somebody has a database locked: a job that cannot be kept is paused with the reason, and goes on
 * by itself when what kept it is over. */
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
#include "server/store/checkpoint.h"
#include "server/store/state_dir.h"

#define CHECKPOINTS_KEPT 2
/* The end of the reason of a job that waits for the disk. */
#define BY_ITSELF "; it goes on by itself when "
#define BY_HAND "; steppe resume tries again"
#define ROOM_MIN_BYTES (4 << 20) /* beside a checkpoint: rows and logs of a small epoch */
#define ROW_BYTES 160            /* of difficulty.db and its log, a sample and epoch */

static void unlink_checkpoint(struct service *s, int64_t job, const char *file)
{
    char path[STATE_PATH_BYTES];

    state_dir_checkpoint(path, s->dir, job, file);
    unlink(path);
}

/* Of two checkpoints of a step (before and behind a sweep) each has a file of its own: until its
 * row is replaced the old one must find its file as it was. *ret_replaced: that file, "" for none.
 */
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

/* Removes what is older than the newest two. */
static void trim_checkpoints(struct service *s, int64_t job)
{
    struct checkpoint_record list[CHECKPOINTS_READ];
    int count;

    if (store_checkpoints_load(s->store, job, list, CHECKPOINTS_READ, &count, NULL) < 0)
        return;
    for (int i = CHECKPOINTS_KEPT; i < count; i++)
        if (store_checkpoint_remove(s->store, job, list[i].step, NULL) == 0)
            unlink_checkpoint(s, job, list[i].file);
}

int job_save_checkpoint(struct service *s, int64_t job, const struct checkpoint *c,
                        struct errbuf *why)
{
    struct checkpoint_record rec = {
        .job = job, .step = (int64_t)checkpoint_step(c), .epoch = checkpoint_epoch(c)};
    char path[STATE_PATH_BYTES], replaced[sizeof(rec.file)];
    int rc = name_file(s, &rec, replaced, why);

    if (rc == 0 && rec.epoch > 0) {
        rc = store_epoch_hash(s->store, job, rec.epoch - 1, rec.scores_sha256, why);
        if (rc == -ENOENT) /* its fold, which came before on this lane, has failed */
            rc = err_set(why, -EAGAIN, "epoch %" PRId64 " of job %" PRId64 " could not be written",
                         rec.epoch - 1, job);
    }
    state_dir_job(path, s->dir, job);
    if (rc == 0)
        rc = file_mkdirs(path, 0700, why);
    state_dir_checkpoint(path, s->dir, job, rec.file);
    if (rc == 0)
        rc = checkpoint_write(c, path, rec.sha256, why);
    failpoint_hit(store_failpoint(s->store), "checkpoint.written");
    bool written = rc == 0;
    if (rc == 0)
        rc = store_checkpoint_add(s->store, &rec, why);
    /* A lock was met before anything was written: nobody will look for the file. */
    if (rc == -EBUSY && written)
        unlink_checkpoint(s, job, rec.file);
    if (rc < 0)
        return rc;
    if (replaced[0])
        unlink_checkpoint(s, job, replaced);
    trim_checkpoints(s, job);
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
    op_run(jobs->service->net->store_lane,
           (struct op){.service = jobs->service, .arg = e, .work = event_work, .done = event_done});
}

/* --- inside an epoch --- */

struct save {
    int64_t job, incarnation;
    struct checkpoint *checkpoint;
};

static void save_work(struct op *op)
{
    struct save *save = op->arg;

    op->rc = job_save_checkpoint(op->service, save->job, save->checkpoint, &op->why);
}

/* One that fails costs nothing yet: the ones before it are there, and the epoch's end must do. */
static void save_done(struct op *op)
{
    struct save *save = op->arg;
    struct job *job;

    if (op->rc < 0)
        log_warn("job.save", "job=%" PRId64 " error=\"%s\"", save->job, op->why.text);
    else
        op->service->net->metrics.checkpoint_ms = clock_mono_ms();
    if (jobs_find(op->service->jobs, save->job, &job, NULL) == 0 &&
        job->rec.incarnation == save->incarnation)
        job->saving = false;
    checkpoint_free(save->checkpoint);
    free(save);
}

void job_save_when_due(struct jobs *jobs, struct job *job, int64_t now_ms)
{
    struct save *save;

    if (!job->run || job->saving || job->closing || run_finished(job->run) ||
        run_step(job->run) == job->saved_step ||
        now_ms - job->saved_ms < 1000 * jobs->service->checkpoint_s)
        return;
    job->saved_ms = now_ms;
    struct checkpoint *c = checkpoint_take(job->run, now_ms);
    if (!c)
        return; /* no memory now; the next time, perhaps */
    job->saving = true;
    job->saved_step = run_step(job->run);
    save = xmalloc(sizeof(*save));
    *save = (struct save){job->rec.job, job->rec.incarnation, c};
    op_run(
        jobs->service->net->store_lane,
        (struct op){.service = jobs->service, .arg = save, .work = save_work, .done = save_done});
}

/* --- when the server stops --- */

static void stop_work(struct op *op)
{
    struct save *save = op->arg;

    op->rc = job_save_checkpoint(op->service, save->job, save->checkpoint, &op->why);
    if (op->rc < 0)
        log_error("job.stop", "job=%" PRId64 " error=\"%s\"", save->job, op->why.text);
    checkpoint_free(save->checkpoint);
    free(save);
}

static void stop_done(struct op *op)
{
    (void)op;
}

static void stop_job(struct jobs *jobs, struct job *job)
{
    struct save *save;

    if (!job->run || run_finished(job->run))
        return;
    save = xmalloc(sizeof(*save));
    *save = (struct save){job->rec.job, job->rec.incarnation,
                          checkpoint_take(job->run, clock_mono_ms())};
    job_drop_run(jobs, job);
    if (!save->checkpoint) {
        free(save);
        return;
    }
    op_run(
        jobs->service->net->store_lane,
        (struct op){.service = jobs->service, .arg = save, .work = stop_work, .done = stop_done});
}

void jobs_stop(struct jobs *jobs)
{
    for (size_t i = 0; jobs->running[i]; i++)
        stop_job(jobs, jobs->running[i]);
}

/* --- what passes --- */

/* Why a job that cannot be kept waits. What is not here does not pass by itself. */
static const struct {
    int rc;
    enum job_wait wait;
} causes[] = {
    {-ENOSPC, WAIT_ROOM},     {-EDQUOT, WAIT_ROOM},    {-EFBIG, WAIT_ROOM}, {-EROFS, WAIT_WRITABLE},
    {-EACCES, WAIT_WRITABLE}, {-EPERM, WAIT_WRITABLE}, {-EBUSY, WAIT_LOCK}, {-ESTALE, WAIT_FILE},
};
#define CAUSES (sizeof(causes) / sizeof(causes[0]))

static const struct wait {
    const char *until, *over;
    bool room; /* what is asked is the disk, else the databases */
} waits[JOB_WAITS] = {
    [WAIT_ROOM] = {"there is room", "there is room again", true},
    [WAIT_WRITABLE] = {"it can be written", "it can be written again", true},
    [WAIT_LOCK] = {"the lock is gone", "the lock is gone", false},
    [WAIT_FILE] = {"it is back", "it is back", false},
};

void job_pause_for(struct jobs *jobs, struct job *job, int rc, const char *reason)
{
    enum job_wait wait = WAIT_NOTHING;
    char text[sizeof(job->rec.reason) + 16];

    for (size_t i = 0; i < CAUSES; i++)
        if (causes[i].rc == rc)
            wait = causes[i].wait;
    job_drop_run(jobs, job);
    job_set_state(jobs, job, JOB_PAUSED);
    job->rec.wait = wait;
    snprintf(job->rec.reason, sizeof(job->rec.reason), "%.320s%s%s", reason,
             wait ? BY_ITSELF : BY_HAND, wait ? waits[wait].until : "");
    snprintf(text, sizeof(text), "paused: %s", job->rec.reason);
    job_write(jobs, job, NULL, text, NULL);
}

/* NULL: it waits for nothing that passes, or has not been written as paused. */
static const struct wait *waits_for(const struct job *job)
{
    const bool waiting =
        job->rec.state == JOB_PAUSED && job->rec.wait != WAIT_NOTHING && !job->unwritten[0];

    return waiting ? &waits[job->rec.wait] : NULL;
}

struct probe {
    int64_t job;
    size_t bytes; /* 0: the databases are asked */
};

static void probe_work(struct op *op)
{
    const struct probe *probe = op->arg;

    op->rc = probe->bytes ? file_probe_room(op->service->dir, probe->bytes)
                          : store_probe(op->service->store, &op->why);
}

static void probe_done(struct op *op)
{
    struct probe *probe = op->arg;
    struct jobs *jobs = op->service->jobs;
    const struct wait *wait;
    struct job *job;
    char text[80];

    jobs->probing = false;
    if (op->rc == 0 && jobs_find(jobs, probe->job, &job, NULL) == 0 &&
        (wait = waits_for(job)) != NULL) {
        jobs->probe_ms = 0; /* perhaps another one can go on as well */
        job_set_state(jobs, job, JOB_QUEUED);
        job->rec.reason[0] = 0;
        snprintf(text, sizeof(text), "paused -> queued: %s", wait->over);
        job_write(jobs, job, NULL, text, NULL);
    }
    free(probe);
}

/* What the disk must have room for before a job that met it full goes on. One whose dataset is
 * damaged says so when it is queued again. */
static size_t room_of(struct service *s, struct job *job)
{
    if (jobs_prepare(s, job, NULL) < 0)
        return ROOM_MIN_BYTES;
    const struct checkpoint_shape shape = job_checkpoint_shape(job);
    return checkpoint_memory(&shape) + (size_t)shape.samples * ROW_BYTES + ROOM_MIN_BYTES;
}

void jobs_probe_disk(struct jobs *jobs, int64_t now_ms)
{
    struct job *job = jobs->list;
    const struct wait *wait = NULL;

    if (jobs->probing || now_ms < jobs->probe_ms)
        return;
    while (job && !(wait = waits_for(job)))
        job = job->next;
    jobs->probe_ms = now_ms + RETRY_MS;
    if (!job)
        return;
    struct probe *probe = xmalloc(sizeof(*probe));
    *probe = (struct probe){job->rec.job, wait->room ? room_of(jobs->service, job) : 0};
    jobs->probing = true;
    op_run(jobs->service->net->store_lane,
           (struct op){
               .service = jobs->service, .arg = probe, .work = probe_work, .done = probe_done});
}
