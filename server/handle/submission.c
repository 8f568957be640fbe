#include "server/handle/submission.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "server/jobs/attached.h"
#include "server/jobs/disk_share.h"

/* Begins or ends keeping the uploads that the job file names. */
static void hold_uploads(struct submission *s, bool begins)
{
    struct incoming *in = s->service->incoming;

    for (enum attached_kind kind = 0; kind < ATTACHED_KINDS; kind++) {
        const struct given *g = jobspec_attached(&s->job->spec, kind);
        if (!g || g->kind != GIVEN_FILE || !g->sha256[0])
            continue;
        if (begins)
            incoming_hold(in, s->key, g->sha256);
        else
            incoming_released(in, s->key, g->sha256, clock_mono_ms());
    }
    s->holds = begins;
}

/* As far as is known, are the uploads that the job file names complete? */
static int check_uploads(struct submission *s, struct errbuf *why)
{
    int rc = 0;

    for (enum attached_kind kind = 0; rc == 0 && kind < ATTACHED_KINDS; kind++) {
        const struct given *g = jobspec_attached(&s->job->spec, kind);
        if (g && g->kind == GIVEN_FILE && g->sha256[0])
            rc = incoming_whole(s->service->incoming, s->key, g->sha256, why);
        if (rc < 0)
            err_prefix(why, rc, "%s", jobspec_attached_names[kind]);
    }
    return rc;
}

void submission_let_go(struct submission *s)
{
    if (s->holds)
        hold_uploads(s, false);
}

void submission_free(struct submission *s)
{
    if (!s)
        return;
    submission_let_go(s);
    if (s->held)
        datasets_release(s->service->datasets, s->held);
    job_free(s->job);
    weights_said_done(&s->weights_say);
    job_notes_done(&s->notes);
    free(s);
}

/* --- on the lanes --- */

static int take_weights(struct service *server, struct submission *s, struct errbuf *why)
{
    struct job *job = s->job;
    struct checkpoint *c = NULL;
    int64_t epochs;
    int rc;

    if (job->spec.weights.kind != GIVEN_JOB)
        return 0;
    rc = job_newest_checkpoint(server, job->spec.weights.job, &s->weights_of,
                               s->weights_from == JOB_DONE, &c, why);
    if (rc == 0 && checkpoint_class_names(c)) {
        free(s->weights_say.class_names);
        s->weights_say.class_names = xstrdup(checkpoint_class_names(c));
    }
    if (rc == 0 && s->weights_from != JOB_DONE)
        s->notes.text[s->notes.count++] =
            xasprintf("the weights are those of job %" PRId64 " after epoch %" PRId64
                      ", step %" PRIu64 ": it was %s then, not done",
                      job->spec.weights.job, checkpoint_epoch(c), checkpoint_step(c),
                      job_state_names[s->weights_from]);
    if (rc == 0)
        rc = attached_write_weights(server->dir, job->rec.uuid, &job->spec.weights, &job->model,
                                    checkpoint_model(c, &epochs), &s->weights_say, &s->attached,
                                    why);
    checkpoint_free(c);
    return rc;
}

/* Everything has come: can this job use it? */
static int judge_attached(struct service *server, struct job *job, struct job_notes *notes,
                          struct errbuf *why)
{
    struct overlay overlays[JOB_REVISIONS_MAX] = {0};
    struct attached a = {0};
    const bool trains = !jobspec_external(&job->spec); /* has a model here */
    int rc = attached_load(server->dir, &server->net->giving_up, job->rec.uuid, &job->spec,
                           trains ? &job->model : NULL, job->data->samples, &a, why);

    if (rc == 0 && trains)
        rc = job_said_settle(job, &a.said, notes, why);
    if (rc == 0)
        rc = job_check_samples(job, job->data, a.excluded, a.excluded_count, why);
    if (rc == 0)
        rc = job_revisions_load(server, job->rec.dataset_sha256, job->spec.dataset, job->data,
                                &job->spec.revisions, overlays, why);
    if (rc == 0)
        rc = job_revisions_check(&job->spec, job->data, &a, overlays, job->spec.revisions.count,
                                 why);
    job_revisions_done(overlays);
    attached_done(&a);
    return rc;
}

int submission_collect(struct submission *s, struct errbuf *why)
{
    struct job *job = s->job;
    int rc = attached_adopt(s->service->dir, &s->service->net->giving_up, s->key, job->rec.uuid,
                            &job->spec, &s->attached, why);

    if (rc == 0)
        rc = take_weights(s->service, s, why);
    if (rc == 0)
        rc = judge_attached(s->service, job, &s->notes, why);
    if (rc < 0)
        return rc;
    job->attached_bytes = attached_bytes(s->service->dir, job->rec.uuid, &job->spec);
    cJSON *json = jobspec_json(&job->spec);
    job->rec.spec_json = json ? cJSON_PrintUnformatted(json) : NULL;
    cJSON_Delete(json);
    return job->rec.spec_json ? 0 : err_set(why, -ENOMEM, "no memory for the job description");
}

void submission_undo(struct submission *s)
{
    attached_undo(s->service->dir, s->key, s->job->rec.uuid, &s->job->spec, s->attached);
}

bool submission_needs_scores(const struct submission *s)
{
    const struct given *g = jobspec_attached(&s->job->spec, ATTACHED_ORDER);

    return g && g->kind == GIVEN_JOB;
}

/* A job file counts epochs from 0, a sentence from 1. */
static int read_given(struct submission *s, struct given *g, uint32_t n, struct score *scores,
                      struct errbuf *why)
{
    const int64_t asked = g->epoch;
    struct errbuf said = {""};
    int rc = query_scores(s->service->query, g->job, &g->epoch, n, scores, &said);

    if (rc == -ENOENT && asked >= 0)
        return err_set(why, rc, "curriculum.measure.epoch is %" PRId64 ", counted from 0: %s",
                       asked, said.text);
    return rc < 0 ? err_set(why, rc, "%s", said.text) : rc;
}

int submission_scores(struct submission *s, struct errbuf *why)
{
    struct job *job = s->job;
    struct given *g = &job->spec.curriculum.given;
    uint32_t n = job->data->samples;
    struct score *scores = alloc_bytes(n, sizeof(*scores));
    double *key = alloc_bytes(n, sizeof(*key));
    int rc;

    if (!scores || !key)
        rc = err_set(why, -ENOMEM, "no memory for %u scores", n);
    else
        rc = read_given(s, g, n, scores, why);
    for (uint32_t i = 0; rc == 0 && i < n; i++)
        key[i] = scores[i].flags & SCORE_MEASURED
                     ? curriculum_key(&s->scores_by, &scores[i], NULL, i)
                     : NAN;
    if (rc == 0)
        rc = attached_write_order(s->service->dir, job->rec.uuid, g, key, n, &s->attached, why);
    free(scores);
    free(key);
    return rc;
}

/* --- reading --- */

int submission_room(struct service *server, const char *key, int count, struct errbuf *why)
{
    const int own = jobs_open_of(server->jobs, key), all = jobs_open_of(server->jobs, NULL);

    if (all + count > JOBS_OPEN_MAX)
        return err_set(why, -ERANGE, "%d jobs are queued, running or paused, allowed is %d", all,
                       JOBS_OPEN_MAX);
    if (key[0] && own + count > JOBS_OF_ONE_MAX)
        return err_set(why, -ERANGE,
                       "%d jobs of the key %s are queued, running or paused, allowed is %d of one "
                       "key (steppe limits)",
                       own, key, JOBS_OF_ONE_MAX);
    return 0;
}

/* The job that a key of the job file names. */
static int find_other(struct service *server, const char *key, int64_t number, struct job **ret,
                      struct errbuf *why)
{
    int rc = jobs_find(server->jobs, number, ret, why);

    if (rc == 0)
        rc = jobs_prepare(server, *ret, why);
    return rc < 0 ? err_prefix(why, rc, "%s", key) : 0;
}

static int find_scores(struct service *server, struct submission *s, struct errbuf *why)
{
    const struct given *g = jobspec_attached(&s->job->spec, ATTACHED_ORDER);
    struct job *other;

    if (!g || g->kind != GIVEN_JOB)
        return 0;
    int rc = find_other(server, "curriculum.measure", g->job, &other, why);
    if (rc < 0)
        return rc;
    if (other->data->samples != s->job->data->samples)
        return err_set(why, -EINVAL,
                       "curriculum.measure: job %" PRId64
                       " scored the %u samples of dataset %s, this job trains on the %u of %s; "
                       "scores are matched by sample number",
                       g->job, other->data->samples, other->rec.dataset, s->job->data->samples,
                       s->job->rec.dataset);
    if (strcmp(other->rec.dataset_sha256, s->job->rec.dataset_sha256) != 0)
        s->notes.text[s->notes.count++] =
            xasprintf("curriculum.measure: job %" PRId64
                      " scored dataset %s, whose data differ from those of %s: each sample gets "
                      "the score of the sample with the same number",
                      g->job, other->rec.dataset, s->job->rec.dataset);
    s->scores_by = (struct jobspec){.normaliser = other->spec.normaliser,
                                    .curriculum = {.measure = g->measure}};
    return 0;
}

static bool same_layout(const struct model *a, const struct model *b)
{
    bool same = a->param_count == b->param_count && a->floats == b->floats;

    for (int i = 0; same && i < a->param_count; i++)
        same = strcmp(a->params[i].name, b->params[i].name) == 0 &&
               a->params[i].dims == b->params[i].dims &&
               memcmp(a->params[i].shape, b->params[i].shape, sizeof(a->params[i].shape)) == 0 &&
               a->params[i].flattened.w == b->params[i].flattened.w &&
               a->params[i].flattened.c == b->params[i].flattened.c;
    return same;
}

static int find_weights(struct service *server, struct submission *s, struct errbuf *why)
{
    const struct given *g = &s->job->spec.weights;
    struct job *other;

    if (g->kind != GIVEN_JOB)
        return 0;
    int rc = find_other(server, "weights", g->job, &other, why);
    if (rc == 0 && job_check_model(other, why) < 0)
        rc = err_prefix(why, -EPERM, "weights");
    if (rc < 0)
        return rc;
    const struct model *ours = &s->job->model, *theirs = &other->model;
    if (ours->in.c != theirs->in.c)
        return err_set(
            why, -EINVAL,
            "weights: the model of job %" PRId64 " is of images with %u channel%s, those of "
            "dataset %s have %u",
            g->job, theirs->in.c, theirs->in.c == 1 ? "" : "s", s->job->rec.dataset, ours->in.c);
    if (!same_layout(ours, theirs))
        return err_set(why, -EINVAL,
                       "weights: the model of job %" PRId64
                       " (%s) is another than this one (%s): of "
                       "%u x %u pixels and %u classes, this one of %u x %u and %u",
                       g->job, theirs->name, ours->name, theirs->in.h, theirs->in.w,
                       theirs->classes, ours->in.h, ours->in.w, ours->classes);
    s->weights_of = job_checkpoint_shape(other);
    s->weights_say = (struct weights_said){.scaling = scaling_of_model(theirs),
                                           .class_names = xstrdup(other->data->class_names_json),
                                           .layers = model_layers_json(theirs)};
    s->weights_from = other->rec.state;
    return 0;
}

/* What the job takes of the revisions of its dataset is settled now, and said where it could
 * surprise. */
static int pin_revisions(struct service *server, struct submission *s, struct errbuf *why)
{
    struct job *job = s->job;
    struct revisions *r = &job->spec.revisions;
    const struct revision_record *newest =
        datasets_newest(server->datasets, job->rec.dataset_sha256);
    char name[REVISION_NAME_BYTES];
    bool pinned;
    int rc =
        datasets_pin(server->datasets, job->spec.dataset, job->rec.dataset_sha256, r, &pinned, why);

    if (rc == 0 && pinned)
        s->notes.text[s->notes.count++] =
            xasprintf("%s@latest is %s now, and stays that for this job", job->spec.dataset,
                      revision_name(job->spec.dataset, newest->number, name));
    if (rc == 0 && r->count == 0 && newest)
        s->notes.text[s->notes.count++] =
            xasprintf("the labels are those of dataset %s as imported; %s has what verdicts "
                      "changed since",
                      job->spec.dataset, revision_name(job->spec.dataset, newest->number, name));
    return rc;
}

int submission_read(struct service *server, const char *key, const cJSON *spec, const char *uuid,
                    struct submission **ret, struct errbuf *why)
{
    struct submission *s = xcalloc(1, sizeof(*s));
    struct job *job = s->job = xcalloc(1, sizeof(*s->job));

    *ret = s;
    s->service = server;
    snprintf(s->key, sizeof(s->key), "%s", key);
    job->loss = job->accuracy = job->validation_accuracy = NAN;
    int rc = jobspec_parse(spec, &job->spec, why);
    if (rc < 0)
        return rc;
    memcpy(job->rec.uuid, uuid, sizeof(job->rec.uuid));
    memcpy(job->rec.name, job->spec.name, sizeof(job->rec.name));
    memcpy(job->rec.key_name, s->key, sizeof(job->rec.key_name));
    memcpy(job->rec.dataset, job->spec.dataset, sizeof(job->rec.dataset));
    job->rec.state = JOB_QUEUED;
    job->rec.created_unix_ms = clock_unix_ms();
    rc = submission_room(server, key, 1, why);
    if (rc == 0)
        rc = disk_watch_room(&server->disk, "jobs", why);
    if (rc == 0)
        rc = upkeep_room(server->upkeep, why);
    if (rc == 0)
        rc = jobs_prepare(server, job, why);
    if (rc == 0)
        rc = pin_revisions(server, s, why);
    if (rc == 0)
        rc = job_memory_check(server, job, why);
    if (rc == 0)
        rc = workers_can_hold(server->workers, job, why);
    if (rc == 0)
        rc = disk_share_jobs(server, key, job_disk_need(job), why);
    if (rc == 0)
        rc = find_scores(server, s, why);
    if (rc == 0)
        rc = find_weights(server, s, why);
    return rc < 0 ? rc : check_uploads(s, why);
}

void submission_hold(struct submission *s)
{
    s->held = s->job->data;
    datasets_hold(s->service->datasets, s->held);
    hold_uploads(s, true);
}
