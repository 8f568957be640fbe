/* The compute threads of a worker: run the shards of one node and sum them along the tree. */
#ifndef STEPPE_WORKER_RUNNER_H
#define STEPPE_WORKER_RUNNER_H

#include <signal.h>
#include <stdio.h>

#include "common/err.h"
#include "common/halves.h"
#include "common/phase.h"
#include "common/reduce.h"
#include "worker/step.h"

struct runner;

/* threads: the calling thread and threads - 1 more. model is borrowed. splits: as step_create. 0 or
 * -errno. */
int runner_create(const struct model *model, const struct kernels *kernels, uint32_t shard,
                  unsigned threads, bool splits, struct runner **ret, struct errbuf *why);
void runner_free(struct runner *r); /* NULL is fine */

const struct model *runner_model(const struct runner *r);
uint32_t runner_shard(const struct runner *r); /* samples of one */

/* From now on shares long passes over the gradient with these halves. Borrowed; NULL: none. */
void runner_halves(struct runner *r, struct halves *h);
/* From now on books where the time of each thread goes. 0 or -ENOMEM. Not while it runs. */
int runner_profile(struct runner *r);
/* Writes what was booked (worker/nn/profile.h), if anything. NULL is fine. */
void runner_print(const struct runner *r, FILE *out);

/* What to run: the samples of a node, `count` of them, cut into shards of the runner's size. */
struct work {
    bool train;      /* else: score, unless: */
    enum phase flat; /* a phase that measures flatness; else 0 */
    const uint8_t
        *images; /* [count, h, w, c] to predict, of no dataset: set and ids are not used */
    struct step_spec spec; /* slot: of the first sample */
    const float *theta;    /* 64-byte aligned, [floats] */
    const struct samples *set;
    bool test;            /* set is the dataset's test split, else its training split, */
    bool labelled;        /* with other labels than the dataset's */
    const uint32_t *ids;  /* [count], each < set->count */
    const float *weights; /* [count], train only */
    const float *vector;  /* [floats], of PHASE_PRODUCT */
    uint32_t count;
    const _Atomic sig_atomic_t *stop; /* at STOP_NOW no further shard is begun; NULL: never */
    bool part; /* the rest of the node is computed elsewhere: runner_judge comes when all is in */
};
struct yield {
    const float *grad;    /* [floats], where phase_vector; valid until the next run */
    const double *sums;   /* [SUM_COUNT], where phase_sums */
    struct score *scores; /* [count], score and fused; caller's memory */
    float *probabilities; /* [count, classes], score; NULL: not wanted; caller's memory */
    /* [count, classes] and [count] (NULL: no twins) of what is predicted; caller's memory. */
    float *logits;
    int32_t *twins;
};
/* Runs on all threads and waits. yield->scores is filled, grad and sums are set. 0, -ENOMEM,
 * -EINTR: told to stop, or -ERANGE when a loss, gradient or score is not finite; the sentence names
 * the sum or sample. */
int runner_run(struct runner *r, const struct work *work, struct yield *yield, struct errbuf *why);
/* Is all of the yield finite? 0 or -ERANGE, as runner_run has it. */
int runner_judge(struct runner *r, const struct work *work, const struct yield *yield,
                 struct errbuf *why);

#endif
