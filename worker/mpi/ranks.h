/* What the files of this folder share: the group of this rank, and how ranks wait for each other.
 */
#ifndef STEPPE_WORKER_MPI_RANKS_H
#define STEPPE_WORKER_MPI_RANKS_H

#include <mpi.h>
#include <stdint.h>

#include "common/bounds.h"
#include "common/sha256.h"
#include "common/sums.h"
#include "worker/group.h"
#include "worker/mpi/spread.h"
#include "worker/numerics.h"

#define HEAD 0
#define RUN_PIECE_FLOATS ((size_t)1 << 17) /* of a vector that is summed */
#define RUN_AHEAD 2                        /* such pieces that a child has under way */
#define RUN_CHILDREN_MAX 32                /* of a rank: one for each level of the tree at most */
#define HOST_BYTES 64

/* What a rank says of itself when the group forms. */
struct rank {
    char class[NUMERICS_CLASS_BYTES];
    char host[HOST_BYTES];
    uint32_t threads;
    int64_t memory_bytes; /* its share of the host's */
};

struct group {
    MPI_Comm comm;
    int rank, ranks;
    int housemates;         /* ranks of this host, after group_agree */
    bool agreed;            /* the members serve */
    struct rank *all;       /* [ranks], after group_agree */
    uint32_t *threads;      /* [ranks] */
    struct part *parts;     /* [ranks] of the run */
    int *counts, *offsets;  /* [ranks] of what the head gathers */
    float *pieces;          /* RUN_AHEAD for each child that this rank may have */
    double sums[SUM_COUNT]; /* of the last run */
    void *body;             /* of the last command that had one */
    size_t body_bytes;      /* there is room for */
};

/* --- commands: from the head to all members --- */

enum command_kind { COMMAND_LEAVE, COMMAND_LOAD, COMMAND_DROP, COMMAND_VECTOR, COMMAND_RUN };

struct load_command {
    struct dims image;
    uint32_t classes, shard;
    bool splits, flatness;
    float mean[CHANNELS_MAX], std[CHANNELS_MAX];
    char sha256[SHA256_HEX];
    uint64_t bytes; /* of the dataset. The body is the model's description as text */
};

struct vector_command {
    enum group_vector which;
    uint64_t floats; /* which follow */
};

struct run_command {
    struct step_spec spec;
    enum phase flat;
    uint32_t count;
    bool train, test, labelled, pictures, scores, probabilities, twins;
}; /* the body: ids, weights of a training step, labels where they came; or the pictures */

struct command {
    enum command_kind kind;
    enum group_slot slot;
    uint64_t body_bytes;
    union {
        struct load_command load;
        struct vector_command vector;
        struct run_command run;
    };
};

/* Sends the command to all members, who take it in the same order; the body lies in g->body then.
 * Neither is changed. */
void rank_command(struct group *g, struct command *c, void *body);
void rank_take_command(struct group *g, struct command *ret);
/* The head's vector into those of the members. */
void rank_vector(struct group *g, float *vector, size_t floats);
/* g->body with room for so many bytes. */
void *rank_body(struct group *g, size_t bytes);

/* --- waiting --- */

/* Waits until the request is done, and lets others have the processor meanwhile. beat: called with
 * arg every few seconds; NULL: nobody needs it. */
void rank_wait(MPI_Request *request, void (*beat)(void *), void *arg);

/* --- what went wrong --- */

/* A rank's word on what all of them did. */
struct verdict {
    int32_t rc;
    int32_t rank;
    double sums[SUM_COUNT]; /* of a run */
    char text[512];
};

/* Fills rc and text. */
void verdict_set(struct verdict *v, const struct group *g, int rc, const struct errbuf *why);
/* The head's rc and sentence of a verdict: names the rank, if it is another. */
int verdict_tell(const struct verdict *v, const struct group *g, struct errbuf *why);
/* All ranks call it. The head has the verdict of the first rank that failed, else a good one. */
void verdict_collect(struct group *g, struct verdict *io, void (*beat)(void *), void *arg);

/* --- the parts of a run --- */

/* Fills g->parts for the run, and says how many samples this rank has from which on. */
void run_spread(struct group *g, const struct run_command *run, uint32_t shard, uint32_t *ret_first,
                uint32_t *ret_count);
/* All ranks call it when they have computed their parts, or failed, as *io says. The sums are added
 * along the tree, scores and the like are put together: *own is the head's whole yield then, and
 * *io the verdict on all; a member's is worth nothing. */
void run_finish(struct group *g, const struct run_command *run, const struct runner *r,
                struct verdict *io, struct yield *own);

/* --- pictures --- */

struct cache;
struct cached;

/* The members look for the dataset in their caches. Those that lack it get it by broadcast, one
 * copy for each cache. All ranks call it, the head to give. */
void pictures_give(struct group *g, const struct group_plan *plan);
/* As cache_open. */
int pictures_take(struct group *g, struct cache *cache, const struct load_command *load,
                  const _Atomic sig_atomic_t *stop, struct cached *ret, struct errbuf *why);

#endif
