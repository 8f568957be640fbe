/* What is cut says so, and page after page gives everything, once and in order. */
#include <errno.h>
#include <string.h>

#include "common/bounds.h"
#include "server/query/query.h"
#include "tests/unit/server/store_fixture.h"

#define N 40
#define MEASURED 38
#define LONG 2345 /* epochs of a long job */

struct world {
    struct store *store;
    struct query *query;
    int64_t job, other;
};

static void fold(struct store *s, int64_t job, int64_t epoch)
{
    struct fixture_scores x = fixture_scores(job, epoch, N);
    char sha256[SHA256_HEX];
    struct errbuf why;

    ASSERT_OK(store_fold(s, &x.fold, sha256, &why), why);
    fixture_scores_done(&x);
}

static struct world world_open(void)
{
    struct world w = {.store = fixture_open()};
    struct errbuf why;

    fixture_dataset(w.store, N);
    w.job = fixture_job(w.store, 1);
    w.other = fixture_job(w.store, 2);
    for (int64_t e = 0; e < 3; e++)
        fold(w.store, w.job, e);
    fold(w.store, w.other, 0);
    ASSERT_OK(query_open(test_path("state"), &w.query, &why), why);
    return w;
}

static void world_close(struct world *w)
{
    query_close(w->query);
    store_close(w->store);
}

static void run_sql(sqlite3 *db, const char *sql)
{
    char *said = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &said) != SQLITE_OK)
        FAIL("%s: %s", sql, said);
}

/* Epochs 3 to LONG - 1 of the first job, with the score of sample 5, as epoch 2 has them. */
static void make_long(void)
{
    char path[600], sql[256];
    sqlite3 *db;

    snprintf(path, sizeof(path), "%s/difficulty.db", test_path("state"));
    ASSERT_EQ(SQLITE_OK, sqlite3_open(path, &db));
    run_sql(db, "CREATE TEMP TABLE e AS SELECT * FROM epoch WHERE job_id = 1 AND epoch = 2;"
                "CREATE TEMP TABLE s AS SELECT * FROM score WHERE job_id = 1 AND epoch = 2"
                " AND sample_id = 5; BEGIN");
    for (int i = 3; i < LONG; i++) {
        snprintf(sql, sizeof(sql),
                 "UPDATE e SET epoch = %d; INSERT INTO epoch SELECT * FROM e;"
                 "UPDATE s SET epoch = %d; INSERT INTO score SELECT * FROM s",
                 i, i);
        run_sql(db, sql);
    }
    run_sql(db, "COMMIT");
    sqlite3_close(db);
}

static int64_t number(const cJSON *json, const char *name)
{
    const cJSON *value = cJSON_GetObjectItem(json, name);

    if (!cJSON_IsNumber(value))
        FAIL("there is no number %s", name);
    return (int64_t)value->valuedouble;
}

static bool more(const cJSON *json)
{
    const cJSON *value = cJSON_GetObjectItem(json, "more");

    ASSERT(cJSON_IsBool(value));
    return cJSON_IsTrue(value);
}

typedef int answer(struct query *q, const struct ask *a, cJSON **ret, struct errbuf *why);

/* Every row is there once and where it stands in the whole list. */
static void check_pages(struct world *w, answer *f, const char *key, int64_t total)
{
    struct ask a = ASK;
    struct errbuf why;
    cJSON *whole, *page;

    a.job = w->job;
    a.other = w->other;
    a.limit = ROWS_MAX;
    ASSERT_OK(f(w->query, &a, &whole, &why), why);
    ASSERT_EQ(total, number(whole, "total"));
    ASSERT(!more(whole));
    const cJSON *rows = cJSON_GetObjectItem(whole, "rows");
    ASSERT_EQ(total, cJSON_GetArraySize(rows));
    a.limit = 3;
    for (a.first = 0; a.first < total; a.first += a.limit) {
        ASSERT_OK(f(w->query, &a, &page, &why), why);
        ASSERT_EQ(total, number(page, "total"));
        ASSERT_EQ(a.first + a.limit < total, more(page));
        const cJSON *row;
        int at = (int)a.first;
        cJSON_ArrayForEach(row, cJSON_GetObjectItem(page, "rows"))
            ASSERT_EQ(number(cJSON_GetArrayItem(rows, at++), key), number(row, key));
        ASSERT_EQ(a.first + a.limit < total ? a.first + a.limit : total, at);
        cJSON_Delete(page);
    }
    ASSERT_OK(f(w->query, &a, &page, &why), why);
    ASSERT_EQ(0, cJSON_GetArraySize(cJSON_GetObjectItem(page, "rows")));
    ASSERT(!more(page));
    cJSON_Delete(page);
    cJSON_Delete(whole);
}

TEST(ranked_lists_have_pages)
{
    struct world w = world_open();

    check_pages(&w, query_classes, "class", 10);
    check_pages(&w, query_domains, "domain", 3);
    check_pages(&w, query_risers, "sample", MEASURED);
    check_pages(&w, query_suspects, "sample", MEASURED);
    check_pages(&w, query_compare, "sample", MEASURED);
    check_pages(&w, query_map, "sample", MEASURED);
    world_close(&w);
}

static void check_top(struct world *w, struct top_args a, int64_t total)
{
    struct errbuf why;
    bool seen[N] = {false}, last = false;
    int64_t count = 0;
    cJSON *page;

    a.job = w->job;
    a.epoch = -1;
    a.limit = 7;
    for (; !last; a.first += a.limit) {
        ASSERT_OK(query_top(w->query, &a, &page, &why), why);
        ASSERT_EQ(total, number(page, "total"));
        last = !more(page);
        const cJSON *row;
        cJSON_ArrayForEach(row, cJSON_GetObjectItem(page, "rows"))
        {
            int64_t sample = number(row, "sample");
            ASSERT(sample >= 0 && sample < N && !seen[sample]);
            seen[sample] = true;
            count++;
        }
        cJSON_Delete(page);
    }
    ASSERT_EQ(total, count);
}

TEST(the_hardest_have_pages_too)
{
    struct world w = world_open();

    check_top(&w, (struct top_args){.by = BY_LOSS, .class_id = -1}, MEASURED);
    check_top(&w, (struct top_args){.by = BY_EL2N, .class_id = -1, .easiest = true},
              MEASURED); /* ties */
    check_top(&w, (struct top_args){.by = BY_ADM, .class_id = 3}, 4);
    world_close(&w);
}

TEST(a_long_trajectory_is_told_and_has_pages)
{
    struct world w = world_open();
    struct trajectory_args a = {.job = w.job, .sample = 5, .from = -1, .limit = ROWS_MAX};
    struct errbuf why;
    int64_t next = 0;
    cJSON *page;

    make_long();
    ASSERT_OK(query_trajectory(w.query, &a, &page, &why), why); /* the newest */
    ASSERT_EQ(LONG, number(page, "total"));
    ASSERT(more(page));
    const cJSON *rows = cJSON_GetObjectItem(page, "rows");
    ASSERT_EQ(ROWS_MAX, cJSON_GetArraySize(rows));
    ASSERT_EQ(LONG - ROWS_MAX, number(rows->child, "epoch"));
    ASSERT_EQ(LONG - 1, number(cJSON_GetArrayItem(rows, ROWS_MAX - 1), "epoch"));
    cJSON_Delete(page);
    for (bool go = true; go;) {
        a.from = next;
        ASSERT_OK(query_trajectory(w.query, &a, &page, &why), why);
        go = more(page);
        const cJSON *row;
        cJSON_ArrayForEach(row, cJSON_GetObjectItem(page, "rows"))
            ASSERT_EQ(next++, number(row, "epoch"));
        cJSON_Delete(page);
    }
    ASSERT_EQ(LONG, next);
    world_close(&w);
}

TEST(the_epochs_of_a_long_job_have_pages)
{
    struct world w = world_open();
    struct errbuf why;
    int64_t next = 0;
    cJSON *page;

    make_long();
    for (bool go = true; go;) {
        ASSERT_OK(query_epochs(w.query, w.job, next, &page, &why), why);
        go = more(page);
        const cJSON *row, *rows = cJSON_GetObjectItem(page, "epochs");
        ASSERT_EQ(go, cJSON_GetArraySize(rows) == ROWS_MAX);
        cJSON_ArrayForEach(row, rows) ASSERT_EQ(next++, number(row, "epoch"));
        cJSON_Delete(page);
    }
    ASSERT_EQ(LONG, next);
    world_close(&w);
}

TEST(events_say_whether_there_are_more)
{
    struct world w = world_open();
    struct errbuf why;
    int64_t after = 0, count = 0;
    cJSON *page;

    for (int i = 0; i < 7; i++)
        ASSERT_OK(store_event_add(w.store, w.job, "epoch", "x", &why), why);
    for (bool go = true; go;) {
        ASSERT_OK(query_events(w.query, w.job, after, 2, &page, &why), why);
        go = more(page);
        const cJSON *row;
        cJSON_ArrayForEach(row, cJSON_GetObjectItem(page, "events"))
        {
            ASSERT(number(row, "event") > after);
            after = number(row, "event");
            count++;
        }
        cJSON_Delete(page);
    }
    ASSERT(count >= 7);
    world_close(&w);
}
