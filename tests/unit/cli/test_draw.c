#include "proto/cli/draw.h"

#include "tests/harness.h"

TEST(durations_use_the_two_largest_units)
{
    static const struct {
        int64_t ms;
        const char *want;
    } cases[] = {
        {-5, "0 ms"},
        {0, "0 ms"},
        {999, "999 ms"},
        {1000, "1 s"},
        {59999, "59 s"},
        {60000, "1 min 00 s"},
        {200500, "3 min 20 s"},
        {3599999, "59 min 59 s"},
        {3600000, "1 h 00 min"},
        {86399999, "23 h 59 min"},
        {86400000, "1 d 0 h"},
        {187200000, "2 d 4 h"},
    };
    char text[DRAW_TEXT_BYTES];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ASSERT_STR(cases[i].want, draw_duration(cases[i].ms, text));
    ASSERT_STR("106751991167 d 7 h", draw_duration(INT64_MAX, text));
}

TEST(ages_use_the_largest_unit)
{
    char text[DRAW_TEXT_BYTES];

    ASSERT_STR("now", draw_age(-40, text));
    ASSERT_STR("now", draw_age(999, text));
    ASSERT_STR("3 s ago", draw_age(3999, text));
    ASSERT_STR("1 min ago", draw_age(119999, text));
    ASSERT_STR("5 h ago", draw_age(5 * 3600000, text));
    ASSERT_STR("106751991167 d ago", draw_age(INT64_MAX, text));
}

TEST(sizes_never_show_four_digits_before_the_point)
{
    char text[DRAW_TEXT_BYTES];

    ASSERT_STR("0 B", draw_bytes(0, text));
    ASSERT_STR("1023 B", draw_bytes(1023, text));
    ASSERT_STR("1.0 KiB", draw_bytes(1024, text));
    ASSERT_STR("1.0 MiB", draw_bytes((1 << 20) - 1, text));
    ASSERT_STR("44.9 MiB", draw_bytes(47081000, text));
    ASSERT_STR("16.0 EiB", draw_bytes(UINT64_MAX, text));
}

TEST(bars_fill_in_eighths)
{
    char line[DRAW_LINE_BYTES];

    ASSERT_STR("", draw_bar(0, 10, line));
    ASSERT_STR("█████", draw_bar(0.5, 10, line));
    ASSERT_STR("██▌", draw_bar(0.25, 10, line));
    ASSERT_STR("▏", draw_bar(1e-9, 10, line));
    ASSERT_STR("██████████", draw_bar(1, 10, line));
}

TEST(bars_take_any_share_and_width)
{
    char line[DRAW_LINE_BYTES];

    ASSERT_STR("███", draw_bar(7.5, 3, line));
    ASSERT_STR("", draw_bar(-1, 3, line));
    ASSERT_STR("", draw_bar(NAN, 3, line));
    ASSERT_STR("", draw_bar(0.5, -4, line));
    ASSERT_EQ(DRAW_LINE_BYTES - 1, strlen(draw_bar(1, 100000, line)));
}

TEST(progress_has_a_track_behind_it)
{
    char line[DRAW_LINE_BYTES];

    ASSERT_STR("░░░░", draw_progress(0, 4, line));
    ASSERT_STR("█▌░░", draw_progress(0.375, 4, line));
    ASSERT_STR("████", draw_progress(1, 4, line));
}

TEST(sparks_span_from_least_to_largest)
{
    static const double up[] = {0, 1, 2, 3, 4, 5, 6, 7}, huge[] = {-1e308, 1e308};
    char line[DRAW_LINE_BYTES];

    ASSERT_STR("▁▂▃▄▅▆▇█", draw_spark(up, 8, line));
    ASSERT_STR("▁█", draw_spark(huge, 2, line));
}

TEST(sparks_of_equal_missing_or_no_values_are_drawn)
{
    static const double equal[] = {2, 2, 2}, holes[] = {0, NAN, 1, INFINITY};
    char line[DRAW_LINE_BYTES];

    ASSERT_STR("▄▄▄", draw_spark(equal, 3, line));
    ASSERT_STR("▁ █ ", draw_spark(holes, 4, line));
    ASSERT_STR("", draw_spark(equal, 0, line));
}

TEST(sparks_of_many_values_keep_their_ends_in_view)
{
    static double many[3 * DRAW_CELLS_MAX];
    char line[DRAW_LINE_BYTES];

    for (int i = 0; i < 3 * DRAW_CELLS_MAX; i++)
        many[i] = i;
    ASSERT_EQ(DRAW_LINE_BYTES - 1, strlen(draw_spark(many, 3 * DRAW_CELLS_MAX, line)));
    ASSERT_MEM("▁", line, 3);
    ASSERT_STR("█", line + DRAW_LINE_BYTES - 4);
}
