#define _GNU_SOURCE
#include "proto/cli/histogram.h"

#include <stdlib.h>

#include "proto/cli/draw.h"
#include "tests/harness.h"

static char *printed(const struct bin *bins, int count, int columns)
{
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);

    histogram_print(bins, count, columns, out);
    fclose(out);
    return text;
}

TEST(the_largest_bin_fills_the_line)
{
    static const struct bin bins[] = {{0, 0.5, 10}, {0.5, 1, 5}, {1, 1.25, 0}};
    char *text = printed(bins, 3, 30);

    ASSERT_STR("  0 ..  0.5  ██████████████ 10\n"
               "0.5 ..    1  ███████ 5\n"
               "  1 .. 1.25  0\n",
               text);
    free(text);
}

TEST(no_line_is_wider_than_the_terminal)
{
    static const struct bin bins[] = {{1e-12, 3.14159e-5, 67108864}, {3.14159e-5, 1000, 1}};

    for (int columns = 45; columns < 200; columns += 7) {
        char *text = printed(bins, 2, columns);
        int width = 0;
        for (const char *p = text; *p != '\n'; p++)
            width += ((unsigned char)*p & 0xc0) != 0x80;
        ASSERT_EQ(columns, width);
        free(text);
    }
}

TEST(a_single_sample_is_visible)
{
    static const struct bin bins[] = {{0, 1, 1000000}, {1, 2, 1}};
    char *text = printed(bins, 2, 60);

    ASSERT_HAS("1 .. 2  ▏ 1\n", text);
    free(text);
}

TEST(empty_and_narrow_histograms_are_drawn)
{
    static const struct bin bins[] = {{0, 0, 0}};
    char *text = printed(bins, 1, 1);

    ASSERT_STR("0 .. 0  0\n", text);
    free(text);
    text = printed(bins, 0, 80);
    ASSERT(text == NULL || *text == '\0');
    free(text);
}
