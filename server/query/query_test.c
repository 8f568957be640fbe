/* What the test says of each class and domain. */
#include <errno.h>

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

static int add_groups(struct query *q, int64_t job, int64_t epoch, const char *kind,
                      const char *key, cJSON *out, struct errbuf *why)
{
    sqlite3_stmt *stmt;
    int rc = db_query(&q->difficulty,
                      "SELECT id, name, samples, accuracy, adv_accuracy FROM v_test_group"
                      " WHERE job = ?1 AND epoch = ?2 AND kind = ?3 ORDER BY id",
                      DB_ARGS(DB_I(job), DB_I(epoch), DB_S(kind)), &stmt, why);

    if (rc != 0)
        return rc;
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

int query_test(struct query *q, int64_t job, bool best, cJSON **ret, struct errbuf *why)
{
    cJSON *out = cJSON_CreateObject();
    int rc = query_begin(q, &q->difficulty, true, why);

    if (rc == 0)
        rc = test_of(q, job, best, out, why);
    return query_end(&q->difficulty, rc, out, ret);
}
