/* External jobs: a program of somebody's own trains, and asks for what it needs. Such a job takes
 * no slot of --max-running and no workers. It runs from its first opening on; what its open epoch
 * holds is in memory while the program is heard of, and is otherwise known again from
 * difficulty.db: all but the reports of that epoch, which programs keep until it is closed. `life`
 * tells them when that memory is another one. */
#ifndef STEPPE_SERVER_JOBS_EXTERNALS_H
#define STEPPE_SERVER_JOBS_EXTERNALS_H

#include "server/core/external.h"
#include "server/jobs/jobs.h"

#define EXTERNAL_PROGRAM_BYTES 129 /* of what a program calls itself, with the closing 0 */

/* Of an external job. */
struct external_state {
    struct external *open; /* the open epoch; NULL: not in memory */
    char life[UUID_BYTES]; /* of that memory */
    bool busy;             /* something of it is on a lane: nothing else happens to the job */
    int64_t heard_ms; /* monotonic time of the last message; 0: none in this life of the server */
    int64_t heard_unix_ms;
    char program[EXTERNAL_PROGRAM_BYTES]; /* that opened it last; "" not known */
    int64_t opened_unix_ms;               /* 0: before the server was started */
    char opened_as[UUID_BYTES];           /* what that client calls this opening; "" nothing */
    /* The last epoch that was closed since then; epoch -1: none. */
    struct external_last {
        int64_t epoch;
        uint32_t missing;
        uint64_t dropped;
        char sha256[SHA256_HEX];
    } last;
};

/* How a program opens a job. Both texts are borrowed. */
struct external_opening {
    int64_t epoch;       /* that is to be open; -1: the first that is not closed */
    const char *program; /* what it calls itself; "" it does not say */
    const char *uuid;    /* of the opening; "" it has none */
};
/* Opens the job for a program: with the next incarnation, durably. Epochs from there on are taken
 * back first. The opening that was the last one, again, is answered as it was. Answers rq. */
void external_job_open(struct jobs *jobs, struct job *job, const struct external_opening *o,
                       struct request *rq);
/* A message of a program that has opened the job as `incarnation`: what it is about, or NULL and rq
 * was answered: the program is superseded, the job is over, is paused, or is busy for a moment. */
struct external *external_job_enter(struct jobs *jobs, struct job *job, int64_t incarnation,
                                    struct request *rq);
/* What a program is told that opens or joins the job. */
cJSON *external_job_row(struct jobs *jobs, const struct job *job);
/* A reply of external.*, with what is in all of them. */
void external_job_reply(struct request *rq, const struct job *job, cJSON *fields,
                        const struct tensor *tensors, int count);
/* Is this epoch closed, by that incarnation? Then rq is answered with what closing it said. */
bool external_job_closed(struct jobs *jobs, struct job *job, int64_t incarnation, int64_t epoch,
                         struct request *rq);
/* All ranks have closed the open epoch: folds it and opens the next one, then answers rq. */
void external_job_close(struct jobs *jobs, struct job *job, struct request *rq);
/* Reports that come while the epoch is being closed are too late; is it? */
bool external_job_closing(const struct job *job, int64_t incarnation, int64_t epoch);

/* Its memory goes; what was reported in the open epoch has to come again. */
void external_job_forget(struct job *job);
/* Memory of jobs whose program was not heard of for long goes. */
void external_jobs_tick(struct jobs *jobs, int64_t now_ms);
/* What a queued or running one waits for; false: nothing. */
bool external_job_waiting(const struct job *job, char *out, size_t bytes);
/* For its row: engine, program, when it was last heard of. */
void external_job_describe(const struct job *job, cJSON *row);

#endif
