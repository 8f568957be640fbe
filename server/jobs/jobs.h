/* The jobs: one table in memory, mirrored to the store; running jobs hold their runs. jobs.c has
 * the table and the rows for people, job_start.c start and recovery, job_epoch.c the epochs of one
 * that runs, job_state.c the states and the verbs of people, job_save.c checkpoints inside
 * an epoch, job_wait.c what waits for the disk or for a lock, job_class.c the numerics class,
 * job_memory.c what fits --memory, job_verify.c results that are computed twice, job_rung.c the
 * rungs of halving, job_said.c what weights say of a job, job_split.c which samples it holds out,
 * job_left.c how many those are in the end, job_disk.c what the files of jobs take, job_external.c
 * and job_external_close.c those that a program of somebody's own trains (externals.h), job_away.c
 * what would keep the loop for long. */
#ifndef STEPPE_SERVER_JOBS_JOBS_H
#define STEPPE_SERVER_JOBS_JOBS_H

#include <cjson/cJSON.h>

#include "common/footprint.h"
#include "common/jobspec.h"
#include "common/model.h"
#include "server/core/pace.h"
#include "server/core/run.h"
#include "server/core/split.h"
#include "server/net/lane.h"
#include "server/net/metrics.h"
#include "server/net/request.h"
#include "server/store/checkpoint.h"
#include "server/store/store.h"

struct service;
struct jobs;
struct external_state;

/* Rows of checkpoints that are examined; two are kept. */
#define CHECKPOINTS_READ 8

#define JOB_FAULTS_MAX 3

/* Names of keys, each once; behind the last place no more are noted. */
struct job_keys {
    uint32_t count;
    char name[JOB_FAULTS_MAX][NAME_MAX_BYTES];
};

/* Faults within one round, the workers that made them, and the keys that these have. */
struct job_faults {
    uint64_t step;
    enum phase phase;
    uint32_t count, distinct;
    uint32_t workers[JOB_FAULTS_MAX];
    struct job_keys keys;
};

/* Workers that said they cannot do the job, since its run exists. */
struct job_refusals {
    uint32_t count;  /* refusals that can end it: causes that do not pass */
    uint32_t logged; /* events in its log */
    uint32_t pinned; /* how often its class was pinned and given back */
    char said[400];  /* "worker NAME: REASON" of the last one; "" without */
};

/* The workers that compute for it, as they were at some time. */
struct crew {
    uint64_t threads;
    uint32_t hand; /* of one of them */
    bool mixed;    /* they have several hands */
    int64_t counted_ms;
};

/* A run that is on a lane (job_away.c), and what was known of it before. */
struct away {
    struct run *run; /* NULL: none is */
    struct run_progress progress;
    enum phase phase;
    uint32_t reissued;
    int64_t since_ms; /* monotonic */
};

struct job {
    struct job_record rec; /* rec.spec_json is owned */
    struct jobspec spec;
    struct model model;         /* valid when data is set */
    const struct dataset *data; /* NULL until the job is prepared */
    struct footprint footprint; /* memory of a worker; likewise, 0 of an external job */
    uint32_t uses[USES];        /* samples of each, before exclude; likewise */
    bool left_known;            /* job_left.h: of each, under that revision and without exclude */
    int64_t left_revision;
    uint32_t left[USES];
    int64_t checkpoint_bytes;        /* on the disk: its checkpoints, as of the last one */
    int64_t attached_bytes;          /* on the disk: what came with it */
    struct run *run;                 /* of a running job, once it is recovered */
    struct external_state *external; /* of an external job (externals.h), owned; else NULL */
    struct away away;                /* run is NULL while it is */
    unsigned errands;                /* on its lane (job_away.c) */
    /* Of it on the store's lane: all items, and those that write its row (job_store_run). */
    struct store_items {
        unsigned count;
        enum lane_turn turn; /* the last of them, while there are any */
    } store_items, store_rows;
    bool in_study;      /* jobs of their own go first */
    bool starting;      /* its checkpoint is being read, or its run made */
    const void *making; /* of those, the run that is being made; NULL: not yet */
    bool applying;      /* a revision is on its way to the store */
    bool class_pending; /* the numerics class is on its way to the store */
    unsigned closing;   /* epochs on their way to the store */
    unsigned spare;     /* of those, how many more may be (job_closing.c), and what they take */
    size_t spare_bytes;
    bool saving;         /* a checkpoint inside an epoch is on its way */
    int64_t saved_ms;    /* monotonic time of the last one, or of the start */
    uint64_t saved_step; /* of the last checkpoint that was taken */
    char hold[256];      /* why it cannot go on by itself; "" : it can */
    char stuck[256];     /* why it could not be started the last time; "" : it was started */
    int64_t retry_ms;    /* monotonic time of the next try while hold is set */
    /* The state to which the job returns when a person's request cannot be written: that on the
     * disk, or that before the first of the requests. */
    enum job_state kept_state;
    char kept_reason[sizeof(((struct job_record *)0)->reason)];
    enum job_wait kept_wait;
    int64_t kept_finished_ms;
    unsigned changes; /* changes given to the store so far */
    unsigned asked;   /* of those, not yet written and a person waits */
    char unwritten[sizeof(((struct job_record *)0)->reason) +
                   16];   /* the event of a change that could not be written; "": none */
    int64_t unwritten_ms; /* monotonic time of the next try */
    struct pace pace;
    double granted_ms; /* compute time of its workers' threads, beside other jobs (core/share.h) */
    struct job_faults faults;
    struct job_keys hands; /* of those whose results were counted, since the server was started */
    /* With verify: the hands of keys (core/check.h) whose beginning in this run is on the disk. */
    uint32_t *hands_noted; /* [hands_count], owned */
    uint32_t hands_count;
    bool hands_noting; /* one is on its way to the store */
    struct job_refusals refusals;
    int64_t classless_ms; /* since when only workers of other classes are there; 0: not so */
    int64_t alone_ms;     /* since when only workers are there that are too small; 0: not so */
    uint32_t notes;       /* by workers, since the server was started */
    bool touched;         /* its run goes on from a checkpoint, or a result of it was counted */
    struct step_time last_step;
    uint64_t step;                              /* updates done when the run was given up */
    int64_t epochs_done;                        /* committed */
    double loss, accuracy, validation_accuracy; /* of the last committed epoch, NAN: none */
    double images_per_s;                        /* of the last complete training phase */
    struct crew crew;
    int64_t moved_ms;     /* when a result was counted; 0: none was */
    bool held_said;       /* since then its log says what it waits for */
    uint32_t held_events; /* how often that was said */
    struct job *next;
};

/* Loads all jobs; those that were running are queued for recovery first. */
int jobs_open(struct service *s, struct jobs **ret, struct errbuf *why);
/* Frees everything; the lanes must have ended. NULL is fine. */
void jobs_close(struct jobs *jobs);

/* -ENOENT with a sentence that names the existing jobs. */
int jobs_find(struct jobs *jobs, int64_t number, struct job **ret, struct errbuf *why);
struct job *jobs_by_uuid(struct jobs *jobs, const char *uuid); /* or NULL */
/* Another job with the same keys (but for the name) and the same data, or NULL: of several the
 * first, rather one that neither failed nor was cancelled. Job files as of older versions may have
 * fewer keys and are then others. */
struct job *jobs_equal(struct jobs *jobs, const struct job *job);
/* The i-th of those in state running, by number; NULL behind the last. */
struct job *jobs_running(const struct jobs *jobs, size_t i);
struct job *jobs_first(struct jobs *jobs); /* by number; follow ->next */
/* Has it a run, or is one being made? */
bool job_is_under_way(const struct job *job);
/* While something of the job is on its lane (job_away.c): rq is handled again by `handle` when that
 * is over. False: nothing is. */
bool job_waits(struct jobs *jobs, struct job *job, struct request *rq,
               void (*handle)(struct request *rq));
/* The turn in which work on the store's lane comes behind all that is there of the job. */
enum lane_turn job_store_turn(const struct job *job);
/* Is a running job ready to hand out work? */
bool jobs_ready(const struct job *job);

/* A job row of PROTOCOL.md. */
cJSON *jobs_row(struct jobs *jobs, struct job *job);

/* Has the dataset the samples for which the job's spec asks? Notes how many of them are for which
 * use (job->uses), and how many of the excluded ones, ids[count], are held out anyway. */
int job_check_samples(struct job *job, const struct dataset *data, const uint32_t *ids,
                      uint32_t count, struct errbuf *why);
/* What a job with this spec does with each sample: *ret[samples] (enum use), the caller's (free);
 * NULL: it trains on all of them. 0, -EINVAL or -ENOMEM. */
int job_split(const struct jobspec *spec, const struct dataset *data, uint8_t **ret,
              struct errbuf *why);
/* On the store's lane: reads the revisions of a job's list into ret[JOB_REVISIONS_MAX], zeroed,
 * which is released with job_revisions_done. name: of the dataset, for sentences. As
 * store_revision_load. */
int job_revisions_load(struct service *s, const char *sha256, const char *name,
                       const struct dataset *data, const struct revisions *at, struct overlay *ret,
                       struct errbuf *why);
void job_revisions_done(struct overlay *overlays);
/* Does each of the revisions leave a batch to train on? -EINVAL. */
struct attached;
int job_revisions_check(const struct jobspec *spec, const struct dataset *data,
                        const struct attached *attached, const struct overlay *overlays, int count,
                        struct errbuf *why);
/* Prepares data and model of a job: dataset exists and has batch samples, model fits. An external
 * job has no model. */
int jobs_prepare(struct service *s, struct job *job, struct errbuf *why);
/* Has the job a model here? -EPERM with a sentence: its program has it. */
int job_check_model(const struct job *job, struct errbuf *why);
/* job_disk.c: what files of jobs take on the disk, of the jobs of a key, or NULL: of all. */
int64_t jobs_bytes_of(const struct jobs *jobs, const char *key);
/* Of each job. */
void jobs_bytes_each(const struct jobs *jobs,
                     void (*each)(void *arg, const char *key, int64_t bytes), void *arg);
/* What the checkpoints of a prepared job will take, about. */
int64_t job_disk_need(const struct job *job);
/* Does a prepared job fit --memory by itself? -EFBIG with a sentence that names need and limit. */
int job_memory_check(const struct service *s, const struct job *job, struct errbuf *why);
/* Counts what a worker needs for it (job->footprint), once its model is known. 0 or -ENOMEM. */
int job_measure(struct job *job, struct errbuf *why);
/* What the checkpoints of a prepared job hold. */
struct checkpoint_shape job_checkpoint_shape(const struct job *job);
/* The newest whole checkpoint of a job; with no_other, only if it is the newest of all. On the
 * store's lane. -ENOENT: it has none. */
int job_newest_checkpoint(struct service *s, int64_t job, const struct checkpoint_shape *shape,
                          bool no_other, struct checkpoint **ret, struct errbuf *why);
/* The same on the read lane, while the store's lane may replace checkpoints. */
int job_lookup_checkpoint(struct service *s, int64_t job, const struct checkpoint_shape *shape,
                          bool no_other, struct checkpoint **ret, struct errbuf *why);
/* Takes what the weights of a job say, if it has any, into its spec and its model; the job is
 * prepared and not yet in the table. Adds notes for people to *ret. -EINVAL: the job file says
 * something else about the weights. */
int job_said_settle(struct job *job, const struct weights_said *said, struct job_notes *ret,
                    struct errbuf *why);
void job_notes_done(struct job_notes *notes); /* frees the texts */
/* How many jobs of the key of this name ("": of nobody's; NULL: of all) have not ended. */
int jobs_open_of(const struct jobs *jobs, const char *key);
/* Puts a job (owned), whose record is on the disk, into the table, by number. */
void jobs_add(struct jobs *jobs, struct job *job);
void jobs_remove(struct jobs *jobs, struct job *job);
void job_free(struct job *job);

/* Starts the next jobs while --max-running and --memory allow it. */
void jobs_pump(struct jobs *jobs);
/* Retries jobs that wait for the disk; called a few times a second. */
void jobs_tick(struct jobs *jobs, int64_t now_ms);
/* A result was counted: closes rounds and epochs, then wakes the workers. */
void jobs_advance(struct jobs *jobs, struct job *job);
/* Pins the numerics class of a strict job to this one, durably: a result of that class was counted.
 * No checkpoint goes to the disk before the class. Workers are woken when it is done; if it cannot
 * be written, the job begins again where it was on the disk. */
void job_class_pin(struct jobs *jobs, struct job *job, const char *class);
/* A strict job in whose class nothing was computed yet gives it back, durably: the next worker that
 * asks for its work sets the class. */
void job_class_give_back(struct jobs *jobs, struct job *job);
/* Does it take results of every class, by its job file or a person's decision? */
bool job_class_is_relaxed(const struct job *job);
/* From now on it takes every class, durably, and its promise of the same bits ends there; then as a
 * resume. */
void job_class_relax(struct jobs *jobs, struct job *job, struct request *rq);
/* Gives back the class of a strict job, so that the next worker that asks sets it, and answers rq
 * once that is durable. Its run begins again at its newest checkpoint: leases of the old class no
 * longer count. A job with another class, or none, stays as it is. */
void job_class_unpin(struct jobs *jobs, struct job *job, const char *class, struct request *rq);
/* A job's class and promise, for job.show. */
cJSON *job_class_promise(const struct job *job);
/* Results that are computed twice (job_verify.c). May a worker of this key (its hand, its name)
 * have work of the job? Not before two keys are there, and it is on the disk where this one began.
 */
bool job_verify_admits(struct jobs *jobs, struct job *job, uint32_t hand, const char *key);
/* After each result: was one of its keys found to have lied? Then the key is set aside, and the
 * jobs that are checked go back; true: the job has no run any more. */
bool job_verify_judge(struct jobs *jobs, struct job *job);
/* It is on the disk who lied: jobs that wait for that start. */
void jobs_distrust_noted(struct jobs *jobs);
/* For people: what of it the job waits for; what whoever submits it should know. False: nothing. */
bool job_verify_waiting(struct jobs *jobs, const struct job *job, char *out, size_t bytes);
bool job_verify_note(struct jobs *jobs, const struct job *job, char *out, size_t bytes);
/* Adds an event to the job's log, durably, without waiting for it. */
void jobs_event(struct jobs *jobs, const struct job *job, const char *kind, const char *text);
/* Ends a running job as failed. */
void jobs_fail(struct jobs *jobs, struct job *job, const char *reason);
/* Of a job in a study with halving, that has not ended; durable, without waiting for it: it waits
 * for its arm to be judged, goes on (a job that waits so), or ends as cancelled. */
void job_wait_at_rung(struct jobs *jobs, struct job *job);
void job_pass_rung(struct jobs *jobs, struct job *job);
void job_stop_at_rung(struct jobs *jobs, struct job *job);
/* Did halving stop it, not a person? */
bool job_stopped_at_rung(const struct job *job);
/* From the next epoch that has not begun on the job has this revision of its dataset (or
 * REVISION_LATEST; 0: as imported); answers rq once that is durable. job_apply.c. */
void job_apply(struct jobs *jobs, struct job *job, int64_t number, struct request *rq);
/* Applies pause, resume or cancel and answers rq once that is durable. */
void jobs_verb(struct jobs *jobs, struct job *job, enum job_verb verb, struct request *rq);
/* The server stops: writes a checkpoint of each running job, so that nothing is computed twice. */
void jobs_stop(struct jobs *jobs);

#endif
