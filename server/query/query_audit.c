/* The audit log, from state.db. */
#include "server/query/query_internal.h"

static void add_row(cJSON *rows, sqlite3_stmt *stmt)
{
    static const char *const texts[] = {"key",   "role",   "address", "command",
                                        "about", "result", "text"};
    cJSON *row = cJSON_CreateObject();

    query_add_number(row, "number", stmt, 0);
    query_add_number(row, "unix_ms", stmt, 1);
    for (int i = 0; i < 7; i++)
        if (sqlite3_column_bytes(stmt, 2 + i) > 0)
            query_add_text(row, texts[i], stmt, 2 + i);
    cJSON_AddItemToArray(rows, row);
}

static int list(struct query *q, const struct audit_ask *a, cJSON *out, struct errbuf *why)
{
    const int64_t limit = query_limit(a->limit);
    int64_t found = 0;
    cJSON *rows = cJSON_AddArrayToObject(out, "rows");
    sqlite3_stmt *stmt;
    int rc = db_query(&q->state,
                      "SELECT number, unix_ms, key, role, address, command, about, result, text"
                      " FROM audit WHERE number < ?1 AND unix_ms >= ?2 AND unix_ms < ?3"
                      " AND (?4 IS NULL OR key = ?4)"
                      " AND (?5 IS NULL OR command = ?5"
                      "      OR substr(command, 1, length(?5) + 1) = ?5 || '.')"
                      " AND (?6 IS NULL OR about = ?6)"
                      " AND (?7 IS NULL OR result = ?7 OR (?7 = 'refused' AND result <> 'ok'))"
                      " ORDER BY number DESC LIMIT ?8",
                      DB_ARGS(DB_I(a->before), DB_I(a->since), DB_I(a->until), DB_S(a->key),
                              DB_S(a->command), DB_S(a->about), DB_S(a->result), DB_I(limit + 1)),
                      &stmt, why);

    if (rc != 0)
        return rc;
    while ((rc = db_step(&q->state, stmt, why)) > 0)
        if (++found <= limit)
            add_row(rows, stmt);
    sqlite3_finalize(stmt);
    cJSON_AddBoolToObject(out, "more", found > limit);
    return rc;
}

int query_audit(struct query *q, const struct audit_ask *a, cJSON **ret, struct errbuf *why)
{
    cJSON *out = cJSON_CreateObject();
    int rc = query_begin(q, &q->state, true, why);

    if (rc == 0)
        rc = list(q, a, out, why);
    return query_end(&q->state, rc, out, ret);
}
