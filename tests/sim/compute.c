#include "tests/sim/compute.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"

/* SplitMix64's finaliser: any word to any other. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

/* Entry j of sample id, in [-1, 1), a multiple of 1/128. */
static double entry(uint32_t id, int test, size_t j)
{
    return (double)(mix((uint64_t)id << 33 | (uint64_t)test << 32 | j) >> 56) / 128 - 1;
}

/* In (-1, 1), of the whole of theta. */
static double response(const float *theta, size_t floats, uint32_t id, int test, uint32_t class)
{
    double q = 0x1p-20 * class;

    for (size_t j = 0; j < floats; j++)
        q += theta[j] * entry(id, test, j);
    return q / (1 + fabs(q));
}

/* The first `count` of a shard; weights NULL: 1. */
static void shard_train(const float *theta, size_t floats, uint32_t shard, uint32_t count,
                        const uint32_t *ids, const float *weights, int64_t step, uint32_t index,
                        uint32_t class, float *grad, double *sums)
{
    memset(grad, 0, floats * sizeof(*grad));
    memset(sums, 0, SUM_COUNT * sizeof(*sums));
    for (uint32_t i = 0; i < count; i++) {
        const float weight = weights ? weights[i] : 1;
        double t = response(theta, floats, ids[i], 0, class);
        double noise = (double)(mix((uint64_t)step << 32 | (index * shard + i)) >> 60) / 64;
        double loss = 0.1 + t * t;

        for (size_t j = 0; j < floats; j++)
            grad[j] += weight * (float)((t + noise) * entry(ids[i], 0, j) + 0.01 * theta[j]);
        sums[SUM_WEIGHT] += (double)weight;
        sums[SUM_LOSS] += (double)weight * loss;
        sums[SUM_LOSS_HAT] += (double)weight * (loss + 0.01 * fabs(t));
        sums[SUM_SAMPLES] += 1;
        sums[SUM_CORRECT] += t > 0;
    }
}

void compute_train(const float *theta, size_t floats, const struct computed_node *node,
                   int64_t step, uint32_t class, struct computed *ret)
{
    const uint32_t shards = node_size(node->node), shard = node->shard;
    struct reduce *sum = reduce_create(floats, SUM_COUNT);
    const double *sums;

    reduce_reset(sum, (struct node){0, shards}, shards);
    for (uint32_t s = 0; s < shards; s++) {
        const uint32_t at = s * shard, left = node->count - at;
        double *doubles;
        float *grad = reduce_buffer(sum, &doubles);
        shard_train(theta, floats, shard, left < shard ? left : shard, node->ids + at,
                    node->weights ? node->weights + at : NULL, step, node->node.lo + s, class, grad,
                    doubles);
        reduce_add(sum, (struct node){s, s + 1}, grad);
    }
    ret->grad = xmalloc(floats * sizeof(float));
    memcpy(ret->grad, reduce_result(sum, &sums), floats * sizeof(float));
    memcpy(ret->sums, sums, sizeof(ret->sums));
    reduce_free(sum);
}

struct score compute_score(const float *theta, size_t floats, uint32_t id, int test, uint32_t class,
                           uint32_t classes)
{
    double t = response(theta, floats, id, test, class);

    return (struct score){.loss = 0.1 + t * t,
                          .adv_loss = 0.1 + t * t + 0.05 * (1 + t * entry(id, test, 0)),
                          .grad_norm = fabs(t),
                          .el2n = fabs(t) / 2,
                          .predicted = (int32_t)((id + (t > 0)) % classes),
                          .adv_predicted = (int32_t)((id + (t > 0.5)) % classes),
                          .flags =
                              id % 7 == 3 ? SCORE_MEASURED | SCORE_NO_DIRECTION : SCORE_MEASURED};
}

float *compute_weights(const float *theta, size_t floats, const struct computed_node *node,
                       const struct shard_order *order, uint64_t seed, uint32_t class)
{
    float *weights = xcalloc(node->count, sizeof(*weights));
    struct score *scores = xcalloc(node->shard, sizeof(*scores));
    struct ranked *rows = xcalloc(node->shard, sizeof(*rows));

    for (uint32_t at = 0; at < node->count; at += node->shard) {
        for (uint32_t i = 0; i < node->shard; i++)
            scores[i] = compute_score(theta, floats, node->ids[at + i], 0, class, 2);
        difficulty_weigh(order, seed, scores, node->ids + at, node->weights + at, node->shard, rows,
                         weights + at);
    }
    free(scores);
    free(rows);
    return weights;
}

void compute_probabilities(const float *theta, size_t floats, uint32_t id, uint32_t class,
                           uint32_t classes, float *p)
{
    const double t = response(theta, floats, id, 0, class);

    for (uint32_t j = 0; j < classes; j++) /* 1, 2, .. and t more of the first */
        p[j] = (float)((j + 1 + (j == 0 ? 1 + t : 0)) / (classes * (classes + 1) / 2.0 + 1 + t));
}
