/* What the test says of each class and domain. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "server/query/query_internal.h"

/* The committed epoch with a test that was validated best, or the last one; -ENOENT. */
static int find_epoch(struct query *q, int64_t job, bool best, int64_t *ret, struct errbuf *why)
{
#define TESTED                                                                                     \
    "SELECT e.epoch FROM epoch e WHERE e.job_id = ?1 AND e.state = 'committed' AND EXISTS"         \
    " (SELECT 1 FROM test_group g WHERE g.job_id = e.job_id AND g.epoch = e.epoch) ORDER BY "
    return db_i64(&q->difficulty,
                  best ? TESTED "e.validation_accuracy DESC, e.epoch LIMIT 1"
                       : TESTED "e.epoch DESC LIMIT 1",
                  DB_ARGS(DB_I(job)), ret, why);
#undef TESTED
}

/* The rows of stmt, which it ends, under `key`. */
static int add_rows(struct query *q, sqlite3_stmt *stmt, const char *kind, const char *key,
                    cJSON *out, struct errbuf *why)
{
    int rc;

    cJSON *rows = cJSON_AddArrayToObject(out, key);
    while ((rc = db_step(&q->difficulty, stmt, why)) > 0) {
        cJSON *row = cJSON_CreateObject();
        query_add_number(row, kind, stmt, 0);
        query_add_text(row, "name", stmt, 1);
        query_add_number(row, "samples", stmt, 2);
        query_add_number(row, "accuracy", stmt, 3);
        query_add_number(row, "adv_accuracy", stmt, 4);
        cJSON_AddItemToArray(rows, row);
    }
    sqlite3_finalize(stmt);
    return rc;
}

static int add_groups(struct query *q, int64_t job, int64_t epoch, const char *kind,
                      const char *key, cJSON *out, struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int64_t count;
    char name[24];
    int rc = db_i64(&q->difficulty,
                    "SELECT count(*) FROM v_test_group WHERE job = ?1 AND epoch = ?2 AND kind = ?3",
                    DB_ARGS(DB_I(job), DB_I(epoch), DB_S(kind)), &count, why);

    if (rc == 0)
        rc =
            db_query(&q->difficulty,
                     "SELECT id, name, samples, accuracy, adv_accuracy FROM v_test_group"
                     " WHERE job = ?1 AND epoch = ?2 AND kind = ?3 ORDER BY id LIMIT ?4",
                     DB_ARGS(DB_I(job), DB_I(epoch), DB_S(kind), DB_I(CLASS_ROWS_MAX)), &stmt, why);
    if (rc != 0)
        return rc;
    snprintf(name, sizeof(name), "%s_count", kind);
    if (count > CLASS_ROWS_MAX)
        cJSON_AddNumberToObject(out, name, (double)count);
    return add_rows(q, stmt, kind, key, out, why);
}

static int test_of(struct query *q, int64_t job, bool best, cJSON *out, struct errbuf *why)
{
    int64_t epoch;
    int rc = find_epoch(q, job, best, &epoch, why);

    if (rc == -ENOENT)
        return 0;
    if (rc == 0) {
        cJSON_AddNumberToObject(out, "epoch", (double)epoch);
        rc = add_groups(q, job, epoch, "class", "classes", out, why);
    }
    return rc < 0 ? rc : add_groups(q, job, epoch, "domain", "domains", out, why);
}

int query_keeps_tests(struct query *q, int64_t job, bool *ret, struct errbuf *why)
{
    int64_t kept = 0;
    int rc = query_begin(q, &q->difficulty, true, why);

    if (rc == 0)
        rc = db_i64(&q->difficulty, "SELECT EXISTS (SELECT 1 FROM test_score WHERE job_id = ?1)",
                    DB_ARGS(DB_I(job)), &kept, why);
    *ret = kept;
    return query_end(&q->difficulty, rc, NULL, NULL);
}

/* Which epoch, and is there what was asked for? */
static int check_tested(struct query *q, const struct ask *a, const char *kind, int64_t *io_epoch,
                        struct errbuf *why)
{
    const char *what = strcmp(kind, "class") == 0 ? "classes" : "domains";
    int64_t last, groups;
    int rc = find_epoch(q, a->job, false, &last, why);

    if (rc == -ENOENT)
        return err_set(why, rc, "job %lld has no test", (long long)a->job);
    if (rc == 0 && *io_epoch < 0)
        *io_epoch = last;
    if (rc == 0)
        rc = db_i64(&q->difficulty,
                    "SELECT count(*) FROM v_test_group WHERE job = ?1 AND epoch = ?2 AND kind = ?3",
                    DB_ARGS(DB_I(a->job), DB_I(*io_epoch), DB_S(kind)), &groups, why);
    if (rc == 0 && groups == 0)
        rc = err_set(why, -ENOENT,
                     "epoch %lld of job %lld has no test by %s; the last test is of epoch %lld",
                     (long long)*io_epoch + 1, (long long)a->job, what, (long long)last + 1);
    if (rc == 0 && (a->by != BY_ACCURACY || (a->class_id >= 0 && strcmp(kind, "class") != 0)))
        rc = err_set(why, -ENOENT,
                     "job %lld keeps of its test only how many samples of each group are right; a "
                     "job with score.splits both keeps their scores",
                     (long long)a->job);
    return rc;
}

static int tested_groups(struct query *q, const struct ask *a, const char *kind, cJSON *out,
                         struct errbuf *why)
{
    int64_t dataset, epoch = a->epoch, total = 0;
    sqlite3_stmt *stmt;
    size_t from;
    int rc = query_job(q, a->job, &dataset, why);

    if (rc == 0)
        rc = check_tested(q, a, kind, &epoch, why);
    if (rc == 0)
        rc = db_i64(&q->difficulty,
                    "SELECT count(*) FROM v_test_group WHERE job = ?1 AND epoch = ?2 AND kind = ?3"
                    " AND (?4 < 0 OR id = ?4)",
                    DB_ARGS(DB_I(a->job), DB_I(epoch), DB_S(kind), DB_I(a->class_id)), &total, why);
    if (rc == 0)
        rc = db_query(&q->difficulty,
                      "SELECT id, name, samples, accuracy, adv_accuracy FROM v_test_group"
                      " WHERE job = ?1 AND epoch = ?2 AND kind = ?3 AND (?4 < 0 OR id = ?4)"
                      " ORDER BY accuracy, id LIMIT ?5 OFFSET ?6",
                      DB_ARGS(DB_I(a->job), DB_I(epoch), DB_S(kind), DB_I(a->class_id),
                              DB_I(query_limit(a->limit)), DB_I(a->first)),
                      &stmt, why);
    if (rc != 0)
        return rc;
    cJSON_AddNumberToObject(out, "epoch", (double)epoch);
    cJSON_AddStringToObject(out, "by", query_group_names[a->by]);
    query_page(a->first, a->limit, (size_t)total, &from, out);
    return add_rows(q, stmt, kind, "rows", out, why);
}

int query_tested_groups(struct query *q, const struct ask *a, const char *kind, cJSON **ret,
                        struct errbuf *why)
{
    cJSON *out = cJSON_CreateObject();
    int rc = query_begin(q, &q->difficulty, true, why);

    if (rc == 0)
        rc = tested_groups(q, a, kind, out, why);
    return query_end(&q->difficulty, rc, out, ret);
}

int query_test(struct query *q, int64_t job, bool best, cJSON **ret, struct errbuf *why)
{
    cJSON *out = cJSON_CreateObject();
    int rc = query_begin(q, &q->difficulty, true, why);

    if (rc == 0)
        rc = test_of(q, job, best, out, why);
    return query_end(&q->difficulty, rc, out, ret);
}
