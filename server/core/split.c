#include "server/core/split.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/rng.h"
#include "server/core/apportion.h"
#include "server/core/radix.h"

static uint32_t domains_of(const struct dataset *d)
{
    return d->domains ? d->domain_count : 1;
}

static uint32_t domain_of(const struct dataset *d, uint32_t sample)
{
    return d->domains ? d->domains[sample] : 0;
}

/* Sorts the samples, those of use[] USE_TRAIN only (NULL: all), by class, domain, key and number.
 */
static int line_up(struct radix *o, const struct dataset *d, uint64_t seed, uint32_t purpose,
                   const uint8_t *use)
{
    const uint32_t domains = domains_of(d), most = d->classes > domains ? d->classes : domains;
    uint32_t *sizes = alloc_bytes(most, sizeof(*sizes));
    int rc = radix_begin(o, d->samples, NULL);

    if (rc < 0 || !sizes) {
        radix_done(o);
        free(sizes);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < d->samples; i++) {
        if (use && use[i] != USE_TRAIN)
            continue;
        struct rng rng = rng_at(seed, purpose, i, 0);
        radix_add(o, rng_u64(&rng), i);
    }
    radix_sort(o);
    if (d->domains)
        radix_group(o, d->domains, domains, sizes);
    radix_group(o, d->labels, d->classes, sizes);
    free(sizes);
    return 0;
}

int split_folds(uint64_t seed, uint32_t of, const struct dataset *d, uint8_t *fold,
                struct errbuf *why)
{
    struct radix o;

    if (line_up(&o, d, seed, RNG_FOLD, NULL) < 0)
        return err_set(why, -ENOMEM, "no memory to cut %u samples into folds", d->samples);
    for (uint32_t i = 0; i < o.count; i++)
        fold[o.ids[i]] = (uint8_t)(i % of);
    radix_done(&o);
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

/* The samples of each class and domain, class by class. */
struct groups {
    uint32_t *trained;  /* [classes * domains] */
    uint32_t *validate; /* of those; NULL: none */
    uint32_t uses[USES];
};

static void groups_done(struct groups *g)
{
    free(g->trained);
    free(g->validate);
}

/* How many of the places from `from` to `to` are of this fold: the places of all samples in their
 * order go to the folds in turn. */
static uint32_t fold_places(const struct fold_spec *fold, uint32_t from, uint32_t to)
{
    const uint32_t of = (uint32_t)fold->of, rest = of - 1 - (uint32_t)fold->leave;

    return (to + rest) / of - (from + rest) / of;
}

/* Counts those that are trained on before any validates, and the uses of the others. */
static void count_groups(const struct split_wish *w, const struct dataset *d, struct groups *g)
{
    const uint32_t domains = domains_of(d);

    for (uint32_t i = 0; i < d->samples; i++)
        g->trained[(size_t)d->labels[i] * domains + domain_of(d, i)]++;
    for (size_t i = 0, at = 0; i < (size_t)d->classes * domains; i++) {
        const enum use use = w->of_domain ? (enum use)w->of_domain[i % domains] : USE_TRAIN;
        const uint32_t n = g->trained[i], first = (uint32_t)at;
        const uint32_t out = use != USE_TRAIN  ? n
                             : w->fold.of == 0 ? 0
                                               : fold_places(&w->fold, first, first + n);
        at += n;
        g->uses[use == USE_TRAIN ? USE_FOLD : use] += out;
        g->trained[i] -= out;
        g->uses[USE_TRAIN] += n - out;
    }
}

static int share_classes(const struct split_wish *w, const struct dataset *d, struct groups *g,
                         struct errbuf *why)
{
    const uint32_t domains = domains_of(d);
    int rc = 0;

    for (uint32_t c = 0; rc == 0 && c < d->classes; c++) {
        const uint32_t *of_class = g->trained + (size_t)c * domains;
        uint32_t n = 0;

        for (uint32_t i = 0; i < domains; i++)
            n += of_class[i];
        if (n == 0)
            continue;
        const uint32_t validate = (uint32_t)floor(w->share * n + 0.5);
        rc = check_class(w->share, c, n, validate, why);
        if (rc == 0 && apportion(validate, of_class, domains, g->validate + (size_t)c * domains))
            rc = err_set(why, -ENOMEM, "no memory for %u domains", domains);
        g->uses[USE_TRAIN] -= rc == 0 ? validate : 0;
        g->uses[USE_VALIDATION] += rc == 0 ? validate : 0;
    }
    return rc;
}

static int make_groups(const struct split_wish *w, const struct dataset *d, struct groups *ret,
                       struct errbuf *why)
{
    const size_t count = (size_t)d->classes * domains_of(d);
    struct groups g = {.trained = NULL};
    int rc = 0;

    if (count > SPLIT_GROUPS_MAX)
        return err_set(why, -EINVAL,
                       "the dataset has %u classes in %u domains; samples of each are held out "
                       "apart, and their product may be up to %u",
                       d->classes, domains_of(d), SPLIT_GROUPS_MAX);
    g.trained = alloc_bytes(count, sizeof(*g.trained));
    if (w->share > 0)
        g.validate = alloc_bytes(count, sizeof(*g.validate));
    if (!g.trained || (w->share > 0 && !g.validate)) {
        rc = err_set(why, -ENOMEM, "no memory for %u classes of %u domains", d->classes,
                     domains_of(d));
    } else {
        count_groups(w, d, &g);
        if (w->share > 0)
            rc = share_classes(w, d, &g, why);
    }
    if (rc < 0)
        groups_done(&g);
    else
        *ret = g;
    return rc;
}

int split_count(const struct split_wish *w, const struct dataset *d, uint32_t ret[USES],
                struct errbuf *why)
{
    struct groups g;
    int rc = make_groups(w, d, &g, why);

    if (rc < 0)
        return rc;
    memcpy(ret, g.uses, sizeof(g.uses));
    groups_done(&g);
    return 0;
}

static int draw(const struct split_wish *w, const struct dataset *d, struct groups *g, uint8_t *use,
                struct errbuf *why)
{
    const uint32_t domains = domains_of(d);
    struct radix o;

    if (line_up(&o, d, w->seed, RNG_VALIDATION, use) < 0)
        return err_set(why, -ENOMEM, "no memory to draw from %u samples", d->samples);
    for (uint32_t i = 0; i < o.count; i++) {
        const uint32_t id = o.ids[i];
        uint32_t *left = &g->validate[(size_t)d->labels[id] * domains + domain_of(d, id)];
        if (*left == 0)
            continue;
        --*left;
        use[id] = USE_VALIDATION;
    }
    radix_done(&o);
    return 0;
}

int split_make(const struct split_wish *w, const struct dataset *d, uint8_t *use,
               struct errbuf *why)
{
    struct groups groups;
    uint8_t *fold = NULL;
    int rc = make_folds(w, d, &fold, why);

    if (rc < 0)
        return rc;
    rc = make_groups(w, d, &groups, why);
    if (rc == 0) {
        for (uint32_t i = 0; i < d->samples; i++)
            use[i] = (uint8_t)use_of(w, d, fold, i);
        if (w->share > 0)
            rc = draw(w, d, &groups, use, why);
        groups_done(&groups);
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
