/* What people said of the labels of a dataset, from state.db. */
#include <errno.h>
#include <string.h>

#include "common/verdict.h"
#include "server/query/query_internal.h"

/* Rows v that count: the newest of each sample, unless it withdraws. */
#define NEWEST                                                                                     \
    "v.verdict_id = (SELECT max(n.verdict_id) FROM verdict n"                                      \
    " WHERE n.data_id = v.data_id AND n.sample = v.sample) AND v.verdict <> 'none'"
#define COLUMNS "v.verdict_id, v.sample, v.verdict, v.label, v.note, v.who, v.unix_ms"

static int count(struct query *q, int64_t data, cJSON *out, struct errbuf *why)
{
    int64_t counts[VERDICT_KINDS] = {0}, total = 0;
    char name[16];
    sqlite3_stmt *stmt;
    int rc = db_query(&q->state,
                      "SELECT v.verdict, count(*) FROM verdict v WHERE v.data_id = ?1 AND " NEWEST
                      " GROUP BY v.verdict",
                      DB_ARGS(DB_I(data)), &stmt, why);

    if (rc != 0)
        return rc;
    while ((rc = db_step(&q->state, stmt, why)) > 0) {
        db_text(stmt, 0, name, sizeof(name));
        for (int i = 0; i < VERDICT_KINDS; i++)
            if (strcmp(name, verdict_names[i]) == 0)
                counts[i] = sqlite3_column_int64(stmt, 1);
        total += sqlite3_column_int64(stmt, 1);
    }
    sqlite3_finalize(stmt);
    cJSON *json = cJSON_AddObjectToObject(out, "counts");
    for (int i = VERDICT_NONE + 1; i < VERDICT_KINDS; i++)
        cJSON_AddNumberToObject(json, verdict_names[i], (double)counts[i]);
    cJSON_AddNumberToObject(out, "total", (double)total);
    return rc;
}

/* What people know the sample by; nothing where it has no name. */
static void add_uri(struct query *q, const char *sha256, int64_t sample, cJSON *row)
{
    sqlite3_stmt *stmt;
    int rc = db_query(&q->difficulty,
                      "SELECT m.uri FROM dataset d CROSS JOIN sample m WHERE d.sha256 = ?1"
                      " AND m.dataset_id = d.dataset_id AND m.sample_id = ?2",
                      DB_ARGS(DB_S(sha256), DB_I(sample)), &stmt, NULL);

    if (rc == 0 && db_step(&q->difficulty, stmt, NULL) > 0)
        query_add_text(row, "uri", stmt, 0);
    if (rc == 0)
        sqlite3_finalize(stmt);
}

static void add_row(struct query *q, const char *sha256, cJSON *rows, sqlite3_stmt *stmt)
{
    cJSON *row = cJSON_CreateObject();

    query_add_number(row, "number", stmt, 0);
    query_add_number(row, "sample", stmt, 1);
    query_add_text(row, "verdict", stmt, 2);
    query_add_number(row, "label", stmt, 3);
    for (int i = 4; i < 6; i++)
        if (sqlite3_column_bytes(stmt, i) > 0)
            query_add_text(row, i == 4 ? "note" : "who", stmt, i);
    query_add_number(row, "unix_ms", stmt, 6);
    add_uri(q, sha256, sqlite3_column_int64(stmt, 1), row);
    cJSON_AddItemToArray(rows, row);
}

static int list(struct query *q, int64_t data, const struct verdicts_ask *a, cJSON *out,
                struct errbuf *why)
{
    static const char newest[] = "SELECT " COLUMNS " FROM verdict v WHERE v.data_id = ?1"
                                 " AND v.sample > ?2 AND (?3 < 0 OR v.sample = ?3) AND " NEWEST
                                 " ORDER BY v.sample LIMIT ?4";
    static const char all[] = "SELECT " COLUMNS " FROM verdict v WHERE v.data_id = ?1"
                              " AND v.verdict_id > ?2 AND (?3 < 0 OR v.sample = ?3)"
                              " ORDER BY v.verdict_id LIMIT ?4";
    int64_t limit = query_limit(a->limit), found = 0;
    cJSON *rows = cJSON_AddArrayToObject(out, "rows");
    sqlite3_stmt *stmt;
    int rc =
        db_query(&q->state, a->history ? all : newest,
                 DB_ARGS(DB_I(data), DB_I(a->after), DB_I(a->sample), DB_I(limit + 1)), &stmt, why);

    if (rc != 0)
        return rc;
    while ((rc = db_step(&q->state, stmt, why)) > 0)
        if (++found <= limit)
            add_row(q, a->sha256, rows, stmt);
    sqlite3_finalize(stmt);
    cJSON_AddBoolToObject(out, "more", found > limit);
    return rc;
}

int query_verdicts(struct query *q, const struct verdicts_ask *a, cJSON **ret, struct errbuf *why)
{
    cJSON *out = cJSON_CreateObject();
    int64_t data = -1; /* of no row */
    int rc = query_begin(q, &q->state, true, why);

    if (rc == 0)
        rc = db_i64(&q->state, "SELECT data_id FROM judged WHERE sha256 = ?1",
                    DB_ARGS(DB_S(a->sha256)), &data, why);
    if (rc == -ENOENT)
        rc = 0;
    if (rc == 0)
        rc = count(q, data, out, why);
    if (rc == 0)
        rc = list(q, data, a, out, why);
    return query_end(&q->state, rc, out, ret);
}
