/* What the simulated workers compute instead of a network: a cheap function of (theta, samples,
 * weights, step, shard, numerics class) and of nothing else, in which every entry of theta matters
 * to every later one. */
#ifndef STEPPE_TESTS_SIM_COMPUTE_H
#define STEPPE_TESTS_SIM_COMPUTE_H

#include <stddef.h>
#include <stdint.h>

#include "common/difficulty.h"
#include "common/reduce.h"
#include "common/score.h"
#include "common/sums.h"

struct computed {
    float *grad; /* [floats], owned */
    double sums[SUM_COUNT];
};

/* A node of a round, whose last shard may be short. */
struct computed_node {
    struct node node;
    uint32_t shard, count; /* samples of a whole shard, and of the node */
    const uint32_t *ids;   /* [count] */
    const float *weights;  /* [count]; NULL: all 1 */
};

/* As workers do, shards are summed in tree order. */
void compute_train(const float *theta, size_t floats, const struct computed_node *node,
                   int64_t step, uint32_t class, struct computed *ret);
/* With a curriculum inside the step: the weights of a node's samples, from those of the places of
 * its shards, which are whole, by what would be scored at theta. [count], owned by the caller. */
float *compute_weights(const float *theta, size_t floats, const struct computed_node *node,
                       const struct shard_order *order, uint64_t seed, uint32_t class);
struct score compute_score(const float *theta, size_t floats, uint32_t id, int test, uint32_t class,
                           uint32_t classes);

/* p[classes], for the same sample of the training set. */
void compute_probabilities(const float *theta, size_t floats, uint32_t id, uint32_t class,
                           uint32_t classes, float *p);

#endif
