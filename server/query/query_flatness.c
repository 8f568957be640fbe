/* Measurements of flatness of a job, epoch by epoch, each with its lines. */
#include <errno.h>
#include <stdio.h>

#include "server/core/flatness_record.h"
#include "server/query/query_internal.h"

/* Of a row: what stands in column `from` and the next ones, as an array up to the first NULL. */
static cJSON *numbers(sqlite3_stmt *stmt, int from, int count)
{
    cJSON *list = cJSON_CreateArray();

    for (int i = from; i < from + count && sqlite3_column_type(stmt, i) != SQLITE_NULL; i++)
        cJSON_AddItemToArray(list, cJSON_CreateNumber(sqlite3_column_double(stmt, i)));
    return list;
}

static void add_number(cJSON *row, const char *name, sqlite3_stmt *stmt, int column)
{
    if (sqlite3_column_type(stmt, column) != SQLITE_NULL)
        cJSON_AddNumberToObject(row, name, sqlite3_column_double(stmt, column));
}

static cJSON *add_line(cJSON *lines, const unsigned char *name)
{
    cJSON *line = cJSON_CreateObject();

    cJSON_AddStringToObject(line, "name", (const char *)name);
    cJSON_AddArrayToObject(line, "t");
    cJSON_AddArrayToObject(line, "distance");
    cJSON_AddArrayToObject(line, "loss");
    cJSON_AddItemToArray(lines, line);
    return line;
}

static int add_lines(struct query *q, int64_t job, int64_t epoch, cJSON *row, struct errbuf *why)
{
    static const char *const keys[] = {"t", "distance", "loss"};
    cJSON *lines = cJSON_AddArrayToObject(row, "lines"), *line = NULL;
    sqlite3_stmt *stmt;
    int64_t at = -1;
    int rc = db_query(&q->difficulty,
                      "SELECT direction, name, t, distance, loss FROM v_flatness_line"
                      " WHERE job = ?1 AND epoch = ?2 ORDER BY direction, point",
                      DB_ARGS(DB_I(job), DB_I(epoch)), &stmt, why);

    if (rc != 0)
        return rc;
    while ((rc = db_step(&q->difficulty, stmt, why)) > 0) {
        if (sqlite3_column_int64(stmt, 0) != at)
            line = add_line(lines, sqlite3_column_text(stmt, 1));
        at = sqlite3_column_int64(stmt, 0);
        for (int i = 0; i < 3; i++)
            cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(line, keys[i]),
                                 cJSON_CreateNumber(sqlite3_column_double(stmt, 2 + i)));
    }
    sqlite3_finalize(stmt);
    return rc;
}

static cJSON *row_of(sqlite3_stmt *stmt)
{
    static const char *const names[] = {"epoch",     "samples", "loss",        "gradient_norm",
                                        "products",  "trace",   "trace_error", "probes",
                                        "sharpness", "rho"};
    cJSON *row = cJSON_CreateObject();

    for (int i = 0; i < (int)(sizeof(names) / sizeof(names[0])); i++)
        add_number(row, names[i], stmt, i);
    cJSON_AddItemToObject(row, "values", numbers(stmt, 10, FLATNESS_TOP));
    cJSON_AddItemToObject(row, "residuals", numbers(stmt, 10 + FLATNESS_TOP, FLATNESS_TOP));
    return row;
}

#define SELECT_ROW                                                                                 \
    "SELECT epoch, n_samples, loss, gradient_norm, n_products, trace, trace_error, n_probes,"      \
    " sharpness, rho, lambda1, lambda2, lambda3, lambda4, lambda5, residual1, residual2,"          \
    " residual3, residual4, residual5 FROM v_flatness WHERE job = ?1"

static int add_rows(struct query *q, const void *arg, cJSON *out, struct errbuf *why)
{
    const struct flatness_args *a = arg;
    cJSON *rows = cJSON_AddArrayToObject(out, "rows");
    sqlite3_stmt *stmt;
    int64_t count = 0;
    int rc = db_query(&q->difficulty, SELECT_ROW " AND epoch >= ?2 ORDER BY epoch LIMIT ?3",
                      DB_ARGS(DB_I(a->job), DB_I(a->from), DB_I(a->limit + 1)), &stmt, why);

    if (rc != 0)
        return rc;
    while ((rc = db_step(&q->difficulty, stmt, why)) > 0 && ++count <= a->limit) {
        cJSON *row = row_of(stmt);
        cJSON_AddItemToArray(rows, row);
        rc = add_lines(q, a->job, sqlite3_column_int64(stmt, 0), row, why);
        if (rc != 0)
            break;
    }
    sqlite3_finalize(stmt);
    cJSON_AddBoolToObject(out, "more", count > a->limit);
    return rc < 0 ? rc : 0;
}

int query_flatness(struct query *q, const struct flatness_args *a, cJSON **ret, struct errbuf *why)
{
    return query_of_job(q, a->job, add_rows, a, ret, why);
}

int query_flatness_newest(struct query *q, int64_t job, cJSON **ret, struct errbuf *why)
{
    cJSON *out = NULL;
    sqlite3_stmt *stmt;
    int rc = query_begin(q, &q->difficulty, true, why);

    if (rc == 0)
        rc = db_query(&q->difficulty, SELECT_ROW " ORDER BY epoch DESC LIMIT 1", DB_ARGS(DB_I(job)),
                      &stmt, why);
    if (rc == 0) {
        rc = db_step(&q->difficulty, stmt, why);
        if (rc > 0)
            out = row_of(stmt);
        sqlite3_finalize(stmt);
    }
    return query_end(&q->difficulty, rc < 0 ? rc : 0, out, ret);
}
