/* The processes that are one worker: this one alone (group_alone.c), or, in steppe-worker-mpi, the
 * ranks of one mpirun or srun (worker/mpi/), each with threads of its own; the linked file decides.
 * Rank 0, the head, is a worker as any other and alone speaks to the server. What it loads,
 * computes and drops, the other ranks, its members, load, compute and drop with it (group_serve).
 * Every rank computes a part of each task; the sums are formed along the tree of common/reduce.h,
 * so the bits are those of one process. A rank that dies ends all. */
#ifndef STEPPE_WORKER_GROUP_H
#define STEPPE_WORKER_GROUP_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/dataset.h"
#include "common/err.h"
#include "worker/runner.h"

struct group;
struct duty_options;
struct cJSON;

/* What can be loaded side by side. */
enum group_slot { GROUP_JOB, GROUP_PREDICTION, GROUP_SLOTS };
/* The vectors of a slot. */
enum group_vector { GROUP_THETA, GROUP_PRODUCT, GROUP_VECTORS };

/* What a member needs in order to compute for a job or a prediction. All borrowed. */
struct group_plan {
    const struct cJSON *model; /* as model_parse takes it, with the next four */
    struct dims image;
    uint32_t classes;
    const float *mean, *std;
    uint32_t shard;
    bool splits, flatness;   /* as struct footprint_job has them */
    const char *sha256;      /* of the dataset, "": none is needed, */
    uint64_t bytes;          /* its size, */
    int fd;                  /* and the whole file */
    void (*beat)(void *arg); /* is called every few seconds; NULL: nobody waits */
    void *beat_arg;
};

/* Once, before anything is started. A process that was started by itself is a group of one. 0 or
 * -errno with a sentence. */
int group_join(struct group **ret, struct errbuf *why);
/* The end of the group: the head tells the members, everybody calls it. NULL is fine. */
void group_leave(struct group *g);

/* Is it a process like any other, which may start itself anew and shut itself off? The libraries
 * of MPI allow neither. */
bool group_alone(const struct group *g);
/* How many of its ranks share the processors of this one, itself too. */
unsigned group_neighbours(const struct group *g);
/* How many are on its machine, itself too; after group_agree. */
unsigned group_housemates(const struct group *g);

/* Every rank says whether it is ready (rc, with the sentence in why), its class and what it has. 0,
 * or for all of them negative: one is not ready or the classes differ; the head has the sentence.
 */
int group_agree(struct group *g, int rc, const char *class, int64_t threads, int64_t memory_bytes,
                struct errbuf *why);
/* After that: is this the head? How many ranks, and threads in all of them, are there, and how much
 * memory, as if each thread had no more than the one that has the least? */
bool group_heads(const struct group *g);
unsigned group_ranks(const struct group *g);
unsigned group_threads(const struct group *g);
int64_t group_memory(const struct group *g);

/* --- the head --- */

/* All members load what the head has loaded into the slot, in place of what was there. Else all
 * drop it: -errno with the sentence of the first that cannot, as loaded_take has it. */
int group_load(struct group *g, enum group_slot slot, const struct group_plan *plan,
               struct errbuf *why);
void group_drop(struct group *g, enum group_slot slot);
/* Hands a vector of the slot out; it must be done before a run that uses it. */
void group_share(struct group *g, enum group_slot slot, enum group_vector which,
                 const float *vector, size_t floats);
/* As runner_run, on all threads of all ranks. -ESTALE: the dataset of one was changed meanwhile. */
int group_run(struct group *g, enum group_slot slot, struct runner *r, const struct work *work,
              struct yield *yield, struct errbuf *why);

/* --- a member --- */

/* Follows the head until it leaves. 0. */
int group_serve(struct group *g, const struct duty_options *options,
                const _Atomic sig_atomic_t *stop, struct errbuf *why);

#endif
