/* Shared by jobs.c, job_*.c and handle_model.c only. */
#ifndef STEPPE_SERVER_JOBS_INTERNAL_H
#define STEPPE_SERVER_JOBS_INTERNAL_H

#include "server/jobs.h"

/* Closed epochs that may wait for the disk before training waits too: bounds their memory. */
#define CLOSING_MAX 2
#define RETRY_MS 5000
/* Rows of checkpoints that are looked at; two are kept. */
#define CHECKPOINTS_READ 8

struct jobs {
    struct server *server;
    struct job *list;
    struct job *running[RUNNING_MAX + 1]; /* those in that state, by number, NULL-terminated */
};

struct checkpoint;

/* The one place where a job changes its state. */
void job_set_state(struct jobs *jobs, struct job *job, enum job_state to);
/* Finds out again which jobs are in state running. */
void jobs_update_running(struct jobs *jobs);
/* What a job without a run waits for, when it is for others: their number, or their memory. */
bool jobs_wait_for_room(struct jobs *jobs, struct job *job, char *out, size_t bytes);
/* What a job of this shape and those that have or get a run take together. */
int64_t jobs_memory_with(const struct jobs *jobs, const struct job *job);
/* A copy of the record for a lane, without the spec's text. */
struct job_record job_record_copy(const struct job *job);
void job_checkpoint_path(char *out, size_t bytes, const char *dir, int64_t job, const char *file);
/* It cannot go on by itself; jobs_tick tries again. */
void job_hold(struct job *job, const char *reason);
void job_drop_run(struct jobs *jobs, struct job *job);
/* Writes the record as it is now, with the event `text` ("" : none) and before it the checkpoint
 * (may be NULL; ownership passes); rq (may be NULL) is answered when that is durable. */
void job_write(struct jobs *jobs, struct job *job, struct checkpoint *checkpoint, const char *text,
               struct request *rq);

#endif
