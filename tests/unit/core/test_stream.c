/* Streams that draw all classes alike, and weights of classes. */
#include <math.h>
#include <string.h>

#include "server/core/curriculum.h"
#include "tests/harness.h"

#define N 60
#define CLASSES 4 /* of 40, 15, 5 and 0 samples */
#define BATCH 6

static uint16_t labels[N];

static struct jobspec spec_of(int kind)
{
    for (uint32_t i = 0; i < N; i++)
        labels[i] = i % 12 < 8 ? 0 : i % 12 < 11 ? 1 : 2;
    return (struct jobspec){
        .batch = BATCH,
        .epochs = 10,
        .seed = 3,
        .curriculum = {.measure = MEASURE_NONE, .initial = 1, .final = 1, .full_at = 1},
        .class_weights = {.kind = kind}};
}

static struct schedule schedule_of(const struct jobspec *spec, const double *rank)
{
    struct schedule s;

    ASSERT_EQ(0, schedule_make(spec, rank, labels, CLASSES, N, 0, NULL, &s));
    return s;
}

TEST(balanced_weights_give_every_class_the_same_sum)
{
    struct jobspec spec = spec_of(CLASSES_BALANCED);
    double rank[N], sums[CLASSES] = {0};

    for (int i = 0; i < N; i++)
        rank[i] = i == 0 ? CURRICULUM_EXCLUDED : CURRICULUM_UNRANKED;
    struct schedule s = schedule_of(&spec, rank);
    ASSERT_EQ(N - 1, s.count);
    for (uint32_t i = 0; i < s.count; i++)
        sums[labels[s.ids[i]]] += s.weights[i];
    for (int c = 0; c < 3; c++)
        ASSERT_NEAR((N - 1) / 3.0, sums[c], 1e-4);
    schedule_done(&s);
}

TEST(listed_weights_are_in_proportion_and_of_mean_1)
{
    double list[CLASSES] = {1, 2, 10, 5}, sum = 0;
    struct jobspec spec = spec_of(CLASSES_LISTED);

    spec.class_weights.at = list;
    spec.class_weights.count = CLASSES;
    struct schedule s = schedule_of(&spec, NULL);
    for (uint32_t i = 0; i < s.count; i++) {
        sum += s.weights[i];
        ASSERT_NEAR(list[labels[s.ids[i]]] * s.weights[0], s.weights[i], 1e-6);
    }
    ASSERT_NEAR(s.count, sum, 1e-4);
    schedule_done(&s);
}

TEST(a_balanced_stream_draws_classes_alike_and_their_samples_alike)
{
    struct jobspec spec = spec_of(CLASSES_ALIKE);
    struct schedule s = schedule_of(&spec, NULL);
    uint32_t ids[4 * N], of_class[CLASSES] = {0}, of_sample[N] = {0};
    float weights[BATCH];
    struct stream st;

    ASSERT_EQ(0, stream_init(&st, &s, spec.seed, 2, labels, CLASSES));
    for (uint32_t step = 0; step < 4 * N / BATCH; step++) {
        stream_batch(&st, step, BATCH, ids + step * BATCH, weights);
        for (uint32_t i = 0; i < BATCH; i++) {
            of_class[labels[ids[step * BATCH + i]]]++;
            of_sample[ids[step * BATCH + i]]++;
            ASSERT_EQ(1, weights[i]);
        }
        for (int c = 0; c < 3; c++) /* two rounds of three classes a step */
            ASSERT_EQ(2 * (step + 1), of_class[c]);
    }
    for (uint32_t i = 0; i < N; i++) {
        const uint32_t n = labels[i] == 0 ? 40 : labels[i] == 1 ? 15 : 5;
        ASSERT(of_sample[i] == 80 / n || of_sample[i] == 80 / n + 1);
    }
    stream_done(&st);
    schedule_done(&s);
}

TEST(any_step_of_a_balanced_stream_may_be_asked_for)
{
    struct jobspec spec = spec_of(CLASSES_ALIKE);
    struct schedule s = schedule_of(&spec, NULL);
    uint32_t there[BATCH], here[BATCH], other[BATCH];
    float weights[BATCH];
    struct stream a, b, c;

    ASSERT_EQ(0, stream_init(&a, &s, 3, 0, labels, CLASSES));
    ASSERT_EQ(0, stream_init(&b, &s, 3, 0, labels, CLASSES));
    ASSERT_EQ(0, stream_init(&c, &s, 4, 0, labels, CLASSES));
    for (uint32_t step = 0; step < 30; step++)
        stream_batch(&a, step, BATCH, there, weights);
    stream_batch(&b, 29, BATCH, here, weights);
    stream_batch(&c, 29, BATCH, other, weights);
    ASSERT_MEM(there, here, sizeof(there));
    ASSERT(memcmp(there, other, sizeof(there)) != 0);
    stream_batch(&a, 0, BATCH, there, weights);
    stream_batch(&b, 0, BATCH, here, weights);
    ASSERT_MEM(there, here, sizeof(there));
    stream_done(&a);
    stream_done(&b);
    stream_done(&c);
    schedule_done(&s);
}
