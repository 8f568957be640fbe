/* A task as the server hands it out: what to compute, at which parameters. */
#ifndef STEPPE_WORKER_TASK_H
#define STEPPE_WORKER_TASK_H

#include "proto/address.h"
#include "proto/frame.h"
#include "proto/messages.h"

/* Another worker, and what it wants to hear. */
struct task_peer {
    char address[ADDRESS_BYTES_MAX], token[UUID_BYTES];
};

struct task {
    int kind; /* enum task_kind; the rest is 0 for TASK_NONE and TASK_PREDICT */
    int64_t job, incarnation, step, phase, lo, hi, shard, count;
    int64_t first;           /* sample of a test, -1: samples are named */
    int64_t turn;            /* of a measurement of flatness; else 0 */
    int64_t vector_bytes;    /* the same for the vector of a product */
    int64_t theta_place;     /* of shared memory, in which theta lies; -1: it does not */
    int64_t theta_bytes;     /* theta has to be fetched; 0: it is in the message or already here */
    char token[UUID_BYTES];  /* that those say who speak with this worker about the task; "": it is
                              * not combined with others */
    struct task_peer source; /* who has that theta as well; address "": nobody */
};

/* Reads the fields of a reply that carries a task. 0 or -EINVAL. */
int task_read(const struct message *m, struct task *ret, struct errbuf *why);

/* Reads the address and the token in an object of a reply; obj NULL: nobody. 0 or -EINVAL. */
int task_read_peer(const cJSON *obj, struct task_peer *ret, struct errbuf *why);

/* Adds the keys that name the task's parameters: job, incarnation, step, phase, turn. */
void task_add_round(cJSON *request, const struct task *t);
/* Adds those that name the task: the same, and lo, hi. */
void task_add_key(cJSON *request, const struct task *t);

#endif
