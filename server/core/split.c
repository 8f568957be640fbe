#include "server/core/split.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/rng.h"

/* The trained samples of one class and domain. */
struct group {
    uint32_t samples, validate;
};

struct candidate {
    uint64_t key;
    uint32_t group, id;
};

static uint32_t domains_of(const struct dataset *d)
{
    return d->domains ? d->domain_count : 1;
}

static uint32_t domain_of(const struct dataset *d, uint32_t sample)
{
    return d->domains ? d->domains[sample] : 0;
}

static uint32_t group_of(const struct dataset *d, uint32_t sample)
{
    return d->labels[sample] * domains_of(d) + domain_of(d, sample);
}

static int candidate_compare(const void *pa, const void *pb)
{
    const struct candidate *a = pa, *b = pb;

    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

/* Lists the samples, those of use[] USE_TRAIN only (NULL: all), by group and key; *ret_count of
 * them. The caller's (free); NULL when memory is out. */
static struct candidate *line_up(const struct dataset *d, uint64_t seed, uint32_t purpose,
                                 const uint8_t *use, uint32_t *ret_count)
{
    struct candidate *list = alloc_bytes(d->samples, sizeof(*list));
    uint32_t count = 0;

    for (uint32_t i = 0; list && i < d->samples; i++) {
        if (use && use[i] != USE_TRAIN)
            continue;
        struct rng rng = rng_at(seed, purpose, i, 0);
        list[count++] = (struct candidate){rng_u64(&rng), group_of(d, i), i};
    }
    if (list)
        qsort(list, count, sizeof(*list), candidate_compare);
    *ret_count = count;
    return list;
}

int split_folds(uint64_t seed, uint32_t of, const struct dataset *d, uint8_t *fold,
                struct errbuf *why)
{
    uint32_t count;
    struct candidate *list = line_up(d, seed, RNG_FOLD, NULL, &count);

    if (!list)
        return err_set(why, -ENOMEM, "no memory to cut %u samples into folds", d->samples);
    for (uint32_t i = 0; i < count; i++)
        fold[list[i].id] = (uint8_t)(i % of);
    free(list);
    return 0;
}

/* *ret: the folds of the wish, the caller's (free); NULL: it has none. */
static int make_folds(const struct split_wish *w, const struct dataset *d, uint8_t **ret,
                      struct errbuf *why)
{
    uint8_t *fold = NULL;
    int rc = 0;

    if (w->fold.of > 0) {
        fold = alloc_bytes(d->samples, sizeof(*fold));
        rc = fold ? split_folds(w->seed, (uint32_t)w->fold.of, d, fold, why)
                  : err_set(why, -ENOMEM, "no memory to cut %u samples into folds", d->samples);
    }
    if (rc == 0)
        *ret = fold;
    else
        free(fold);
    return rc;
}

/* fold: of each sample; NULL: there are none. */
static enum use use_of(const struct split_wish *w, const struct dataset *d, const uint8_t *fold,
                       uint32_t sample)
{
    const enum use use = w->of_domain ? (enum use)w->of_domain[domain_of(d, sample)] : USE_TRAIN;

    return use == USE_TRAIN && fold && fold[sample] == w->fold.leave ? USE_FOLD : use;
}

/* The share is between 1/2 and n - 1/2 of n samples, where both sides keep one. */
static int check_class(double share, uint32_t class, uint32_t n, uint32_t validate,
                       struct errbuf *why)
{
    if (n == 1)
        return err_set(why, -EINVAL,
                       "validation.share is %.15g, but class %u has one training sample only; it "
                       "cannot both train and validate",
                       share, class);
    if (validate == 0)
        return err_set(why, -EINVAL,
                       "validation.share is %.15g, which leaves class %u (%u training samples) "
                       "nothing to validate with; allowed for it is %.3g and above",
                       share, class, n, ceil(500.0 / n) / 1000);
    if (validate == n)
        return err_set(why, -EINVAL,
                       "validation.share is %.15g, which leaves class %u (%u training samples) "
                       "nothing to train on; allowed for it is below %.15g",
                       share, class, n, 1 - 0.5 / n);
    return 0;
}

/* Splits `validate` of n samples over the domains of one class. */
static void share_out(struct group *g, uint32_t domains, uint32_t n, uint32_t validate)
{
    uint32_t left = validate;

    for (uint32_t i = 0; i < domains; i++) {
        g[i].validate = (uint32_t)((uint64_t)validate * g[i].samples / n);
        left -= g[i].validate;
    }
    for (; left > 0; left--) {
        uint64_t most = 0;
        uint32_t winner = 0;
        for (uint32_t i = 0; i < domains; i++) {
            uint64_t exact = (uint64_t)validate * g[i].samples, got = (uint64_t)g[i].validate * n;
            if (exact > got && exact - got > most) {
                most = exact - got;
                winner = i;
            }
        }
        g[winner].validate++;
    }
}

/* *ret: a group for each class and domain, class by class; the caller's (free). */
static int make_groups(const struct split_wish *w, const struct dataset *d, const uint8_t *fold,
                       struct group **ret, struct errbuf *why)
{
    const uint32_t domains = domains_of(d);
    struct group *groups;
    int rc = 0;

    if ((uint64_t)d->classes * domains > SPLIT_GROUPS_MAX)
        return err_set(why, -EINVAL,
                       "the dataset has %u classes in %u domains; samples of each are held out "
                       "apart, and their product may be up to %u",
                       d->classes, domains, SPLIT_GROUPS_MAX);
    groups = alloc_bytes((size_t)d->classes * domains, sizeof(*groups));
    if (!groups)
        return err_set(why, -ENOMEM, "no memory for %u classes of %u domains", d->classes, domains);
    for (uint32_t i = 0; i < d->samples; i++)
        groups[group_of(d, i)].samples += use_of(w, d, fold, i) == USE_TRAIN;
    for (uint32_t c = 0; rc == 0 && w->share > 0 && c < d->classes; c++) {
        struct group *of_class = groups + (size_t)c * domains;
        uint32_t n = 0;

        for (uint32_t i = 0; i < domains; i++)
            n += of_class[i].samples;
        if (n == 0)
            continue;
        uint32_t validate = (uint32_t)floor(w->share * n + 0.5);
        rc = check_class(w->share, c, n, validate, why);
        if (rc == 0)
            share_out(of_class, domains, n, validate);
    }
    if (rc < 0)
        free(groups);
    else
        *ret = groups;
    return rc;
}

int split_count(const struct split_wish *w, const struct dataset *d, uint32_t ret[USES],
                struct errbuf *why)
{
    uint32_t counts[USES] = {0}, validate = 0;
    struct group *groups;
    uint8_t *fold;
    int rc = make_folds(w, d, &fold, why);

    if (rc < 0)
        return rc;
    rc = make_groups(w, d, fold, &groups, why);
    if (rc < 0) {
        free(fold);
        return rc;
    }
    for (uint32_t i = 0; i < d->classes * domains_of(d); i++)
        validate += groups[i].validate;
    for (uint32_t i = 0; i < d->samples; i++)
        counts[use_of(w, d, fold, i)]++;
    for (enum use i = 0; i < USES; i++)
        ret[i] = counts[i];
    ret[USE_TRAIN] -= validate;
    ret[USE_VALIDATION] += validate;
    free(groups);
    free(fold);
    return 0;
}

static int draw(const struct split_wish *w, const struct dataset *d, struct group *groups,
                uint8_t *use, struct errbuf *why)
{
    uint32_t count;
    struct candidate *list = line_up(d, w->seed, RNG_VALIDATION, use, &count);

    if (!list)
        return err_set(why, -ENOMEM, "no memory to draw from %u samples", d->samples);
    for (uint32_t i = 0; i < count; i++) {
        struct group *g = &groups[list[i].group];
        if (g->validate == 0)
            continue;
        g->validate--;
        use[list[i].id] = USE_VALIDATION;
    }
    free(list);
    return 0;
}

int split_make(const struct split_wish *w, const struct dataset *d, uint8_t *use,
               struct errbuf *why)
{
    struct group *groups;
    uint8_t *fold;
    int rc = make_folds(w, d, &fold, why);

    if (rc < 0)
        return rc;
    rc = make_groups(w, d, fold, &groups, why);
    if (rc == 0) {
        for (uint32_t i = 0; i < d->samples; i++)
            use[i] = (uint8_t)use_of(w, d, fold, i);
        if (w->share > 0)
            rc = draw(w, d, groups, use, why);
        free(groups);
    }
    free(fold);
    return rc;
}

uint32_t split_exclude(uint8_t *use, const uint32_t *ids, uint32_t count)
{
    uint32_t held = 0;

    for (uint32_t i = 0; i < count; i++) {
        held += use[ids[i]] != USE_TRAIN;
        if (use[ids[i]] == USE_VALIDATION)
            use[ids[i]] = USE_ASIDE;
    }
    return held;
}
