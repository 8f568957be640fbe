/* The ranks of a job's samples from epoch to epoch, out of nothing but the scores of its epochs:
 * how a schedule of the past is known again, and how a job without checkpoints goes on. A job with
 * a run has the same in its run. Pure. */
#ifndef STEPPE_SERVER_CORE_RANKS_H
#define STEPPE_SERVER_CORE_RANKS_H

#include "common/dataset.h"
#include "server/core/curriculum.h"
#include "server/core/overlay.h"
#include "server/core/run.h"

struct ranks {
    const struct jobspec *spec; /* borrowed, as the labels */
    uint32_t samples, classes;
    const uint16_t *imported; /* [samples] labels as imported */
    uint16_t *labels;         /* [samples] those of the epoch */
    double *rank;             /* [samples] */
    struct lapses *lapses;    /* [samples]; NULL: of another measure than forgetting */
    bool *own;                /* [samples] left out or held out by the job itself */
    void *room;               /* to sort in, kept from epoch to epoch; NULL: not yet */
    int revisions;            /* of the job's list, taken so far */
    /* Of the job's list; set by the caller behind ranks_begin, owned by this. */
    struct overlay overlays[JOB_REVISIONS_MAX];
};

/* As a job begins; data: whose labels stay valid. 0 or -ENOMEM; ranks_done also after an error. */
int ranks_begin(struct ranks *r, const struct jobspec *spec, const struct dataset *data,
                const struct run_inputs *in);
void ranks_done(struct ranks *r); /* a zeroed struct is fine */
/* Another one with the same content. 0 or -ENOMEM. */
int ranks_copy(const struct ranks *from, struct ranks *ret);
/* The epoch begins: the revision that it has is taken. Epochs rise. */
void ranks_advance(struct ranks *r, int64_t epoch);
/* The scores of an epoch that has begun are taken. 0 or -ENOMEM. */
int ranks_take(struct ranks *r, const struct score *scores);
/* No epoch is taken soon: what was kept for that goes. */
void ranks_rest(struct ranks *r);
/* Its schedule. 0 or -ENOMEM. */
int ranks_schedule(const struct ranks *r, int64_t epoch, struct schedule *ret);
/* The labels where a revision has changed them; NULL: those of the data. */
const uint16_t *ranks_relabelled(const struct ranks *r);
/* Bytes that it holds for a sample. */
size_t ranks_sample_bytes(const struct jobspec *spec);

#endif
