#include "server/core/job.h"

#include <errno.h>
#include <stddef.h>

#include "common/text.h"

const char *const job_state_names[JOB_STATES + 1] = {
    [JOB_QUEUED] = "queued", [JOB_RUNNING] = "running", [JOB_PAUSED] = "paused",
    [JOB_DONE] = "done",     [JOB_FAILED] = "failed",   [JOB_CANCELLED] = "cancelled",
    [JOB_STATES] = NULL,
};

const char *const job_wait_names[JOB_WAITS + 1] = {
    [WAIT_NOTHING] = "",  [WAIT_ROOM] = "room", [WAIT_WRITABLE] = "writable", [WAIT_LOCK] = "lock",
    [WAIT_FILE] = "file", [WAIT_RUNG] = "rung", [JOB_WAITS] = NULL,
};

/* A paused job goes back to the queue, never straight to its run: only so many may train. */
static const bool allowed[JOB_STATES][JOB_STATES] = {
    [JOB_QUEUED] =
        {[JOB_RUNNING] = true, [JOB_PAUSED] = true, [JOB_FAILED] = true, [JOB_CANCELLED] = true},
    [JOB_RUNNING] =
        {[JOB_PAUSED] = true, [JOB_DONE] = true, [JOB_FAILED] = true, [JOB_CANCELLED] = true},
    [JOB_PAUSED] = {[JOB_QUEUED] = true, [JOB_FAILED] = true, [JOB_CANCELLED] = true},
};

#define IN(state) (1u << (state))

static const struct {
    const char *done; /* past participle for the sentence */
    enum job_state to;
    unsigned already; /* states in which there is nothing to do */
} verbs[] = {
    [VERB_PAUSE] = {"paused", JOB_PAUSED, IN(JOB_PAUSED)},
    [VERB_RESUME] = {"resumed", JOB_QUEUED, IN(JOB_QUEUED) | IN(JOB_RUNNING)},
    [VERB_CANCEL] = {"cancelled", JOB_CANCELLED, IN(JOB_CANCELLED)},
};

bool job_state_allowed(enum job_state from, enum job_state to)
{
    return allowed[from][to];
}

bool job_state_final(enum job_state s)
{
    for (int to = 0; to < JOB_STATES; to++)
        if (allowed[s][to])
            return false;
    return true;
}

/* "is done; only a job that is queued or running can be paused" */
static int refuse(enum job_state from, enum job_verb verb, struct errbuf *why)
{
    const char *names[JOB_STATES + 1] = {NULL};
    char list[64];
    int count = 0;

    for (int s = 0; s < JOB_STATES; s++)
        if (allowed[s][verbs[verb].to])
            names[count++] = job_state_names[s];
    return err_set(why, -EINVAL, "is %s; only a job that is %s can be %s", job_state_names[from],
                   text_list(names, list, sizeof(list)), verbs[verb].done);
}

int job_verb_apply(enum job_state from, enum job_verb verb, enum job_state *ret, struct errbuf *why)
{
    if (verbs[verb].already & IN(from))
        return -EALREADY;
    if (!allowed[from][verbs[verb].to])
        return refuse(from, verb, why);
    *ret = verbs[verb].to;
    return 0;
}
