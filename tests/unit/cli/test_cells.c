#define _GNU_SOURCE
#include "proto/cli/cells.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/harness.h"

TEST(cells_of_absent_keys_show_none)
{
    static const struct column columns[] = {
        {.title = "a"}, {.title = "b"}, {.title = "c"}, {.title = "d"}, {.title = NULL}};
    cJSON *json = cJSON_Parse("{\"loss\": 0.123456789, \"share\": 0.91318}");
    struct table *t = table_create(columns);
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);

    cell_f64(t, json, "loss");
    cell_share(t, json, "share");
    cell_i64(t, json, "none");
    cell_age(t, json, "none");
    table_print(t, false, out);
    fclose(out);
    ASSERT_STR("a       b       c  d\n0.1235  91.32%  -  -\n", text);
    free(text);
    table_free(t);
    cJSON_Delete(json);
}

TEST(numbers_have_four_digits_and_no_zeros_behind_them)
{
    static const struct column columns[] = {
        {.title = "a"}, {.title = "b"}, {.title = "c"}, {.title = "d"}, {.title = NULL}};
    struct table *t = table_create(columns);
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);

    cell_number(t, 0.5);
    cell_number(t, 0.99996);
    cell_number(t, 5.2801);
    cell_number(t, NAN);
    table_print(t, false, out);
    fclose(out);
    ASSERT_STR("a    b  c     d\n0.5  1  5.28  -\n", text);
    free(text);
    table_free(t);
}
