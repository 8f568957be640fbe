/* Studies with halving: looks a few times a minute, and when the server starts, which arms have
 * come as far as a rung, and stops, holds or lets go on what follows from that. Nothing is
 * remembered: a decision is made again from the same committed epochs, and is durable as the state
 * of the jobs. */
#include <math.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/log.h"
#include "server/core/halving.h"
#include "server/jobs/service.h"
#include "server/jobs/studies_internal.h"
#include "server/net/op.h"

#define LOOK_MS 1000

struct judging {
    struct study *study; /* a copy */
    int64_t epochs;
    double *value[HALVING_RUNGS];
};

static void judging_free(struct judging *g)
{
    study_free(g->study);
    for (int i = 0; i < HALVING_RUNGS; i++)
        free(g->value[i]);
    free(g);
}

static struct job *job_at(const struct studies *studies, const struct study_job *j)
{
    struct job *job = NULL;

    return jobs_find(studies->service->jobs, j->job, &job, NULL) == 0 ? job : NULL;
}

/* Must it wait at a rung that is not judged yet? passed: rungs of its column that are. */
static bool is_early(const struct job *job, int passed)
{
    return passed < HALVING_RUNGS && job->epochs_done >= halving_rung(job->spec.epochs, passed);
}

bool studies_job_waits(struct studies *studies, const struct job *job)
{
    const struct study *study = job->in_study ? studies_of_job(studies, job->rec.job) : NULL;
    bool waits = false;

    for (int i = 0; study && study->halving && i < study->job_count; i++)
        if (study->jobs[i].job == job->rec.job)
            waits = study->jobs[i].arm != study->control &&
                    is_early(job, study->passed[study->jobs[i].data]);
    if (waits)
        studies->look_ms = 0;
    return waits;
}

static void apply(struct studies *studies, struct study *study, const bool *stopped)
{
    struct jobs *jobs = studies->service->jobs;

    for (int i = 0; i < study->job_count; i++) {
        struct job *job = job_at(studies, &study->jobs[i]);
        if (!job || job_state_final(job->rec.state) || study->jobs[i].arm == study->control)
            continue;
        bool early = is_early(job, study->passed[study->jobs[i].data]);
        bool waits = job->rec.state == JOB_PAUSED && job->rec.wait == WAIT_RUNG;
        if (stopped[i])
            job_stop_at_rung(jobs, job);
        else if (waits && !early)
            job_pass_rung(jobs, job);
        else if (early && job->rec.state != JOB_PAUSED)
            job_wait_at_rung(jobs, job);
    }
    jobs_pump(jobs);
    workers_wake(studies->service->workers);
}

/* The copy was made of the study as it is: a study with halving does not change. */
static void judge(struct studies *studies, const struct judging *g)
{
    struct study *study;
    bool *stopped;

    if (studies_find(studies, g->study->name, &study, NULL) < 0 ||
        study->study != g->study->study || study->job_count != g->study->job_count)
        return;
    stopped = xcalloc((size_t)study->job_count + 1, sizeof(*stopped));
    halving_judge(g->study, (const double *const *)g->value, study->passed, stopped);
    apply(studies, study, stopped);
    free(stopped);
}

static struct judging *judging_new(const struct studies *studies, const struct study *study)
{
    struct judging *g = xcalloc(1, sizeof(*g));
    const struct job *job = job_at(studies, &study->jobs[0]);

    g->study = studies_look(studies, study);
    g->epochs = job ? job->spec.epochs : 0;
    for (int i = 0; i < HALVING_RUNGS; i++)
        g->value[i] = xcalloc((size_t)study->job_count + 1, sizeof(double));
    return g;
}

static int read_values(struct service *s, struct judging *g, struct errbuf *why)
{
    int rc = 0;

    for (int i = 0; rc == 0 && i < HALVING_RUNGS; i++)
        rc = query_study_validation(s->query, g->study, halving_rung(g->epochs, i) - 1, g->value[i],
                                    why);
    return rc;
}

static void look_work(struct op *op)
{
    op->rc = read_values(op->service, op->arg, &op->why);
}

static void look_done(struct op *op)
{
    struct studies *studies = op->service->studies;

    studies->looking = false;
    if (op->rc == 0)
        judge(studies, op->arg);
    else
        log_warn("study.halving", "error=\"%s\"", op->why.text);
    judging_free(op->arg);
}

static bool is_open(const struct studies *studies, const struct study *study)
{
    for (int i = 0; study->halving && i < study->job_count; i++) {
        const struct job *job = job_at(studies, &study->jobs[i]);
        if (job && !job_state_final(job->rec.state))
            return true;
    }
    return false;
}

void studies_tick(struct studies *studies, int64_t now_ms)
{
    if (studies->looking || now_ms < studies->look_ms)
        return;
    for (int i = 0; i < studies->count; i++) {
        const int at = (studies->looked + 1 + i) % studies->count;
        if (!is_open(studies, studies->list[at]))
            continue;
        studies->looked = at;
        studies->looking = true;
        op_run(studies->service->net->query_lane,
               (struct op){.service = studies->service,
                           .arg = judging_new(studies, studies->list[at]),
                           .work = look_work,
                           .done = look_done});
        break;
    }
    studies->look_ms = now_ms + LOOK_MS;
}

/* On the loop's thread, before it runs: no job goes past a rung that was not looked at. */
void studies_begin(struct studies *studies)
{
    struct errbuf why;

    for (int i = 0; i < studies->count; i++) {
        if (!is_open(studies, studies->list[i]))
            continue;
        struct judging *g = judging_new(studies, studies->list[i]);
        if (read_values(studies->service, g, &why) == 0)
            judge(studies, g);
        else
            log_warn("study.halving", "error=\"%s\"", why.text);
        judging_free(g);
    }
}
