#include "server/net/line.h"

#include <stdio.h>

#include "tests/harness.h"

static const struct line_limits few = {.at_work = 1,
                                       .at_work_of_one = 1,
                                       .waiting = 6,
                                       .waiting_of_one = 3,
                                       .bytes = 1000,
                                       .bytes_of_one = 500};

/* Puts `count` turns of owner in line; all have room. */
static void put(struct line *t, struct turn *turns, int count, const char *owner)
{
    for (int i = 0; i < count; i++)
        ASSERT_EQ(LINE_WAIT, line_ask(t, &turns[i], owner, 1));
}

TEST(owners_are_served_in_turns_and_each_in_its_order)
{
    struct turn a[3] = {0}, b[3] = {0};
    struct turn *want[] = {&a[0], &b[0], &a[1], &b[1], &a[2]};
    struct line t;

    line_open(&t, &few);
    put(&t, a, 3, "anna");
    put(&t, b, 2, "ben");
    for (int i = 0; i < 5; i++) {
        struct turn *next = line_next(&t);
        ASSERT(next == want[i]);
        ASSERT(!line_next(&t)); /* one is at work */
        line_end(&t, next);
    }
    ASSERT(!line_next(&t));
    ASSERT(!t.first);
    line_close(&t);
}

TEST(one_who_comes_late_waits_for_one_of_each_other)
{
    struct turn a[3] = {0}, b[1] = {0};
    struct line t;

    line_open(&t, &few);
    put(&t, a, 3, "anna");
    struct turn *first = line_next(&t);
    put(&t, b, 1, "ben");
    line_end(&t, first);
    ASSERT(line_next(&t) == &a[1]);
    line_end(&t, &a[1]);
    ASSERT(line_next(&t) == &b[0]);
    line_end(&t, &b[0]);
    line_end(&t, &a[2]);
    line_close(&t);
}

TEST(what_waits_has_a_bound_for_one_and_for_all)
{
    struct turn a[4] = {0}, b[4] = {0}, c = {0};
    struct line t;

    line_open(&t, &few);
    put(&t, a, 3, "anna");
    ASSERT_EQ(LINE_FULL_OF_ONE, line_ask(&t, &a[3], "anna", 1));
    put(&t, b, 3, "ben");
    ASSERT_EQ(LINE_FULL, line_ask(&t, &c, "carl", 1));
    ASSERT_EQ(3, line_of(&t, "ben"));
    ASSERT_EQ(0, line_of(&t, "carl"));
    line_end(&t, &b[2]); /* its connection left */
    ASSERT_EQ(LINE_WAIT, line_ask(&t, &c, "carl", 1));
    line_end(&t, &c);
    line_end(&t, &c); /* once more does nothing */
    for (int i = 0; i < 3; i++) {
        line_end(&t, &a[i]);
        line_end(&t, &b[i]);
    }
    ASSERT(!t.first && t.waiting == 0 && t.bytes == 0);
    line_close(&t);
}

TEST(memory_has_a_bound_but_one_that_need_not_wait_is_welcome)
{
    struct turn a[3] = {0}, b = {0};
    struct line t;

    line_open(&t, &few);
    ASSERT_EQ(LINE_WAIT, line_ask(&t, &a[0], "anna", 5000));
    ASSERT(line_next(&t) == &a[0]);
    ASSERT_EQ(LINE_WAIT, line_ask(&t, &a[1], "anna", 400));
    ASSERT_EQ(LINE_FULL_OF_ONE, line_ask(&t, &a[2], "anna", 200));
    ASSERT_EQ(LINE_FULL, line_ask(&t, &b, "ben", 700));
    ASSERT_EQ(LINE_WAIT, line_ask(&t, &b, "ben", 500));
    line_end(&t, &a[1]);
    line_end(&t, &b);
    line_end(&t, &a[0]);
    line_close(&t);
}

TEST(one_owner_does_not_have_all_places_at_work)
{
    struct line_limits two = few;
    struct turn a[3] = {0}, b = {0};
    struct line t;

    two.at_work = 2;
    line_open(&t, &two);
    put(&t, a, 3, "anna");
    ASSERT(line_next(&t) == &a[0]);
    ASSERT(!line_next(&t));
    put(&t, &b, 1, "ben");
    ASSERT(line_next(&t) == &b);
    line_end(&t, &a[0]);
    ASSERT(line_next(&t) == &a[1]);
    line_end(&t, &a[1]);
    line_end(&t, &a[2]);
    line_end(&t, &b);
    line_close(&t);
}
