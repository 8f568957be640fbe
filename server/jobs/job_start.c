/* How a job starts, each time: in its turn, after a pause, after the server ended. Recovery takes
 * the newest checkpoint whose file is whole and whose epochs are committed with the scores that it
 * recorded; everything later is dropped and computed again. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "server/jobs/attached.h"
#include "server/jobs/externals.h"
#include "server/jobs/jobs_internal.h"
#include "server/jobs/service.h"
#include "server/net/op.h"
#include "server/store/checkpoint.h"
#include "server/store/state_dir.h"

struct start {
    struct job_record rec;
    struct checkpoint_shape shape;
    struct checkpoint *checkpoint; /* NULL: from the beginning */
    /* Of the job, which outlives this: its removal comes later on the same lane. */
    struct jobspec *spec;
    const struct model *model;
    const struct dataset *data;
    struct attached attached;
    struct revisions revisions; /* of the job */
    struct overlay overlays[JOB_REVISIONS_MAX];
    uint8_t *use; /* job_split */
    bool written; /* the job's row has come */
    struct run_verifying verifying;
    struct run *run;               /* made of all that */
    char model_sha256[SHA256_HEX]; /* of one that has finished */
    bool recovered;                /* from a checkpoint, of so many epochs */
    int64_t epochs;
};

/* A damaged file is kept for inspection, out of the way of the one that will be written at the same
 * step. Its row goes: it would count as one of those that are kept. */
static void put_away(struct service *s, const struct checkpoint_record *rec, const char *path)
{
    char away[STATE_PATH_BYTES];

    state_dir_damaged(away, path);
    if (rename(path, away) < 0)
        log_warn("checkpoint.refused", "file=%s error=\"%s\"", path, err_text(errno));
    store_checkpoint_remove(s->store, rec->job, rec->step, NULL);
}

/* Is this checkpoint whole, and is the last epoch on which it builds committed with the same
 * scores? */
static int try_checkpoint(struct service *s, const struct start *st,
                          const struct checkpoint_record *rec, struct checkpoint **ret,
                          struct errbuf *why)
{
    char path[STATE_PATH_BYTES], hash[SHA256_HEX] = "";
    int rc = 0;

    if (rec->epoch > 0)
        rc = store_epoch_hash(s->store, rec->job, rec->epoch - 1, hash, why);
    if (rc == 0 && strcmp(hash, rec->scores_sha256) != 0)
        rc =
            err_set(why, -EUCLEAN, "the scores of epoch %" PRId64 " are not those of checkpoint %s",
                    rec->epoch, rec->file);
    if (rc < 0)
        return rc;
    state_dir_checkpoint(path, s->dir, rec->job, rec->file);
    rc = checkpoint_read(path, rec->sha256, &st->shape, &s->net->giving_up, ret, why);
    if (rc == -EUCLEAN)
        put_away(s, rec, path);
    else if (rc == -ENOENT) /* of a restored state.db; it would count as one that is kept */
        store_checkpoint_remove(s->store, rec->job, rec->step, NULL);
    return rc;
}

static int read_newest(const struct service *s, int64_t job, const struct checkpoint_record *list,
                       int count, const struct checkpoint_shape *shape, bool no_other,
                       struct checkpoint **ret, struct errbuf *why)
{
    char path[STATE_PATH_BYTES];
    int rc = 0;

    if (count == 0)
        return err_set(why, -ENOENT, "job %" PRId64 " has no model yet: no epoch is complete", job);
    for (int i = 0; i < (no_other ? 1 : count); i++) {
        state_dir_checkpoint(path, s->dir, job, list[i].file);
        rc = checkpoint_read(path, list[i].sha256, shape, &s->net->giving_up, ret, why);
        if (rc == 0)
            break;
    }
    return rc;
}

int job_newest_checkpoint(struct service *s, int64_t job, const struct checkpoint_shape *shape,
                          bool no_other, struct checkpoint **ret, struct errbuf *why)
{
    struct checkpoint_record list[CHECKPOINTS_READ];
    int count = 0, rc = store_checkpoints_load(s->store, job, list, CHECKPOINTS_READ, &count, why);

    return rc < 0 ? rc : read_newest(s, job, list, count, shape, no_other, ret, why);
}

int job_lookup_checkpoint(struct service *s, int64_t job, const struct checkpoint_shape *shape,
                          bool no_other, struct checkpoint **ret, struct errbuf *why)
{
    struct checkpoint_record list[CHECKPOINTS_READ], now[CHECKPOINTS_READ];
    int count = 0, now_count = 0;
    int rc = query_checkpoints(s->reader, job, list, CHECKPOINTS_READ, &count, why);

    while (rc == 0) {
        struct errbuf other;
        rc = read_newest(s, job, list, count, shape, no_other, ret, why);
        if (rc == 0 ||
            query_checkpoints(s->reader, job, now, CHECKPOINTS_READ, &now_count, &other) < 0 ||
            (now_count == count && memcmp(now, list, (size_t)count * sizeof(*list)) == 0))
            break;
        memcpy(list, now, (size_t)now_count * sizeof(*list)); /* a newer one took its place */
        count = now_count;
        rc = 0;
    }
    return rc;
}

static int load_attached(struct service *s, struct start *st, struct errbuf *why)
{
    int rc = attached_load(s->dir, &s->net->giving_up, st->rec.uuid, st->spec, st->model,
                           st->shape.samples, &st->attached, why);

    if (!data_file_is_damage(rc) || attached_mend(s->dir, st->rec.uuid, st->spec) == 0)
        return rc;
    store_event_add(
        s->store, st->rec.job, "attached",
        "files that came with the job were damaged on the server's disk and are whole again", NULL);
    return attached_load(s->dir, &s->net->giving_up, st->rec.uuid, st->spec, st->model,
                         st->shape.samples, &st->attached, why);
}

/* Of memory or descriptors that are out, a lock, the end of the server, or a checkpoint that only a
 * later version can read: it may be whole. */
static bool may_pass(int rc)
{
    return rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE || rc == -EBUSY || rc == -ESHUTDOWN ||
           rc == -ENOTSUP;
}

/* The newest that can be used; st->checkpoint stays NULL where there is none. */
static int find_checkpoint(struct service *s, struct start *st,
                           const struct checkpoint_record *list, int count, struct errbuf *why)
{
    for (int i = 0; i < count && !st->checkpoint; i++) {
        int rc = try_checkpoint(s, st, &list[i], &st->checkpoint, why);
        if (rc == 0)
            continue;
        log_warn("checkpoint.refused", "job=%" PRId64 " step=%" PRId64 " error=\"%s\"", st->rec.job,
                 list[i].step, why->text);
        if (may_pass(rc)) /* what was computed since an older one would be computed again */
            return rc;
        store_event_add(s->store, st->rec.job, "checkpoint", why->text, NULL);
    }
    return 0;
}

/* Checkpoints that build on results of a key that has lied since go, and so do what it did. */
static int drop_lies(struct service *s, const struct start *st, struct errbuf *why)
{
    struct checkpoint_record list[CHECKPOINTS_READ];
    struct job_place liar;
    char path[STATE_PATH_BYTES], text[128];
    int count = 0, rc = store_hands_load(s->store, st->rec.job, NULL, 0, &count, &liar, why);

    if (rc < 0 || liar.step < 0)
        return rc;
    bool some = true;
    while (rc == 0 && some) {
        some = false;
        rc = store_checkpoints_load(s->store, st->rec.job, list, CHECKPOINTS_READ, &count, why);
        for (int i = 0; rc == 0 && i < count; i++) {
            if (list[i].step < liar.step ||
                (list[i].step == liar.step && list[i].epoch <= liar.epoch))
                continue;
            state_dir_checkpoint(path, s->dir, st->rec.job, list[i].file);
            rc = store_checkpoint_remove(s->store, st->rec.job, list[i].step, why);
            if (rc == 0)
                unlink(path);
            some = true;
        }
    }
    if (rc == 0)
        rc = store_hands_forget(s->store, st->rec.job, why);
    snprintf(text, sizeof(text),
             "goes back to before step %" PRId64 ", where a key that has lied began", liar.step);
    return rc < 0 ? rc : store_event_add(s->store, st->rec.job, "verify", text, why);
}

static void start_work(struct op *op)
{
    struct start *st = op->arg;
    struct service *s = op->service;
    struct checkpoint_record list[CHECKPOINTS_READ];
    char text[128];
    int count = 0;

    snprintf(text, sizeof(text), "running, incarnation %" PRId64, st->rec.incarnation);
    op->rc = load_attached(s, st, &op->why);
    if (op->rc == 0)
        op->rc = job_revisions_load(s, st->rec.dataset_sha256, st->spec->dataset, st->data,
                                    &st->revisions, st->overlays, &op->why);
    if (op->rc == 0)
        op->rc = job_split(st->spec, st->data, &st->use, &op->why);
    if (op->rc == 0) {
        op->rc = store_job_update(s->store, &st->rec, "state", text, &op->why);
        st->written = op->rc == 0;
    }
    if (op->rc == 0 && st->spec->verify > 0)
        op->rc = drop_lies(s, st, &op->why);
    if (op->rc == 0)
        op->rc =
            store_checkpoints_load(s->store, st->rec.job, list, CHECKPOINTS_READ, &count, &op->why);
    store_pass(s->store);
    if (op->rc == 0)
        op->rc = find_checkpoint(s, st, list, count, &op->why);
    store_pass(s->store);
    if (op->rc == 0)
        op->rc = store_epochs_drop(s->store, st->rec.job,
                                   st->checkpoint ? checkpoint_epoch(st->checkpoint) : 0, &op->why);
    if (op->rc == 0 && !st->checkpoint && count > 0)
        op->rc = store_event_add(s->store, st->rec.job, "recover",
                                 "begins again: none of its checkpoints can be used", &op->why);
    if (op->rc == 0 && st->checkpoint) {
        snprintf(text, sizeof(text), "goes on from step %" PRIu64 " (epoch %" PRId64 ")",
                 checkpoint_step(st->checkpoint), checkpoint_epoch(st->checkpoint) + 1);
        op->rc = store_event_add(s->store, st->rec.job, "recover", text, &op->why);
    }
}

/* Beside jobs that have run for long it begins where the last of them is. */
static void set_share(struct jobs *jobs, struct job *job)
{
    double least_ms = 0;

    for (size_t i = 0; jobs->running[i]; i++) {
        const struct job *other = jobs->running[i];
        if (other != job && other->run && (least_ms <= 0 || other->granted_ms < least_ms))
            least_ms = other->granted_ms;
    }
    job->granted_ms = least_ms;
}

static void start_free(struct start *st)
{
    run_free(st->run);
    checkpoint_free(st->checkpoint);
    attached_done(&st->attached);
    job_revisions_done(st->overlays);
    free(st->use);
    st->run = NULL;
    st->checkpoint = NULL;
    st->use = NULL;
}

/* On the job's lane. */
static void make_work(struct op *op)
{
    struct start *st = op->arg;
    struct run_inputs in = attached_inputs(&st->attached);
    struct run *run = NULL;

    in.use = st->use;
    op->rc = run_create(st->spec, st->model, st->data, st->rec.job, st->rec.incarnation, &in, &run);
    st->run = run;
    if (op->rc == 0 && st->verifying.secret)
        run_verify(run, &st->verifying);
    if (op->rc == 0 && st->model->floats > (size_t)op->service->combine_floats)
        run_combine(run);
    for (int i = 0; op->rc == 0 && i < st->revisions.count; i++)
        op->rc = run_revise(run, st->revisions.at[i].epoch, &st->overlays[i]);
    if (op->rc == 0 && st->checkpoint)
        checkpoint_restore(st->checkpoint, run);
    if (op->rc == 0)
        op->rc = run_start(run, clock_mono_ms());
    if (op->rc == 0 && st->checkpoint && run_finished(run))
        checkpoint_model_hash(st->checkpoint, st->model_sha256);
    st->epochs = st->checkpoint ? checkpoint_epoch(st->checkpoint) : 0;
    if (op->rc < 0) {
        start_free(st);
        return;
    }
    st->run = NULL; /* the rest is not needed any more */
    start_free(st);
    st->run = run;
}

static void take_run(struct jobs *jobs, struct job *job, struct start *st)
{
    struct run *run = st->run;

    st->run = NULL;
    run_halves(run, jobs->service->net->halves);
    job->run = run;
    job->stuck[0] = 0;
    job->last_step = (struct step_time){0};
    job->touched = st->recovered;
    job->saving = false;
    job->saved_ms = clock_mono_ms();
    job->saved_step = run_step(run);
    job->epochs_done = st->epochs;
    log_info("job.start", "job=%" PRId64 " incarnation=%" PRId64 " step=%" PRIu64, st->rec.job,
             st->rec.incarnation, run_step(run));
    set_share(jobs, job);
}

/* The server died after the last checkpoint: the job only has to be marked as done. */
static void finish_job(struct jobs *jobs, struct job *job, const char *model_sha256)
{
    char end[JOB_END_BYTES];

    job_end_text(job, end);
    job_drop_run(jobs, job);
    job_set_state(jobs, job, JOB_DONE);
    job->rec.finished_unix_ms = clock_unix_ms();
    memcpy(job->rec.model_sha256, model_sha256, SHA256_HEX);
    job_write(jobs, job, NULL, end, NULL);
}

/* It keeps trying: its log says so once for each reason. */
static void hold_start(struct jobs *jobs, struct job *job, const char *reason)
{
    char text[sizeof(job->stuck)];

    snprintf(text, sizeof(text), "%.250s", reason);
    if (strcmp(text, job->stuck) != 0) {
        log_error("job.start", "job=%" PRId64 " error=\"%s\"", job->rec.job, reason);
        memcpy(job->stuck, text, sizeof(text));
        jobs_event(jobs, job, "waiting", text);
    }
    job_hold(job, reason);
}

static void make_done(struct op *op)
{
    struct start *st = op->arg;
    struct jobs *jobs = op->service->jobs;
    struct job *job;

    /* A job is not removed before its errands are over. */
    if (jobs_find(jobs, st->rec.job, &job, NULL) == 0 && job->making == st) {
        job->making = NULL;
        job->starting = false;
        if (op->rc == -ENOMEM)
            hold_start(jobs, job, "no memory for the job");
        else if (op->rc < 0)
            jobs_fail(jobs, job, err_text(op->rc));
        else
            take_run(jobs, job, st);
        if (job->run && run_finished(job->run))
            finish_job(jobs, job, st->model_sha256);
        workers_wake(op->service->workers);
    } else if (st->run) {
        job_discard_run(jobs, job, st->run);
    }
    free(st);
}

static void make_run(struct jobs *jobs, struct job *job, struct start *st)
{
    job->starting = true;
    job->making = st;
    st->recovered = st->checkpoint != NULL;
    st->verifying = job_verify_begin(jobs, job);
    job_lane_run(
        jobs, job,
        (struct op){.service = jobs->service, .arg = st, .work = make_work, .done = make_done});
}

static void start_done(struct op *op)
{
    struct start *st = op->arg;
    struct jobs *jobs = op->service->jobs;
    struct job *job;
    bool newest = jobs_find(jobs, st->rec.job, &job, NULL) == 0 &&
                  job->rec.incarnation == st->rec.incarnation;
    bool current = newest && job->rec.state == JOB_RUNNING && !job->run;

    if (newest)
        job->starting = false;
    if (newest && st->written)
        job_kept(job, &st->rec);
    if (current && op->rc == 0 && !op->service->net->stopping) {
        make_run(jobs, job, st);
        return;
    }
    if (current && op->rc < 0 && op->rc != -ESHUTDOWN)
        hold_start(jobs, job, op->why.text);
    start_free(st);
    free(st);
}

static void start_job(struct jobs *jobs, struct job *job)
{
    struct start *st = xcalloc(1, sizeof(*st));

    job->hold[0] = 0;
    job->starting = true;
    if (job->rec.state != JOB_RUNNING)
        job_set_state(jobs, job, JOB_RUNNING);
    job->rec.reason[0] = 0;
    job->rec.incarnation++;
    job->changes++;
    if (!job->rec.started_unix_ms)
        job->rec.started_unix_ms = clock_unix_ms();
    st->rec = job_record_copy(job);
    st->shape = job_checkpoint_shape(job);
    st->spec = &job->spec;
    st->revisions = job->spec.revisions;
    st->data = job->data;
    st->model = &job->model;
    job_store_run(
        jobs, job, STORE_LONG | STORE_ROW,
        (struct op){.service = jobs->service, .arg = st, .work = start_work, .done = start_done});
}

/* Jobs that have a run or get one. */
static int64_t count_busy(const struct jobs *jobs)
{
    int64_t count = 0;

    for (size_t i = 0; jobs->running[i]; i++)
        count += job_is_under_way(jobs->running[i]);
    return count;
}

/* The first job that waits for a run: one that was running before the server ended, else one of the
 * queue, where those of studies are last. NULL: none waits. */
static struct job *next_job(struct jobs *jobs)
{
    for (size_t i = 0; jobs->running[i]; i++) {
        struct job *job = jobs->running[i];
        if (!job_is_under_way(job) && !job->hold[0] && !job->asked && !job->applying)
            return job;
    }
    struct job *of_study = NULL;
    for (struct job *job = jobs->list; job; job = job->next) {
        if (job->rec.state != JOB_QUEUED || job->external || job->hold[0] || job->asked ||
            job->applying)
            continue;
        if (!job->in_study)
            return job;
        of_study = of_study ? of_study : job;
    }
    return of_study;
}

bool jobs_wait_for_room(struct jobs *jobs, struct job *job, char *out, size_t bytes)
{
    const struct service *s = jobs->service;
    char need[TEXT_F64_BYTES], limit[TEXT_F64_BYTES];
    const struct job *busy = NULL;
    int64_t count = count_busy(jobs), memory;

    for (size_t i = 0; jobs->running[i] && !busy; i++)
        if (job_is_under_way(jobs->running[i]))
            busy = jobs->running[i];
    if (!busy)
        return false;
    memory = jobs_prepare(jobs->service, job, NULL) == 0 ? job_memory_with(jobs, job) : 0;
    if (count < s->max_running && memory > s->memory_bytes)
        snprintf(out, bytes, "with the job%s it would take %s, --memory allows %s",
                 count == 1 ? " that runs" : "s that run", text_of_bytes(memory, need),
                 text_of_bytes(s->memory_bytes, limit));
    else if (count == 1)
        snprintf(out, bytes, "job %lld runs", (long long)busy->rec.job);
    else
        snprintf(out, bytes, "%lld jobs run", (long long)count);
    return true;
}

void jobs_pump(struct jobs *jobs)
{
    const struct service *s = jobs->service;
    struct errbuf why;
    struct job *job;

    while (!s->net->stopping && count_busy(jobs) < s->max_running &&
           (job = next_job(jobs)) != NULL) {
        if (jobs_prepare(jobs->service, job, &why) < 0 || job_memory_check(s, job, &why) < 0)
            hold_start(jobs, job, why.text);
        else if (!job_verify_starts(jobs, job))
            continue;
        else if (count_busy(jobs) == 0 || job_memory_with(jobs, job) <= s->memory_bytes)
            start_job(jobs, job);
        else
            break; /* it has its turn when there is room: later jobs do not overtake it */
    }
}

void jobs_tick(struct jobs *jobs, int64_t now_ms)
{
    bool freed = false;

    for (struct job *job = jobs->list; job; job = job->next)
        if (job->hold[0] && now_ms >= job->retry_ms) {
            job->hold[0] = 0;
            freed = true;
        }
    jobs_write_again(jobs, now_ms);
    for (size_t i = 0; jobs->running[i]; i++)
        job_save_when_idle(jobs, jobs->running[i], now_ms);
    jobs_probe_disk(jobs, now_ms);
    external_jobs_tick(jobs, now_ms);
    schedules_tick(jobs->service, now_ms);
    if (!freed)
        return;
    jobs_pump(jobs);
    workers_wake(jobs->service->workers);
}
