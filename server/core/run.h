/* A run: one incarnation of a job in training. Owns theta, optimizer state, ranks, scores and the
 * cursor; opens one round after another (train steps, sweep, test) and takes results. Pure like the
 * core: no socket, no database, no JSON; time is passed in.
 *
 * A step is one train round or, where SAM ascends by the gradient of the whole batch (sam.scope),
 * an ascent round at theta and a descent round at theta hat. A checkpoint knows only whole steps: a
 * run that continues from one begins its step with the ascent.
 *
 * An epoch: floor(N / batch) steps (none in a job that only measures its weights); a sweep when it
 * is due; the rounds of a measurement of flatness when it is due (flatness.h); a validation round
 * when samples are kept for it; a test round when there are test samples; then it closes: mean gap,
 * ADM, ranks, and what the store has to fold. */
#ifndef STEPPE_SERVER_CORE_RUN_H
#define STEPPE_SERVER_CORE_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/dataset.h"
#include "common/jobspec.h"
#include "common/model.h"
#include "common/phase.h"
#include "common/reduce.h"
#include "common/score.h"
#include "common/sums.h"
#include "server/core/check.h"
#include "server/core/curriculum.h"
#include "server/core/epoch_record.h"
#include "server/core/flatness_record.h"
#include "server/core/optimizer.h"
#include "server/core/overlay.h"
#include "server/core/round.h"
#include "server/core/split.h"
#include "server/core/tree.h"
#include "server/core/upload.h"

struct run;
struct halves;
struct shared;

#define RUN_VECTORS_MAX (OPTIMIZER_VECTORS_MAX + 2)
/* Names of the vectors as long as theta that a job keeps from step to step, NULL-terminated: those
 * of optimizer_vectors in their order; "ascent_mean", the mean gradient of fsam; last
 * "average", the mean of theta over epochs. Each begins as 0. */
const char *const *run_vectors(const struct jobspec *spec);

/* Does the job end with the mean of theta over its last epochs? Then the first of them, from 0. */
bool run_averages(const struct jobspec *spec);
int64_t run_average_first(const struct jobspec *spec);

/* What comes with a job from outside its file; NULL: nothing of the kind. */
struct run_inputs {
    const double *order;      /* [samples] of MEASURE_GIVEN, NAN: not given; higher is harder */
    const uint32_t *excluded; /* ids, ascending */
    uint32_t excluded_count;
    const uint8_t *use; /* [samples] enum use, but for the excluded; NULL: all are trained on */
    const float *theta; /* [floats] to start from */
    const char *class_names; /* JSON list, that came with theta */
};

/* A run at step 0. spec, model and data are borrowed for its life, in until it returns. 0 or
 * -ENOMEM. */
int run_create(const struct jobspec *spec, const struct model *model, const struct dataset *data,
               int64_t job, int64_t incarnation, const struct run_inputs *in, struct run **ret);
void run_free(struct run *r); /* NULL is fine */
/* Long loops over vectors run in two halves from now on: the same bits, sooner. Borrowed; NULL:
 * they do not. */
void run_halves(struct run *r, struct halves *h);
/* From this epoch on the run has the labels of a revision and leaves out what that leaves out;
 * epochs rise, and the epoch is not open yet. It replaces the one that the same epoch had. 0
 * or -ENOMEM. */
int run_revise(struct run *r, int64_t epoch, const struct overlay *o);
/* How many samples of one use a revision leaves a job that excludes excluded[excluded_count]
 * (ascending) and uses samples so (enum use; NULL: it trains on all). */
uint32_t run_revision_left(uint32_t samples, const uint8_t *use, enum use which,
                           const uint32_t *excluded, uint32_t excluded_count,
                           const struct overlay *o);
/* The memory in which theta lies, at one of two places of run_place_bytes each; NULL: nobody else
 * can map it. */
const struct shared *run_shared(const struct run *r);
size_t run_place_bytes(const struct run *r);
unsigned run_round_place(const struct run *r); /* 0 or 1: where run_round_theta is now */
/* How the results of a job with `verify` are checked (core/check.h). */
struct run_verifying {
    const uint8_t *secret; /* [CHECK_SECRET_BYTES], borrowed for the life of the run */
    uint32_t (*hand_of)(void *arg, uint32_t worker); /* the number of the worker's key */
    void *arg;
};
/* From now on that share of the nodes is checked; before run_start. */
void run_verify(struct run *r, const struct run_verifying *v);
/* While it is held back the run closes its epoch, but opens no other. */
void run_hold(struct run *r);
bool run_let_go(struct run *r);           /* true: run_go_on opens the next epoch now */
bool run_is_between(const struct run *r); /* an epoch is closed, and the next one held back */
/* Opens the first round at the cursor (0, or what was restored). Call once. */
int run_start(struct run *r, int64_t now_ms);

/* What a checkpoint holds, besides the arrays below. */
struct run_cursor {
    int64_t epoch;          /* epochs closed */
    uint64_t step;          /* updates done */
    uint32_t step_in_epoch; /* updates done in the open epoch */
    double sums[SUM_COUNT]; /* of the open epoch */
    double lr;              /* of the last update */
    double seconds;         /* spent in the open epoch so far */
};
/* The epoch whose model is the job's where keep is best. */
struct run_chosen {
    double epoch;    /* at whose end it was; -1: none was validated yet */
    double accuracy; /* of its validation */
};
/* The arrays that make up a run's state, for writing and reading checkpoints; owned by the run. */
struct run_state {
    struct run_cursor *cursor;
    float *theta;                    /* [floats] */
    struct run_chosen *chosen;       /* NULL: the job keeps its last model */
    float *chosen_theta;             /* [floats], or NULL with it */
    const char *const *vector_names; /* run_vectors */
    float *const *vectors;           /* one a name: [floats] */
    size_t floats;
    double *rank;          /* [samples] */
    struct lapses *lapses; /* [samples]; NULL: of another measure */
    /* [samples] measured in the open epoch (train source); NULL: they are those of a sweep, which
     * is done again. */
    struct score *scores;
    /* [swept_count] samples of the open sweep: what there is of these does not count yet. */
    const uint32_t *swept;
    uint32_t swept_count;
    uint32_t samples;
    const struct model *model;
    const char *class_names; /* JSON list, of the outputs of the model */
};
struct run_state run_state(struct run *r);
/* The cursor for a checkpoint taken now: with the time spent in the open epoch. */
struct run_cursor run_cursor(const struct run *r, int64_t now_ms);

/* One leased node. ids and weights are views, valid until the next run_advance. */
struct run_task {
    enum phase phase;
    uint64_t step;
    uint32_t turn; /* as run_turn */
    struct node node;
    uint32_t first, count;  /* position of the first in the round, for a test its number */
    const uint32_t *ids;    /* [count], or NULL (test): first .. first+count-1 */
    const float *weights;   /* [count], training phases only */
    const uint16_t *labels; /* by sample, where a revision relabels; NULL: those of the data */
};
/* Leases a node of at most `want` shards. 0 or -EAGAIN. */
int run_take(struct run *r, const struct taker *by, uint32_t want, int64_t now_ms, int64_t ttl_ms,
             struct run_task *ret);
/* The node that an idle worker may repeat (round_oldest). 0 or -EAGAIN. */
int run_oldest(const struct run *r, const struct taker *by, struct node *ret,
               int64_t *ret_since_ms);
/* Leases that node once more. */
void run_repeat(struct run *r, const struct taker *by, struct node node, int64_t now_ms,
                int64_t ttl_ms, struct run_task *ret);
/* Leases a node to be checked, if this worker's key may be another voice about one; a worker that
 * has had it for patience_ms is not waited for. 0 or -EAGAIN. */
int run_check(struct run *r, uint32_t worker, int64_t now_ms, int64_t ttl_ms, int64_t patience_ms,
              struct run_task *ret);
bool run_unchecked(const struct run *r); /* some drawn node is not agreed upon yet */
/* The hands that were found to have lied since the last call: ret[CHECK_VOTES_MAX]; how many. */
uint32_t run_liars(struct run *r, uint32_t ret[CHECK_VOTES_MAX]);
/* As checks_contested. */
bool run_contested(const struct run *r, struct node *ret, uint32_t hands[CHECK_VOTES_MAX],
                   uint32_t *ret_count);
/* As round_lost, round_lost_by, round_held and round_is_open, of the open round. */
uint32_t run_lost(const struct run *r, struct node *ret);
bool run_lost_by(const struct run *r, uint32_t worker, struct node node);
bool run_held(const struct run *r, struct round_held *ret);
bool run_is_open(const struct run *r);
/* As round_holds: only who holds a node may say how it went. */
bool run_holds(const struct run *r, uint32_t worker, struct node node);
bool run_holds_any(const struct run *r, uint32_t worker);
/* The worker does nothing any more: its leases are open again, its upload is dropped. */
uint32_t run_release(struct run *r, uint32_t worker, int64_t now_ms);
/* The worker is at work: its leases last until now_ms + ttl_ms at least, as far as round_renew
 * lets them. */
void run_renew(struct run *r, uint32_t worker, int64_t now_ms, int64_t ttl_ms);
uint32_t run_expire(struct run *r, int64_t now_ms);
int64_t run_deadline(const struct run *r);

/* A result. Its numbers may be anything; the caller has checked its sizes against run_node_samples
 * and the model. All is borrowed; NULL where the phase has none. */
struct run_result {
    enum phase phase;
    uint64_t step;
    struct node node;
    uint32_t worker; /* who sent it */
    /* F32 [floats], maybe unaligned: behind the gradient the sums of batch statistics, which do not
     * count in a descent; NULL when vectors travel in pieces: then it was uploaded. */
    const void *grad;
    const double *sums;         /* [SUM_COUNT] */
    const struct score *scores; /* [run_node_samples], where phase_scores */
    /* F32 [run_node_samples, classes], maybe unaligned: of a sweep, with score.probabilities. */
    const void *probabilities;
};
/* Samples of a node of the open round; 0 when the key is not of this round or no node of its tree.
 */
uint32_t run_node_samples(const struct run *r, enum phase phase, uint64_t step, struct node node);
/* 0: counted. 1: compared with the one that counted. -EALREADY: dropped. -EINVAL: not finite or out
 * of range; the sentence says which. -ESTALE: its upload was dropped; -ENODATA: pieces of it are
 * missing. After a counted result run_close_round must be called while res->grad is still valid:
 * the gradient may still lie there. */
int run_result(struct run *r, const struct run_result *res, struct errbuf *why);

/* Do theta and the gradients travel in pieces, because they are longer than INLINE_FLOATS_MAX? Then
 * the gradient of a node comes before its result (core/upload.h). */
bool run_in_pieces(const struct run *r);
/* What an upload belongs to. */
struct run_upload {
    enum phase phase;
    uint64_t step;
    struct node node;
    uint32_t worker, hand;
};
/* An upload_answer (UPLOAD_DROP: nobody waits for this gradient) or -ENOMEM. */
int run_offer(struct run *r, const struct run_upload *up, int64_t now_ms, int64_t ttl_ms,
              uint64_t *ret_have);
/* As uploads_put; -EALREADY: nobody waits for it. */
int run_put(struct run *r, const struct run_upload *up, int64_t piece, const void *data,
            size_t bytes, int64_t now_ms, int64_t ttl_ms, struct errbuf *why);

/* From now on workers may combine their sums before one of them reports (core/tree.h); before
 * run_start. */
void run_combine(struct run *r);
/* May they in the open round? */
bool run_combines(const struct run *r);
/* What the worker is to do with the sum of [own.lo, end), which begins with its own node. As
 * tree_ask. */
struct tree_answer run_meet(struct run *r, uint32_t worker, struct node own, uint32_t end,
                            bool alone);
/* It gave it to that worker, whose its nodes are from now on. False: it was not told to, or the
 * other one has lost what it had. */
bool run_give(struct run *r, uint32_t worker, struct node own, uint32_t to);
/* As tree_source. */
uint32_t run_source(const struct run *r, uint32_t worker);

/* Bytes that a run of this job holds at most: theta and the next one (which is where theta hat lies
 * in a descent round), the optimizer's state, the pending sums of the reduction tree at its worst
 * with the uploads beside them, and what it keeps for samples, also for a revision that it may
 * take. held: samples that validate or, if these are more, that are the test set in place of the
 * dataset's.
 */
size_t run_memory(const struct jobspec *spec, const struct model *model, const struct dataset *data,
                  uint32_t held);

/* What a closed epoch hands to the store; the receiver owns the arrays (free). */
struct run_epoch {
    struct epoch_record record;
    struct score *scores; /* [samples] or NULL when nothing was measured */
    double *adm;          /* [samples] or NULL */
    /* [samples, classes], of those in scores; of an external job NAN where none were reported.
     * NULL: none are kept. */
    float *probabilities;
    /* [tested] where score.splits is both and the sweep was due, or NULL; adm by the mean gap of
     * the training samples. */
    uint32_t tested;
    struct score *test_scores;
    double *test_adm;
    /* The test by class [classes], and by domain [domain_count] where the domains of what is tested
     * are known; NULL: there is none. */
    struct test_group *by_class, *by_domain;
    uint32_t *test_ids; /* of which training images; NULL: of the dataset's test images, in order */
    struct flatness_record *flatness; /* NULL: not measured */
    uint16_t *labels; /* [samples] where a revision relabels; NULL: those of the data */
};
enum run_event {
    RUN_WAIT,  /* the round is not complete */
    RUN_ROUND, /* a new round is open */
    RUN_EPOCH, /* an epoch closed (run_epoch filled); the next round is open unless run_finished */
};
void run_epoch_done(struct run_epoch *e); /* frees the arrays */
/* The scores of the epoch that this run closed last, once nobody reads them any more: the next
 * sweep writes there, so that their memory need not be had anew. True: the run owns them again.
 * False: it has no use for them. */
bool run_take_back(struct run *r, struct score *scores);
/* Does the epoch close without another training step? */
bool run_is_closing(const struct run *r);
/* Closes the round when it is complete, and what was drawn is agreed upon: an update is made.
 * Call after every counted result. True: it was closed now, and run_go_on is next; until then no
 * round is open. */
bool run_close_round(struct run *r, int64_t now_ms);
/* Opens what follows the closed round, or the epoch that was held back: the next round, perhaps
 * behind the end of the epoch. RUN_ROUND or RUN_EPOCH. -ENOMEM leaves the run unusable. */
int run_go_on(struct run *r, int64_t now_ms, enum run_event *ret_event, struct run_epoch *ret);
/* Before run_go_on: does it take time in proportion to the samples? Then it may be called on
 * another thread, where nothing else of the run is used meanwhile. */
bool run_is_long(const struct run *r);
/* Both, RUN_WAIT before the round is complete. */
int run_advance(struct run *r, int64_t now_ms, enum run_event *ret_event, struct run_epoch *ret);

bool run_finished(const struct run *r);
/* Does it end before its last epoch? early_stopping.patience epochs are closed behind the chosen
 * one. A function of what a checkpoint holds. */
bool run_stopped(const struct run *r);
int64_t run_job(const struct run *r);
int64_t run_incarnation(const struct run *r);
uint64_t run_step(const struct run *r);
enum phase run_phase(const struct run *r);
/* Which round of a measurement of flatness is open, from 1 on; 0: none. Part of a result's key,
 * since those rounds share a step and a phase. */
uint32_t run_turn(const struct run *r);
/* [floats] what the Hessian is multiplied by, in PHASE_PRODUCT; else NULL. */
const float *run_vector(const struct run *r);
uint32_t run_shards(const struct run *r);    /* of the open round */
uint32_t run_reissued(const struct run *r);  /* shards leased again, all rounds of this run */
const float *run_theta(const struct run *r); /* of the step */
/* The model that people get: that of the chosen epoch once there is one, else theta. *ret_epochs:
 * how many epochs it was trained for. */
const float *run_model(const struct run *r, int64_t *ret_epochs);
const float *run_round_theta(const struct run *r); /* of the open round: theta hat in a descent */
const struct schedule *run_schedule(const struct run *r); /* of the open epoch */
/* JSON list: the meanings of the model's outputs. Weights that are only measured keep their own
 * names; trained weights learn the dataset's. */
const char *run_class_names(const struct run *r);

/* For people. */
struct run_progress {
    int64_t epoch;
    uint64_t step, steps;
    double images_per_s;        /* trained, from the epoch's start to the last update; 0: unknown */
    double eta_s;               /* 0: unknown */
    double loss;                /* of the open epoch so far; NAN before its first step */
    double accuracy;            /* of the last test round; NAN before */
    double validation_accuracy; /* of the last validation round; NAN before */
    uint32_t turn, turns; /* while flatness is measured: flatness_turn, flatness_turns; else 0 */
};
struct run_progress run_progress(const struct run *r);

#endif
