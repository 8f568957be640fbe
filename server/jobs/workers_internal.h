/* Shared by workers.c and worker_*.c only. */
#ifndef STEPPE_SERVER_JOBS_WORKERS_INTERNAL_H
#define STEPPE_SERVER_JOBS_WORKERS_INTERNAL_H

#include "common/shared.h"
#include "proto/address.h"
#include "server/jobs/jobs.h"
#include "server/jobs/workers.h"

/* The vector that the worker holds. */
struct have {
    int64_t job, incarnation;
    uint64_t step;
    int64_t phase;  /* where phase_moved: the moved theta of that phase and turn, else theta */
    int64_t turn;   /* of the moved theta */
    int64_t vector; /* turn of the vector that it holds as well; 0: none */
    int64_t share;  /* number of the memory that it has with the server; 0: none */
    bool valid;     /* it holds a vector */
};

/* Memory that it has with the server: it reads theta of one run there, and writes gradients. */
struct share {
    int64_t number; /* 0: none */
    int64_t job, incarnation;
    struct shared grad; /* [floats] */
};

/* A running job that the worker cannot do. */
struct refused {
    int64_t job;      /* 0: none */
    int64_t until_ms; /* when to offer it again; 0: not while the worker stays */
    int64_t ms;       /* length of that wait */
    bool ends;        /* it counts among those that end a job without results */
};

struct worker {
    uint32_t number;
    char sender[UUID_BYTES], name[NAME_MAX_BYTES], class[80];
    char key_name[NAME_MAX_BYTES]; /* of the key with which it said hello; "" without */
    uint32_t hand;                 /* of that key */
    uint32_t threads, ranks;
    int64_t memory_bytes; /* for jobs; 0: not known */
    int64_t seen_ms;
    bool left;            /* said bye; kept because of its strikes */
    struct request *held; /* waits for work */
    int64_t held_since_ms;
    struct have have;
    struct share share;
    int64_t loaded; /* the last job of which it got work, while that runs; 0: none */
    int64_t proven; /* the job of its last counted result */
    int64_t job;    /* it computes for, 0: none */
    bool predicts;  /* it knows tasks of predictions */
    char address[ADDRESS_BYTES_MAX]; /* where other workers reach it; "": nowhere */
    char token[UUID_BYTES];          /* of its lease, for those that it is to hear; "": none */
    int64_t alone_until_ms;          /* it could not reach others: it is left alone */
    uint32_t alone_count;            /* how often in a row */
    int64_t predicting;              /* number of the prediction it computes for; 0: none */
    int64_t predicted;               /* of the prediction of its last result there */
    bool turn; /* its last task was of a prediction: the next one is of a job, if there is any */
    int64_t lease_start_ms, lease_end_ms;
    int64_t lease_last_ms; /* it is not renewed beyond */
    uint32_t lease_shards;
    bool lease_lost; /* it ran out, which counts against its key */
    uint64_t shards; /* counted in all */

    uint32_t strikes;       /* faults that count against it */
    uint32_t good;          /* results counted since the last one */
    int64_t strike_job;     /* of the last one */
    uint64_t faults;        /* in all */
    int64_t aside_until_ms; /* gets no work before this; 0: it may */
    int64_t aside_ms;       /* how long it was the last time */

    struct refused refused[RUNNING_MAX]; /* forgotten when the job runs no more */
    struct worker *next, *same_bucket;
};

/* What all workers of one key have done: a worker chooses its UUID and may come back as another,
 * its key stays. Workers without a key are on the server's own machine and count as one. */
struct standing {
    char key[NAME_MAX_BYTES];         /* "": this machine */
    uint32_t strikes;                 /* faults of all its workers that count against it */
    uint32_t lost;                    /* leases of them that ran out; likewise */
    uint32_t good;                    /* results counted since the last of both */
    int64_t aside_until_ms, aside_ms; /* as of a worker; INT64_MAX: it has lied */
    bool aside_for_lost;              /* so only while other keys give results */
    char lie[300];                    /* about what; "": it has not */
    int64_t lied_unix_ms;
    bool writing, unwritten; /* that is on its way to the disk, or could not be written */
    int64_t again_ms;
    struct standing *next;
};

#define WORKER_BUCKETS 1024 /* as many as workers are allowed: every request looks up its own */

struct workers {
    struct service *service;
    struct worker *list;
    struct worker *buckets[WORKER_BUCKETS]; /* by the hash of their UUIDs */
    uint32_t count, last_number;
    int64_t last_share;
    struct standing *standings;    /* of keys with faults or lies */
    char (*hands)[NAME_MAX_BYTES]; /* the key of each hand, owned */
    uint32_t hand_count;
    uint8_t secret[CHECK_SECRET_BYTES];
};

/* As far as the server knows, is it computing or waiting for a reply? */
bool worker_alive(const struct worker *worker, int64_t now_ms);
/* Does the job take its class? A strict job without a class takes any, and keeps that of the first
 * result. */
bool worker_has_class(const struct worker *worker, const struct job *job);
/* Do two numerics classes differ only in what their software computes, not in kernels and core? A
 * worker cannot be asked for the bits of another version. */
bool class_is_other_version(const char *class, const char *other);
/* Has it refused this job since the job runs, even if it may be asked again? */
bool worker_has_refused(const struct worker *worker, int64_t job);
/* Has it refused this job, and is not to be asked again yet? */
bool worker_refuses(const struct worker *worker, const struct job *job);
/* Has it the memory for this job, as far as is known? */
bool worker_holds(const struct worker *worker, const struct job *job);
/* Jobs that no connected worker has the memory for, and in which nothing was computed, fail (tick).
 */
void workers_judge_room(struct workers *w, int64_t now_ms);
/* May it compute for this job? It has its class and the memory and does not refuse it. */
bool worker_fits(const struct worker *worker, const struct job *job);
/* It may be asked again: about this job, or (0) about all. */
void worker_forgive(struct worker *worker, int64_t job);
/* It computes nothing (any more): its leases go back. Returns how many. */
uint32_t worker_release(struct workers *w, struct worker *worker);
/* It has a task from now on: so long, and renewed no longer than longest_ms. */
void worker_lease(struct worker *worker, int64_t now_ms, int64_t ttl_ms, int64_t longest_ms,
                  uint32_t shards);
/* It is at work: its lease lasts until then, if it may. */
void worker_prolong(struct worker *worker, int64_t until_ms);
/* Answers its held request with a task when there is one. */
bool worker_grant(struct workers *w, struct worker *worker);
/* Answers its held request with a task of a prediction, when there is one that it can do. */
bool worker_predict(struct workers *w, struct worker *worker, int64_t now_ms);
/* May an idle worker find something to do in a prediction? */
bool workers_may_repeat_prediction(struct workers *w);
/* A result of it was counted: enough of them make up for its faults, and for those of its key. */
void worker_counted_good(struct workers *w, struct worker *worker, struct job *job);
/* Leases that ran out count against the key of their workers (tick): too many, and the key is set
 * aside while workers of another one give results. A key for which that is over may have work
 * again. */
void workers_judge_lost(struct workers *w, int64_t now_ms);
/* The job was to blame for the leases that it lost. */
void workers_acquit_lost(struct workers *w, const struct job *job);
/* Jobs of which nothing comes while workers hold tasks say so once in their logs (tick). */
void workers_tell_held(struct workers *w, int64_t now_ms);
/* worker_share.c. */
/* The memory ends that it has with the server. */
void worker_share_end(struct worker *worker);
/* Does it read theta of this job where it lies? */
bool worker_shares(const struct worker *worker, const struct job *job);
/* worker_keys.c. */
/* It has said hello: it gets the hand of its key, and while that is set aside, so is it. */
void worker_take_standing(struct workers *w, struct worker *worker);
struct standing *standing_find(const struct workers *w, const char *key); /* NULL: none */
struct standing *standing_make(struct workers *w, const char *key);
/* How long to set aside: twice as long as the last time, which *io_ms becomes. */
int64_t standing_longer(int64_t *io_ms);
/* Sets the key aside with all its workers. */
void standing_set_aside(struct workers *w, struct standing *s, int64_t until_ms);
/* The key and those of its workers that were set aside with it may have work again. */
void standing_let_back(struct workers *w, struct standing *s);
uint32_t hand_of_key(struct workers *w, const char *key);
int standings_load(struct workers *w, struct errbuf *why);
/* Forgets keys against which nothing counts any more (tick), or all. */
void standings_tick(struct workers *w, int64_t now_ms);
void standings_free(struct workers *w);
/* What people call the holders of a key: its name, or this machine. */
const char *standing_name(const char *key);
/* Jobs give back a class that no connected worker has and in which nothing was computed. */
void workers_free_classes(struct workers *w, int64_t now_ms);
/* Handles overdue work: expired leases, nodes that kill workers. */
void workers_expire(struct workers *w, int64_t now_ms);
/* worker_tree.c: the group of workers who reach each other and it, to combine what they have for
 * this job; 0: none. */
uint32_t worker_group(const struct worker *worker, const struct job *job, int64_t now_ms);
/* Gives the lease of a task just taken its token, where workers combine, and adds to the task what
 * it has to know for that. */
void worker_add_tree(struct workers *w, struct worker *worker, const struct job *job, cJSON *out);
/* May some idle worker repeat a node, or take the work of another job? */
bool workers_may_help(struct workers *w, int64_t now_ms);

#endif
