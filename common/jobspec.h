/* The job description: a JSON job file with every default filled in. One table (in jobspec_rows.c)
 * drives reading, ranges, defaults, writing and `steppe submit --help-job`. */
#ifndef STEPPE_COMMON_JOBSPEC_H
#define STEPPE_COMMON_JOBSPEC_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/bounds.h"
#include "common/err.h"
#include "common/hash.h"

struct cJSON;

enum optimizer_kind { OPTIMIZER_SGD, OPTIMIZER_ADAMW };
enum decay { DECAY_WEIGHTS, DECAY_ALL };
enum lr_schedule { LR_CONSTANT, LR_COSINE, LR_STEP };
enum sam_kind { SAM_PLAIN, SAM_ADAPTIVE, SAM_SURROGATE, SAM_FRIENDLY };
enum sam_scope { SCOPE_SHARD, SCOPE_BATCH };
enum attack { ATTACK_FGSM, ATTACK_PGD, ATTACK_L2 };
enum score_source { SOURCE_SWEEP, SOURCE_TRAIN };
enum score_splits { SPLITS_TRAIN, SPLITS_BOTH };
enum normaliser { NORM_POPULATION, NORM_SAMPLE };
enum measure {
    MEASURE_ADM,
    MEASURE_LOSS,
    MEASURE_GRAD_NORM,
    MEASURE_EL2N,
    MEASURE_MARGIN,
    MEASURE_FORGETTING,
    MEASURE_RANDOM,
    MEASURE_NONE,
    MEASURE_GIVEN /* by scores that come with the job; no word names it */
};
enum order { ORDER_EASY_FIRST, ORDER_HARD_FIRST };
enum curriculum_mode {
    MODE_SELECT,
    MODE_WEIGHT,
    MODE_BOTH,
    MODE_SPL_HARD, /* self-paced: these and what follows */
    MODE_SPL_LINEAR,
    MODE_SPL_LOG
};
enum pacing { PACING_LINEAR, PACING_QUAD, PACING_ROOT, PACING_STEP, PACING_EXP, PACING_LOG };
/* Where difficulty is measured and ordered: over the epochs, or in each shard of a step. */
enum curriculum_scope { CURRICULUM_EPOCH, CURRICULUM_STEP };
enum balance { BALANCE_NONE, BALANCE_CLASS };
enum keep { KEEP_LAST, KEEP_BEST };
/* How often a sample is trained on: all that are scheduled alike, or all classes alike. */
enum sampling { SAMPLING_EVEN, SAMPLING_BALANCED };
enum class_weighting { CLASSES_ALIKE, CLASSES_BALANCED, CLASSES_LISTED };
enum numerics { NUMERICS_STRICT, NUMERICS_RELAXED };
/* Who trains: workers of Steppe, or a program of its own that asks for orders and reports scores.
 */
enum engine { ENGINE_STEPPE, ENGINE_EXTERNAL };

/* Names of each enum as in the job file, NULL-terminated, indexed by the enum. */
extern const char *const optimizer_names[];
extern const char *const decay_names[];
extern const char *const lr_schedule_names[];
extern const char *const sam_names[];
extern const char *const sam_scope_names[];
extern const char *const attack_names[];
extern const char *const score_source_names[];
extern const char *const score_splits_names[];
extern const char *const normaliser_names[];
extern const char *const measure_names[];
extern const char *const curriculum_scope_names[];
extern const char *const order_names[];
extern const char *const curriculum_mode_names[];
extern const char *const pacing_names[];
extern const char *const balance_names[];
extern const char *const keep_names[];
extern const char *const sampling_names[];
extern const char *const class_weighting_names[]; /* the words */
extern const char *const numerics_names[];
extern const char *const engine_names[];

/* Shares in rising order. */
struct shares {
    int count;
    double at[MILESTONES_MAX]; /* of all steps, (0, 1); 0 after the last */
};

struct optimizer_spec {
    int kind;                 /* optimizer.name, enum optimizer_kind */
    double lr;                /* > 0 */
    double momentum;          /* sgd: [0, 1) */
    bool nesterov;            /* sgd: needs momentum > 0 */
    double beta1, beta2;      /* adamw: [0, 1) */
    double epsilon;           /* adamw: > 0 */
    double weight_decay;      /* >= 0; sgd: added to the gradient, adamw: decoupled */
    int decay;                /* enum decay: what decays; by default neither biases nor norms */
    double clip;              /* largest L2 norm of a step's gradient, >= 0; 0: no limit */
    int schedule;             /* enum lr_schedule */
    double warmup;            /* share of all steps with linear warm-up, [0, 1) */
    struct shares milestones; /* step: where the learning rate falls, all above warmup */
    double gamma;             /* step: what it is multiplied by there, (0, 1] */
};

/* Something that a job uses from outside its file. */
enum given_kind { GIVEN_NOTHING, GIVEN_FILE, GIVEN_JOB };
#define GIVEN_FILE_BYTES 256
struct given {
    int kind;
    char file[GIVEN_FILE_BYTES]; /* the client's name for it; for people */
    int64_t job, epoch;          /* epoch -1: its last one */
    int measure;                 /* of that job: MEASURE_ADM to MEASURE_MARGIN */
    uint32_t count;              /* scores of a file without sample numbers: one a sample; else 0 */
    char sha256[SHA256_HEX];     /* of the content; "": not known yet */
};

/* The places of a job file that name something: curriculum.measure, exclude, weights. */
enum attached_kind { ATTACHED_ORDER, ATTACHED_EXCLUDE, ATTACHED_WEIGHTS, ATTACHED_KINDS };
extern const char *const jobspec_attached_names[]; /* as the job file calls them; by kind */

/* A number for each channel of the images; count 0: not given. */
struct channels {
    int count;
    double at[CHANNELS_MAX];
};

/* Pixels reach the model as (x / 255 - mean) / std. */
struct input_spec {
    struct channels mean, std;
};

/* Samples that are kept out of training and out of the ranks. */
struct exclude {
    uint32_t count;
    uint32_t held; /* of these, how many the job would not train on anyway (core/split.h) */
    uint32_t *ids; /* [count] ascending, owned; NULL: they are in a file */
    struct given from;
};

/* From which epoch on a job has the labels of which revision of its dataset, and leaves out what
 * that leaves out. */
struct revision_at {
    int64_t epoch, number;   /* number 0: as imported */
    char sha256[SHA256_HEX]; /* of the revision; "": not known yet, or number 0 */
};
struct revisions {
    int count; /* in rising order of epochs; before the first: as imported */
    struct revision_at at[JOB_REVISIONS_MAX];
};
#define REVISION_LATEST (-1) /* the newest; a submitted job has its number instead */
/* "photos@2", "photos@latest" */
#define REVISION_NAME_BYTES (NAME_MAX_BYTES + 12)
const char *revision_name(const char *dataset, int64_t number, char buf[REVISION_NAME_BYTES]);
/* The name of a dataset and, behind @, a revision. 1: it has one; 0: it has none (*ret_number is
 * 0); -EINVAL. */
int revision_split(const char *text, char name[NAME_MAX_BYTES], int64_t *ret_number);
/* The number of the revision that an epoch has. */
int64_t revisions_of_epoch(const struct revisions *r, int64_t epoch);

/* Names of domains, each once; owned. */
struct names {
    int count; /* 0: not given */
    char **at; /* [count] */
};
bool names_has(const struct names *n, const char *name);

/* Training images that are measured after each epoch and never trained on. */
struct validation_spec {
    double share;         /* of each class, [0, 1) */
    struct names domains; /* all of these; not both */
};

/* The training images are cut into `of` folds; this one is measured and not trained on. */
struct fold_spec {
    int64_t of;    /* 0: no folds; else 2 to FOLDS_MAX */
    int64_t leave; /* [0, of) */
};

/* What the loss of a sample counts, by its class. */
struct class_weights {
    int kind;       /* enum class_weighting */
    uint32_t count; /* listed: of the classes */
    double *at;     /* [count] above 0, owned; else NULL */
};

struct curriculum_spec {
    int measure, order, mode, pacing, balance;
    int scope;             /* enum curriculum_scope */
    double diversity;      /* spl_hard: gamma in units of the mean loss, >= 0 */
    struct given given;    /* of MEASURE_GIVEN */
    double initial, final; /* share, (0, 1] */
    double full_at;        /* share of the epochs at which pacing reaches final, (0, 1] */
    int64_t warmup;        /* epochs with everything, before pacing; < full_at * epochs */
    double smoothing;      /* beta of the percentile rank, [0, 1) */
};

/* Flatness at the end of epochs (server/core/flatness.h). */
struct flatness_spec {
    int64_t every;      /* after epoch e when e % every == 0, and after the last; 0: never */
    int64_t samples;    /* how many, drawn; 0: all */
    int64_t probes;     /* of the trace */
    int64_t iterations; /* of the eigenvalues, at most */
    double rho;         /* length of the steps of the sharpness, > 0 */
};

struct jobspec {
    char name[NAME_MAX_BYTES];
    char dataset[NAME_MAX_BYTES];
    struct revisions revisions;
    int engine;           /* enum engine; external: only what jobspec_rows says of it is there */
    struct cJSON *config; /* external: what its program is told to people with, owned; NULL: none */
    struct cJSON *model;  /* owned copy of the description: string or object */
    int64_t epochs;       /* 0: measures the given weights and trains nothing */
    int64_t batch, shard;
    uint64_t seed;          /* up to 2^53 - 1 */
    double label_smoothing; /* of the training loss, [0, 1) */
    double mixup;           /* alpha, >= 0; 0: none */
    int64_t crop;           /* augment.crop, pixels of padding on every side; 0: no random crop */
    bool flip;              /* augment.flip: at random, left for right */
    struct optimizer_spec optimizer;
    int sam;              /* sam.name, enum sam_kind */
    double rho;           /* sam.rho, >= 0; 0 is plain SGD */
    double sam_alpha;     /* sam.alpha, gsam: >= 0 */
    double sam_lambda;    /* sam.lambda, fsam: [0, 1) */
    double sam_sigma;     /* sam.sigma, fsam: >= 0 */
    int64_t sam_interval; /* sam.interval, >= 1: an ascent when step % interval == 0 */
    int sam_scope;        /* enum sam_scope: whose gradient the ascent follows */
    double average_from;  /* average.from, share of the epochs, [0, 1]; 1: none */
    int attack;
    double epsilon;       /* attack.epsilon, [0, 1] pixel space; l2: of the whole change */
    double alpha;         /* attack.alpha, pgd: length of one move; never 0 unless epsilon is */
    int64_t attack_steps; /* attack.steps, pgd */
    bool random_start;    /* attack.random_start, pgd */
    int score_source, score_splits, normaliser;
    bool score_probabilities; /* sweeps keep the probabilities of all classes */
    int64_t score_every;      /* 0: automatic (1 until the share is final, then 5) */
    struct curriculum_spec curriculum;
    struct flatness_spec flatness;
    struct exclude exclude;
    struct names train_domains, test_domains;
    struct validation_spec validation;
    struct fold_spec fold;
    struct class_weights class_weights;
    int sampling;         /* enum sampling */
    int64_t patience;     /* early_stopping.patience, epochs; 0: not */
    int keep;             /* enum keep: which epoch's model is the job's */
    struct given weights; /* to start from */
    /* From the job file, and from the weights (scaling.h says which takes precedence). */
    struct input_spec input, weights_input;
    int numerics;
    double verify; /* share of the nodes that is computed a second time and compared, [0, 1] */
};

/* Reads a job file. Checks everything that needs no dataset: keys (unknown: nearest valid name; a
 * key of another optimizer, schedule or attack than the job's), types, ranges, batch % shard == 0,
 * full_at * epochs > warmup, the model description (model_check). 0, -EINVAL or -ENOMEM. ret is
 * released with jobspec_done. */
int jobspec_parse(const struct cJSON *json, struct jobspec *ret, struct errbuf *why);
void jobspec_done(struct jobspec *spec);
/* The spec as JSON with every default written out, keys in the order of the table, without those
 * that do not apply to its optimizer, schedule and attack; parsing it again gives the same spec,
 * bit for bit. For printing: a number that cJSON would round is a raw node.
 * Released with cJSON_Delete; NULL when memory is out. */
struct cJSON *jobspec_json(const struct jobspec *spec);
/* The value of the key `revisions`; likewise. */
struct cJSON *jobspec_revisions_json(const char *dataset, const struct revisions *r);
/* What the job file names in one of the places; NULL: nothing there. */
struct given *jobspec_attached(struct jobspec *spec, enum attached_kind kind);

/* Steps of an epoch: floor((samples - excluded) / batch), 0 when nothing is trained. samples: those
 * that the job keeps for training (core/split.h). What a revision leaves out counts: whatever the
 * revision, a job takes the same steps. */
static inline uint32_t jobspec_epoch_steps(const struct jobspec *spec, uint32_t samples)
{
    const uint32_t excluded = spec->exclude.count - spec->exclude.held;

    return spec->epochs == 0 || excluded > samples ? 0
                                                   : (samples - excluded) / (uint32_t)spec->batch;
}
static inline bool jobspec_external(const struct jobspec *spec)
{
    return spec->engine == ENGINE_EXTERNAL;
}
/* Do weights follow from losses instead of places? */
static inline bool jobspec_self_paced(const struct jobspec *spec)
{
    return spec->curriculum.mode >= MODE_SPL_HARD;
}
/* Does a shard split two gradients, as gsam does? */
static inline bool jobspec_splits_shards(const struct jobspec *spec)
{
    return spec->sam == SAM_SURROGATE && spec->sam_scope == SCOPE_SHARD && spec->rho > 0;
}
/* Is the order of the curriculum made anew in each shard of a step? */
static inline bool jobspec_online(const struct jobspec *spec)
{
    return spec->curriculum.scope == CURRICULUM_STEP;
}
/* Epochs that the job commits: one, of scores only, when nothing is trained. */
static inline int64_t jobspec_epochs(const struct jobspec *spec)
{
    return spec->epochs == 0 ? 1 : spec->epochs;
}

#endif
