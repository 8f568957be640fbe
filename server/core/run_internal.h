/* Shared by run.c and run_*.c only. */
#ifndef STEPPE_SERVER_CORE_RUN_INTERNAL_H
#define STEPPE_SERVER_CORE_RUN_INTERNAL_H

#include <math.h>

#include "common/halves.h"
#include "common/shared.h"
#include "server/core/check.h"
#include "server/core/flatness.h"
#include "server/core/optimizer.h"
#include "server/core/overlay.h"
#include "server/core/radix.h"
#include "server/core/run.h"
#include "server/core/split.h"
#include "server/core/tree.h"

/* What a round says of the model. */
struct measured {
    double loss, accuracy, adv_accuracy;
};
#define MEASURED_NOTHING ((struct measured){NAN, NAN, NAN})

struct run_revision {
    int64_t epoch; /* from which on */
    struct overlay overlay;
};

struct run {
    const struct jobspec *spec;
    const struct model *model;
    const struct dataset *data;
    int64_t job, incarnation;

    struct run_cursor cursor;
    uint32_t epoch_steps;
    int64_t epochs; /* to commit */
    uint64_t steps;
    char *class_names;    /* came with theta, owned; NULL: the dataset's */
    struct shared shared; /* memory of theta and next; its base NULL: each has its own */
    float *theta;
    /* Where the update writes. In a descent round: theta hat, and behind it the running statistics
     * as they are after this step, since those of the ascent count. */
    float *next;
    double ascent_sums[SUM_COUNT];   /* of this step's ascent round */
    float *vectors[RUN_VECTORS_MAX]; /* by run_vectors; NULL after the last */
    float *up;        /* [floats] gsam: the gradient of this step's ascent round, else NULL */
    float **mean;     /* fsam: the place of its mean in vectors, else NULL */
    float *mean_next; /* [floats] fsam: the mean when this step is over */
    struct segment *segments;
    int segment_count;

    struct run_revision *revisions; /* [revision_count] by epoch */
    int revision_count;
    bool *own;         /* [samples] left out or held out by the job itself; NULL: no revisions */
    uint8_t *own_use;  /* use without a revision; NULL as use */
    uint16_t *revised; /* [samples] labels of the open epoch; NULL as own */
    bool relabelled;   /* they differ from those of the data */
    int64_t revision;  /* of the open epoch; 0: as imported */
    bool held_back;    /* the next epoch is not opened yet (run_hold) */
    bool between;      /* an epoch is closed, and the next one is held back */
    bool closed;       /* the round is, and what follows is not open yet (run_go_on) */
    bool statistics;   /* the training round that closed last took the running statistics anew */
    int taken;         /* 0, or -ENOMEM of the measuring round that closed last */

    uint8_t *use;        /* enum use by sample; NULL: all are trained on */
    uint32_t held[USES]; /* how many have each; without use: none but for USE_TRAIN */
    uint32_t tests;      /* samples of a test round; 0: there is none */
    double *rank;
    struct lapses *lapses; /* for measure forgetting; NULL: another measure */
    /* By sample; a sweep writes here. They are of the open epoch once that is swept, and until then
     * of an earlier one. NULL before the first sweep, and where they have not come back; with the
     * train source always there. */
    struct score *scores;
    bool lent;           /* those of the closed epoch may come back (run_take_back) */
    bool swept;          /* the sweep of the open epoch is done */
    void *room;          /* radix_bytes(samples) to sort in; NULL: with the train source */
    struct score *slots; /* of the open round, by position; not of a sweep */
    uint32_t slot_count;
    float *probabilities; /* [samples, classes] of the sweep of the open epoch; NULL: none yet */

    enum phase phase;
    struct round *round;
    struct reduce *reduce;
    /* The gradient of a round that came as one result: it stays in its message until run_advance.
     * NULL: the sum is in reduce. */
    const float *whole;
    double whole_sums[SUM_COUNT];
    struct halves *halves;   /* NULL: none */
    struct reduce *tally;    /* of rounds that have sums only; NULL: there are none */
    struct uploads *uploads; /* NULL: gradients come inside their results */
    struct tree *tree;       /* of workers that combine their sums; NULL: they do not */
    uint32_t reissued;
    struct checks *checks; /* NULL: results are not checked */
    struct run_verifying verifying;
    uint32_t liars[CHECK_VOTES_MAX]; /* found, and not yet asked for */
    uint32_t liar_count;
    struct schedule schedule;
    struct stream stream;
    uint32_t *ids; /* of the open round by position: batch or sweep list */
    float *weights;
    uint32_t id_count;

    struct flatness *flatness;    /* the measurement that goes on; NULL: none does */
    struct flatness_record *flat; /* of the open epoch, owned; NULL: not yet */

    bool finished;
    int64_t epoch_start_ms, train_start_ms;
    uint32_t train_start_step;
    double work_done, work_ms;
    int64_t start_ms;
    struct run_chosen chosen;
    float *chosen_theta; /* [floats] at its end; NULL: the job keeps its last model */
    struct test_group *by_class, *by_domain; /* of the last test round; as of run_epoch */
    struct measured test, validation;        /* of the last round of each; NAN before */
};

static inline bool run_train_source(const struct run *r)
{
    return r->spec->score_source == SOURCE_TRAIN;
}

/* The gradient of the round that is done, summed over its samples, and its sums. */
const float *run_gradient(const struct run *r, const double **ret_sums);

/* run_ascent.c: the steps that ascend by the gradient of their whole batch. */
int run_theta_create(struct run *r); /* -ENOMEM */
void run_theta_free(struct run *r);
int run_ascent_create(struct run *r); /* -ENOMEM; vectors are there */
void run_ascent_free(struct run *r);
/* Vectors as long as theta that it allocates. */
size_t run_ascent_vectors(const struct jobspec *spec);
/* Does the open step have an ascent round? */
bool run_ascends(const struct run *r);
/* The ascent round is done: next becomes theta hat. */
void run_ascend(struct run *r);
/* The descent round is done with this gradient; returns that of the step. Called once. */
const float *run_descend(struct run *r, const float *grad);
/* Running statistics after this step, from the sums behind the gradient of the pass at theta. */
void run_average_statistics(struct run *r, const float *grad);
/* run_average.c: the last update of an epoch is done: theta enters the mean, and at the last epoch
 * becomes it. */
void run_average_epoch(struct run *r);
/* Most shards of a round that takes the running statistics of the mean anew, out of so many samples
 * to train on; 0: there is none. */
uint32_t run_statistics_most(const struct jobspec *spec, const struct model *model,
                             uint32_t samples);
/* The training of the epoch is done: the samples of such a round, which are listed in r->ids with
 * their weights; next becomes theta, with no statistics. 0: there is no such round. */
uint32_t run_list_statistics(struct run *r);
void run_take_statistics(struct run *r);
/* run_measure.c: how many samples a round of this phase measures now, which are listed in r->ids
 * but for those of a test split; 0: there is no such round. */
uint32_t run_list(struct run *r, enum phase phase);
/* Scores that a sweep has measured, of the places from `first` on. */
void run_take_swept(struct run *r, uint32_t first, const struct score *s, uint32_t count);
/* Takes what the round has measured into the run. 0 or -ENOMEM. */
int run_take_measured(struct run *r);
/* At the end of an epoch: is it the best so far? */
void run_choose(struct run *r);
/* Samples that are measured in all epochs from the open one on. */
double run_measured_left(const struct run *r);
/* run_revision.c: what a run that takes revisions keeps of a sample: own, own_use, revised. */
#define REVISED_SAMPLE_BYTES (sizeof(bool) + sizeof(uint8_t) + sizeof(uint16_t))
/* Takes the revision of the epoch that is being opened. */
void run_take_revision(struct run *r);
const uint16_t *run_labels(const struct run *r); /* of the open epoch, [samples] */
void run_revision_free(struct run *r);
/* run_progress.c: of the open round, in forward passes. */
double run_round_cost(const struct run *r);
/* run.c: opens a round over so many samples. */
int run_open_round(struct run *r, enum phase phase, uint32_t count);

/* run_flatness.c: begins a measurement; takes the round that is done; opens the next, unless the
 * measurement is over: then r->flat has it. 0 or -ENOMEM. */
int run_flatness_open(struct run *r);
int run_flatness_take(struct run *r);
int run_flatness_go_on(struct run *r, bool *ret_over);
/* Forward passes that the measurement of this epoch, the open one or a later one, still costs. */
double run_flatness_left(const struct run *r, int64_t epoch);

/* run_tree.c: the node was leased. */
void run_tree_lease(struct run *r, const struct taker *by, struct node n);
/* Does a result of this worker for the node count: has none below it one yet? */
bool run_wants(const struct run *r, uint32_t worker, struct node n);
/* It has its result, which run_wants. */
void run_finish(struct run *r, struct node n);

/* run_verify.c: the node is in the hands of the worker; notes it if it is drawn. */
void run_lend(struct run *r, uint32_t worker, struct node n, int64_t now_ms, int64_t ttl_ms);
/* May a result of the worker be one more voice about the node? */
bool run_wants_voice(const struct run *r, uint32_t worker, struct node n);
/* Its voice: a valid result, whose gradient is at grad. */
void run_hear(struct run *r, const struct run_result *res, const void *grad, uint32_t samples);

/* run_epoch.c: takes the open epoch's numbers out of the run and moves the cursor to the next. */
int run_close_epoch(struct run *r, int64_t now_ms, struct run_epoch *ret);

#endif
