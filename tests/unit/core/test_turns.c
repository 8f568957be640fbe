/* Whose turn it is. Items are named by their letters. */
#include "server/core/turns.h"

#include <errno.h>

#include "tests/harness.h"

static struct turns *turns_of(int at_once, int at_once_each)
{
    const struct turns_limits limits = {
        .at_once = at_once, .at_once_each = at_once_each, .waiting = 8, .waiting_each = 4};

    return turns_create(&limits);
}

static void add(struct turns *t, const char *asker, const char *items)
{
    for (; *items; items++)
        ASSERT_EQ(0, turns_add(t, asker, (void *)items));
}

/* Lets all that wait have their turn, one after the other. */
static const char *order(struct turns *t)
{
    static char out[32];
    const char *item;
    int n = 0;

    while ((item = turns_next(t)) != NULL) {
        out[n++] = *item;
        turns_done(t, item);
    }
    out[n] = '\0';
    return out;
}

TEST(one_asker_is_served_in_order)
{
    struct turns *t = turns_of(1, 1);

    add(t, "a", "xyz");
    ASSERT_STR("xyz", order(t));
    ASSERT(!turns_next(t));
    turns_free(t);
}

TEST(askers_take_turns_however_much_each_asks)
{
    struct turns *t = turns_of(1, 1);

    add(t, "a", "1234");
    add(t, "b", "xy");
    ASSERT_STR("1x2y34", order(t));
    turns_free(t);
}

TEST(who_comes_late_waits_for_one_of_each_and_has_no_turns_saved)
{
    struct turns *t = turns_of(1, 1);

    add(t, "a", "123");
    add(t, "b", "xyz");
    const char *first = turns_next(t), *second;
    turns_done(t, first);
    second = turns_next(t);
    ASSERT(*first == '1' && *second == 'x');
    turns_done(t, second);
    add(t, "late", "LM");
    ASSERT_STR("L2yM3z", order(t));
    turns_free(t);
}

TEST(one_asker_has_only_its_share_of_the_places)
{
    struct turns *t = turns_of(3, 2);
    const char *items[4];

    add(t, "a", "123");
    for (int i = 0; i < 3; i++)
        items[i] = turns_next(t);
    ASSERT(*items[0] == '1' && *items[1] == '2' && !items[2]);
    add(t, "b", "xy");
    items[2] = turns_next(t);
    ASSERT(*items[2] == 'x');
    ASSERT(!turns_next(t)); /* there is no further place */
    turns_done(t, items[0]);
    items[3] = turns_next(t);
    ASSERT(*items[3] == 'y' || *items[3] == '3');
    ASSERT_EQ(1, turns_waiting(t));
    turns_free(t);
}

TEST(so_many_wait_and_no_more)
{
    struct turns *t = turns_of(1, 1);
    char more[] = "q";

    add(t, "a", "1234");
    ASSERT_EQ(-EDQUOT, turns_add(t, "a", more));
    add(t, "b", "xyz");
    add(t, "c", "C");
    ASSERT_EQ(-ENOBUFS, turns_add(t, "d", more));
    ASSERT_EQ(8, turns_waiting(t));
    for (const char *want = "1234xyzC"; *want; want++) {
        const char *item = turns_drop(t);
        ASSERT(*item == *want);
    }
    ASSERT(!turns_drop(t));
    turns_free(t);
}
