#include "server/net/budget.h"

#include <stdio.h>

#include "tests/harness.h"

static const struct budget ten = {.per_s = 10, .burst = 5, .debt_s = 2};

TEST(a_burst_is_free_and_what_follows_rests)
{
    struct bucket b = {0};

    for (int i = 0; i < 5; i++)
        ASSERT_EQ(0, budget_take(&ten, &b, 1, 1000));
    ASSERT_EQ(101, budget_take(&ten, &b, 1, 1000)); /* a tenth of a second, and the rest of a ms */
    ASSERT_EQ(201, budget_take(&ten, &b, 1, 1000));
    ASSERT_NEAR(7, budget_taken(&ten, &b, 1000), 1e-9);
    ASSERT_EQ(0, budget_take(&ten, &b, 1, 1400));
    ASSERT_NEAR(0, budget_taken(&ten, &b, 60000), 1e-9);
}

TEST(a_debt_has_a_bound)
{
    struct bucket b = {0};

    ASSERT_EQ(2001, budget_take(&ten, &b, 1e9, 1000));
    ASSERT_EQ(2001, budget_take(&ten, &b, 1, 1000));
    ASSERT_EQ(0, budget_take(&ten, &b, 1, 3101));
}

TEST(each_name_has_its_bucket_and_many_names_take_no_more_room)
{
    static struct budgets all;
    char name[32];

    budgets_of(&all, "anna", 1)->taken = 7;
    budgets_of(&all, "ben", 2)->taken = 3;
    ASSERT_NEAR(7, budgets_of(&all, "anna", 3)->taken, 0);
    ASSERT_NEAR(3, budgets_of(&all, "ben", 4)->taken, 0);
    for (int i = 0; i < 10 * BUDGETS_SETS * BUDGETS_WAYS; i++) {
        snprintf(name, sizeof(name), "10.0.%d.%d", i / 256, i % 256);
        ASSERT_NEAR(0, budgets_of(&all, name, 5 + i)->taken, 0);
        ASSERT_NEAR(7, budgets_of(&all, "anna", 5 + i)->taken, 0); /* who is here stays */
    }
}
