/* The numerics class of a strict job: it takes that of the worker that first asks for its work, and
 * gives it back as long as nothing was computed in it. */
#include <stdio.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "server/jobs_internal.h"
#include "server/server.h"

struct class_change {
    struct job_record rec;
    char text[160];
};

static void change_work(struct op *op)
{
    struct class_change *c = op->arg;

    op->rc = store_job_update(op->server->store, &c->rec, "numerics", c->text, &op->why);
}

static void change_done(struct op *op)
{
    struct class_change *c = op->arg;
    struct job *job;

    if (jobs_find(op->server->jobs, c->rec.job, &job, NULL) == 0) {
        job->class_pending = false;
        if (op->rc < 0) {
            job->rec.numerics_class[0] = 0;
            job_hold(job, op->why.text);
        }
        workers_wake(op->server->workers);
    }
    free(c);
}

/* No work is given out before it is durable. */
static void write_class(struct jobs *jobs, struct job *job, struct class_change *c)
{
    c->rec = job_record_copy(job);
    job->class_pending = true;
    op_run(jobs->server->store_lane,
           (struct op){.server = jobs->server, .arg = c, .work = change_work, .done = change_done});
}

void jobs_pin_class(struct jobs *jobs, struct job *job, const char *class)
{
    struct class_change *c = xcalloc(1, sizeof(*c));

    /* At once, as any change of a job: what is written of it next must not take the class back. */
    snprintf(job->rec.numerics_class, sizeof(job->rec.numerics_class), "%s", class);
    snprintf(c->text, sizeof(c->text), "numerics class %s", class);
    write_class(jobs, job, c);
}

void jobs_unpin_class(struct jobs *jobs, struct job *job)
{
    struct class_change *c = xcalloc(1, sizeof(*c));

    snprintf(c->text, sizeof(c->text),
             "numerics class %s is given back: nothing was computed in it",
             job->rec.numerics_class);
    job->rec.numerics_class[0] = 0;
    write_class(jobs, job, c);
}
