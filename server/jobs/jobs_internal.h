/* Shared by jobs.c and job_*.c only. */
#ifndef STEPPE_SERVER_JOBS_JOBS_INTERNAL_H
#define STEPPE_SERVER_JOBS_JOBS_INTERNAL_H

#include "server/jobs/jobs.h"
#include "server/jobs/schedules.h"
#include "server/net/op.h"

/* Closed epochs that may wait for the disk before training waits too: bounds their memory. */
#define CLOSING_MAX 2
/* A job of more samples has one: it trains on while that is written, but closes no other. So it
 * holds the scores of one epoch only. */
#define CLOSING_TWO_SAMPLES (1u << 17)
unsigned job_closing_max(const struct job *job);
/* Are the scores that are written its run's, which has them back when that is over? */
bool job_lends_scores(const struct job *job);
/* An epoch is on its way to the store; one is there, or was not written; the job goes. */
void job_closing_begin(struct jobs *jobs, struct job *job);
void job_closing_end(struct jobs *jobs, struct job *job);
void job_closing_forget(struct jobs *jobs, struct job *job);
/* Do epochs that are being written keep its run from its work? */
bool job_waits_for_closing(const struct job *job);
#define RETRY_MS 5000

struct jobs {
    struct service *service;
    struct job *list;
    struct schedules *schedules;          /* NULL: nobody has asked for one yet */
    bool probing;                         /* the disk is asked for room */
    int64_t probe_ms;                     /* not again before */
    size_t spare_bytes;                   /* of all jobs (job_closing.c) */
    struct job *running[RUNNING_MAX + 1]; /* those in that state, by number, NULL-terminated */
};

struct checkpoint;

/* The one place where a job changes its state, except for a change that cannot be written. It waits
 * for nothing then; who pauses it until something passes says so behind this. */
void job_set_state(struct jobs *jobs, struct job *job, enum job_state to);
/* The record in memory is now the one on the disk. */
void job_kept(struct job *job, const struct job_record *rec);
/* Recomputes which jobs are in state running. */
void jobs_update_running(struct jobs *jobs);
/* What a job without a run waits for, if it is other jobs: their number, or their memory. */
bool jobs_wait_for_room(struct jobs *jobs, struct job *job, char *out, size_t bytes);
/* The memory that a prepared job takes at most, with what there is of its samples elsewhere: in its
 * dataset, and where its epochs are folded. */
size_t job_memory(const struct job *job);
/* What one epoch of it that waits for the disk takes. */
size_t job_epoch_memory(const struct job *job);
/* The memory that a job of this shape and those that have or get a run take together. */
int64_t job_memory_with(const struct jobs *jobs, const struct job *job);
/* Likewise an external job and those of its key that are in memory; 0: none is, or it has no key.
 */
int64_t job_memory_of_one(const struct jobs *jobs, const struct job *job);
/* A copy of the record for a lane, without the spec's text. */
struct job_record job_record_copy(const struct job *job);
/* The job cannot go on by itself; jobs_tick tries again. */
void job_hold(struct job *job, const char *reason);
void job_drop_run(struct jobs *jobs, struct job *job);

/* job_away.c. What keeps a thread for long runs on the job's lane, in the order in which it was
 * given; op as in op_run. */
void job_lane_run(struct jobs *jobs, struct job *job, struct op op);
/* On the store's lane, behind what is there of the job. Other jobs' commands and small folds pass
 * what takes long. */
enum {
    STORE_LONG = 1, /* takes time in proportion to the samples */
    STORE_ROW = 2,  /* writes the job's row */
    STORE_PASS = 4, /* need only be behind what writes the row */
};
void job_store_run(struct jobs *jobs, struct job *job, unsigned how, struct op op);
/* What becomes of a run while it is away: on the lane it goes on (run_go_on), unless a checkpoint
 * is all that is wanted. */
struct trip {
    struct run *run;
    int64_t job, now_ms;
    bool goes_on;
    bool saves; /* a checkpoint is wanted; behind the end of an epoch there always is one */
    int rc;     /* of run_go_on */
    enum run_event event;
    struct run_epoch epoch;        /* where the event says so; owned until it is taken */
    struct checkpoint *checkpoint; /* NULL: none, or no memory; likewise */
    /* On the loop, when the job has its run again; job is NULL when it was dropped meanwhile. */
    void (*back)(struct jobs *jobs, struct job *job, struct trip *t);
    struct request *rq; /* answered by back; NULL: nobody asked */
    char text[80];      /* of back */
};
/* Sends the run of the job away. Until it is back the job has none: its workers wait, results are
 * late, and what cannot do without a run waits (job_waits). */
void job_send(struct jobs *jobs, struct job *job, const struct trip *t);
/* Opens what follows the round that was closed, or the epoch that was held back; sends the run away
 * if that takes long. */
void job_go_on(struct jobs *jobs, struct job *job);
/* What a job waits for whose run is away; false: that is over soon. */
bool job_away_waiting(const struct job *job, int64_t now_ms, char *out, size_t bytes);
/* Memory of a large job goes back. */
void job_lane_free(struct jobs *jobs, struct job *job, void *memory);
/* Frees a run that is no job's any more. */
void job_discard_run(struct jobs *jobs, struct job *job, struct run *run);
/* A checkpoint inside an epoch is due; writes it (ownership passes). */
bool job_save_is_due(const struct jobs *jobs, const struct job *job, int64_t now_ms);
void job_save(struct jobs *jobs, struct job *job, struct checkpoint *checkpoint);
/* The server stops: the run goes, and its checkpoint (ownership passes; NULL: none) is written. */
void job_stop_with(struct jobs *jobs, struct job *job, struct checkpoint *checkpoint);
/* What the log says when its run has finished: "done", and why before its last epoch. */
#define JOB_END_BYTES 128
void job_end_text(const struct job *job, char text[JOB_END_BYTES]);
/* On the store's lane: writes file and row, and removes all but the newest ones. *io_bytes: what is
 * there now takes so much on the disk, if that can be told. */
#define CHECKPOINTS_KEPT 2
int job_save_checkpoint(struct service *s, int64_t job, const struct checkpoint *c,
                        int64_t *io_bytes, struct errbuf *why);
/* On the store's lane, or before the loop: what its checkpoints take on the disk; -1: not known.
 * Then on the loop, with that. */
int64_t job_checkpoints_bytes(struct service *s, int64_t job);
void job_note_checkpoints(struct job *job, int64_t bytes);
/* The same for a job of which nothing is in the hands of workers. */
void job_save_when_idle(struct jobs *jobs, struct job *job, int64_t now_ms);
/* A job's work cannot be kept (rc and reason): pauses it; work that is not on disk is computed
 * again when it goes on. */
void job_pause_for(struct jobs *jobs, struct job *job, int rc, const char *reason);
/* What the store has to fold of a closed epoch; borrows from both. */
struct fold job_fold(const struct run_epoch *e, const struct dataset *data);
/* An epoch that closed, for the job's log and for the server's. */
void job_epoch_text(const struct epoch_record *e, char *out, size_t bytes);
void job_log_epoch(const struct epoch_record *e);
/* Resumes jobs that wait for the disk or a database when it can be written again; called a few
 * times a second. */
void jobs_probe_disk(struct jobs *jobs, int64_t now_ms);
/* Writes the record as it is now, with the event `text` ("" : none) and before it the checkpoint
 * (may be NULL; ownership passes); rq (may be NULL) is answered when that is durable. If it cannot
 * be written, a person's request has not happened: the job is again as it is on the disk. A change
 * that nobody asked for is tried again. */
void job_write(struct jobs *jobs, struct job *job, struct checkpoint *checkpoint, const char *text,
               struct request *rq);

/* job_verify.c: a run is about to be made, and how its results are checked; the job has no run any
 * more; may the job start, or is it held because its checkpoints cannot be judged yet? */
struct run_verifying job_verify_begin(struct jobs *jobs, struct job *job);
void job_verify_forget(struct job *job);
bool job_verify_starts(struct jobs *jobs, struct job *job);

/* Retries changes that nobody asked for and that could not be written. */
void jobs_write_again(struct jobs *jobs, int64_t now_ms);

#endif
