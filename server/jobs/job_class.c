/* The numerics class of a strict job: it takes the class of the first result that counts. While
 * nothing of that is left (the server was killed before the first checkpoint), it gives the class
 * back when its workers cannot do the job or are gone. A person may also relax the job or unpin its
 * class. Then the job no longer promises the same bits as its file gives elsewhere, and says so
 * from then on. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "server/jobs/jobs_internal.h"
#include "server/jobs/service.h"
#include "server/net/op.h"

/* Events of one run: workers that come, refuse and go all day must not fill the log. */
#define LOGGED_MAX 50

#define AT_ITS_END "has finished; its last epoch is being written"

struct class_change {
    struct job_record rec, before; /* before: the state if it cannot be written */
    char text[200];
    bool quiet; /* then it is not in the job's log */
    bool pin;
};

static void change_work(struct op *op)
{
    struct class_change *c = op->arg;

    op->rc = store_job_update(op->service->store, &c->rec, c->quiet ? NULL : "numerics", c->text,
                              &op->why);
}

static void take_back(struct job *job, const struct class_change *c)
{
    memcpy(job->rec.numerics_class, c->before.numerics_class, sizeof(job->rec.numerics_class));
    job->rec.relaxed = c->before.relaxed;
    memcpy(job->rec.broken, c->before.broken, sizeof(job->rec.broken));
}

static void change_done(struct op *op)
{
    struct class_change *c = op->arg;
    struct jobs *jobs = op->service->jobs;
    struct job *job;
    int rc = jobs_find(jobs, c->rec.job, &job, &op->why);

    if (rc == 0) {
        job->class_pending = false;
        rc = op->rc;
        if (rc < 0 && c->pin) /* it starts again with that class, which is written first */
            job_drop_run(jobs, job);
        else if (rc < 0)
            take_back(job, c);
        if (rc < 0 && !op->rq)
            job_hold(job, op->why.text);
    }
    if (op->rq && rc < 0)
        request_fail(op->rq, rc, &op->why);
    else if (op->rq)
        jobs_verb(jobs, job, VERB_RESUME, op->rq);
    workers_wake(op->service->workers);
    free(c);
}

/* No more work is handed out before the change is durable. */
static void write_class(struct jobs *jobs, struct job *job, struct class_change *c,
                        struct request *rq)
{
    c->rec = job_record_copy(job);
    job->class_pending = true;
    log_info("job.class", "job=%" PRId64 " text=\"%s\"", job->rec.job, c->text);
    job_store_run(jobs, job, STORE_ROW | STORE_PASS,
                  (struct op){.rq = rq,
                              .service = jobs->service,
                              .arg = c,
                              .work = change_work,
                              .done = change_done});
}

static struct class_change *begin(const struct job *job)
{
    struct class_change *c = xcalloc(1, sizeof(*c));

    c->before = job_record_copy(job);
    return c;
}

void job_class_pin(struct jobs *jobs, struct job *job, const char *class)
{
    struct class_change *c = begin(job);

    /* At once, like any change of a job: its next write must not bring the class back. */
    snprintf(job->rec.numerics_class, sizeof(job->rec.numerics_class), "%s", class);
    snprintf(c->text, sizeof(c->text), "numerics class %s", class);
    c->pin = true;
    c->quiet = job->refusals.pinned >= LOGGED_MAX;
    write_class(jobs, job, c, NULL);
}

void job_class_give_back(struct jobs *jobs, struct job *job)
{
    struct class_change *c = begin(job);

    snprintf(c->text, sizeof(c->text),
             "numerics class %s is given back: nothing was computed in it",
             job->rec.numerics_class);
    job->rec.numerics_class[0] = 0;
    c->quiet = job->refusals.pinned >= LOGGED_MAX;
    job->refusals.pinned++;
    write_class(jobs, job, c, NULL);
}

/* --- what a person decides --- */

bool job_class_is_relaxed(const struct job *job)
{
    return job->spec.numerics == NUMERICS_RELAXED || job->rec.relaxed;
}

static uint64_t step_of(const struct job *job)
{
    return job->run ? run_step(job->run) : job->step;
}

void job_class_relax(struct jobs *jobs, struct job *job, struct request *rq)
{
    struct class_change *c;

    /* A job that has ended, or is about to, cannot change. */
    if (job_state_final(job->rec.state)) {
        request_error(rq, ERR_NOT_ALLOWED,
                      "job %" PRId64 " is %s; only a job that is queued, running or paused can be "
                      "relaxed",
                      job->rec.job, job_state_names[job->rec.state]);
        return;
    }
    if (job->run && run_finished(job->run)) {
        request_error(rq, ERR_NOT_ALLOWED, "job %" PRId64 " " AT_ITS_END, job->rec.job);
        return;
    }
    if (job->spec.verify > 0) {
        request_error(rq, ERR_NOT_ALLOWED,
                      "job %" PRId64
                      " has verify %.15g, and results of different classes cannot be "
                      "compared; unpin its class instead",
                      job->rec.job, job->spec.verify);
        return;
    }
    if (job_class_is_relaxed(job)) {
        jobs_verb(jobs, job, VERB_RESUME, rq);
        return;
    }
    c = begin(job);
    job->rec.relaxed = true;
    snprintf(job->rec.broken, sizeof(job->rec.broken),
             "relaxed at step %" PRIu64 ": from there on by workers of any class", step_of(job));
    snprintf(c->text, sizeof(c->text), "%s", job->rec.broken);
    write_class(jobs, job, c, rq);
}

/* NULL: it can be. */
static const char *cannot_unpin(const struct job *job)
{
    if (job_state_final(job->rec.state))
        return "has ended; only a job that runs again takes another class";
    if (job->run && run_finished(job->run))
        return AT_ITS_END;
    if (job->spec.numerics == NUMERICS_RELAXED)
        return "takes workers of every class; it has no class to unpin";
    return NULL;
}

/* checkpoint: of its run; ownership passes. */
static void unpin(struct jobs *jobs, struct job *job, const char *class,
                  struct checkpoint *checkpoint, struct request *rq)
{
    char text[sizeof(job->rec.broken) + 40] = "";

    if (strcmp(job->rec.numerics_class, class) == 0) {
        const bool nothing = job->run && !job->touched;
        snprintf(text, sizeof(text), "class %s was unpinned at step %" PRIu64, class, step_of(job));
        if (!nothing)
            snprintf(job->rec.broken, sizeof(job->rec.broken), "%.150s", text);
        job_drop_run(jobs, job);
        job->rec.numerics_class[0] = 0;
        job->rec.relaxed = false;
    }
    job_write(jobs, job, checkpoint, text, rq);
}

static void unpin_back(struct jobs *jobs, struct job *job, struct trip *t)
{
    struct errbuf why;
    int rc;

    if (job) {
        unpin(jobs, job, t->text, t->checkpoint, t->rq);
        return;
    }
    rc = jobs_find(jobs, t->job, &job, &why);
    if (rc == 0)
        job_class_unpin(jobs, job, t->text, t->rq);
    else
        request_fail(t->rq, rc, &why);
}

void job_class_unpin(struct jobs *jobs, struct job *job, const char *class, struct request *rq)
{
    const char *refusal = cannot_unpin(job);
    struct trip trip = {.saves = true, .back = unpin_back, .rq = rq};

    snprintf(trip.text, sizeof(trip.text), "%s", class);
    if (refusal)
        request_error(rq, ERR_NOT_ALLOWED, "job %" PRId64 " %s", job->rec.job, refusal);
    else if (job->run && job->touched && strcmp(job->rec.numerics_class, class) == 0)
        job_send(jobs, job, &trip);
    else
        unpin(jobs, job, class, NULL, rq);
}

cJSON *job_class_promise(const struct job *job)
{
    const char *why = job->rec.broken;
    cJSON *out = cJSON_CreateObject();

    if (job->spec.numerics == NUMERICS_RELAXED)
        why = "its job file asks for numerics relaxed";
    cJSON_AddBoolToObject(out, "holds", !why[0]);
    cJSON_AddBoolToObject(out, "relaxed", job_class_is_relaxed(job));
    if (why[0])
        cJSON_AddStringToObject(out, "why", why);
    return out;
}
