/* Which samples a job holds out of training, by what its file says about the dataset. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/text.h"
#include "server/jobs/jobs_internal.h"

#define LIST_BYTES 300

/* Does the job train on every sample that it does not exclude? */
static bool holds_nothing_out(const struct jobspec *spec)
{
    return spec->fold.of == 0 && spec->validation.share == 0 &&
           spec->validation.domains.count == 0 && spec->train_domains.count == 0 &&
           spec->test_domains.count == 0;
}

/* A wish with its domains. */
struct wish {
    struct split_wish split;
    uint8_t of_domain[DOMAINS_MAX]; /* enum use */
};

/* The names of the domains, NULL-terminated; they belong to json, the list to the caller (free). */
static const char **names_of(const cJSON *json)
{
    const char **names = xcalloc((size_t)cJSON_GetArraySize(json) + 1, sizeof(*names));
    const cJSON *item;
    int count = 0;

    cJSON_ArrayForEach(item, json) names[count++] = item->valuestring;
    return names;
}

/* Gives the domains that the key names this use. */
static int assign(const char *key, const struct names *wanted, const char *dataset,
                  const char *const *names, enum use use, struct wish *w, struct errbuf *why)
{
    char list[LIST_BYTES];

    for (int i = 0; i < wanted->count; i++) {
        int domain = text_index(wanted->at[i], names);
        const char *near = domain < 0 ? text_nearest(wanted->at[i], names) : NULL;
        if (domain < 0)
            return err_set(why, -EINVAL, "%s names \"%s\", dataset %s has the domains %s%s%s%s",
                           key, wanted->at[i], dataset, text_list(names, list, sizeof(list)),
                           near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
        w->of_domain[domain] = (uint8_t)use;
    }
    return 0;
}

static int assign_all(const struct jobspec *spec, const char *const *names, struct wish *w,
                      struct errbuf *why)
{
    const struct names *train = &spec->train_domains, *test = &spec->test_domains,
                       *validation = &spec->validation.domains;
    const char *name = spec->dataset;

    for (int i = 0; names[i]; i++)
        w->of_domain[i] = train->count > 0 ? USE_ASIDE : USE_TRAIN;
    int rc = assign("train_domains", train, name, names, USE_TRAIN, w, why);
    if (rc == 0)
        rc = assign("test_domains", test, name, names, USE_TEST, w, why);
    if (rc == 0)
        rc = assign("validation.domains", validation, name, names, USE_VALIDATION, w, why);
    for (int i = 0; rc == 0 && names[i]; i++)
        if (w->of_domain[i] == USE_TRAIN)
            return 0;
    return rc < 0 ? rc
                  : err_set(why, -EINVAL,
                            "test_domains and validation.domains leave no domain of dataset %s to "
                            "train on",
                            name);
}

static int read_wish(const struct jobspec *spec, const struct dataset *data, struct wish *ret,
                     struct errbuf *why)
{
    const char *key = spec->test_domains.count > 0         ? "test_domains"
                      : spec->train_domains.count > 0      ? "train_domains"
                      : spec->validation.domains.count > 0 ? "validation.domains"
                                                           : NULL;

    *ret = (struct wish){
        .split = {.seed = spec->seed, .share = spec->validation.share, .fold = spec->fold}};
    if (!key)
        return 0;
    if (!data->domains)
        return err_set(why, -EINVAL,
                       "%s is given, but dataset %s has no domains; pictures in DOMAIN/CLASS/FILE "
                       "have them",
                       key, spec->dataset);
    cJSON *json = cJSON_Parse(data->domain_names_json);
    const char **names = names_of(json);
    int rc = assign_all(spec, names, ret, why);
    ret->split.of_domain = ret->of_domain;
    free(names);
    cJSON_Delete(json);
    return rc;
}

int job_split(const struct jobspec *spec, const struct dataset *data, uint8_t **ret,
              struct errbuf *why)
{
    uint8_t *use = NULL;
    struct wish wish;
    int rc = read_wish(spec, data, &wish, why);

    if (rc == 0 && !holds_nothing_out(spec)) {
        use = alloc_bytes(data->samples, sizeof(*use));
        rc = use ? split_make(&wish.split, data, use, why)
                 : err_set(why, -ENOMEM, "no memory for %u samples", data->samples);
    }
    if (rc < 0)
        free(use);
    else
        *ret = use;
    return rc;
}

/* A domain may have a name and no picture. */
static int check_held(const struct job *job, struct errbuf *why)
{
    if (job->spec.test_domains.count > 0 && job->uses[USE_TEST] == 0)
        return err_set(why, -EINVAL, "test_domains have no sample in dataset %s",
                       job->spec.dataset);
    if (job->spec.validation.domains.count > 0 && job->uses[USE_VALIDATION] == 0)
        return err_set(why, -EINVAL, "validation.domains have no sample in dataset %s",
                       job->spec.dataset);
    return 0;
}

/* How many samples have which use, and how many of ids[count] are held out. */
static int count_uses(struct job *job, const struct dataset *data, const uint32_t *ids,
                      uint32_t count, struct errbuf *why)
{
    uint8_t *use = NULL;
    struct wish wish;
    int rc = read_wish(&job->spec, data, &wish, why);

    if (rc == 0)
        rc = split_count(&wish.split, data, job->uses, why);
    if (rc == 0)
        rc = check_held(job, why);

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
        return err_set(why, -EINVAL, "batch is %lld, but dataset %s has only %u training sample%s",
                       (long long)job->spec.batch, job->spec.dataset, data->samples,
                       text_s(data->samples));
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
    const struct class_weights *w = &job->spec.class_weights;
    if (w->kind == CLASSES_LISTED && w->count != data->classes)
        return err_set(why, -EINVAL,
                       "class_weights has %u numbers, but dataset %s has %u classes; expected one "
                       "for each",
                       w->count, name, data->classes);
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
