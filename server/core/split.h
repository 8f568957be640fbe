/* What a job does with each training image of its dataset: trains on it, validates with it, tests
 * with it, or leaves it aside. A pure function of the job's seed and wishes and of the dataset's
 * labels and domains: the same for every worker, restart and curriculum, and whatever the job
 * excludes. */
#ifndef STEPPE_SERVER_CORE_SPLIT_H
#define STEPPE_SERVER_CORE_SPLIT_H

#include <stdint.h>

#include "common/dataset.h"

enum use {
    USE_TRAIN,
    USE_VALIDATION, /* measured after each epoch */
    USE_TEST,       /* is the test set, or a part of it */
    USE_ASIDE,      /* of a domain for which the job has no use */
    USES
};

struct split_wish {
    uint64_t seed;
    double share;             /* of each class, for validation, [0, 1) */
    const uint8_t *of_domain; /* [domain_count] enum use; NULL: all are trained on */
};

/* How many samples are for each use. Of the n_c samples of class c whose domain is trained on,
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
