#include "common/likely.h"

#include <math.h>

#include "common/bounds.h"
#include "tests/harness.h"

TEST(the_likeliest_come_first_and_equal_ones_by_number)
{
    const float z[] = {1, 3, -2, 3, 0};
    const struct likely v = likely_of(z, 5);
    double p[5], sum = 0;

    ASSERT_EQ(3, v.shown);
    ASSERT_EQ(1, v.class[0]);
    ASSERT_EQ(3, v.class[1]);
    ASSERT_EQ(0, v.class[2]);
    likely_softmax(z, 5, p);
    for (int k = 0; k < 3; k++)
        ASSERT(v.probability[k] == p[v.class[k]]);
    for (int j = 0; j < 5; j++)
        sum += p[j];
    ASSERT(fabs(sum - 1) < 1e-15);
    ASSERT(p[1] == p[3] && fabs(log(p[1] / p[0]) - 2) < 1e-12);
    ASSERT(v.margin == 0);
}

TEST(few_classes_show_what_there_is)
{
    const float z[] = {0.5f, 2};
    const struct likely two = likely_of(z, 2), one = likely_of(z, 1);

    ASSERT_EQ(2, two.shown);
    ASSERT_EQ(1, two.class[0]);
    ASSERT(two.margin == 1.5);
    ASSERT_EQ(1, one.shown);
    ASSERT(one.probability[0] == 1 && isnan(one.margin));
}

TEST(logits_of_any_size_have_probabilities)
{
    static float z[CLASSES_MAX];

    for (int i = 0; i < CLASSES_MAX; i++)
        z[i] = i == 7 ? 3e38f : i == 900 ? 1e30f : -3e38f;
    const struct likely v = likely_of(z, CLASSES_MAX);
    ASSERT_EQ(7, v.class[0]);
    ASSERT_EQ(900, v.class[1]);
    ASSERT(v.probability[0] == 1 && v.probability[1] == 0);
}
