#include "server/jobs/jobs.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/field.h"
#include "common/log.h"
#include "server/core/probabilities.h"
#include "server/jobs/attached.h"
#include "server/jobs/externals.h"
#include "server/jobs/jobs_internal.h"
#include "server/jobs/service.h"

struct load {
    struct jobs *jobs;
    int rc;
    struct errbuf *why;
};

void job_free(struct job *job)
{
    if (!job)
        return;
    run_free(job->run);
    external_job_forget(job);
    free(job->external);
    job_verify_forget(job);
    jobspec_done(&job->spec);
    model_done(&job->model);
    free(job->rec.spec_json);
    free(job);
}

void jobs_add(struct jobs *jobs, struct job *job)
{
    struct job **end = &jobs->list;

    if (jobspec_external(&job->spec)) {
        job->external = xcalloc(1, sizeof(*job->external));
        job->external->last.epoch = -1;
    }

    while (*end && (*end)->rec.job < job->rec.job)
        end = &(*end)->next;
    job->next = *end;
    *end = job;
    job_kept(job, &job->rec);
}

void jobs_remove(struct jobs *jobs, struct job *job)
{
    struct job **at = &jobs->list;

    assert(job->errands == 0);

    while (*at && *at != job)
        at = &(*at)->next;
    if (*at)
        *at = job->next;
    job_closing_forget(jobs, job);
    job_free(job);
}

static void load_one(void *arg, struct job_record *rec)
{
    struct load *load = arg;
    struct job *job = xcalloc(1, sizeof(*job));
    cJSON *json = NULL;

    job->rec = *rec;
    job->loss = job->accuracy = job->validation_accuracy = NAN;
    int rc = field_parse(rec->spec_json, strlen(rec->spec_json), JSON_REPLY_BYTES_MAX, "job", &json,
                         load->why);
    if (rc == 0)
        rc = jobspec_parse(json, &job->spec, load->why);
    cJSON_Delete(json);
    if (rc < 0) {
        load->rc = err_prefix(load->why, -EUCLEAN, "job %lld in state.db", (long long)rec->job);
        job_free(job);
        return;
    }
    jobs_add(load->jobs, job);
}

/* Step, epochs, loss and accuracy of a job that does not run, for its row. */
static void load_summary(struct service *s, struct job *job)
{
    struct checkpoint_record newest;
    struct epoch_record last;
    int count = 0;

    if (store_checkpoints_load(s->store, job->rec.job, &newest, 1, &count, NULL) == 0 && count)
        job->step = (uint64_t)newest.step;
    job_note_checkpoints(job, job_checkpoints_bytes(s, job->rec.job));
    job->attached_bytes = attached_bytes(s->dir, job->rec.uuid, &job->spec);
    if (query_last_epoch(s->query, job->rec.job, &last, NULL) < 0)
        return;
    job->epochs_done = last.epoch + 1;
    job->loss = last.train_loss;
    job->accuracy = last.test_accuracy;
    job->validation_accuracy = last.validation_accuracy;
}

struct job *jobs_by_uuid(struct jobs *jobs, const char *uuid)
{
    for (struct job *job = jobs->list; job; job = job->next)
        if (strcmp(job->rec.uuid, uuid) == 0)
            return job;
    return NULL;
}

int jobs_open_of(const struct jobs *jobs, const char *key)
{
    int open = 0;

    for (const struct job *job = jobs->list; job; job = job->next)
        open += !job_state_final(job->rec.state) && (!key || strcmp(job->rec.key_name, key) == 0);
    return open;
}

/* A job's description as it is kept, behind its name, which is its first key. */
static const char *behind_name(const struct job_record *rec)
{
    char head[NAME_MAX_BYTES + 16];
    int bytes = snprintf(head, sizeof(head), "{\"name\":\"%s\",", rec->name);

    return strncmp(rec->spec_json, head, (size_t)bytes) == 0 ? rec->spec_json + bytes
                                                             : rec->spec_json;
}

struct job *jobs_equal(struct jobs *jobs, const struct job *job)
{
    const char *ours = behind_name(&job->rec);
    struct job *found = NULL;

    for (struct job *other = jobs->list; other; other = other->next) {
        bool ended_badly = other->rec.state == JOB_FAILED || other->rec.state == JOB_CANCELLED;
        if (other == job || (found && ended_badly) ||
            strcmp(other->rec.dataset_sha256, job->rec.dataset_sha256) != 0 ||
            strcmp(behind_name(&other->rec), ours) != 0)
            continue;
        found = other;
        if (!ended_badly)
            break;
    }
    return found;
}

static bool is_job(void *arg, const char *uuid)
{
    return jobs_by_uuid(arg, uuid) != NULL;
}

int jobs_open(struct service *s, struct jobs **ret, struct errbuf *why)
{
    struct jobs *jobs = xcalloc(1, sizeof(*jobs));
    struct load load = {.jobs = jobs, .why = why};

    jobs->service = s;
    int rc = store_jobs_load(s->store, load_one, &load, why);
    if (rc == 0)
        rc = load.rc;
    if (rc < 0) {
        jobs_close(jobs);
        return rc;
    }
    for (struct job *job = jobs->list; job; job = job->next)
        load_summary(s, job);
    jobs_update_running(jobs);
    attached_sweep(s->dir, is_job, jobs);
    *ret = jobs;
    return 0;
}

void jobs_close(struct jobs *jobs)
{
    if (!jobs)
        return;
    while (jobs->list)
        jobs_remove(jobs, jobs->list);
    schedules_free(jobs->schedules);
    free(jobs);
}

int jobs_find(struct jobs *jobs, int64_t number, struct job **ret, struct errbuf *why)
{
    int64_t first = 0, last = 0;

    for (struct job *job = jobs->list; job; job = job->next) {
        if (job->rec.job == number) {
            *ret = job;
            return 0;
        }
        first = first ? first : job->rec.job;
        last = job->rec.job;
    }
    if (!first)
        return err_set(why, -ENOENT, "there is no job %lld; none has been submitted yet",
                       (long long)number);
    if (first == last)
        return err_set(why, -ENOENT, "there is no job %lld; the only one is %lld",
                       (long long)number, (long long)last);
    return err_set(why, -ENOENT, "there is no job %lld; the jobs are %lld to %lld",
                   (long long)number, (long long)first, (long long)last);
}

/* There are never more than RUNNING_MAX: a job starts only when fewer run. External jobs are not
 * among them: workers and slots are for the others. */
void jobs_update_running(struct jobs *jobs)
{
    size_t count = 0;

    for (struct job *job = jobs->list; job && count < RUNNING_MAX; job = job->next)
        if (job->rec.state == JOB_RUNNING && !job->external)
            jobs->running[count++] = job;
    jobs->running[count] = NULL;
}

struct job *jobs_running(const struct jobs *jobs, size_t i)
{
    return jobs->running[i];
}

struct job *jobs_first(struct jobs *jobs)
{
    return jobs->list;
}

bool jobs_ready(const struct job *job)
{
    return job && job->run && !job->hold[0] && !job_waits_for_closing(job);
}

static int prepare_model(struct job *job, const struct dataset *data, const char *name,
                         struct errbuf *why)
{
    struct scaling scaling;

    if (job->spec.crop >= data->dims.h || job->spec.crop >= data->dims.w)
        return err_set(why, -EINVAL,
                       "augment.crop is %lld, but the images of dataset %s are %u x %u; allowed is "
                       "below their sides",
                       (long long)job->spec.crop, name, data->dims.h, data->dims.w);
    int rc = scaling_of_job(&job->spec, data, &scaling, why);
    if (rc == 0)
        rc = model_parse(job->spec.model, data->dims, data->classes, scaling.mean, scaling.std,
                         &job->model, why);
    if (rc < 0)
        return rc;
    rc = model_check_shard(&job->model, job->spec.shard, why);
    if (rc == 0)
        rc = job_measure(job, why);
    if (rc < 0)
        model_done(&job->model);
    return rc;
}

int jobs_prepare(struct service *s, struct job *job, struct errbuf *why)
{
    struct dataset_record rec;
    const struct dataset *data;
    int rc;

    if (job->data)
        return 0;
    rc = job->rec.dataset_sha256[0]
             ? datasets_find_hash(s->datasets, job->rec.dataset_sha256, &data, &rec, why)
             : datasets_find(s->datasets, job->spec.dataset, &data, &rec, why);
    if (rc < 0)
        return rc;
    if (data->manifest && !jobspec_external(&job->spec))
        return err_set(
            why, -EPERM,
            "dataset %s is a manifest, which has no pictures to train on: import it without "
            "--manifest, or submit a job with \"engine\": \"external\"",
            rec.name);
    rc = job_check_samples(job, data, job->spec.exclude.ids, job->spec.exclude.count, why);
    if (rc == 0)
        rc = probabilities_check_size(&job->spec, data->samples, data->classes, why);
    if (rc == 0 && !jobspec_external(&job->spec))
        rc = prepare_model(job, data, rec.name, why);
    if (rc < 0)
        return rc;
    memcpy(job->rec.dataset_sha256, rec.sha256, sizeof(rec.sha256));
    job->data = data;
    return 0;
}

int job_check_model(const struct job *job, struct errbuf *why)
{
    return jobspec_external(&job->spec)
               ? err_set(why, -EPERM,
                         "job %lld has no model here: its engine is external, so that the program "
                         "that trains it has the model",
                         (long long)job->rec.job)
               : 0;
}

struct checkpoint_shape job_checkpoint_shape(const struct job *job)
{
    return (struct checkpoint_shape){
        .floats = job->model.floats,
        .samples = job->data->samples,
        .vectors = run_vectors(&job->spec),
        .lapses = curriculum_counts_lapses(&job->spec),
        .scores = job->spec.score_source == SOURCE_TRAIN,
        .chosen = job->spec.keep == KEEP_BEST,
        .scaling = scaling_of_model(&job->model),
    };
}

/* What a queued or running job waits for, or that the end of an ended job can still be lost; false:
 * nothing. */
static bool waiting_for(struct jobs *jobs, struct job *job, char *out, size_t bytes)
{
    const bool starts = job_is_under_way(job);

    if (job_state_final(job->rec.state) && job->kept_state != job->rec.state) {
        snprintf(out, bytes, "its end is not on the disk yet; a restart would run the job again");
        return true;
    }
    if (job->rec.state != JOB_RUNNING && job->rec.state != JOB_QUEUED)
        return false;
    if (datasets_damage(jobs->service->datasets, job->rec.dataset_sha256, out, bytes))
        return true;
    if (job->external)
        return external_job_waiting(job, out, bytes);
    if (job->hold[0])
        snprintf(out, bytes, "%s", job->hold);
    else if (!starts)
        return jobs_wait_for_room(jobs, job, out, bytes);
    else if (job->away.run)
        return job_away_waiting(job, clock_mono_ms(), out, bytes);
    else if (!job->run)
        snprintf(out, bytes, "the newest checkpoint is read");
    else if (run_finished(job->run) || job_waits_for_closing(job))
        snprintf(out, bytes, "%u epoch%s being written", job->closing,
                 job->closing == 1 ? " is" : "s are");
    else
        return workers_waiting(jobs->service->workers, job, out, bytes) ||
               workers_hold_up(jobs->service->workers, job, clock_mono_ms(), out, bytes);
    return true;
}

static void add_finite(cJSON *row, const char *name, double value)
{
    if (isfinite(value))
        cJSON_AddNumberToObject(row, name, value);
}

static void add_time(cJSON *row, const char *name, int64_t unix_ms)
{
    if (unix_ms)
        cJSON_AddNumberToObject(row, name, (double)unix_ms);
}

/* waits: nothing is computed, so there is no speed and no expected end. */
static void add_progress(cJSON *row, struct job *job, bool waits)
{
    static const char *const phases[PHASES] = {
        [PHASE_TRAIN] = "train",    [PHASE_ASCENT] = "train",   [PHASE_DESCENT] = "train",
        [PHASE_SWEEP] = "sweep",    [PHASE_TEST] = "test",      [PHASE_VALIDATION] = "validation",
        [PHASE_HELD_TEST] = "test", [PHASE_SLOPE] = "flatness", [PHASE_PRODUCT] = "flatness",
        [PHASE_LOSS] = "flatness",
    };
    uint64_t epoch_steps = job->data ? jobspec_epoch_steps(&job->spec, job->uses[USE_TRAIN]) : 0;
    struct run_progress p = {.epoch = job->epochs_done,
                             .step = job->step,
                             .steps = epoch_steps * (uint64_t)jobspec_epochs(&job->spec),
                             .loss = NAN,
                             .accuracy = NAN,
                             .validation_accuracy = NAN};

    if (job->external)
        p.step = (uint64_t)job->epochs_done * epoch_steps;
    if (job->run || job->away.run)
        p = job->run ? run_progress(job->run) : job->away.progress;
    cJSON_AddNumberToObject(row, "epoch", (double)p.epoch);
    cJSON_AddNumberToObject(row, "epochs", (double)jobspec_epochs(&job->spec));
    cJSON_AddNumberToObject(row, "step", (double)p.step);
    cJSON_AddNumberToObject(row, "steps", (double)p.steps);
    if (job->away.run || (job->run && !run_finished(job->run)))
        cJSON_AddStringToObject(row, "phase",
                                phases[job->run ? run_phase(job->run) : job->away.phase]);
    if (p.turns > 0) {
        cJSON_AddNumberToObject(row, "turn", p.turn);
        cJSON_AddNumberToObject(row, "turns", p.turns);
    }
    if (p.images_per_s > 0)
        job->images_per_s = p.images_per_s;
    const bool runs = (job->run || job->away.run) && !waits;
    if (runs && job->images_per_s > 0)
        cJSON_AddNumberToObject(row, "images_per_s", job->images_per_s);
    if (runs && p.eta_s > 0)
        cJSON_AddNumberToObject(row, "eta_s", p.eta_s);
    add_finite(row, "loss", isfinite(p.loss) ? p.loss : job->loss);
    add_finite(row, "accuracy", isfinite(p.accuracy) ? p.accuracy : job->accuracy);
    add_finite(row, "validation_accuracy",
               isfinite(p.validation_accuracy) ? p.validation_accuracy : job->validation_accuracy);
}

cJSON *jobs_row(struct jobs *jobs, struct job *job)
{
    const struct job_record *rec = &job->rec;
    cJSON *row = cJSON_CreateObject();
    char waiting[400];

    jobs_prepare(jobs->service, job, NULL); /* for the number of steps; not needed to answer */
    cJSON_AddNumberToObject(row, "job", (double)rec->job);
    cJSON_AddStringToObject(row, "uuid", rec->uuid);
    cJSON_AddStringToObject(row, "name", rec->name);
    cJSON_AddStringToObject(
        row, "dataset", datasets_name(jobs->service->datasets, rec->dataset_sha256, rec->dataset));
    if (job->spec.revisions.count > 0 &&
        job->spec.revisions.at[job->spec.revisions.count - 1].number > 0)
        cJSON_AddNumberToObject(
            row, "revision", (double)job->spec.revisions.at[job->spec.revisions.count - 1].number);
    if (job->external)
        external_job_describe(job, row);
    else
        cJSON_AddStringToObject(row, "model",
                                cJSON_IsString(job->spec.model) ? job->spec.model->valuestring
                                                                : "custom");
    cJSON_AddStringToObject(row, "state", job_state_names[rec->state]);
    if (rec->reason[0])
        cJSON_AddStringToObject(row, "reason", rec->reason);
    bool waits = waiting_for(jobs, job, waiting, sizeof(waiting));
    if (waits)
        cJSON_AddStringToObject(row, "waiting", waiting);
    add_progress(row, job, waits);
    add_time(row, "created_unix_ms", rec->created_unix_ms);
    add_time(row, "started_unix_ms", rec->started_unix_ms);
    add_time(row, "finished_unix_ms", rec->finished_unix_ms);
    return row;
}
