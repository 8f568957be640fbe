/* Rules between the keys of a job file.
 *
 * Three defaults follow from other keys: a job with too few epochs for the default curriculum gets
 * full_at 1 and, with one epoch, no warm-up; an attack of several moves gets alpha = epsilon / 4;
 * a job that measures adm in its steps keeps these scores. A written value is never changed. */
#include <cjson/cJSON.h>
#include <errno.h>

#include "common/jobspec_internal.h"
#include "common/model.h"
#include "common/text.h"

static bool paces(const struct jobspec *spec)
{
    const struct curriculum_spec *c = &spec->curriculum;

    return spec->epochs == 0 || c->full_at * (double)spec->epochs > (double)c->warmup;
}

static void few_epochs(const cJSON *json, struct jobspec *spec)
{
    const cJSON *c = cJSON_GetObjectItemCaseSensitive(json, "curriculum");

    if (cJSON_GetObjectItemCaseSensitive(c, "full_at") ||
        cJSON_GetObjectItemCaseSensitive(c, "warmup"))
        return;
    if (!paces(spec))
        spec->curriculum.full_at = 1;
    if (!paces(spec))
        spec->curriculum.warmup = 0;
}

/* The scores of such steps are whole, and no sweep is needed for them. */
static void keep_scores(const cJSON *json, struct jobspec *spec)
{
    const cJSON *score = cJSON_GetObjectItemCaseSensitive(json, "score");

    if (jobspec_online(spec) && spec->curriculum.measure == MEASURE_ADM && spec->epochs > 0 &&
        !spec->score_probabilities && !cJSON_GetObjectItemCaseSensitive(score, "source"))
        spec->score_source = SOURCE_TRAIN;
}

void jobspec_settle(const struct cJSON *json, struct jobspec *spec)
{
    few_epochs(json, spec);
    keep_scores(json, spec);
    if (jobspec_external(spec))
        spec->shard = spec->batch;
    if (spec->attack == ATTACK_PGD && spec->alpha == 0)
        spec->alpha = spec->epsilon / 4;
}

static int check_optimizer(const struct optimizer_spec *o, struct errbuf *why)
{
    char first[TEXT_F64_BYTES], warmup[TEXT_F64_BYTES];

    if (o->kind == OPTIMIZER_SGD && o->nesterov && o->momentum == 0)
        return err_set(why, -EINVAL,
                       "optimizer.nesterov is true and optimizer.momentum is 0; nesterov needs "
                       "momentum above 0");
    if (o->schedule == LR_STEP && o->milestones.count > 0 && o->milestones.at[0] <= o->warmup)
        return err_set(why, -EINVAL,
                       "optimizer.milestones[0] is %s and optimizer.warmup is %s; the learning "
                       "rate cannot fall before it has risen",
                       text_of_f64(o->milestones.at[0], first), text_of_f64(o->warmup, warmup));
    return 0;
}

static int check_self_paced(const struct curriculum_spec *c, struct errbuf *why)
{
    const char *mode = curriculum_mode_names[c->mode];

    if (c->measure != MEASURE_LOSS && c->measure != MEASURE_NONE)
        return err_set(why, -EINVAL,
                       "curriculum.mode is %s and curriculum.measure is %s; self-paced weights "
                       "follow from the loss: use measure loss",
                       mode, c->measure == MEASURE_GIVEN ? "given" : measure_names[c->measure]);
    if (c->order == ORDER_HARD_FIRST)
        return err_set(why, -EINVAL,
                       "curriculum.mode is %s and curriculum.order is hard_first; self-paced "
                       "learning takes the samples below a loss: use easy_first",
                       mode);
    if (c->diversity > 0 && c->balance == BALANCE_CLASS)
        return err_set(why, -EINVAL,
                       "curriculum.diversity is %.15g and curriculum.balance is class; classes "
                       "that have the same share cannot be more diverse: use balance none",
                       c->diversity);
    return 0;
}

/* A job that trains nothing. */
static int check_measuring(const struct jobspec *spec, struct errbuf *why)
{
    if (spec->weights.kind == GIVEN_NOTHING)
        return err_set(why, -EINVAL,
                       "epochs is 0 and weights is not given; a job that trains nothing measures "
                       "given weights");
    if (spec->score_source == SOURCE_TRAIN)
        return err_set(why, -EINVAL,
                       "epochs is 0 and score.source is train; without training there is the "
                       "sweep only");
    return 0;
}

static int check_apart(const char *a, const struct names *x, const char *b, const struct names *y,
                       const char *rule, struct errbuf *why)
{
    for (int i = 0; i < x->count; i++)
        if (names_has(y, x->at[i]))
            return err_set(why, -EINVAL, "%s and %s both name \"%s\"; %s", a, b, x->at[i], rule);
    return 0;
}

/* A domain has one use. */
static int check_domains(const struct jobspec *spec, struct errbuf *why)
{
    const struct names *train = &spec->train_domains, *test = &spec->test_domains,
                       *validation = &spec->validation.domains;
    int rc = check_apart("validation.domains", validation, "test_domains", test,
                         "what the test is about chooses nothing", why);

    if (rc == 0)
        rc = check_apart("train_domains", train, "test_domains", test,
                         "what is trained on tests nothing", why);
    if (rc == 0)
        rc = check_apart("train_domains", train, "validation.domains", validation,
                         "what is trained on validates nothing", why);
    if (rc == 0 && validation->count > 0 && spec->validation.share > 0)
        rc = err_set(why, -EINVAL,
                     "validation has domains and a share of %.15g; it takes one of them",
                     spec->validation.share);
    if (rc == 0 && spec->keep == KEEP_BEST && validation->count == 0 && spec->validation.share == 0)
        rc = err_set(why, -EINVAL,
                     "keep is best, but nothing validates; the best epoch is chosen by "
                     "validation.share or validation.domains");
    return rc;
}

static int check_stopping(const struct jobspec *spec, struct errbuf *why)
{
    if (spec->patience > 0 && spec->keep != KEEP_BEST)
        return err_set(why, -EINVAL,
                       "early_stopping.patience is %lld and keep is last; a job that ends when "
                       "validation gets no better keeps the epoch that was best: use keep best",
                       (long long)spec->patience);
    if (spec->patience > 0 && spec->average_from < 1)
        return err_set(why, -EINVAL,
                       "early_stopping.patience is %lld and average.from is %.15g; the average is "
                       "over the last epochs, which such a job may not reach",
                       (long long)spec->patience, spec->average_from);
    return 0;
}

static int check_fold(const struct jobspec *spec, struct errbuf *why)
{
    const long long of = spec->fold.of, leave = spec->fold.leave;

    if (of == 1)
        return err_set(why, -EINVAL,
                       "fold.of is 1, which leaves nothing to train on; allowed is 0, or 2 to %d",
                       FOLDS_MAX);
    if (leave > 0 && leave >= of)
        return err_set(why, -EINVAL,
                       "fold.leave is %lld and fold.of is %lld; folds are counted from 0 to of - 1",
                       leave, of);
    return 0;
}

/* Keys that do not go with a curriculum inside the step. */
static int check_online(const struct jobspec *spec, struct errbuf *why)
{
    static const char measures[] = "adm, loss, grad_norm, el2n, margin, random or none";
    const struct curriculum_spec *c = &spec->curriculum;

    if (c->measure == MEASURE_GIVEN)
        return err_set(why, -EINVAL,
                       "curriculum.scope is step and curriculum.measure comes from outside; what "
                       "is ordered in a step is measured there: use %s",
                       measures);
    if (c->measure == MEASURE_FORGETTING)
        return err_set(why, -EINVAL,
                       "curriculum.scope is step and curriculum.measure is forgetting, which "
                       "compares epochs; use %s",
                       measures);
    if (jobspec_self_paced(spec))
        return err_set(why, -EINVAL,
                       "curriculum.scope is step and curriculum.mode is %s; in a step the place of "
                       "a sample gives its weight, not its loss: use select, weight or both",
                       curriculum_mode_names[c->mode]);
    if (spec->shard == 1)
        return err_set(why, -EINVAL,
                       "curriculum.scope is step and shard is 1; one sample has no order: use a "
                       "larger shard");
    if (spec->class_weights.kind != CLASSES_ALIKE)
        return err_set(why, -EINVAL,
                       "curriculum.scope is step and class_weights are given; in a step the place "
                       "of a sample gives its weight, not its class: use sampling balanced");
    if (spec->mixup > 0)
        return err_set(why, -EINVAL,
                       "curriculum.scope is step and mixup is %.15g; a mixed image has no place of "
                       "its own in the order: use mixup 0",
                       spec->mixup);
    if (spec->sam == SAM_FRIENDLY)
        return err_set(
            why, -EINVAL,
            "curriculum.scope is step and sam.name is fsam, whose step takes a second "
            "trip, to workers that have not measured its samples: use sam, asam or gsam");
    if (spec->sam_scope == SCOPE_BATCH)
        return err_set(why, -EINVAL,
                       "curriculum.scope is step and sam.scope is batch; the second trip of such a "
                       "step goes to workers that have not measured its samples: use sam.scope "
                       "shard");
    if (c->balance == BALANCE_CLASS)
        return err_set(why, -EINVAL,
                       "curriculum.scope is step and curriculum.balance is class; a shard has too "
                       "few samples of a class: use none");
    if (c->smoothing > 0)
        return err_set(why, -EINVAL,
                       "curriculum.scope is step and curriculum.smoothing is %.15g; a step keeps "
                       "no ranks that could be smoothed: use 0",
                       c->smoothing);
    return 0;
}

/* Scores measured in the passes that train. */
static int check_fused(const struct jobspec *spec, struct errbuf *why)
{
    /* The gradient of a smoothed loss points elsewhere than that of the loss which is scored. */
    if (spec->label_smoothing > 0)
        return err_set(why, -EINVAL,
                       "label_smoothing is %.15g and score.source is train; scores are not "
                       "smoothed: use sweep, or label_smoothing 0",
                       spec->label_smoothing);
    if (spec->mixup > 0)
        return err_set(why, -EINVAL,
                       "mixup is %.15g and score.source is train; a mixed image is no sample: use "
                       "sweep, or mixup 0",
                       spec->mixup);
    /* Under BatchNorm the gradient of the summed loss is not a sample's own. */
    if (model_describes(spec->model, LAYER_BATCHNORM))
        return err_set(why, -EINVAL,
                       "score.source is train, but model %s uses BatchNorm; use sweep or GroupNorm",
                       cJSON_IsString(spec->model) ? spec->model->valuestring : "custom");
    return 0;
}

/* What a program that only reports scores cannot do. */
static int check_external(const struct jobspec *spec, struct errbuf *why)
{
    if (spec->epochs == 0)
        return err_set(why, -EINVAL,
                       "epochs is 0; a job of engine external has at least one epoch");
    if (jobspec_online(spec))
        return err_set(
            why, -EINVAL,
            "curriculum.scope is step, but the steps of a job of engine external are its "
            "program's: use epoch");
    return 0;
}

int jobspec_check(const struct jobspec *spec, struct errbuf *why)
{
    const struct curriculum_spec *c = &spec->curriculum;

    if (jobspec_external(spec) && check_external(spec, why) < 0)
        return -EINVAL;

    if (spec->shard > spec->batch)
        return err_set(why, -EINVAL,
                       "shard is %lld and batch is %lld; a shard is a part of a batch",
                       (long long)spec->shard, (long long)spec->batch);
    if (spec->batch % spec->shard != 0)
        return err_set(why, -EINVAL,
                       "batch is %lld and shard is %lld; batch must be a multiple of shard",
                       (long long)spec->batch, (long long)spec->shard);
    if (spec->mixup > 0 && spec->shard == 1)
        return err_set(
            why, -EINVAL,
            "mixup is %.15g and shard is 1; an image is mixed with another of its shard: "
            "use a larger shard",
            spec->mixup);
    const struct revisions *r = &spec->revisions;
    if (r->count > 0 && r->at[r->count - 1].epoch >= jobspec_epochs(spec))
        return err_set(
            why, -EINVAL,
            "revisions names epoch %lld, the job has epochs 0 to %lld (a job file counts from 0)",
            (long long)r->at[r->count - 1].epoch, (long long)jobspec_epochs(spec) - 1);
    if (!paces(spec))
        return err_set(
            why, -EINVAL,
            "curriculum.warmup is %lld, it must be below full_at * epochs = %.15g * %lld = %.15g",
            (long long)c->warmup, c->full_at, (long long)spec->epochs,
            c->full_at * (double)spec->epochs);
    if (spec->sam == SAM_FRIENDLY && spec->sam_scope == SCOPE_SHARD)
        return err_set(why, -EINVAL,
                       "sam.name is fsam and sam.scope is shard; the server keeps the mean of the "
                       "gradients: use batch");
    if (jobspec_self_paced(spec) && check_self_paced(c, why) < 0)
        return -EINVAL;
    if (jobspec_online(spec) && check_online(spec, why) < 0)
        return -EINVAL;
    /* A curriculum inside the step measures apart where the passes that train do not serve. */
    if (spec->score_source == SOURCE_TRAIN && spec->score_probabilities)
        return err_set(why, -EINVAL,
                       "score.probabilities is true and score.source is train; probabilities are "
                       "those of one state of the model: use sweep");
    if (spec->score_source == SOURCE_TRAIN && !jobspec_online(spec) && check_fused(spec, why) < 0)
        return -EINVAL;
    if (spec->epochs == 0 && check_measuring(spec, why) < 0)
        return -EINVAL;
    if (spec->verify > 0 && spec->numerics == NUMERICS_RELAXED)
        return err_set(why, -EINVAL,
                       "verify is %.15g and numerics is relaxed; workers of different classes have "
                       "different bits, so that nothing can be compared: use strict, or verify 0",
                       spec->verify);
    if (check_domains(spec, why) < 0 || check_fold(spec, why) < 0 || check_stopping(spec, why) < 0)
        return -EINVAL;
    return check_optimizer(&spec->optimizer, why);
}
