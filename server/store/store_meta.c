/* The content of table meta of difficulty.db: one row for every column of every table (key
 * "table.column"), every view and every word that a reader needs. A new column gets its row here; a
 * test walks the schema and finds any that lacks one. */
#include "server/store/store_internal.h"

struct meta {
    const char *key, *value, *unit, *range, *direction;
};

#define HARD "higher is harder"
#define BAD "higher is worse"
#define GOOD "higher is better"
#define SINCE_1970 "ms since 1970-01-01 UTC"
#define UNIT_RANGE "0 to 1"
#define NATS "nats"

static const struct meta definitions[] = {
    {"steppe.version", "version of the program that made this file: " STEPPE_VERSION, 0, 0, 0},
    {"definition.readers",
     "read through the views, or join epoch and take rows with epoch.state = 'committed' only: the "
     "rows of an open epoch are still being written",
     0, 0, 0},
    {"definition.gap", "adv_loss - loss of a sample, raw: it may be below 0", NATS, 0, HARD},
    {"definition.mean_gap",
     "mean of the raw gaps of the samples measured in the epoch, in sample order, in double, "
     "without "
     "those flagged no_direction",
     NATS, 0, 0},
    {"definition.adm.population",
     "adversarial difficulty with job.normaliser = population: max(gap, 0) / (max(gap, 0) + "
     "mean_gap), 0 where 0/0; 1/2 is the mean",
     0, "[0, 1)", HARD},
    {"definition.adm.sample",
     "adversarial difficulty with job.normaliser = sample: max(gap, 0) / adv_loss, 0 where 0/0", 0,
     UNIT_RANGE, HARD},
    {"definition.attack",
     "the adversarial twin of a sample: fgsm is clip(x + epsilon sign(dloss/dx), 0, 1); pgd is "
     "job.attack_steps moves of alpha sign(dloss/dx), each cut to within epsilon of x and to "
     "[0, 1]; l2 is clip(x + epsilon g / |g|, 0, 1), g = dloss/dx; name and numbers of each job "
     "are "
     "in job.attack, job.epsilon, job.alpha and job.attack_steps, its normaliser in job.normaliser",
     0, 0, 0},
    {"definition.epsilon",
     "largest change of a pixel, in pixel space [0, 1]; of attack l2, largest Euclidean norm of "
     "the "
     "change of all pixels",
     "pixel intensity", UNIT_RANGE, 0},
    {"definition.flags",
     "bits of score.flags: 1 measured; 2 no_direction, the gradient of the "
     "image was all zero, so that the twin is the image itself and the gap is 0; 4 left_out, of "
     "the fold "
     "that the job does not train on (fold.leave)",
     0, 0, 0},
    {"definition.hard",
     "a sample is among the hardest tenth of an epoch when its adm is above 0 "
     "and at least epoch.adm_p90",
     0, 0, 0},
    {"definition.margin",
     "logit of the label less the largest other logit, as far as loss and el2n tell: with p = "
     "exp(-loss), ln(p) - ln(el2n^2 - (1 - p)^2) / 2; at most ln(n_classes - 1) / 2 below it, so "
     "that a sample that is predicted right can have one below 0",
     "logits", 0, "higher is easier"},
    {"definition.suspicion",
     "how likely the label is wrong: with w = 50 epoch.newly_right - 1 cut to 0 to 1 (1 where it "
     "is NULL), -(margin + w (margin_mean - margin)). The margin of the last sweep is best where "
     "the model has settled and wrong labels stay unlearnt, its mean over the epochs while they "
     "are "
     "being memorised or were",
     "logits", 0, "higher is more suspicious"},
    {"definition.flatness",
     "of the mean cross-entropy of n_samples training samples, drawn by the seed, in evaluation "
     "mode (running statistics of norms, nothing dropped, not augmented, not smoothed), without "
     "weight decay. H: its Hessian by the trained parameters. Eigenvalues: Lanczos; trace: "
     "Hutchinson; sharpness: the largest rise of the loss at distance rho up the gradient (Foret "
     "et al. 2021), along the first eigenvector and against it, a lower bound of the rise within "
     "the ball; lines: along the first eigenvector, and along random directions whose filters are "
     "as long as those of the weights (Li et al. 2018)",
     0, 0, 0},
    {"definition.quantile",
     "adm_p10, adm_p50, adm_p90 of an epoch: linear between the closest "
     "ranks, at position p (n - 1)",
     0, 0, 0},
    {"definition.scores_sha256",
     "SHA-256 over the score rows of the epoch in sample order, little-endian, without padding: "
     "u32 "
     "sample, f64 loss, adv_loss, adm, grad_norm, el2n, i32 predicted, u32 flags; NULL is the f64 "
     "of "
     "the bits 7ff8000000000000, a predicted -1",
     0, 0, 0},
    {"definition.uri",
     "the name of a sample in UTF-8, as its file system has it, control characters and all; a byte "
     "0x80 to 0xff of a path that is not UTF-8 is the character U+EF00 + byte",
     0, 0, 0},
    {"view.v_latest", "scores of the newest committed, scored epoch of each job, with labels", 0, 0,
     0},
    {"view.v_hardest", "v_latest, newest job first, within it the hardest sample first", 0, 0, 0},
    {"view.v_class",
     "v_latest summed up by class; adm_p50 and adm_p90 are values that occur (the "
     "lower median, nearest rank)",
     0, 0, 0},
    {"view.v_domain",
     "v_latest summed up by domain, as v_class by class; no rows for a dataset without domains", 0,
     0, 0},
    {"view.v_hist", "v_latest counted in 20 equal bins of adm; empty bins have no row", 0, 0, 0},
    {"view.v_riser",
     "what changed between two committed, scored epochs: ask with job =, epoch_from = and epoch_to "
     "=, ordered by rise (of adm) or loss_rise",
     0, 0, 0},
    {"view.v_suspect",
     "all samples that were scored, the most suspicious label first (definition.suspicion); "
     "predicted is what the model takes the sample for, truth and planted are what is known; needs "
     "the functions ln and tanh (SQLite 3.35)",
     0, 0, 0},
    {"view.v_data_map",
     "dataset cartography: mean and standard deviation over the scored epochs of the probability "
     "of the label, and the share of them that were right; needs the function sqrt (SQLite 3.35); "
     "low confidence is hard to learn, high "
     "variability ambiguous",
     0, 0, 0},
    {"view.v_forgetting", "samples by how often they were forgotten; never_right: not right once",
     0, 0, 0},
    {"view.v_rank_correlation",
     "Spearman's rank correlation of the newest adm of two jobs on the same dataset, over the "
     "samples that both scored; ask with job = and other =; needs the function sqrt (SQLite 3.35)",
     0, "-1 to 1", 0},
    {"view.v_test",
     "all committed scores of test samples, of jobs with score.splits both; numbered apart from "
     "the "
     "training samples",
     0, 0, 0},
    {"view.v_test_hardest",
     "those of the newest epoch that has them, newest job first, within it the hardest first", 0, 0,
     0},
    {"view.v_flatness",
     "how flat the training loss was around the weights at the end of an epoch, of jobs with "
     "flatness.every; see definition.flatness",
     0, 0, 0},
    {"view.v_flatness_line",
     "the loss along lines through those weights; name: eigenvector, random 1, random 2", 0, 0, 0},
    {"view.v_metric",
     "scalar metrics of all committed epochs by name, a row each: the figures of table epoch by "
     "the "
     "names that job.show gives them, and those of table metric",
     0, 0, 0},
    {"view.v_test_group",
     "the test of each epoch, by class and, of a job with test_domains, by domain (kind); "
     "id is the number of the class or domain; adv_accuracy is NULL where none was measured",
     0, 0, 0},
    {"view.v_trajectory",
     "all committed scores; ask with job = and sample = for one sample over "
     "the epochs",
     0, 0, 0},
    {"view.v_study",
     "studies: a row for every committed epoch of every job, with its arm, dataset (the column of "
     "the study's table) and seed; one without figures for a job that has no epoch yet; control: 1 "
     "for the arm with which the others are compared; last: 1 for the job's last committed epoch; "
     "kept: 1 for the epoch whose figures the table of the study has, which is the best validated "
     "one so far with keep best, and else the last; sharpness: NULL without an ascent",
     0, 0, 0},
    {"view.v_job_compare",
     "one row a job, side by side: figures of the last epoch that has them; dataset: with the "
     "revision that the last epoch trained on, as in photos@2",
     0, 0, 0},
};

static const struct meta columns[] = {
    {"meta.key", "table.column, view.name, or definition.word", 0, 0, 0},
    {"meta.value", "what it means", 0, 0, 0},
    {"meta.unit", "its unit; NULL: none", 0, 0, 0},
    {"meta.range", "what it can be; NULL: anything of its type", 0, 0, 0},
    {"meta.direction", "what a higher value means; NULL: neither better nor worse", 0, 0, 0},

    {"dataset.dataset_id", "number of the data in this file", 0, "1 and up", 0},
    {"dataset.name", "the first name it was imported under", 0, 0, 0},
    {"dataset.sha256", "SHA-256 of the dataset file, its identity", "hex", 0, 0},
    {"dataset.n_samples", "training samples, numbered from 0", "samples", "1 and up", 0},
    {"dataset.n_classes", "classes, numbered from 0", "classes", "1 and up", 0},
    {"dataset.names_sha256",
     "SHA-256 of the names file whose names the samples have; NULL: they have none, or are being "
     "named",
     "hex", 0, 0},
    {"dataset.source", "where the data came from", 0, 0, 0},
    {"class.dataset_id", "the dataset", 0, 0, 0},
    {"class.class_id", "number of the class", 0, "0 to n_classes - 1", 0},
    {"class.name", "its name", 0, 0, 0},
    {"domain.dataset_id", "the dataset", 0, 0, 0},
    {"domain.domain_id", "number of the domain: where pictures come from (photo, sketch)", 0,
     "0 and up", 0},
    {"domain.name", "its name", 0, 0, 0},
    {"sample.dataset_id", "the dataset", 0, 0, 0},
    {"sample.sample_id", "position of the sample in its dataset, for ever", 0, "0 to n_samples - 1",
     0},
    {"revision.dataset_id", "the dataset", 0, 0, 0},
    {"revision.revision", "its number: 2 is NAME@2", 0, "1 to .", 0},
    {"revision.sha256", "SHA-256 of the revision's text", 0, 0, 0},
    {"revision.n_relabelled", "samples whose label it changes", 0, 0, 0},
    {"revision.n_excluded", "samples that it leaves out", 0, 0, 0},
    {"revision.created_unix_ms", "when it was made", SINCE_1970, 0, 0},
    {"revision_sample.dataset_id", "the dataset", 0, 0, 0},
    {"revision_sample.revision", "the revision", 0, 0, 0},
    {"revision_sample.sample_id", "a sample that it changes", 0, 0, 0},
    {"revision_sample.class_id", "its label there, which is also its truth; NULL: it is left out",
     0, "0 to n_classes - 1", 0},
    {"sample.class_id", "its label, as trained on", 0, "0 to n_classes - 1", 0},
    {"sample.truth",
     "its label before flips were planted or noisy labels were given; NULL: the label is all that "
     "is known",
     0, "0 to n_classes - 1", 0},
    {"sample.planted",
     "what was planted: 0 nothing, 1 a flipped label, 2 a hard image; NULL: "
     "nothing is known",
     0, "0, 1, 2", 0},
    {"sample.domain_id", "where it comes from; NULL: the dataset has no domains", 0, "0 and up", 0},
    {"sample.uri",
     "what it is called: the path of its file below the imported folder, or FILE[index]; see "
     "definition.uri; NULL: it has no name",
     0, 0, 0},
    {"test_sample.dataset_id", "the dataset", 0, 0, 0},
    {"test_sample.sample_id", "position of the sample in the test images of its dataset", 0,
     "0 and up", 0},
    {"test_sample.uri", "what it is called, as sample.uri", 0, 0, 0},

    {"job.job_id", "number of the job", 0, "1 and up", 0},
    {"job.uuid", "its identity, made by who submitted it", 0, 0, 0},
    {"job.name", "its name", 0, 0, 0},
    {"job.dataset", "name of the dataset in the job file", 0, 0, 0},
    {"job.dataset_id", "the dataset; NULL when it is not in this file", 0, 0, 0},
    {"job.state", "state of the job", 0, "queued, running, paused, done, failed, cancelled", 0},
    {"job.config_json", "the job file with every default written out", "JSON", 0, 0},
    {"job.seed", "seed of everything random", 0, "0 to 2^53 - 1", 0},
    {"job.attack", "how the adversarial twin is made, see definition.attack", 0, "fgsm, pgd, l2",
     0},
    {"job.epsilon", "largest change by the attack, see definition.epsilon",
     "pixel intensity in [0, 1]", UNIT_RANGE, 0},
    {"job.alpha", "change of a pixel in one move of the attack; NULL: it has one move only",
     "pixel intensity in [0, 1]", UNIT_RANGE, 0},
    {"job.attack_steps", "moves of the attack; NULL: it has one move only", "moves", "1 and up", 0},
    {"job.normaliser", "what adm divides by, see definition.adm", 0, "population, sample", 0},
    {"job.created_unix_ms", "when it was submitted", SINCE_1970, 0, 0},
    {"job.finished_unix_ms", "when it ended; NULL: not yet", SINCE_1970, 0, 0},
    {"job.model_sha256", "SHA-256 of the final model; NULL: not done", "hex", 0, 0},
    {"job.history", "the job_id of its rows in sample_state; NULL: job_id", 0,
     "job_id, or minus that", 0},

    {"epoch.job_id", "the job", 0, 0, 0},
    {"epoch.epoch", "number of the epoch", 0, "0 to epochs - 1", 0},
    {"epoch.state", "open: its rows are being written; committed: complete and final", 0,
     "open, committed", 0},
    {"epoch.share",
     "share of the training set that was scheduled; where it was ordered in the step, share of "
     "each "
     "shard that was trained on",
     0, "(0, 1]", 0},
    {"epoch.scheduled", "samples that were scheduled", "samples", "1 and up", 0},
    {"epoch.lr", "learning rate of the last update of the epoch", 0, "above 0", 0},
    {"epoch.revision",
     "revision of the dataset that the epoch had the labels of (table revision); NULL: the labels "
     "as imported",
     0, "1 to .", 0},
    {"epoch.train_loss", "mean loss in training, before the ascent, with the job's label_smoothing",
     NATS, "0 and up", BAD},
    {"epoch.train_accuracy", "share of training samples that were right", 0, UNIT_RANGE, GOOD},
    {"epoch.sharpness",
     "mean of loss at the ascended point - loss over the steps with an ascent; NULL: there was "
     "none",
     NATS, 0, "higher is sharper, lower is flatter"},
    {"epoch.test_loss", "mean loss on the test set; NULL: not measured", NATS, "0 and up", BAD},
    {"epoch.test_accuracy", "share of the test set that is right; NULL: not measured", 0,
     UNIT_RANGE, GOOD},
    {"epoch.adv_accuracy", "share of the test set that is right under attack; NULL: not measured",
     0, UNIT_RANGE, GOOD},
    {"epoch.validation_loss",
     "mean loss on the training images that the job keeps for validation; NULL: none are kept",
     NATS, "0 and up", BAD},
    {"epoch.validation_accuracy", "share of them that is right", 0, UNIT_RANGE, GOOD},
    {"epoch.validation_adv_accuracy", "share of them that is right under attack", 0, UNIT_RANGE,
     GOOD},
    {"epoch.mean_gap", "see definition.mean_gap; NULL: not scored", NATS, 0, 0},
    {"epoch.seconds", "time the epoch took", "s", "0 and up", 0},
    {"epoch.n_scored", "samples with a score row; 0: the epoch was not scored", "samples",
     "0 to n_samples", 0},
    {"epoch.adm_mean", "mean of adm over the scored samples; NULL: not scored", 0, UNIT_RANGE,
     HARD},
    {"epoch.adm_p10", "10 % of them are below it", 0, UNIT_RANGE, HARD},
    {"epoch.adm_p50", "half of them are below it", 0, UNIT_RANGE, HARD},
    {"epoch.adm_p90", "90 % of them are below it", 0, UNIT_RANGE, HARD},
    {"epoch.committed_unix_ms", "when it was committed", SINCE_1970, 0, 0},
    {"epoch.scores_sha256", "hash of the score rows, see definition.scores_sha256", "hex", 0, 0},
    {"epoch.n_dropped",
     "scores that the epoch had when it was committed and that were dropped since, as the server's "
     "--keep options say; n_scored is 0 then, all figures stay",
     "samples", "0 to n_samples", 0},
    {"epoch.newly_right",
     "of the samples that were right in no epoch before, the share that is right now; near 0: the "
     "model has settled; NULL: there was none, or it is not known",
     0, UNIT_RANGE, 0},

    {"score.job_id", "the job", 0, 0, 0},
    {"score.epoch", "the epoch at whose end it was measured", 0, "0 to epochs - 1", 0},
    {"score.sample_id", "the sample", 0, "0 to n_samples - 1", 0},
    {"score.adm",
     "adversarial difficulty, see definition.adm; here and in what follows NULL: not reported by "
     "the "
     "program that trains (jobs of engine external)",
     0, UNIT_RANGE, HARD},
    {"score.loss", "cross-entropy of the sample", NATS, "0 and up", HARD},
    {"score.adv_loss", "cross-entropy of its adversarial twin", NATS, "0 and up", HARD},
    {"score.grad_norm", "Euclidean norm of dloss/dx", "nats per unit of pixel intensity",
     "0 and up", HARD},
    {"score.el2n", "Euclidean norm of softmax - one-hot label", 0, "0 to sqrt(2)", HARD},
    {"score.predicted", "class with the largest logit, the lowest on ties", 0, "0 to n_classes - 1",
     0},
    {"score.correct", "1 when predicted is the label", 0, "0, 1", GOOD},
    {"score.flags", "see definition.flags", 0, "1, 3, 5, 7", 0},

    {"flatness.job_id", "the job", 0, 0, 0},
    {"flatness.epoch", "the epoch at whose end it was measured", 0, "0 to epochs - 1", 0},
    {"flatness.n_samples", "training samples over which the loss is taken", "samples",
     "1 to n_samples of the dataset", 0},
    {"flatness.loss", "their mean loss at the weights, in evaluation mode", NATS, "0 and up", BAD},
    {"flatness.gradient_norm", "Euclidean norm of its gradient by the weights", 0, "0 and up", 0},
    {"flatness.lambda1", "largest eigenvalue of the Hessian; NULL: the model has fewer", 0, 0,
     "higher is sharper, lower is flatter"},
    {"flatness.lambda2", "second largest eigenvalue of the Hessian; NULL: the model has fewer", 0,
     0, "higher is sharper, lower is flatter"},
    {"flatness.lambda3", "third largest eigenvalue of the Hessian; NULL: the model has fewer", 0, 0,
     "higher is sharper, lower is flatter"},
    {"flatness.lambda4", "fourth largest eigenvalue of the Hessian; NULL: the model has fewer", 0,
     0, "higher is sharper, lower is flatter"},
    {"flatness.lambda5", "fifth largest eigenvalue of the Hessian; NULL: the model has fewer", 0, 0,
     "higher is sharper, lower is flatter"},
    {"flatness.residual1", "|H y - lambda1 y| of its unit vector y: an eigenvalue lies within", 0,
     "0 and up", 0},
    {"flatness.residual2", "|H y - lambda2 y| of its unit vector y: an eigenvalue lies within", 0,
     "0 and up", 0},
    {"flatness.residual3", "|H y - lambda3 y| of its unit vector y: an eigenvalue lies within", 0,
     "0 and up", 0},
    {"flatness.residual4", "|H y - lambda4 y| of its unit vector y: an eigenvalue lies within", 0,
     "0 and up", 0},
    {"flatness.residual5", "|H y - lambda5 y| of its unit vector y: an eigenvalue lies within", 0,
     "0 and up", 0},
    {"flatness.n_products", "products of the Lanczos iteration", 0, "1 to 100", 0},
    {"flatness.trace", "estimated trace of the Hessian, the sum of all eigenvalues", 0, 0,
     "higher is sharper, lower is flatter"},
    {"flatness.trace_error", "its standard error; NULL: one probe", 0, "0 and up", 0},
    {"flatness.n_probes", "random vectors behind it", 0, "1 and up", 0},
    {"flatness.sharpness",
     "largest rise of the loss at three places at distance rho, see definition.flatness", NATS, 0,
     "higher is sharper, lower is flatter"},
    {"flatness.rho", "that distance", 0, "above 0", 0},
    {"flatness_line.job_id", "the job", 0, 0, 0},
    {"flatness_line.epoch", "the epoch at whose end it was measured", 0, "0 to epochs - 1", 0},
    {"flatness_line.direction",
     "0: along the first eigenvector, of length 1; 1 and 2: random and filter-normalised", 0,
     "0 to 2", 0},
    {"flatness_line.point", "number of the point on the line", 0, "0 to 20", 0},
    {"flatness_line.t", "how far along the direction", 0, "-1 to 1", 0},
    {"flatness_line.distance",
     "Euclidean distance from the weights, t times the length of the direction", 0, "0 and up", 0},
    {"flatness_line.loss", "mean loss there; a sample without a finite one counts 1e30", NATS,
     "0 and up", BAD},
    {"score.adv_predicted",
     "class with the largest logit for the adversarial twin, the lowest on ties; NULL: not kept by "
     "the version that measured it",
     0, "0 to n_classes - 1", 0},

    {"test_score.job_id", "the job", 0, 0, 0},
    {"test_score.epoch", "the epoch at whose end it was measured", 0, "0 to epochs - 1", 0},
    {"test_score.sample_id",
     "position of the sample in the test images; of a job with test_domains, in the training "
     "images",
     0, "0 and up", 0},
    {"test_score.label", "its label", 0, "0 to n_classes - 1", 0},
    {"test_score.adm",
     "adversarial difficulty, see definition.adm; the mean gap is that of the training samples, so "
     "that both are of one scale",
     0, UNIT_RANGE, HARD},
    {"test_score.loss", "cross-entropy of the sample", NATS, "0 and up", HARD},
    {"test_score.adv_loss", "cross-entropy of its adversarial twin", NATS, "0 and up", HARD},
    {"test_score.grad_norm", "Euclidean norm of dloss/dx", "nats per unit of pixel intensity",
     "0 and up", HARD},
    {"test_score.el2n", "Euclidean norm of softmax - one-hot label", 0, "0 to sqrt(2)", HARD},
    {"test_score.predicted", "class with the largest logit, the lowest on ties", 0,
     "0 to n_classes - 1", 0},
    {"test_score.correct", "1 when predicted is the label", 0, "0, 1", GOOD},
    {"test_score.flags", "see definition.flags", 0, "1, 3", 0},

    {"study.study_id", "number of the study", 0, 0, 0},
    {"study.name", "its name", 0, 0, 0},
    {"study.control", "the arm with which the others are compared", 0, 0, 0},
    {"study.created_unix_ms", "when it was submitted", SINCE_1970, 0, 0},
    {"study_job.study_id", "the study", 0, 0, 0},
    {"study_job.arm", "number of the arm, in the order in which they came", 0, "0 and up", 0},
    {"study_job.data", "number of the column of its table, likewise", 0, "0 and up", 0},
    {"study_job.seed", "the seed of the job", 0, "0 and up", 0},
    {"study_job.arm_name", "name of the arm", 0, 0, 0},
    {"study_job.data_name", "name of the column: the dataset, and what else of it was varied", 0, 0,
     0},
    {"study_job.job_id", "the job of that arm, column and seed", 0, 0, 0},

    {"test_score.adv_predicted",
     "class with the largest logit for the adversarial twin, the lowest on ties; NULL: not kept by "
     "the version that measured it",
     0, "0 to n_classes - 1", 0},

    {"probability.job_id", "the job, one with score.probabilities", 0, 0, 0},
    {"probability.epoch", "the newest epoch that has them, at whose end they were measured", 0,
     "0 to epochs - 1", 0},
    {"probability.sample_id", "the sample", 0, "0 to n_samples - 1", 0},
    {"probability.p",
     "softmax of the logits, or what a program reports: a float of 32 bits, little-endian, for "
     "each class from 0 on",
     0, UNIT_RANGE, 0},

    {"metric.job_id", "the job", 0, 0, 0},
    {"metric.epoch", "the epoch", 0, "0 to epochs - 1", 0},
    {"metric.name", "what the training program calls it", 0, "1 to 64 characters of ASCII", 0},
    {"metric.value", "what it measured", 0, "finite", 0},

    {"test_group.job_id", "the job", 0, 0, 0},
    {"test_group.epoch", "the epoch at whose end it was measured", 0, "0 to epochs - 1", 0},
    {"test_group.kind", "what the samples have in common", 0, "class, domain", 0},
    {"test_group.group_id", "number of the class or domain", 0, "0 and up", 0},
    {"test_group.samples", "test samples of it", "samples", "1 and up", 0},
    {"test_group.correct", "of these, those that are right", "samples", "0 to samples", GOOD},
    {"test_group.adv_correct", "of these, those that are right under attack", "samples",
     "0 to samples", GOOD},

    {"sample_state.job_id",
     "the job whose job.history this is; rows of none are not yet valid, or no more", 0, 0, 0},
    {"sample_state.sample_id", "the sample", 0, "0 to n_samples - 1", 0},
    {"sample_state.class_id", "its label", 0, "0 to n_classes - 1", 0},
    {"sample_state.adm_ema",
     "0.3 of the newest adm + 0.7 of the average before it; the first is "
     "taken as it is",
     0, UNIT_RANGE, HARD},
    {"sample_state.loss_mean", "mean of loss over its measurements", NATS, "0 and up", HARD},
    {"sample_state.margin_mean",
     "area under the margin: mean of the margin over its measurements, see definition.margin",
     "logits", 0, "higher is easier"},
    {"sample_state.confidence",
     "mean over its measurements of exp(-loss), the probability of the label", 0, UNIT_RANGE,
     "higher is easier"},
    {"sample_state.confidence_m2",
     "sum of the squared deviations of exp(-loss) from confidence; divided by n_seen the variance, "
     "of which v_data_map.variability is the root",
     0, "0 and up", "higher is more ambiguous"},
    {"sample_state.correct", "1 when it was right at last_epoch", 0, "0, 1", GOOD},
    {"sample_state.n_seen", "epochs in which it was measured", "epochs", "1 and up", 0},
    {"sample_state.n_correct", "of these, those in which it was right", "epochs", "0 to n_seen",
     GOOD},
    {"sample_state.n_forget", "times it was right at one measurement and wrong at the next",
     "times", "0 and up", HARD},
    {"sample_state.n_hard", "epochs in which it was among the hardest tenth, see definition.hard",
     "epochs", "0 to n_seen", HARD},
    {"sample_state.last_epoch", "the last epoch in which it was measured", 0, "0 to epochs - 1", 0},
};

static int write_rows(struct db *db, const struct meta *rows, size_t count, struct errbuf *why)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = db_run(db,
                    "INSERT OR REPLACE INTO meta(key, value, unit, range, direction)"
                    " VALUES(?1, ?2, ?3, ?4, ?5)",
                    DB_ARGS(DB_S(rows[i].key), DB_S(rows[i].value), DB_S(rows[i].unit),
                            DB_S(rows[i].range), DB_S(rows[i].direction)),
                    why);
    return rc;
}

int meta_write(struct db *db, struct errbuf *why)
{
    int rc = write_rows(db, definitions, sizeof(definitions) / sizeof(definitions[0]), why);

    if (rc == 0)
        rc = write_rows(db, columns, sizeof(columns) / sizeof(columns[0]), why);
    return rc;
}
