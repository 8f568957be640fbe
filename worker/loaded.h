/* The job that is loaded on this worker: its dataset, model, threads, theta, and room for the
 * samples of a task. One at a time. */
#ifndef STEPPE_WORKER_LOADED_H
#define STEPPE_WORKER_LOADED_H

#include <stdbool.h>
#include <stdint.h>

#include "common/halves.h"
#include "common/jobspec.h"
#include "common/model.h"
#include "proto/result.h"
#include "worker/cache.h"
#include "worker/duty.h"
#include "worker/peer.h"
#include "worker/runner.h"
#include "worker/share.h"
#include "worker/talk.h"
#include "worker/task.h"

struct loaded {
    int64_t job; /* 0: none */
    struct jobspec spec;
    struct cached data;
    struct model model;
    struct runner *runner;
    struct group *group; /* whose other ranks have it loaded too; NULL: they do not yet */
    float *theta;
    struct share share;        /* with the server on this machine; its number 0: none */
    bool lone;                 /* there is none for this job */
    const float *at;           /* theta of the task: in theta, or where the server has it */
    struct task told;          /* the last one whose shared theta the group has; its job 0: none */
    int64_t incarnation, step; /* of theta; step -1: no theta is held */
    enum phase phase;          /* of theta, where it is a moved one (phase_moved) */
    int64_t turn;              /* of that moved theta */
    float *vector;             /* of products; NULL: the job measures no flatness */
    int64_t vector_turn;       /* of that step; 0: none is held */
    uint32_t *ids;
    /* Labels of the samples of the task by sample, where they came with it; NULL until some did. */
    uint16_t *labels;
    bool labelled; /* they came with the task */
    bool combines; /* there is room for the sums of other workers */
    float *weights;
    struct score *scores;
    float *probabilities;      /* [capacity, classes]; NULL: the job keeps none */
    uint32_t capacity;         /* samples that ids, weights and scores have room for */
    struct result_room packed; /* the scores of a result */
    struct peer *peer;         /* which shows theta to others, borrowed; NULL: none */
};

/* Gives everything back; *p has no job then. */
void loaded_drop(struct loaded *p);
/* Nothing that is computed with another file than the one that was checked is worth anything: is it
 * still that? 0; -ESTALE: the job went, with theta; whoever asks for the task anew checks it. */
int loaded_check(struct loaded *p);
/* Loads this job unless it is loaded already (loaded_check). What goes wrong between the worker and
 * the job is one of refusal_is, with a sentence that names what was needed and what there is; then
 * no job is loaded. halves is borrowed while the job is loaded; NULL: none. */
int loaded_take(struct loaded *p, const struct duty_options *options, const struct talk *talk,
                struct cache *cache, struct halves *halves, int64_t number, struct errbuf *why);
/* Makes room for a task of `count` samples. 0 or -ENOMEM. */
int loaded_room(struct loaded *p, uint32_t count, struct errbuf *why);
/* Takes the task's samples, their labels and weights out of its message. 0 or -errno. */
int loaded_samples(struct loaded *p, const struct message *m, const struct task *t,
                   struct errbuf *why);
/* Where the server and we may have memory together, theta lies there from the next task on. A
 * server that does not know our memory sent theta another way: it is of another run, and there may
 * be new memory. */
void loaded_share(struct loaded *p, const struct duty_options *options, const struct talk *talk);
/* Makes p->at the task's theta, which lies in that memory, and hands it out in the group. 0 or
 * -EINVAL. */
int loaded_take_shared(struct loaded *p, const struct task *t, struct errbuf *why);
/* The sentence for a loaded job whose tasks find no memory; -ENOMEM. */
int loaded_no_memory(const struct loaded *p, const struct duty_options *options,
                     struct errbuf *why);

#endif
