/* The keys of a job file. This table alone knows a key: its place in the file, its field, type,
 * range, default and meaning. Reading, writing and the help of `submit` walk it. Keys stand in the
 * order in which a person meets them. A key that only some choice of a word has (beta1 is adamw's)
 * names that choice; so does a second default. That word comes before such keys, in the same
 * section. */
#include <stddef.h>

#include "common/jobspec_internal.h"

#define SEED_MAX 9007199254740991.0 /* 2^53 - 1: up to here a JSON number is one integer only */

const char *const optimizer_names[] = {[OPTIMIZER_SGD] = "sgd", [OPTIMIZER_ADAMW] = "adamw", NULL};
const char *const decay_names[] = {[DECAY_WEIGHTS] = "weights", [DECAY_ALL] = "all", NULL};
const char *const lr_schedule_names[] = {
    [LR_CONSTANT] = "constant", [LR_COSINE] = "cosine", [LR_STEP] = "step", NULL};
const char *const sam_names[] = {[SAM_PLAIN] = "sam",
                                 [SAM_ADAPTIVE] = "asam",
                                 [SAM_SURROGATE] = "gsam",
                                 [SAM_FRIENDLY] = "fsam",
                                 NULL};
const char *const sam_scope_names[] = {[SCOPE_SHARD] = "shard", [SCOPE_BATCH] = "batch", NULL};
const char *const attack_names[] = {
    [ATTACK_FGSM] = "fgsm", [ATTACK_PGD] = "pgd", [ATTACK_L2] = "l2", NULL};
const char *const score_source_names[] = {[SOURCE_SWEEP] = "sweep", [SOURCE_TRAIN] = "train", NULL};
const char *const score_splits_names[] = {[SPLITS_TRAIN] = "train", [SPLITS_BOTH] = "both", NULL};
const char *const normaliser_names[] = {
    [NORM_POPULATION] = "population", [NORM_SAMPLE] = "sample", NULL};
const char *const measure_names[] = {
    [MEASURE_ADM] = "adm",       [MEASURE_LOSS] = "loss",     [MEASURE_GRAD_NORM] = "grad_norm",
    [MEASURE_EL2N] = "el2n",     [MEASURE_MARGIN] = "margin", [MEASURE_FORGETTING] = "forgetting",
    [MEASURE_RANDOM] = "random", [MEASURE_NONE] = "none",     NULL};
const char *const curriculum_scope_names[] = {
    [CURRICULUM_EPOCH] = "epoch", [CURRICULUM_STEP] = "step", NULL};
const char *const order_names[] = {
    [ORDER_EASY_FIRST] = "easy_first", [ORDER_HARD_FIRST] = "hard_first", NULL};
const char *const curriculum_mode_names[] = {[MODE_SELECT] = "select",
                                             [MODE_WEIGHT] = "weight",
                                             [MODE_BOTH] = "both",
                                             [MODE_SPL_HARD] = "spl_hard",
                                             [MODE_SPL_LINEAR] = "spl_linear",
                                             [MODE_SPL_LOG] = "spl_log",
                                             NULL};
const char *const pacing_names[] = {[PACING_LINEAR] = "linear",
                                    [PACING_QUAD] = "quad",
                                    [PACING_ROOT] = "root",
                                    [PACING_STEP] = "step",
                                    [PACING_EXP] = "exp",
                                    [PACING_LOG] = "log",
                                    NULL};
const char *const balance_names[] = {[BALANCE_NONE] = "none", [BALANCE_CLASS] = "class", NULL};
const char *const keep_names[] = {[KEEP_LAST] = "last", [KEEP_BEST] = "best", NULL};
const char *const sampling_names[] = {
    [SAMPLING_EVEN] = "even", [SAMPLING_BALANCED] = "balanced", NULL};
const char *const class_weighting_names[] = {
    [CLASSES_ALIKE] = "none", [CLASSES_BALANCED] = "balanced", NULL};
const char *const numerics_names[] = {
    [NUMERICS_STRICT] = "strict", [NUMERICS_RELAXED] = "relaxed", NULL};

const char *const engine_names[] = {
    [ENGINE_STEPPE] = "steppe", [ENGINE_EXTERNAL] = "external", NULL};

#define AT(field) offsetof(struct jobspec, field)

static const struct choice sgd = {"optimizer.name", "sgd"}, adamw = {"optimizer.name", "adamw"},
                           step = {"optimizer.schedule", "step"}, asam = {"sam.name", "asam"},
                           gsam = {"sam.name", "gsam"}, fsam = {"sam.name", "fsam"},
                           pgd = {"attack.name", "pgd"}, spl_hard = {"curriculum.mode", "spl_hard"},
                           l2 = {"attack.name", "l2"}, online = {"curriculum.scope", "step"};

const struct row jobspec_rows[] = {
    {"name", ROW_NAME, AT(name), .def = "", .external = true,
     .help = "name of the job (default: the name of the dataset)"},
    {"engine", ROW_ENUM, AT(engine), .def = "steppe", .names = engine_names, .external = true,
     .help =
         "who trains; steppe: workers; external: a program of yours, which asks for the order of "
         "an epoch and reports scores"},
    {"dataset", ROW_DATASET, AT(dataset), .external = true,
     .help =
         "name of an imported dataset; behind it perhaps a revision of its labels: photos@2, or "
         "photos@latest, the newest when the job is submitted (default: as imported)"},
    {"revisions", ROW_REVISIONS, AT(revisions), .def = "", .external = true,
     .help = "revisions of the dataset from certain epochs on: [[0, \"photos@1\"], [3, "
             "\"photos@2\"]]"},
    {"config", ROW_CONFIG, AT(config), .def = "", .external = true,
     .help = "anything that people should see beside the job; engine external only"},
    {"model", ROW_MODEL, AT(model), .help = "a preset or {\"layers\": [...]}"},
    {"epochs", ROW_INT, AT(epochs), .def = "10", .max = EPOCHS_MAX, .external = true,
     .help = "how many epochs, each of floor(samples / batch) steps; 0: measure the weights and "
             "train nothing"},
    {"batch", ROW_INT, AT(batch), .def = "128", .min = 1, .max = BATCH_MAX, .external = true,
     .help = "samples in a step; a multiple of shard"},
    {"shard", ROW_INT, AT(shard), .def = "64", .min = 1, .max = SHARD_MAX,
     .help = "samples that one thread computes together: one SAM ascent, one BatchNorm batch"},
    {"seed", ROW_SEED, AT(seed), .def = "1", .max = SEED_MAX, .external = true,
     .help = "everything random follows from it"},
    {"label_smoothing", ROW_F64, AT(label_smoothing), .def = "0", .max = 1, .below_max = true,
     .help = "share of the target that is spread over all classes, in the training loss only"},
    {"mixup", ROW_F64, AT(mixup), .def = "0", .max = 1000,
     .help =
         "alpha of mixup: in training, each image and its label are mixed with those of another "
         "of the shard; 0: none"},

    {"input", ROW_SECTION,
     .help = "how pixels are scaled: (x / 255 - mean) / std (default: as the weights were trained, "
             "or else by the training images of the dataset)"},
    {"input.mean", ROW_CHANNELS, AT(input.mean), .def = "", .min = -INPUT_MEAN_MAX,
     .max = INPUT_MEAN_MAX, .help = "one number for each channel, with pixels from 0 to 1"},
    {"input.std", ROW_CHANNELS, AT(input.std), .def = "", .min = INPUT_STD_MIN,
     .max = INPUT_STD_MAX, .help = "one number for each channel, with pixels from 0 to 1"},

    {"augment", ROW_SECTION,
     .help = "random changes of training images; sweeps and evaluation see the images unchanged"},
    {"augment.crop", ROW_INT, AT(crop), .def = "0", .max = IMAGE_SIDE_MAX - 1,
     .help = "pixels of black border from which an image of the old size is cut at random; less "
             "than a side of the image; 0: none"},
    {"augment.flip", ROW_BOOL, AT(flip), .def = "false",
     .help = "mirror an image left to right, half of the time"},

    {"optimizer", ROW_SECTION, .help = "how a step updates the weights"},
    {"optimizer.name", ROW_ENUM, AT(optimizer.kind), .def = "sgd", .names = optimizer_names,
     .help = "update rule"},
    {"optimizer.lr", ROW_F64, AT(optimizer.lr), .def = "0.05", .max = 1000, .above_min = true,
     .other = &adamw, .other_def = "0.001", .help = "learning rate"},
    {"optimizer.momentum", ROW_F64, AT(optimizer.momentum), .def = "0.9", .max = 1,
     .below_max = true, .only = &sgd, .help = "share of the velocity that a step keeps"},
    {"optimizer.nesterov", ROW_BOOL, AT(optimizer.nesterov), .def = "false", .only = &sgd,
     .help = "Nesterov momentum; needs momentum above 0"},
    {"optimizer.beta1", ROW_F64, AT(optimizer.beta1), .def = "0.9", .max = 1, .below_max = true,
     .only = &adamw, .help = "share of the mean gradient that a step keeps"},
    {"optimizer.beta2", ROW_F64, AT(optimizer.beta2), .def = "0.999", .max = 1, .below_max = true,
     .only = &adamw, .help = "share of the mean squared gradient that a step keeps"},
    {"optimizer.epsilon", ROW_F64, AT(optimizer.epsilon), .def = "1e-8", .min = 1e-30, .max = 1,
     .only = &adamw, .help = "added to the root of the mean squared gradient"},
    {"optimizer.weight_decay", ROW_F64, AT(optimizer.weight_decay), .def = "5e-4", .max = 1,
     .other = &adamw, .other_def = "0.01", .help = "weight decay; L2 for sgd, decoupled for adamw"},
    {"optimizer.decay", ROW_ENUM, AT(optimizer.decay), .def = "weights", .names = decay_names,
     .help = "what decays; weights: those of dense and conv2d; all: biases and norms too"},
    {"optimizer.clip", ROW_F64, AT(optimizer.clip), .def = "0", .max = 1e6,
     .help = "largest L2 norm of a step's gradient; 0: no limit"},
    {"optimizer.schedule", ROW_ENUM, AT(optimizer.schedule), .def = "cosine",
     .names = lr_schedule_names, .help = "course of the learning rate after the warm-up"},
    {"optimizer.warmup", ROW_F64, AT(optimizer.warmup), .def = "0", .max = 1, .below_max = true,
     .help = "share of all steps during which the learning rate rises linearly"},
    {"optimizer.milestones", ROW_SHARES, AT(optimizer.milestones), .def = "0.5, 0.75", .max = 1,
     .above_min = true, .below_max = true, .only = &step,
     .help = "shares of all steps after which the learning rate falls, in rising order"},
    {"optimizer.gamma", ROW_F64, AT(optimizer.gamma), .def = "0.1", .max = 1, .above_min = true,
     .only = &step, .help = "factor by which the learning rate falls at each milestone"},

    {"sam", ROW_SECTION, .help = "sharpness-aware minimisation"},
    {"sam.name", ROW_ENUM, AT(sam), .def = "sam", .names = sam_names,
     .help = "sam; asam: adaptive, the radius follows the size of each weight; gsam: the step also "
             "lowers the rise of the loss from theta to theta hat; fsam: the ascent leaves out "
             "the moving mean of the gradients"},
    {"sam.rho", ROW_F64, AT(rho), .def = "0.05", .max = 100, .other = &asam, .other_def = "0.5",
     .help = "radius of the ascent; 0: the plain optimizer"},
    {"sam.alpha", ROW_F64, AT(sam_alpha), .def = "0.1", .max = 100, .only = &gsam,
     .help = "weight of the part of the gradient at theta that is orthogonal to the one at theta "
             "hat; 0: as sam"},
    {"sam.lambda", ROW_F64, AT(sam_lambda), .def = "0.9", .max = 1, .below_max = true,
     .only = &fsam, .help = "share of the mean gradient that an ascent keeps"},
    {"sam.sigma", ROW_F64, AT(sam_sigma), .def = "1", .max = 100, .only = &fsam,
     .help = "how much of the mean gradient is taken out of the ascent; 0: as sam"},
    {"sam.interval", ROW_INT, AT(sam_interval), .def = "1", .min = 1, .max = 1000000,
     .help = "every interval-th step has an ascent, the others are plain"},
    {"sam.scope", ROW_ENUM, AT(sam_scope), .def = "shard", .names = sam_scope_names, .other = &fsam,
     .other_def = "batch",
     .help = "which gradient the ascent follows; shard: that of each shard (m-sharpness); batch: "
             "that of the whole batch, which takes a second trip to the workers"},

    {"average", ROW_SECTION, .help = "stochastic weight averaging"},
    {"average.from", ROW_F64, AT(average_from), .def = "1", .max = 1,
     .help = "the model is the mean of the weights after each epoch from this share of the epochs "
             "on; the scores and test figures of the last epoch are its own; 1: no average"},

    {"attack", ROW_SECTION, .help = "the adversarial twin of a sample"},
    {"attack.name", ROW_ENUM, AT(attack), .def = "fgsm", .names = attack_names,
     .help = "how the twin is made"},
    {"attack.epsilon", ROW_RATIO, AT(epsilon), .def = "8/255", .max = 1, .other = &l2,
     .other_def = "0.5",
     .help = "largest change of a pixel in [0, 1], or for l2 the L2 norm of the change; a number "
             "or \"8/255\""},
    {"attack.alpha", ROW_RATIO, AT(alpha), .def = "0", .max = 1, .only = &pgd,
     .help = "change of a pixel in one move; 0: epsilon / 4"},
    {"attack.steps", ROW_INT, AT(attack_steps), .def = "10", .min = 1, .max = 1000, .only = &pgd,
     .help = "number of moves"},
    {"attack.random_start", ROW_BOOL, AT(random_start), .def = "false", .only = &pgd,
     .help = "start at a random point within epsilon, not at the sample"},

    {"score", ROW_SECTION, .external = true,
     .help = "how and when the difficulty of samples is measured"},
    {"score.source", ROW_ENUM, AT(score_source), .def = "sweep", .names = score_source_names,
     .help = "sweep: measure all samples at one state of the model; train: measure during the "
             "training steps, on the augmented images (default train where curriculum.scope is "
             "step and the measure is adm)"},
    {"score.every", ROW_INT, AT(score_every), .def = "0", .max = EPOCHS_MAX,
     .help = "epochs between sweeps; 0: 1 until the share is final, then 5"},
    {"score.splits", ROW_ENUM, AT(score_splits), .def = "train", .names = score_splits_names,
     .help = "both: each sweep also keeps the scores of the test samples"},
    {"score.probabilities", ROW_BOOL, AT(score_probabilities), .def = "false", .external = true,
     .help = "the newest sweep also keeps the probability of each class, 4 bytes each; engine "
             "external: what the program reports of them"},
    {"score.normaliser", ROW_ENUM, AT(normaliser), .def = "population", .names = normaliser_names,
     .external = true,
     .help = "what adm divides the loss gap by; population: the gap plus the mean gap; sample: the "
             "adversarial loss"},

    {"curriculum", ROW_SECTION, .external = true, .help = "which samples are trained on, and when"},
    {"curriculum.measure", ROW_MEASURE, AT(curriculum.measure), .def = "adm",
     .names = measure_names, .external = true,
     .help = "what orders the samples; none: train on all of them, always; or scores that exist "
             "already: {\"job\": 3, \"epoch\": 9, \"measure\": \"loss\"} of another job (default: "
             "its last epoch, adm), or {\"file\": \"scores.npy\"} (also .csv, .json; one score for "
             "each sample or lines of sample,score; higher is harder)"},
    {"curriculum.scope", ROW_ENUM, AT(curriculum.scope), .def = "epoch",
     .names = curriculum_scope_names, .external = true,
     .help = "epoch: samples are ordered between epochs, by what was measured before; step: every "
             "shard is measured and ordered in the step that trains on it"},
    {"curriculum.order", ROW_ENUM, AT(curriculum.order), .def = "easy_first", .names = order_names,
     .external = true, .help = "which end of the order comes first"},
    {"curriculum.mode", ROW_ENUM, AT(curriculum.mode), .def = "select",
     .names = curriculum_mode_names, .external = true,
     .help =
         "select: leave the rest out; weight: give it small weights; both: do both; spl_: leave "
         "the rest out, and weigh what is below that threshold by its loss (self-paced); needs "
         "measure loss"},
    {"curriculum.diversity", ROW_F64, AT(curriculum.diversity), .def = "0", .max = 1000,
     .only = &spl_hard, .external = true,
     .help = "how strongly samples of classes that have few so far are preferred, in units of the "
             "mean loss; 0: not; needs balance none"},
    {"curriculum.pacing", ROW_ENUM, AT(curriculum.pacing), .def = "linear", .names = pacing_names,
     .external = true, .help = "curve of the share from initial to final"},
    {"curriculum.initial", ROW_F64, AT(curriculum.initial), .def = "0.8", .max = 1,
     .above_min = true, .external = true,
     .help = "share of the training set at the start of pacing"},
    {"curriculum.final", ROW_F64, AT(curriculum.final), .def = "1", .max = 1, .above_min = true,
     .external = true, .help = "share of the training set at the end of pacing"},
    {"curriculum.full_at", ROW_F64, AT(curriculum.full_at), .def = "0.5", .max = 1,
     .above_min = true, .external = true,
     .help = "share of the epochs after which pacing ends (default 1 when epochs is 1 or 2 and "
             "warmup is not given either)"},
    {"curriculum.warmup", ROW_INT, AT(curriculum.warmup), .def = "1", .max = EPOCHS_MAX,
     .external = true,
     .help = "epochs on all samples before pacing starts, less than full_at * epochs (default 0 "
             "when epochs is 1 and full_at is not given either)"},
    {"curriculum.smoothing", ROW_F64, AT(curriculum.smoothing), .def = "0", .max = 1,
     .below_max = true, .external = true,
     .help = "share of its old rank that a sample keeps at a new score"},
    {"curriculum.balance", ROW_ENUM, AT(curriculum.balance), .def = "class", .names = balance_names,
     .other = &online, .other_def = "none", .external = true,
     .help = "class: schedule the same share of every class"},

    {"flatness", ROW_SECTION,
     .help = "how flat the training loss is around the weights: eigenvalues and trace of its "
             "Hessian, sharpness, and the loss along lines"},
    {"flatness.every", ROW_INT, AT(flatness.every), .def = "0", .max = EPOCHS_MAX,
     .help = "measure it after epochs 0, every, 2 every ... and after the last; 0: never"},
    {"flatness.samples", ROW_INT, AT(flatness.samples), .def = "2048", .max = SAMPLES_MAX,
     .help = "training samples that are measured, drawn by the seed; 0: all"},
    {"flatness.probes", ROW_INT, AT(flatness.probes), .def = "16", .min = 1, .max = 1000,
     .help = "random vectors for the trace"},
    {"flatness.iterations", ROW_INT, AT(flatness.iterations), .def = "30", .min = 5, .max = 100,
     .help = "the most steps of the Lanczos iteration for the five largest eigenvalues"},
    {"flatness.rho", ROW_F64, AT(flatness.rho), .def = "0.05", .max = 1000, .above_min = true,
     .help = "distance from the weights at which the sharpness is measured"},

    {"exclude", ROW_EXCLUDE, AT(exclude), .def = "", .external = true,
     .help = "samples, by number, that are measured but neither trained on nor ordered; or "
             "{\"file\": \"ids.txt\"} (also .json, .npy or a boolean mask)"},
    {"train_domains", ROW_NAMES, AT(train_domains), .def = "",
     .help = "names of the domains that are trained on (default: all that neither test nor "
             "validate)"},
    {"test_domains", ROW_NAMES, AT(test_domains), .def = "",
     .help = "names of the domains that are the test set, instead of the test images"},
    {"validation", ROW_SECTION, .external = true,
     .help = "training samples that are measured after each epoch and never trained on"},
    {"validation.share", ROW_F64, AT(validation.share), .def = "0", .max = 1, .below_max = true,
     .external = true,
     .help = "share of each class (and, within it, of each domain), drawn by the seed; 0: none"},
    {"validation.domains", ROW_NAMES, AT(validation.domains), .def = "", .external = true,
     .help = "or all samples of the domains with these names"},
    {"fold", ROW_SECTION,
     .help = "training samples that are measured like the others and never trained on"},
    {"fold.of", ROW_INT, AT(fold.of), .def = "0", .max = FOLDS_MAX,
     .help = "how many folds the training samples are cut into, by class (and, within it, by "
             "domain) and by the seed; 0: none"},
    {"fold.leave", ROW_INT, AT(fold.leave), .def = "0", .max = FOLDS_MAX - 1,
     .help = "the one that is left out, counted from 0"},
    {"class_weights", ROW_CLASS_WEIGHTS, AT(class_weights), .def = "none",
     .names = class_weighting_names,
     .help = "what the loss of a sample counts; balanced: all classes count the same in all; or a "
             "list with a number for each class"},
    {"sampling", ROW_ENUM, AT(sampling), .def = "even", .names = sampling_names,
     .help = "how often samples are trained on; even: all that are scheduled as often; balanced: "
             "all classes as often"},
    {"early_stopping", ROW_SECTION, .help = "an end before the last epoch; needs keep best"},
    {"early_stopping.patience", ROW_INT, AT(patience), .def = "0", .max = EPOCHS_MAX,
     .help = "the job ends when so many epochs in a row had no better validation accuracy; 0: not"},
    {"keep", ROW_ENUM, AT(keep), .def = "last", .names = keep_names,
     .help = "which model is the job's; last: that of the last epoch; best: that of the epoch with "
             "the highest validation accuracy, the earlier of equal ones"},
    {"weights", ROW_WEIGHTS, AT(weights), .def = "",
     .help = "where training starts: {\"file\": \"model.safetensors\"} with PyTorch's names, or "
             "{\"job\": 3}; the mean and std come with them"},
    {"numerics", ROW_ENUM, AT(numerics), .def = "strict", .names = numerics_names,
     .help = "strict: workers of one numerics class, hence the same bits; relaxed: any worker"},
    {"verify", ROW_F64, AT(verify), .def = "0", .max = 1,
     .help = "share of the work that a worker of another key computes again, to compare the bits; "
             "needs workers of two keys, and numerics strict"},
    {0},
};
