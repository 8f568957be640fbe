/* The states of a job and the one matrix of allowed changes. Pure. */
#ifndef STEPPE_SERVER_CORE_JOB_H
#define STEPPE_SERVER_CORE_JOB_H

#include <stdbool.h>

#include "common/err.h"

enum job_state {
    JOB_QUEUED,    /* accepted, waits for its turn */
    JOB_RUNNING,   /* trains, or is about to go on */
    JOB_PAUSED,    /* by a person, or by the server with a reason (disk full) */
    JOB_DONE,      /* trained to the end; model and scores are final */
    JOB_FAILED,    /* cannot go on; the reason is kept */
    JOB_CANCELLED, /* by a person */
    JOB_STATES
};

extern const char *const job_state_names[JOB_STATES + 1]; /* NULL-terminated */

/* What a paused job that the server could not keep waits for; then it goes on by itself. */
enum job_wait {
    WAIT_NOTHING,  /* it goes on when a person resumes it */
    WAIT_ROOM,     /* the disk is full */
    WAIT_WRITABLE, /* the state folder cannot be written */
    WAIT_LOCK,     /* another program has a database locked */
    WAIT_FILE,     /* a database was removed or replaced */
    WAIT_RUNG,     /* the arms of its study are compared first */
    JOB_WAITS
};

/* As they are in state.db; "" for WAIT_NOTHING. NULL-terminated. */
extern const char *const job_wait_names[JOB_WAITS + 1];

/* May a job go from one state to the other? */
bool job_state_allowed(enum job_state from, enum job_state to);
/* Will it never run again? */
bool job_state_final(enum job_state s);
/* What a person asked for: "pause", "resume", "cancel". 0 and the new state; -EALREADY when the job
 * already has that state (idempotent: not an error for the caller); -EINVAL otherwise, with a
 * sentence that lacks its subject: "is done; only a job that is running can be paused". */
enum job_verb { VERB_PAUSE, VERB_RESUME, VERB_CANCEL };
int job_verb_apply(enum job_state from, enum job_verb verb, enum job_state *ret,
                   struct errbuf *why);

#endif
