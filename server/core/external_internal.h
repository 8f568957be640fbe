/* Shared by external.c and external_*.c only. */
#ifndef STEPPE_SERVER_CORE_EXTERNAL_INTERNAL_H
#define STEPPE_SERVER_CORE_EXTERNAL_INTERNAL_H

#include <assert.h>

#include "common/text.h"
#include "server/core/external.h"
#include "server/core/ranks.h"

#define SEEN_MEASURES ((1u << EXTERNAL_MEASURES) - 1)
#define SEEN_PROBABILITIES (1u << EXTERNAL_MEASURES)
static_assert(EXTERNAL_MEASURES < 8, "a bit of `seen` for each measure, one for probabilities");

/* What was reported of the samples of a split. */
struct reported {
    uint32_t samples;
    /* [samples]; NULL, as seen: no room was made yet. What was not seen may be anything. */
    struct score *scores;
    uint8_t *seen;        /* [samples] bits of what has come: 1 << measure, SEEN_PROBABILITIES */
    double *margin;       /* [samples]; NULL: no room was made yet */
    float *probabilities; /* [samples, classes] of the training samples; NULL likewise */
};

struct rank_metric {
    struct metric metric;
    uint32_t rank; /* whose it is */
};

struct external {
    const struct jobspec *spec;
    const struct dataset *data;
    int64_t job, incarnation, epoch;
    int64_t start_ms;
    uint32_t steps; /* of an epoch */
    struct ranks ranks;
    struct schedule schedule;
    uint32_t *ids;  /* [steps * batch] */
    float *weights; /* likewise */
    char sha256[SHA256_HEX];
    struct reported train, test;
    uint64_t dropped;
    uint32_t world;  /* of the ranks that have closed; 0: none has */
    uint8_t *closed; /* [world] */
    struct rank_metric *metrics;
    uint32_t metric_count;
};

/* Room for the scores of a split, cleared. 0 or -ENOMEM. */
int reported_begin(struct reported *r, uint32_t samples);

#endif
