#define _GNU_SOURCE
#include "proto/cli/session.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/harness.h"

TEST(values_of_another_type_count_as_absent)
{
    cJSON *json =
        cJSON_Parse("{\"i\": 7, \"half\": 0.5, \"big\": 1e300, \"s\": \"x\", \"n\": null}");
    int64_t i = -1;
    double d = -1;

    ASSERT(value_i64(json, "i", &i) && i == 7);
    ASSERT(!value_i64(json, "half", &i));
    ASSERT(!value_i64(json, "big", &i));
    ASSERT(!value_i64(json, "s", &i));
    ASSERT(!value_i64(json, "none", &i));
    ASSERT_EQ(7, i);
    ASSERT(value_f64(json, "half", &d) && d == 0.5);
    ASSERT(!value_f64(json, "n", &d));
    ASSERT_STR("x", value_text(json, "s"));
    ASSERT_STR("", value_text(json, "i"));
    ASSERT_STR("", value_text(NULL, "i"));
    cJSON_Delete(json);
}

TEST(a_reply_without_its_list_is_refused)
{
    cJSON *json = cJSON_Parse("{\"jobs\": {}, \"job\": []}");
    const cJSON *value;
    struct errbuf why;

    ASSERT_EQ(-EBADMSG, reply_array(json, "jobs", &value, &why));
    ASSERT_HAS("\"jobs\"", why.text);
    ASSERT_EQ(-EBADMSG, reply_object(json, "job", &value, &why));
    ASSERT_HAS("\"job\"", why.text);
    cJSON_Delete(json);
}

TEST(a_job_is_a_positive_number)
{
    static char *const good[] = {"1", "9007199254740992"}, *const bad[] = {"0", "-1", "x", "1.5",
                                                                           ""};
    struct cli cli = {.word_count = 1};
    struct errbuf why;
    int64_t job;

    for (size_t i = 0; i < 2; i++) {
        cli.words = (char **)&good[i];
        ASSERT_OK(cli_job(&cli, &job, &why), why);
    }
    for (size_t i = 0; i < 5; i++) {
        cli.words = (char **)&bad[i];
        ASSERT_EQ(EXIT_USAGE, cli_job(&cli, &job, &why));
        ASSERT_HAS(bad[i], why.text);
    }
}

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
