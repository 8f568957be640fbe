/* Samples that are kept out of schedules. */
#include "tests/harness.h"
#include "tests/unit/core/schedule_fixture.h"

/* A schedule of the others is the one that a dataset without the excluded samples would have. */
TEST(excluded_samples_are_in_no_schedule)
{
    static const uint32_t gone[] = {0, 7, 12, 17, 18, 19}; /* class 2 has none left */

    for (int mode = MODE_SELECT; mode <= MODE_BOTH; mode++)
        for (int balance = BALANCE_NONE; balance <= BALANCE_CLASS; balance++)
            for (int measure = MEASURE_LOSS; measure <= MEASURE_NONE; measure++) {
                struct jobspec spec = spec_of(mode, balance, 0.5);
                double rank[N], kept_rank[N];
                uint16_t kept_labels[N];
                uint32_t kept[N], n = 0;
                struct schedule with, without;

                spec.curriculum.measure = measure;
                small_ranks(rank);
                for (uint32_t g = 0; g < 6; g++)
                    rank[gone[g]] = CURRICULUM_EXCLUDED;
                for (uint32_t i = 0; i < N; i++)
                    if (rank[i] != CURRICULUM_EXCLUDED) {
                        kept_rank[n] = rank[i];
                        kept_labels[n] = labels[i];
                        kept[n++] = i;
                    }
                ASSERT_EQ(N - 6, n);
                ASSERT_EQ(0, schedule_make(&spec, rank, labels, CLASSES, N, 0, NULL, &with));
                ASSERT_EQ(
                    0, schedule_make(&spec, kept_rank, kept_labels, CLASSES, n, 0, NULL, &without));
                ASSERT_EQ(without.count, with.count);
                for (uint32_t i = 0; i < with.count; i++) {
                    ASSERT(rank[with.ids[i]] != CURRICULUM_EXCLUDED);
                    if (measure == MEASURE_RANDOM) /* its keys go by the number of the sample */
                        continue;
                    ASSERT_EQ(kept[without.ids[i]], with.ids[i]);
                    ASSERT(without.weights[i] == with.weights[i]);
                }
                schedule_done(&with);
                schedule_done(&without);
            }
}
