/* A person's own statement: what it gives and what is refused. How it ends in a process of its own,
 * test_cells.c has. */
#include <errno.h>
#include <string.h>

#include "common/bounds.h"
#include "server/query/query.h"
#include "server/query/query_internal.h"
#include "tests/unit/server/store_fixture.h"

#define N 40

struct world {
    struct store *store;
    struct query *query;
    int64_t job;
};

static struct world world_open(void)
{
    struct world w = {.store = fixture_open()};
    struct errbuf why;

    fixture_dataset(w.store, N);
    w.job = fixture_job(w.store, 1);
    fixture_fold(w.store, w.job, 0, N, NULL);
    ASSERT_OK(query_open(test_path("state"), &w.query, &why), why);
    return w;
}

static void world_close(struct world *w)
{
    query_close(w->query);
    store_close(w->store);
}

static cJSON *sql(struct world *w, const char *text, int64_t limit)
{
    struct sql_args a = {.job = w->job, .limit = limit, .sql = text};
    struct errbuf why;
    cJSON *out;

    ASSERT_OK(query_sql(w->query, &a, &out, &why), why);
    return out;
}
static void refused(struct world *w, int code, const char *part, const char *text)
{
    struct sql_args a = {.job = w->job, .limit = 10, .sql = text};
    struct errbuf why = {""};
    cJSON *out = NULL;

    int rc = query_sql(w->query, &a, &out, &why);
    if (rc != code)
        FAIL("%s gives %d (%s), wanted %d", text, rc, why.text, code);
    ASSERT_HAS(part, why.text);
    ASSERT(!out);
}

TEST(a_select_of_ones_own_gives_names_and_cells)
{
    struct world w = world_open();
    cJSON *out =
        sql(&w, "SELECT :job AS j, 0.5, 'a', NULL, x'0aff', 9007199254740993 AS big;  ", 9);
    char *text = cJSON_PrintUnformatted(out);

    ASSERT_STR("{\"columns\":[\"j\",\"0.5\",\"'a'\",\"NULL\",\"x'0aff'\",\"big\"],\"rows\":"
               "[[1,0.5,\"a\",null,\"0aff\",9007199254740993]],\"more\":false}",
               text);
    free(text);
    cJSON_Delete(out);
    out = sql(&w, "SELECT sample FROM v_hardest WHERE job = :job", 3);
    ASSERT_EQ(3, cJSON_GetArraySize(cJSON_GetObjectItem(out, "rows")));
    ASSERT(cJSON_IsTrue(cJSON_GetObjectItem(out, "more")));
    cJSON_Delete(out);
    out = sql(&w, "SELECT name FROM pragma_table_info('score') WHERE pk > 0", 9);
    ASSERT_EQ(3, cJSON_GetArraySize(cJSON_GetObjectItem(out, "rows")));
    cJSON_Delete(out);
    world_close(&w);
}

TEST(a_statement_that_does_more_than_read_is_refused)
{
    struct world w = world_open();

    refused(&w, -EPERM, "may only read", "DELETE FROM score");
    refused(&w, -EPERM, "may only read", "CREATE TABLE x(y)");
    refused(&w, -EPERM, "may only read", "ATTACH ':memory:' AS m");
    refused(&w, -EPERM, "may only read", "PRAGMA query_only = 0");
    refused(&w, -EPERM, "may only read", "BEGIN");
    refused(&w, -EPERM, "may only read", "SELECT load_extension('x')");
    refused(&w, -EPERM, "may only read", "SELECT randomblob(1000)");
    refused(&w, -EPERM, "may only read", "SELECT zeroblob(1000)");
    refused(&w, -EPERM, "may only read", "SELECT sqlite_compileoption_get(1)");
    refused(&w, -EPERM, "may only read", "SELECT sqlite_log(1, 'x')");
    refused(&w, -EINVAL, "one statement at a time", "SELECT 1; SELECT 2");
    refused(&w, -EINVAL, "there is no statement", "  -- nothing");
    refused(&w, -EINVAL, "no such column: addm", "SELECT addm FROM score");
    refused(&w, -EINVAL, "syntax error", "SELEC 1");
    refused(&w, -EINVAL, "the parameter ?1 has no value", "SELECT ?1");
    refused(&w, -EINVAL, "too big",
            "SELECT replace(printf('%.*c', 1000000, 'x'), 'x', '12345678')");
    cJSON_Delete(sql(&w, "SELECT 1", 1)); /* and the next one runs */
    world_close(&w);
}

TEST(a_statement_may_read_every_table_and_view_and_compute)
{
    struct world w = world_open();
    cJSON *names = sql(&w, "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')", 1000);
    const cJSON *row;
    char text[160];
    int views = 0;

    cJSON_ArrayForEach(row, cJSON_GetObjectItem(names, "rows"))
    {
        const char *name = cJSON_GetStringValue(cJSON_GetArrayItem(row, 0));
        snprintf(text, sizeof(text), "SELECT count(*) FROM (SELECT * FROM %s)", name);
        cJSON_Delete(sql(&w, text, 1));
        views += name[0] == 'v' && name[1] == '_';
    }
    ASSERT(views > 10);
    cJSON_Delete(names);
    cJSON_Delete(sql(&w,
                     "SELECT pow(2, 3), Upper('x'), json_extract('{\"a\":1}', '$.a'), 'x' LIKE 'X',"
                     " strftime('%Y', 'now'), total(loss), margin(1.0, 0.5), '[1]' -> 0,"
                     " percent_rank() OVER (ORDER BY loss) FROM score",
                     1));
    world_close(&w);
}

TEST(a_statement_is_only_so_large_and_so_deep)
{
    struct world w = world_open();
    char text[8192] = "SELECT 1", pattern[1200];

    for (int i = 0; i < 400; i++)
        strcat(text, ", 2");
    refused(&w, -EINVAL, "too many columns", text);
    snprintf(text, sizeof(text), "SELECT ");
    for (int i = 0; i < 300; i++)
        strcat(text, "abs(");
    strcat(text, "1");
    for (int i = 0; i < 300; i++)
        strcat(text, ")");
    refused(&w, -EINVAL, "", text);
    memset(pattern, 'x', sizeof(pattern));
    snprintf(text, sizeof(text), "SELECT 'x' LIKE '%.*s'", (int)sizeof(pattern), pattern);
    refused(&w, -EINVAL, "pattern too complex", text);
    snprintf(text, sizeof(text), "SELECT ?17");
    refused(&w, -EINVAL, "variable number", text);
    world_close(&w);
}

TEST(text_with_bytes_that_are_no_text_comes_whole)
{
    struct world w = world_open();
    cJSON *out = sql(&w,
                     "SELECT 'a' || char(0) || 'b', CAST(x'61ff62' AS TEXT), char(0),"
                     " replace(printf('%.*c', 4096, 'x'), 'x', char(0))",
                     1);
    const cJSON *row = cJSON_GetArrayItem(cJSON_GetObjectItem(out, "rows"), 0);
    const char *dots = cJSON_GetStringValue(cJSON_GetArrayItem(row, 3));

    ASSERT_STR("a\xef\xbf\xbd"
               "b",
               cJSON_GetStringValue(cJSON_GetArrayItem(row, 0)));
    ASSERT_STR("a\xef\xbf\xbd"
               "b",
               cJSON_GetStringValue(cJSON_GetArrayItem(row, 1)));
    ASSERT_STR("\xef\xbf\xbd", cJSON_GetStringValue(cJSON_GetArrayItem(row, 2)));
    ASSERT_EQ(4096 / 3 * 3 + 3, strlen(dots)); /* it takes three bytes a character: cut */
    ASSERT_STR("...", dots + strlen(dots) - 3);
    cJSON_Delete(out);
    world_close(&w);
}

TEST(a_statement_has_a_deadline_and_a_limit_on_memory_and_reply)
{
    struct world w = world_open();
    cJSON *out;

    w.query->limit_ms = 50;
    refused(&w, -ETIMEDOUT, "and was stopped",
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n");
    w.query->limit_ms = 60000;
    refused(&w, -ERANGE, "MiB of memory",
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
            " SELECT printf('%.*c', 100000, 'x') || i FROM n ORDER BY 1");
    out = sql(&w,
              "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000)"
              " SELECT printf('%.*c', 100000, 'x') FROM n",
              1000);
    ASSERT(cJSON_IsTrue(cJSON_GetObjectItem(out, "more")));
    const cJSON *rows = cJSON_GetObjectItem(out, "rows");
    const char *cell = cJSON_GetStringValue(cJSON_GetArrayItem(cJSON_GetArrayItem(rows, 0), 0));
    ASSERT_EQ(4096 + 3, strlen(cell)); /* cut, with dots */
    char *text = cJSON_PrintUnformatted(out);
    ASSERT(strlen(text) < JSON_REPLY_BYTES_MAX);
    free(text);
    cJSON_Delete(out);
    world_close(&w);
}
