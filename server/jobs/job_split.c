/* Which samples a job holds out of training, by what its file says about the dataset. */
#include <errno.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "server/jobs/jobs_internal.h"

/* Does the job train on every sample that it does not exclude? */
static bool holds_nothing_out(const struct jobspec *spec)
{
    return spec->validation.share == 0;
}

static struct split_wish wish_of(const struct jobspec *spec)
{
    return (struct split_wish){.seed = spec->seed, .share = spec->validation.share};
}

int job_split(const struct jobspec *spec, const struct dataset *data, uint8_t **ret,
              struct errbuf *why)
{
    uint8_t *use = NULL;
    int rc = 0;

    if (!holds_nothing_out(spec)) {
        const struct split_wish wish = wish_of(spec);
        use = alloc_bytes(data->samples, sizeof(*use));
        rc = use ? split_make(&wish, data, use, why)
                 : err_set(why, -ENOMEM, "no memory for %u samples", data->samples);
    }
    if (rc < 0)
        free(use);
    else
        *ret = use;
    return rc;
}

/* How many samples have which use, and how many of ids[count] are held out. */
static int count_uses(struct job *job, const struct dataset *data, const uint32_t *ids,
                      uint32_t count, struct errbuf *why)
{
    const struct split_wish wish = wish_of(&job->spec);
    uint8_t *use = NULL;
    int rc = split_count(&wish, data, job->uses, why);

    if (rc < 0 || holds_nothing_out(&job->spec) || !ids || count == 0)
        return rc;
    rc = job_split(&job->spec, data, &use, why);
    if (rc < 0)
        return rc;
    job->spec.exclude.held = split_exclude(use, ids, count);
    uint32_t validate = 0;
    for (uint32_t i = 0; i < data->samples; i++)
        validate += use[i] == USE_VALIDATION;
    free(use);
    if (job->uses[USE_VALIDATION] > 0 && validate == 0)
        return err_set(why, -EINVAL, "exclude leaves no sample to validate with");
    return 0;
}

/* The batch has to fit into what is left to train on. */
static int check_left(const struct job *job, const struct dataset *data, struct errbuf *why)
{
    const struct exclude *x = &job->spec.exclude;
    const uint32_t left = job->uses[USE_TRAIN] - (x->count - x->held);
    const bool excludes = x->count > 0, holds = job->uses[USE_TRAIN] < data->samples;

    if (data->samples < job->spec.batch)
        return err_set(why, -EINVAL, "batch is %lld, but dataset %s has only %u training samples",
                       (long long)job->spec.batch, job->spec.dataset, data->samples);
    if (left < job->spec.batch)
        return err_set(why, -EINVAL,
                       "batch is %lld, but %s leave%s only %u of the %u training samples of "
                       "dataset %s",
                       (long long)job->spec.batch,
                       !holds      ? "exclude"
                       : !excludes ? "held-out samples"
                                   : "exclude and held-out samples",
                       holds ? "" : "s", left, data->samples, job->spec.dataset);
    return 0;
}

int job_check_samples(struct job *job, const struct dataset *data, const uint32_t *ids,
                      uint32_t count, struct errbuf *why)
{
    const struct given *scores = &job->spec.curriculum.given;
    const struct exclude *x = &job->spec.exclude;
    const char *name = job->spec.dataset;

    if (scores->count && scores->count != data->samples)
        return err_set(
            why, -EINVAL,
            "curriculum.measure: %s has %u scores, but dataset %s has %u samples; expected "
            "one for each",
            scores->file, scores->count, name, data->samples);
    if (x->ids && x->count > 0 && x->ids[x->count - 1] >= data->samples)
        return err_set(why, -EINVAL, "exclude names sample %u, dataset %s has samples 0 to %u",
                       x->ids[x->count - 1], name, data->samples - 1);
    int rc = count_uses(job, data, ids, count, why);
    if (rc == 0)
        rc = check_left(job, data, why);
    if (rc < 0)
        return rc;
    if (job->spec.score_splits == SPLITS_BOTH && data->test_samples == 0 &&
        job->uses[USE_TEST] == 0)
        return err_set(why, -EINVAL, "score.splits is both, but dataset %s has no test samples",
                       name);
    return 0;
}
