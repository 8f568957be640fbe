/* The small case throughout: 20 samples in classes of 10, 7 and 3 (0-9, 10-16, 17-19); sample i is
 * at place 7 i mod 20 of the order, so the order is 0 3 6 9 12 15 18 1 4 7 10 13 16 19 2 5 8 11 14
 * 17 and, within the classes, 0 3 6 9 1 4 7 2 5 8 | 12 15 10 13 16 11 14 | 18 19 17. */
#ifndef STEPPE_TESTS_SCHEDULE_FIXTURE_H
#define STEPPE_TESTS_SCHEDULE_FIXTURE_H

#include "server/core/curriculum.h"

#define N 20
#define CLASSES 3

static const uint16_t labels[N] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2};

static inline void small_ranks(double rank[N])
{
    for (int i = 0; i < N; i++)
        rank[i] = (7 * i % 20 + 0.5) / 20;
}

/* Epoch 0 has the share p. */
static inline struct jobspec spec_of(int mode, int balance, double p)
{
    return (struct jobspec){
        .epochs = 10,
        .batch = 4,
        .seed = 3,
        .curriculum = {.measure = MEASURE_LOSS,
                       .mode = mode,
                       .balance = balance,
                       .initial = p,
                       .final = 1,
                       .full_at = 1},
    };
}

#endif
