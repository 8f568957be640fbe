/* What a job does with each training image of its dataset: trains on it, validates with it, tests
 * with it, or leaves it aside. A pure function of the job's seed and wishes and of the dataset's
 * labels and domains: the same for every worker, restart and curriculum, and whatever the job
 * excludes. */
#ifndef STEPPE_SERVER_CORE_SPLIT_H
#define STEPPE_SERVER_CORE_SPLIT_H

#include <stdint.h>

#include "common/dataset.h"
#include "common/jobspec.h"

enum use {
    USE_TRAIN,
    USE_VALIDATION, /* measured after each epoch */
    USE_TEST,       /* is the test set, or a part of it */
    USE_ASIDE,      /* of a domain for which the job has no use */
    USE_FOLD,       /* of the fold that is left out: swept, not trained on */
    USES
};

struct split_wish {
    uint64_t seed;
    double share; /* of each class, for validation, [0, 1) */
    struct fold_spec fold;
    const uint8_t *of_domain; /* [domain_count] enum use; NULL: all are trained on */
};

/* The fold of each training image, fold[samples] in [0, of): a function of seed, labels and domains
 * alone. The images in the order of class, domain and Philox(seed, RNG_FOLD, sample), ties by
 * sample, go to the folds in turn, so that the folds differ by at most one image in all, in each
 * class and in each domain of a class. 0 or -ENOMEM. */
int split_folds(uint64_t seed, uint32_t of, const struct dataset *d, uint8_t *fold,
                struct errbuf *why);

/* How many samples are for each use. Left out are those of the fold whose domain is trained on. Of
 * the n_c others of class c whose domain is trained on,
 * V_c = floor(share n_c + 1/2) validate. Within the class they are taken from each domain by
 * largest remainder of V_c n_cd / n_c, ties to the lower domain. -EINVAL: a class has samples, but
 * none left to train on, or none to validate with; -ENOMEM. */
int split_count(const struct split_wish *w, const struct dataset *d, uint32_t ret[USES],
                struct errbuf *why);
/* use[samples] (enum use). Of each class and domain those validate that have the smallest
 * Philox(seed, RNG_VALIDATION, sample), ties by sample. As split_count. */
int split_make(const struct split_wish *w, const struct dataset *d, uint8_t *use,
               struct errbuf *why);
/* Excluded samples do not validate either: they are put aside. ids: of those excluded. Returns how
 * many of them the job would not train on anyway. */
uint32_t split_exclude(uint8_t *use, const uint32_t *ids, uint32_t count);

#endif
