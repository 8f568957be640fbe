/* Metrics of a job by name, epoch by epoch. */
#include <errno.h>
#include <string.h>

#include "server/query/query_internal.h"

/* A reply has whole epochs, and ends behind the one that exceeds this: together with a last one of
 * METRICS_MAX names it is within JSON_REPLY_BYTES_MAX. */
#define REPLY_BYTES (JSON_REPLY_BYTES_MAX / 2)
#define VALUE_BYTES 32 /* of a number in JSON, with what stands around it and its name */

static int add_values(struct query *q, sqlite3_stmt *stmt, int64_t epoch, cJSON *values,
                      size_t *io_bytes, struct errbuf *why)
{
    int rc;

    sqlite3_bind_int64(stmt, 2, epoch);
    while ((rc = db_step(&q->difficulty, stmt, why)) > 0) {
        const char *name = (const char *)sqlite3_column_text(stmt, 0);
        cJSON_AddNumberToObject(values, name, sqlite3_column_double(stmt, 1));
        *io_bytes += 2 * strlen(name) + VALUE_BYTES; /* twice: escapes */
    }
    sqlite3_reset(stmt);
    return rc;
}

static int add_rows(struct query *q, const void *arg, cJSON *out, struct errbuf *why)
{
    const struct metrics_args *a = arg;
    cJSON *rows = cJSON_AddArrayToObject(out, "rows");
    sqlite3_stmt *epochs, *values = NULL;
    int64_t count = 0;
    size_t bytes = 0;
    int rc = db_query(&q->difficulty,
                      "SELECT epoch, committed_unix_ms FROM epoch WHERE job_id = ?1 AND epoch >= ?2"
                      " AND state = 'committed' ORDER BY epoch",
                      DB_ARGS(DB_I(a->job), DB_I(a->from)), &epochs, why);

    if (rc != 0)
        return rc;
    rc = db_query(&q->difficulty,
                  "SELECT name, value FROM v_metric WHERE job = ?1 AND epoch = ?2 ORDER BY name",
                  DB_ARGS(DB_I(a->job)), &values, why);
    while (rc == 0 && (rc = db_step(&q->difficulty, epochs, why)) > 0 && count < a->limit &&
           bytes < REPLY_BYTES) {
        cJSON *row = cJSON_CreateObject();
        query_add_number(row, "epoch", epochs, 0);
        query_add_number(row, "unix_ms", epochs, 1);
        cJSON_AddItemToArray(rows, row);
        rc = add_values(q, values, sqlite3_column_int64(epochs, 0),
                        cJSON_AddObjectToObject(row, "metrics"), &bytes, why);
        bytes += 2 * VALUE_BYTES;
        count++;
    }
    sqlite3_finalize(epochs);
    sqlite3_finalize(values);
    cJSON_AddBoolToObject(out, "more", rc > 0);
    return rc < 0 ? rc : 0;
}

int query_metrics(struct query *q, const struct metrics_args *a, cJSON **ret, struct errbuf *why)
{
    return query_of_job(q, a->job, add_rows, a, ret, why);
}
