#include <errno.h>
#include <float.h>
#include <stdlib.h>

#include "common/floats.h"
#include "common/halves.h"
#include "common/reduce.h"
#include "common/rng.h"
#include "tests/harness.h"

#define FLOATS 37
#define DOUBLES 3

struct result {
    float floats[FLOATS];
    double doubles[DOUBLES];
};

/* Shard results of magnitudes from 1e-6 to 1e6: their sum depends on the order. */
static struct result *shard_results(uint32_t shards, uint32_t key)
{
    struct rng rng = rng_at(5, RNG_TEST, shards, key);
    struct result *r = calloc(shards, sizeof(*r));

    for (uint32_t s = 0; s < shards; s++) {
        for (int i = 0; i < FLOATS; i++)
            r[s].floats[i] = (float)(rng_range(&rng, -1, 1) * pow(10, rng_range(&rng, -6, 6)));
        for (int i = 0; i < DOUBLES; i++)
            r[s].doubles[i] = rng_range(&rng, -1, 1) * pow(10, rng_range(&rng, -12, 12));
    }
    return r;
}

/* The definition. */
static struct result reference(const struct result *shards, struct node n)
{
    if (node_size(n) == 1)
        return shards[n.lo];
    uint32_t mid = node_split(n);
    struct result left = reference(shards, (struct node){n.lo, mid});
    struct result right = reference(shards, (struct node){mid, n.hi});
    for (int i = 0; i < FLOATS; i++)
        left.floats[i] = left.floats[i] + right.floats[i];
    for (int i = 0; i < DOUBLES; i++)
        left.doubles[i] = left.doubles[i] + right.doubles[i];
    return left;
}

static int add(struct reduce *r, struct node n, const struct result *value)
{
    double *doubles;
    float *buf = reduce_buffer(r, &doubles);

    ASSERT(buf);
    ASSERT((uintptr_t)buf % 64 == 0);
    memcpy(buf, value->floats, sizeof(value->floats));
    memcpy(doubles, value->doubles, sizeof(value->doubles));
    return reduce_add(r, n, buf);
}

static void assert_result(const struct reduce *r, const struct result *want)
{
    const double *doubles;
    const float *floats = reduce_result(r, &doubles);

    ASSERT(floats);
    ASSERT_MEM(want->floats, floats, sizeof(want->floats));
    ASSERT_MEM(want->doubles, doubles, sizeof(want->doubles));
}

/* Cuts root at random into nodes; returns how many. */
static uint32_t cut(struct rng *rng, struct node root, struct node *nodes)
{
    if (node_size(root) == 1 || rng_below(rng, 4) == 0) {
        nodes[0] = root;
        return 1;
    }
    uint32_t mid = node_split(root);
    uint32_t count = cut(rng, (struct node){root.lo, mid}, nodes);
    return count + cut(rng, (struct node){mid, root.hi}, nodes + count);
}

TEST(nodes_split_at_the_largest_power_of_two_below_their_size)
{
    static const uint32_t want[][3] = {{0, 2, 1},   {0, 3, 2}, {0, 4, 2}, {0, 5, 4},
                                       {8, 11, 10}, {0, 8, 4}, {0, 9, 8}, {16, 31, 24}};

    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
        ASSERT_EQ(want[i][2], node_split((struct node){want[i][0], want[i][1]}));
    ASSERT_EQ(1u << 31, node_split((struct node){0, UINT32_MAX}));
    ASSERT_EQ(1u << 31, node_split((struct node){0, (1u << 31) + 1}));
}

TEST(only_vertices_of_the_tree_are_valid)
{
    static const struct node valid[] = {{0, 5}, {0, 4}, {0, 2}, {2, 4}, {0, 1},
                                        {1, 2}, {2, 3}, {3, 4}, {4, 5}};
    uint32_t count = 0;

    for (uint32_t lo = 0; lo < 8; lo++)
        for (uint32_t hi = 0; hi < 8; hi++)
            count += node_valid((struct node){lo, hi}, 5);
    ASSERT_EQ(9, count);
    for (int i = 0; i < 9; i++)
        ASSERT(node_valid(valid[i], 5));
    ASSERT(!node_valid((struct node){0, 0}, 0));
    ASSERT(!node_valid((struct node){3, 2}, 5));
    ASSERT(!node_valid((struct node){4, UINT32_MAX}, 5));
}

TEST(a_parent_is_split_into_its_children)
{
    for (uint32_t shards = 2; shards < 40; shards++)
        for (uint32_t lo = 0; lo < shards; lo++)
            for (uint32_t hi = lo + 1; hi <= shards; hi++) {
                struct node n = {lo, hi};
                if (!node_valid(n, shards) || node_size(n) == shards)
                    continue;
                struct node parent = node_parent(n, shards);
                uint32_t mid = node_split(parent);
                ASSERT(node_valid(parent, shards));
                ASSERT((lo == parent.lo && hi == mid) || (lo == mid && hi == parent.hi));
            }
}

TEST(the_bits_do_not_depend_on_order_or_on_who_summed_what)
{
    static const uint32_t sizes[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,   10,  11,
                                     12, 13, 14, 15, 16, 17, 31, 64, 100, 257, 1000};
    struct rng rng = rng_at(6, RNG_TEST, 0, 0);
    struct reduce *r = reduce_create(FLOATS, DOUBLES);

    for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
        uint32_t shards = sizes[k];
        struct node root = {0, shards}, *nodes = calloc(shards, sizeof(*nodes));
        uint32_t *order = calloc(shards, sizeof(*order));
        struct result *values = shard_results(shards, 0);
        struct result want = reference(values, root);
        for (int trial = 0; trial < 50; trial++) {
            uint32_t count = cut(&rng, root, nodes);
            for (uint32_t i = 0; i < count; i++)
                order[i] = i;
            rng_shuffle(&rng, order, count);
            reduce_reset(r, root, shards);
            for (uint32_t i = 0; i < count; i++) {
                ASSERT(!reduce_result(r, NULL));
                struct result value = reference(values, nodes[order[i]]);
                ASSERT_EQ(0, add(r, nodes[order[i]], &value));
            }
            assert_result(r, &want);
        }
        free(nodes);
        free(order);
        free(values);
    }
    reduce_free(r);
}

/* Guards the test above: with these numbers another order does give other bits. */
TEST(another_tree_would_give_other_bits)
{
    struct result *values = shard_results(5, 0);
    struct result want = reference(values, (struct node){0, 5}), sum = values[0];

    for (int s = 1; s < 5; s++)
        for (int i = 0; i < FLOATS; i++)
            sum.floats[i] += values[s].floats[i];
    ASSERT(memcmp(want.floats, sum.floats, sizeof(sum.floats)) != 0);
    free(values);
}

TEST(sums_inside_a_node_meet_above_it)
{
    struct result *values = shard_results(11, 0);
    struct result want = reference(values, (struct node){0, 11});
    struct reduce *worker = reduce_create(FLOATS, DOUBLES);
    struct reduce *server = reduce_create(FLOATS, DOUBLES);
    static const struct node leases[] = {{8, 11}, {0, 4}, {4, 8}};

    reduce_reset(server, (struct node){0, 11}, 11);
    for (int k = 0; k < 3; k++) {
        struct node n = leases[k];
        const double *doubles;
        reduce_reset(worker, n, 11);
        for (uint32_t s = n.hi; s-- > n.lo;)
            ASSERT_EQ(0, add(worker, (struct node){s, s + 1}, &values[s]));
        struct result sum;
        memcpy(sum.floats, reduce_result(worker, &doubles), sizeof(sum.floats));
        memcpy(sum.doubles, doubles, sizeof(sum.doubles));
        ASSERT_EQ(0, add(server, n, &sum));
    }
    assert_result(server, &want);
    reduce_free(worker);
    reduce_free(server);
    free(values);
}

TEST(what_was_added_is_not_added_again)
{
    struct reduce *r = reduce_create(FLOATS, DOUBLES);
    struct result *values = shard_results(8, 0);
    struct result want = reference(values, (struct node){0, 8});
    static const struct node again[] = {{0, 4}, {0, 2}, {2, 4}, {0, 1}, {3, 4}, {0, 8}};
    struct result pair = reference(values, (struct node){0, 4});

    reduce_reset(r, (struct node){0, 8}, 8);
    ASSERT_EQ(0, add(r, (struct node){0, 4}, &pair));
    for (int i = 0; i < 6; i++) /* itself, descendants, an ancestor */
        ASSERT_EQ(-EEXIST, add(r, again[i], &values[0]));
    ASSERT_EQ(0, add(r, (struct node){6, 7}, &values[6]));
    ASSERT_EQ(-EEXIST, add(r, (struct node){4, 8}, &values[6])); /* part of it is there */
    ASSERT_EQ(-EEXIST, add(r, (struct node){6, 8}, &values[6]));
    ASSERT_EQ(0, add(r, (struct node){7, 8}, &values[7]));
    ASSERT_EQ(-EEXIST, add(r, (struct node){6, 7}, &values[6]));
    ASSERT_EQ(-EEXIST, add(r, (struct node){7, 8}, &values[7]));
    ASSERT_EQ(0, add(r, (struct node){5, 6}, &values[5]));
    ASSERT_EQ(0, add(r, (struct node){4, 5}, &values[4]));
    assert_result(r, &want);
    ASSERT_EQ(-EEXIST, add(r, (struct node){0, 8}, &values[0]));
    ASSERT_EQ(-EEXIST, add(r, (struct node){5, 6}, &values[0]));
    assert_result(r, &want);
    reduce_free(r);
    free(values);
}

/* All pairs of nodes of the trees over up to nine shards. */
TEST(overlap_is_found_for_every_pair_of_nodes)
{
    struct reduce *r = reduce_create(1, 0);

    for (uint32_t shards = 1; shards <= 9; shards++)
        for (uint32_t a = 0; a < 100; a++)
            for (uint32_t b = 0; b < 100; b++) {
                struct node first = {a / 10, a % 10}, second = {b / 10, b % 10};
                if (!node_valid(first, shards) || !node_valid(second, shards))
                    continue;
                bool disjoint = first.hi <= second.lo || second.hi <= first.lo;
                reduce_reset(r, (struct node){0, shards}, shards);
                float *buf = reduce_buffer(r, NULL);
                buf[0] = 1;
                ASSERT_EQ(0, reduce_add(r, first, buf));
                buf = reduce_buffer(r, NULL);
                buf[0] = 1;
                ASSERT_EQ(disjoint ? 0 : -EEXIST, reduce_add(r, second, buf));
            }
    reduce_free(r);
}

TEST(nodes_outside_the_tree_are_refused)
{
    struct reduce *r = reduce_create(FLOATS, DOUBLES);
    struct result zero = {{0}, {0}};

    reduce_reset(r, (struct node){4, 8}, 10);
    ASSERT_EQ(-EINVAL, add(r, (struct node){0, 4}, &zero));
    ASSERT_EQ(-EINVAL, add(r, (struct node){0, 8}, &zero));
    ASSERT_EQ(-EINVAL, add(r, (struct node){5, 7}, &zero));
    ASSERT_EQ(-EINVAL, add(r, (struct node){5, 5}, &zero));
    ASSERT_EQ(-EINVAL, add(r, (struct node){6, 5}, &zero));
    ASSERT_EQ(-EINVAL, add(r, (struct node){8, UINT32_MAX}, &zero));
    ASSERT_EQ(0, add(r, (struct node){4, 8}, &zero));
    ASSERT(reduce_result(r, NULL));
    reduce_free(r);
}

/* A thread that computes shards flushes denormals, a server's does not: which of the two adds must
 * not show. */
TEST(a_sum_that_is_denormal_is_zero_whoever_forms_it)
{
    const unsigned mode = floats_flush(), modes[] = {mode, floats_flush()};
    volatile float least = FLT_MIN;

    if (least / 2 != 0)
        SKIP("this processor does not flush");
    for (int i = 0; i < 2; i++) {
        struct result left = {.floats = {0}}, right = {.floats = {0}};
        struct reduce *r = reduce_create(FLOATS, DOUBLES);
        const double *doubles;

        floats_restore(modes[i]);
        left.floats[3] = left.floats[FLOATS - 1] = 1.5F * FLT_MIN;
        right.floats[3] = right.floats[FLOATS - 1] = -FLT_MIN;
        left.doubles[1] = 1.5 * DBL_MIN;
        right.doubles[1] = -DBL_MIN;
        reduce_reset(r, (struct node){0, 2}, 2);
        add(r, (struct node){0, 1}, &left);
        add(r, (struct node){1, 2}, &right);
        ASSERT_EQ(i == 1, least / 2 == 0); /* the thread's own mode is as it was */
        const float *sum = reduce_result(r, &doubles);
        ASSERT(memcmp(&sum[3], &(float){0}, sizeof(float)) == 0);
        ASSERT(memcmp(&sum[FLOATS - 1], &(float){0}, sizeof(float)) == 0);
        ASSERT(memcmp(&doubles[1], &(double){0}, sizeof(double)) == 0);
        reduce_free(r);
    }
    floats_restore(mode);
}

TEST(a_sum_can_be_formed_between_two_steps)
{
    struct result *shards = shard_results(3, 4);
    const struct result want = reference(shards, (struct node){0, 3});
    struct reduce *r = reduce_create(FLOATS, DOUBLES);
    struct reduce_pair p = {.left = NULL};
    double *doubles;

    reduce_reset(r, (struct node){0, 3}, 3);
    ASSERT_EQ(0, add(r, (struct node){1, 2}, &shards[1]));
    float *buf = reduce_buffer(r, &doubles);
    memcpy(buf, shards[0].floats, sizeof(shards[0].floats));
    memcpy(doubles, shards[0].doubles, sizeof(shards[0].doubles));
    ASSERT_EQ(1, reduce_meet(r, (struct node){0, 1}, buf, &p));
    ASSERT(p.node.lo == 0 && p.node.hi == 2 && p.left == buf && p.right != buf);
    ASSERT_EQ(0, add(r, (struct node){2, 3}, &shards[2])); /* its sibling is not there yet */
    ASSERT(!reduce_result(r, NULL));
    reduce_sum(r, &p);
    reduce_drop(r, p.right);
    ASSERT_EQ(1, reduce_meet(r, p.node, p.left, &p));
    reduce_sum(r, &p);
    reduce_drop(r, p.right);
    ASSERT_EQ(0, reduce_meet(r, p.node, p.left, &p));
    assert_result(r, &want);
    reduce_free(r);
    free(shards);
}

TEST(a_long_sum_has_the_same_bits_on_several_threads)
{
    const size_t floats = 3 * HALVES_MIN + 5;
    struct halves *h = halves_create();
    struct reduce *alone = reduce_create(floats, 0), *shared = reduce_create(floats, 0);

    reduce_halves(shared, h);
    reduce_reset(alone, (struct node){0, 3}, 3);
    reduce_reset(shared, (struct node){0, 3}, 3);
    for (uint32_t s = 0; s < 3; s++) {
        struct rng rng = rng_at(6, RNG_TEST, s, 0);
        float *one = reduce_buffer(alone, NULL), *other = reduce_buffer(shared, NULL);
        for (size_t i = 0; i < floats; i++)
            one[i] = other[i] = (float)rng_range(&rng, -1, 1);
        ASSERT_EQ(0, reduce_add(alone, (struct node){s, s + 1}, one));
        ASSERT_EQ(0, reduce_add(shared, (struct node){s, s + 1}, other));
    }
    ASSERT_MEM(reduce_result(alone, NULL), reduce_result(shared, NULL), floats * sizeof(float));
    reduce_free(alone);
    reduce_free(shared);
    halves_free(h);
}

TEST(a_reset_drops_what_was_there)
{
    struct reduce *r = reduce_create(FLOATS, DOUBLES);
    struct result *values = shard_results(6, 0);
    struct result want = reference(values, (struct node){0, 6});

    reduce_reset(r, (struct node){0, 3}, 3);
    add(r, (struct node){0, 1}, &values[5]);
    add(r, (struct node){2, 3}, &values[5]);
    reduce_reset(r, (struct node){0, 6}, 6);
    ASSERT(!reduce_result(r, NULL));
    for (uint32_t s = 0; s < 6; s++)
        ASSERT_EQ(0, add(r, (struct node){s, s + 1}, &values[s]));
    assert_result(r, &want);
    reduce_free(r);
    free(values);
}

TEST(buffers_are_used_again_from_step_to_step)
{
    struct reduce *r = reduce_create(FLOATS, DOUBLES);
    float *seen[8] = {NULL}, *buf;
    int seen_count = 0;

    for (int step = 0; step < 20; step++) {
        reduce_reset(r, (struct node){0, 8}, 8);
        for (uint32_t s = 0; s < 8; s++) {
            buf = reduce_buffer(r, NULL);
            memset(buf, 0, FLOATS * sizeof(*buf));
            int i = 0;
            while (i < seen_count && seen[i] != buf)
                i++;
            if (i == seen_count) {
                ASSERT_EQ(0, step); /* the first step has seen them all */
                seen[seen_count++] = buf;
            }
            reduce_add(r, (struct node){s, s + 1}, buf);
        }
        buf = reduce_buffer(r, NULL);
        reduce_drop(r, buf);
    }
    ASSERT(seen_count <= 4); /* log2(8) pending sums and the one that arrives */
    reduce_free(r);
}

TEST(a_size_that_overflows_is_refused)
{
    ASSERT(!reduce_create(SIZE_MAX / 2, 0));
    ASSERT(!reduce_create(0, SIZE_MAX / 8));
    reduce_free(NULL);
}
