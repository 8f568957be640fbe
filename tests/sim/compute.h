/* What the simulated workers compute instead of a network: a cheap function of (theta, samples,
 * weights, step, shard, numerics class) and of nothing else, in which every entry of theta matters
 * to every later one. */
#ifndef STEPPE_TESTS_SIM_COMPUTE_H
#define STEPPE_TESTS_SIM_COMPUTE_H

#include <stddef.h>
#include <stdint.h>

#include "common/reduce.h"
#include "common/score.h"
#include "common/sums.h"

struct computed {
    float *grad; /* [floats], owned */
    double sums[SUM_COUNT];
};

/* The node of a step whose batch has `shards` shards of `shard` samples: ids and weights are those
 * of the node. As workers do, shards are summed in tree order. */
void compute_train(const float *theta, size_t floats, uint32_t shards, uint32_t shard,
                   struct node node, const uint32_t *ids, const float *weights, int64_t step,
                   uint32_t class, struct computed *ret);
struct score compute_score(const float *theta, size_t floats, uint32_t id, int test, uint32_t class,
                           uint32_t classes);

#endif
