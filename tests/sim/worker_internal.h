/* Shared by worker.c and worker_*.c only. */
#ifndef STEPPE_TESTS_SIM_WORKER_INTERNAL_H
#define STEPPE_TESTS_SIM_WORKER_INTERNAL_H

#include "common/hash.h"
#include "common/reduce.h"
#include "tests/sim/cache.h"
#include "tests/sim/fields.h"
#include "tests/sim/guess.h"
#include "tests/sim/net.h"
#include "tests/sim/spoil.h"

#define JOBS_KNOWN 8

struct passed;

struct task {
    int64_t job, incarnation, step, phase, turn, lo, hi, shard, count, first;
    uint32_t *ids;
    float *weights;
    char token[UUID_BYTES]; /* "": its sum is combined with nobody's */
};

/* What it has of a vertex, its own or with what others gave it. */
struct joint {
    struct outcome outcome;
    uint32_t end, count; /* of the vertex, which begins with its task's node; samples */
    uint32_t to;         /* the number of the worker to which it was given; 0: none */
    enum damage damage;
    bool made, forged;
    bool alone;       /* it could not reach another worker */
    struct node want; /* whose sum it is to take; hi 0: none */
    struct passed *came;
    bool waits;         /* for that */
    int64_t giving;     /* number of what was given and is not answered; 0: none */
    uint32_t giving_to; /* the server's number of that worker */
};

struct worker {
    struct client client;
    struct worker_traits traits;
    int64_t generation; /* of its process; events of another come to nothing */
    bool away;
    struct task task;
    float *theta;
    size_t floats;
    struct place place;  /* where theta is; step -1: none */
    float *vector;       /* of a product */
    int64_t vector_turn; /* 0: none */
    struct {
        int64_t job;
        bool source_train, probabilities;
        bool online; /* weights are those of places in order */
        struct shard_order order;
        uint64_t seed;
    } jobs[JOBS_KNOWN];
    int job_count;
    bool owes; /* the result of its task is not yet with the server */
    struct joint sum;
    int64_t turns; /* of waiting for other workers; one that is over comes to nothing */
    int64_t gifts; /* numbers of what it gave */
    struct cache_held data;
    struct guess guess; /* of predictions */
    bool fetches;       /* a piece of the dataset is asked for */
    struct cache_wish wish;
    char sha256[SHA256_HEX]; /* of the dataset */
};

/* --- worker.c --- */

int worker_job_index(const struct worker *w, int64_t job); /* -1: it does not know it */
void worker_ask_next(struct worker *w);
void worker_add_have(const struct worker *w, cJSON *fields);
void worker_add_key(const struct task *t, cJSON *fields);

/* --- worker_result.c --- */

/* Computes what its task asks for, and combines it with others or sends it. */
void worker_make_result(struct worker *w);
/* Sends it to the server, once more or at last. */
void worker_send_result(struct worker *w);

/* --- worker_tree.c --- */

/* Asks the server what to do with the sum. */
void worker_offer(struct worker *w);
void worker_take_word(struct worker *w, const struct message *m); /* the answer to that */
/* Something comes from another worker. */
void worker_hear(void *arg, const void *bytes, size_t count);
void worker_forget_sum(struct worker *w);
void worker_add_address(const struct worker *w, cJSON *hello);

#endif
