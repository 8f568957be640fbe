#define _GNU_SOURCE
#include "proto/cli/table.h"

#include <stdlib.h>

#include "tests/harness.h"

static const struct column columns[] = {
    {.title = "job", .right = true},
    {.title = "name"},
    {.title = "why", .optional = true},
    {.title = NULL},
};

/* What the table prints; freed by the caller. */
static char *printed(const struct table *t, bool colour)
{
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);

    table_print(t, colour, out);
    fclose(out);
    return text;
}

static void check_printed(const struct table *t, bool colour, const char *want)
{
    char *text = printed(t, colour);

    ASSERT_STR(want, text);
    free(text);
}

TEST(columns_are_as_wide_as_their_widest_cell)
{
    struct table *t = table_create(columns);

    table_add(t, "%d", 12);
    table_add(t, "mnist");
    table_add(t, "disk full");
    table_add(t, "%d", 12345);
    table_add(t, "a");
    table_add(t, "-");
    check_printed(t, false,
                  "  job  name   why\n"
                  "   12  mnist  disk full\n"
                  "12345  a      -\n");
    table_free(t);
}

TEST(an_optional_column_without_values_is_left_out)
{
    struct table *t = table_create(columns);

    table_add(t, "1");
    table_add(t, "a");
    table_add(t, "%s", "");
    check_printed(t, false, "job  name\n  1  a\n");
    table_free(t);
}

TEST(a_table_without_rows_is_its_title)
{
    struct table *t = table_create(columns);

    check_printed(t, false, "job  name\n");
    table_free(t);
}

TEST(an_empty_cell_shows_that_there_is_no_value)
{
    struct table *t = table_create(columns);

    table_add(t, "1");
    table_add(t, "%s", "");
    table_add(t, "x");
    check_printed(t, false, "job  name  why\n  1  -     x\n");
    table_free(t);
}

TEST(widths_count_characters_not_bytes)
{
    struct table *t = table_create(columns);

    table_add(t, "1");
    table_add(t, "größer");
    table_add(t, "x");
    check_printed(t, false, "job  name    why\n  1  größer  x\n");
    table_free(t);
}

TEST(control_characters_do_not_reach_the_terminal)
{
    struct table *t = table_create(columns);

    table_add(t, "1");
    table_add(t, "%s", "a\033[2J\nb\x7f");
    table_add(t, "-");
    check_printed(t, false, "job  name\n  1  a?[2J?b?\n");
    table_free(t);
}

TEST(colours_change_no_width)
{
    struct table *t = table_create(columns);

    table_add(t, "1");
    table_add(t, "done");
    table_paint(t, PAINT_GOOD);
    table_add(t, "x");
    check_printed(t, true,
                  "\033[1mjob\033[0m  \033[1mname\033[0m  \033[1mwhy\033[0m\n"
                  "  1  \033[32mdone\033[0m  x\n");
    check_printed(t, false, "job  name  why\n  1  done  x\n");
    table_free(t);
}

TEST(a_table_takes_many_rows)
{
    struct table *t = table_create(columns);
    int lines = 0;

    for (int i = 0; i < 1000; i++) {
        table_add(t, "%d", i);
        table_add(t, "name");
        table_add(t, "-");
    }
    char *text = printed(t, false);
    for (const char *p = text; *p; p++)
        lines += *p == '\n';
    ASSERT_EQ(1001, lines);
    ASSERT_HAS("\n999  name\n", text);
    free(text);
    table_free(t);
}

TEST(a_cell_that_is_too_long_is_cut)
{
    static char longer[5000];
    struct table *t = table_create(columns);

    memset(longer, 'x', sizeof(longer) - 1);
    table_add(t, "1");
    table_add(t, "%s", longer);
    table_add(t, "-");
    char *text = printed(t, false);
    ASSERT(strlen(text) < 2000);
    free(text);
    table_free(t);
}

TEST(a_cell_that_is_cut_says_so)
{
    static const struct column one[] = {{.title = "a"}, {.title = NULL}};
    struct table *t = table_create(one);
    char text[2000];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    table_add(t, "%s", text);
    char *all = printed(t, false);
    ASSERT_EQ(2 + 599 + 1, strlen(all));
    ASSERT_STR("xx...\n", all + strlen(all) - 6);
    free(all);
    table_free(t);
}

/* What tells most of a path is its end. */
TEST(a_table_fits_by_the_beginning_of_its_paths)
{
    static const struct column two[] = {{.title = "n"}, {"uri", .tail = true}, {NULL}};
    struct table *t = table_create(two);

    table_add(t, "1");
    table_add(t, "train/dog/a-long-name-\xc3\xa9\xc3\xa9\xc3\xa9.png");
    table_add(t, "2");
    table_add(t, "short.png");
    table_fit(t, 25);
    check_printed(t, false,
                  "n  uri\n"
                  "1  ...a-long-name-\xc3\xa9\xc3\xa9\xc3\xa9.png\n"
                  "2  short.png\n");
    table_fit(t, 3); /* but for so much that nothing would be left */
    check_printed(t, false,
                  "n  uri\n"
                  "1  ...-name-\xc3\xa9\xc3\xa9\xc3\xa9.png\n"
                  "2  short.png\n");
    table_fit(t, 0);
    check_printed(t, false,
                  "n  uri\n"
                  "1  train/dog/a-long-name-\xc3\xa9\xc3\xa9\xc3\xa9.png\n"
                  "2  short.png\n");
    table_free(t);
}

TEST(neither_cells_nor_titles_steer_the_terminal)
{
    static const struct column hostile[] = {{.title = "a\x1b[2J\xe2\x80\xae"}, {.title = NULL}};
    struct table *t = table_create(hostile);

    table_add(t, "\xc2\x9b"
                 "31m\xff");
    check_printed(t, false, "a?[2J?\n?31m?\n");
    table_free(t);
}
