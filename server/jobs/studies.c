#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/text.h"
#include "server/jobs/service.h"
#include "server/jobs/studies_internal.h"

static void load_one(void *arg, struct study *study)
{
    studies_put(arg, study);
}

int studies_open(struct service *s, struct studies **ret, struct errbuf *why)
{
    struct studies *studies = xcalloc(1, sizeof(*studies));

    studies->service = s;
    int rc = store_studies_load(s->store, load_one, studies, why);
    if (rc < 0)
        studies_close(studies);
    else
        *ret = studies;
    return rc;
}

void studies_close(struct studies *studies)
{
    if (!studies)
        return;
    for (struct waiting *w = studies->waiting, *next; w; w = next) {
        next = w->next;
        request_drop(w->rq);
        free(w);
    }
    for (int i = 0; i < studies->count; i++)
        study_free(studies->list[i]);
    free(studies->list);
    free(studies);
}

int studies_count(const struct studies *studies)
{
    return studies->count;
}

struct study *studies_at(const struct studies *studies, int i)
{
    return i < studies->count ? studies->list[i] : NULL;
}

int studies_find(const struct studies *studies, const char *name, struct study **ret,
                 struct errbuf *why)
{
    const char **names = xcalloc((size_t)studies->count + 1, sizeof(*names));
    char list[200];
    int rc = 0;

    for (int i = 0; i < studies->count; i++)
        names[i] = studies->list[i]->name;
    int found = text_index(name, names);
    const char *near = text_nearest(name, names);
    if (found >= 0)
        *ret = studies->list[found];
    else if (studies->count == 0)
        rc = err_set(why, -ENOENT, "there is no study %.60s; none has been submitted yet", name);
    else if (near)
        rc = err_set(why, -ENOENT, "there is no study %.60s; did you mean \"%s\"?", name, near);
    else
        rc = err_set(why, -ENOENT, "there is no study %.60s; there is %s", name,
                     text_list(names, list, sizeof(list)));
    free(names);
    return rc;
}

struct study *studies_by_uuid(const struct studies *studies, const char *uuid)
{
    for (int i = 0; i < studies->count; i++)
        if (study_has_uuid(studies->list[i], uuid))
            return studies->list[i];
    return NULL;
}

struct study *studies_of_job(const struct studies *studies, int64_t job)
{
    for (int i = 0; i < studies->count; i++)
        if (study_by_job(studies->list[i], job))
            return studies->list[i];
    return NULL;
}

static struct job *job_at(const struct studies *studies, const struct study_job *j)
{
    struct job *job = NULL;

    return jobs_find(studies->service->jobs, j->job, &job, NULL) == 0 ? job : NULL;
}

static void mark_jobs(const struct studies *studies, const struct study *study, bool in_study)
{
    for (int i = 0; i < study->job_count; i++) {
        struct job *job = job_at(studies, &study->jobs[i]);
        if (job)
            job->in_study = in_study;
    }
}

void studies_put(struct studies *studies, struct study *study)
{
    int at = 0;

    while (at < studies->count && studies->list[at]->study < study->study)
        at++;
    if (at < studies->count && studies->list[at]->study == study->study) {
        mark_jobs(studies, studies->list[at], false);
        study_free(studies->list[at]);
    } else {
        studies->list =
            xrealloc(studies->list, (size_t)(studies->count + 1) * sizeof(*studies->list));
        memmove(&studies->list[at + 1], &studies->list[at],
                (size_t)(studies->count - at) * sizeof(*studies->list));
        studies->count++;
    }
    studies->list[at] = study;
    if (study->halving)
        study_begin_halving(study);
    mark_jobs(studies, study, true);
}

void studies_remove(struct studies *studies, struct study *study)
{
    int at = 0;

    while (studies->list[at] != study)
        at++;
    memmove(&studies->list[at], &studies->list[at + 1],
            (size_t)(studies->count - at - 1) * sizeof(*studies->list));
    studies->count--;
    study_free(study);
}

bool studies_enter(struct studies *studies, struct request *rq, void (*again)(struct request *rq))
{
    struct waiting **end = &studies->waiting;

    if (!studies->busy) {
        studies->busy = true;
        return true;
    }
    while (*end)
        end = &(*end)->next;
    *end = xmalloc(sizeof(**end));
    **end = (struct waiting){rq, again, NULL};
    return false;
}

void studies_leave(struct studies *studies)
{
    struct waiting *w;

    studies->busy = false;
    while (!studies->busy && (w = studies->waiting) != NULL) {
        studies->waiting = w->next;
        if (studies->service->net->stopping)
            request_error(w->rq, ERR_UNAVAILABLE, "the server is stopping; try again in a moment");
        else
            w->again(w->rq);
        free(w);
    }
}

static enum job_state state_of(const struct studies *studies, const struct study_job *j)
{
    const struct job *job = job_at(studies, j);

    return job ? job->rec.state : JOB_FAILED;
}

/* What goes on decides, then what could, then what went wrong. */
static const enum job_state by_weight[] = {JOB_RUNNING, JOB_QUEUED,    JOB_PAUSED,
                                           JOB_FAILED,  JOB_CANCELLED, JOB_DONE};

cJSON *studies_row(const struct studies *studies, const struct study *study)
{
    cJSON *row = cJSON_CreateObject(), *states;
    int counts[JOB_STATES] = {0}, stopped = 0;
    size_t first = 0;

    for (int i = 0; i < study->job_count; i++) {
        const struct job *job = job_at(studies, &study->jobs[i]);
        counts[state_of(studies, &study->jobs[i])]++;
        stopped += job && job_stopped_at_rung(job);
    }
    /* What halving stops is as it should be. */
    counts[JOB_CANCELLED] -= stopped;
    while (first + 1 < JOB_STATES && counts[by_weight[first]] == 0)
        first++;
    counts[JOB_CANCELLED] += stopped;
    cJSON_AddStringToObject(row, "study", study->name);
    cJSON_AddStringToObject(row, "state", job_state_names[by_weight[first]]);
    cJSON_AddStringToObject(row, "control", study->control < 0 ? "" : study->arms[study->control]);
    cJSON_AddNumberToObject(row, "arms", study->arm_count);
    cJSON_AddNumberToObject(row, "datasets", study->data_count);
    cJSON_AddNumberToObject(row, "jobs", study->job_count);
    states = cJSON_AddObjectToObject(row, "states");
    for (int s = 0; s < JOB_STATES; s++)
        if (counts[s])
            cJSON_AddNumberToObject(states, job_state_names[s], counts[s]);
    if (study->halving)
        cJSON_AddTrueToObject(row, "halving");
    cJSON_AddNumberToObject(row, "created_unix_ms", (double)study->created_unix_ms);
    return row;
}

cJSON *studies_place(const struct studies *studies, int64_t job)
{
    const struct study *study = studies_of_job(studies, job);

    if (!study)
        return NULL;
    const struct study_job *j = study_by_job(study, job);
    cJSON *out = cJSON_CreateObject();
    cJSON_AddStringToObject(out, "study", study->name);
    cJSON_AddStringToObject(out, "arm", study->arms[j->arm]);
    cJSON_AddStringToObject(out, "dataset", study->data[j->data]);
    cJSON_AddNumberToObject(out, "seed", (double)j->seed);
    return out;
}

struct study *studies_look(const struct studies *studies, const struct study *study)
{
    struct study *copy = study_copy(study);

    for (int i = 0; i < copy->job_count; i++) {
        const struct job *job = job_at(studies, &copy->jobs[i]);
        copy->jobs[i].state = state_of(studies, &copy->jobs[i]);
        copy->jobs[i].stopped = job && job_stopped_at_rung(job);
        copy->jobs[i].best = job && job->spec.keep == KEEP_BEST;
    }
    return copy;
}
