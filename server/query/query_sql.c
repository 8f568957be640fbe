/* A person's own SELECT, on a read-only connection, with the deadline of the queries. Besides, an
 * authorizer lets it only read tables and call functions that are known to be harmless; SQLite's
 * own limits are low, its memory is limited, and so is what is sent back. What takes long inside a
 * single function ends with the process that it runs in (server/cell). */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/bounds.h"
#include "common/text.h"
#include "server/query/query_internal.h"

#define CELL_BYTES_MAX 4096         /* longer text and blobs are cut */
#define REPLY_BYTES_MAX (768 << 10) /* a message has room for their escapes and names */
#define COLUMNS_MAX 32              /* as many as the table of the command has */

/* Of SQLite, lower than its own. Our views and those that people make of them stay far below. */
static const struct {
    int id, most;
} limits[] = {
    {SQLITE_LIMIT_LENGTH, 1 << 20}, /* bytes of any intermediate value */
    {SQLITE_LIMIT_SQL_LENGTH, JSON_REQUEST_BYTES_MAX},
    {SQLITE_LIMIT_COLUMN, 128},
    {SQLITE_LIMIT_EXPR_DEPTH, 100},
    {SQLITE_LIMIT_COMPOUND_SELECT, 50},
    {SQLITE_LIMIT_VDBE_OP, 100000},
    {SQLITE_LIMIT_FUNCTION_ARG, 32},
    {SQLITE_LIMIT_ATTACHED, 0},
    {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000},
    {SQLITE_LIMIT_VARIABLE_NUMBER, 16},
    {SQLITE_LIMIT_TRIGGER_DEPTH, 1},
    {SQLITE_LIMIT_WORKER_THREADS, 0},
};

/* What a statement may call: all of SQLite's that compute something of their arguments. Left out is
 * what loads code, makes blobs of any size at no cost, or tells of this process. */
static const char *const functions[] = {
    "->",
    "->>",
    "abs",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "avg",
    "ceil",
    "ceiling",
    "char",
    "coalesce",
    "concat",
    "concat_ws",
    "cos",
    "cosh",
    "count",
    "cume_dist",
    "current_date",
    "current_time",
    "current_timestamp",
    "date",
    "datetime",
    "degrees",
    "dense_rank",
    "exp",
    "first_value",
    "floor",
    "format",
    "glob",
    "group_concat",
    "hex",
    "if",
    "ifnull",
    "iif",
    "instr",
    "json",
    "json_array",
    "json_array_length",
    "json_each",
    "json_error_position",
    "json_extract",
    "json_group_array",
    "json_group_object",
    "json_insert",
    "json_object",
    "json_patch",
    "json_pretty",
    "json_quote",
    "json_remove",
    "json_replace",
    "json_set",
    "json_tree",
    "json_type",
    "json_valid",
    "julianday",
    "lag",
    "last_value",
    "lead",
    "length",
    "like",
    "likelihood",
    "likely",
    "ln",
    "log",
    "log10",
    "log2",
    "lower",
    "ltrim",
    "margin",
    "max",
    "median",
    "min",
    "mod",
    "nth_value",
    "ntile",
    "nullif",
    "octet_length",
    "percent_rank",
    "percentile",
    "percentile_cont",
    "percentile_disc",
    "pi",
    "pow",
    "power",
    "printf",
    "quote",
    "radians",
    "random",
    "rank",
    "replace",
    "round",
    "row_number",
    "rtrim",
    "sign",
    "sin",
    "sinh",
    "soundex",
    "sqlite_version",
    "sqrt",
    "strftime",
    "string_agg",
    "substr",
    "substring",
    "sum",
    "tan",
    "tanh",
    "time",
    "timediff",
    "total",
    "trim",
    "trunc",
    "typeof",
    "unhex",
    "unicode",
    "unixepoch",
    "unlikely",
    "upper",
};

static bool may_call(const char *name)
{
    for (size_t i = 0; name && i < sizeof(functions) / sizeof(functions[0]); i++)
        if (sqlite3_stricmp(name, functions[i]) == 0)
            return true;
    return false;
}

static int authorize(void *arg, int action, const char *a, const char *b, const char *schema,
                     const char *view)
{
    static const char *const pragmas[] = {"table_info", "table_xinfo",  "table_list",
                                          "index_list", "user_version", "application_id"};

    (void)arg;
    (void)schema;
    (void)view;
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE:
        return SQLITE_OK;
    case SQLITE_FUNCTION:
        return may_call(b) ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_PRAGMA:
        for (size_t i = 0; a && i < sizeof(pragmas) / sizeof(pragmas[0]); i++)
            if (sqlite3_stricmp(a, pragmas[i]) == 0)
                return SQLITE_OK;
        return SQLITE_DENY;
    default:
        return SQLITE_DENY;
    }
}

static int too_much_memory(struct errbuf *why)
{
    return err_set(why, -ERANGE, "the query needed more than %d MiB of memory",
                   (int)(QUERY_MEMORY_MAX >> 20));
}

/* SQLite's complaint about a person's statement is the answer, not a failure of the file. */
static int statement_error(struct query *q, struct errbuf *why)
{
    sqlite3 *sql = q->difficulty.sql;
    const char *said = sqlite3_errmsg(sql);

    if (strncmp(said, "not authorized", strlen("not authorized")) == 0)
        return err_set(why, -EPERM, "SQL: %s; a query may only read", said);
    switch (sqlite3_errcode(sql) & 0xff) {
    case SQLITE_ERROR:
    case SQLITE_TOOBIG:
    case SQLITE_MISMATCH:
    case SQLITE_RANGE:
        return err_set(why, -EINVAL, "SQL: %s", said);
    case SQLITE_AUTH:
        return err_set(why, -EPERM, "SQL: %s; a query may only read", said);
    case SQLITE_NOMEM:
        return too_much_memory(why);
    case SQLITE_INTERRUPT:
        if (q->over_memory)
            return too_much_memory(why);
        return err_set(why, -ETIMEDOUT, "the query took longer than %lld s and was stopped",
                       (long long)q->limit_ms / 1000);
    default:
        return db_error(&q->difficulty, why);
    }
}

static bool only_blanks(const char *s)
{
    return s[strspn(s, " \t\r\n;")] == '\0';
}

static int prepare(struct query *q, const struct sql_args *a, sqlite3_stmt **ret,
                   struct errbuf *why)
{
    sqlite3 *sql = q->difficulty.sql;
    const char *rest = "";
    sqlite3_stmt *stmt = NULL;

    sqlite3_set_authorizer(sql, authorize, NULL);
    int result = sqlite3_prepare_v2(sql, a->sql, -1, &stmt, &rest);
    int rc = result == SQLITE_OK ? 0 : statement_error(q, why);
    sqlite3_set_authorizer(sql, NULL, NULL);
    if (rc == 0 && !stmt)
        rc = err_set(why, -EINVAL, "SQL: there is no statement");
    if (rc == 0 && !only_blanks(rest))
        rc = err_set(why, -EINVAL, "SQL: one statement at a time; after it comes \"%.40s\"", rest);
    if (rc == 0 && !sqlite3_stmt_readonly(stmt))
        rc = err_set(why, -EPERM, "SQL: a query may only read");
    if (rc == 0 && sqlite3_column_count(stmt) > COLUMNS_MAX)
        rc = err_set(why, -ERANGE, "SQL: %d columns, allowed are %d", sqlite3_column_count(stmt),
                     COLUMNS_MAX);
    for (int i = 1; rc == 0 && i <= sqlite3_bind_parameter_count(stmt); i++) {
        const char *name = sqlite3_bind_parameter_name(stmt, i);
        if (!name || strcmp(name, ":job") != 0)
            rc = err_set(why, -EINVAL, "SQL: the parameter %s has no value; :job is the only one",
                         name ? name : "?");
        else if (a->job == 0)
            rc = err_set(why, -EINVAL, "SQL: :job has no value: no job was named");
        else
            sqlite3_bind_int64(stmt, i, a->job);
    }
    if (rc == 0)
        *ret = stmt;
    else
        sqlite3_finalize(stmt);
    return rc;
}

/* A number as JSON has it: whole ones beyond 2^53 keep their digits. */
static cJSON *integer_cell(int64_t v)
{
    char text[24];

    if (v > -(INT64_C(1) << 53) && v < INT64_C(1) << 53)
        return cJSON_CreateNumber((double)v);
    snprintf(text, sizeof(text), "%lld", (long long)v);
    return cJSON_CreateRaw(text);
}

static cJSON *real_cell(double v)
{
    return isfinite(v) ? cJSON_CreateNumber(v) : cJSON_CreateString(v > 0 ? "inf" : "-inf");
}

/* At most so many bytes of text, cut at a character; returns how many of `bytes` were taken. A zero
 * byte, which no string of JSON can have here, and what is not UTF-8 become U+FFFD. */
static size_t copy_text(const char *at, size_t bytes, size_t room, char *ret)
{
    static const char lost[] = "\xef\xbf\xbd";
    size_t done = 0, used = 0;

    while (done < bytes) {
        uint32_t code;
        bool shown;
        size_t n = text_next(at + done, bytes - done, &code, &shown);
        bool kept = code != 0 && code != TEXT_NO_CHARACTER;
        size_t needed = kept ? n : strlen(lost);
        if (used + needed > room)
            break;
        memcpy(ret + used, kept ? at + done : lost, needed);
        used += needed;
        done += n;
    }
    ret[used] = '\0';
    return done;
}

/* A blob is shown in hex. */
static cJSON *text_cell(sqlite3_stmt *stmt, int column, bool blob)
{
    char text[CELL_BYTES_MAX + 8];
    const unsigned char *at = sqlite3_column_blob(stmt, column);
    size_t bytes = (size_t)sqlite3_column_bytes(stmt, column), room = CELL_BYTES_MAX;
    size_t n = bytes < room / 2 ? bytes : room / 2;

    if (blob)
        text_hex(at, n, text);
    else
        n = copy_text((const char *)at, bytes, room, text);
    if (n < bytes)
        memcpy(text + strlen(text), "...", sizeof("..."));
    return cJSON_CreateString(text);
}

static cJSON *cell(sqlite3_stmt *stmt, int column, size_t *io_bytes)
{
    switch (sqlite3_column_type(stmt, column)) {
    case SQLITE_INTEGER:
        *io_bytes += 24;
        return integer_cell(sqlite3_column_int64(stmt, column));
    case SQLITE_FLOAT:
        *io_bytes += 26;
        return real_cell(sqlite3_column_double(stmt, column));
    case SQLITE_TEXT:
    case SQLITE_BLOB: {
        cJSON *text = text_cell(stmt, column, sqlite3_column_type(stmt, column) == SQLITE_BLOB);
        /* A control character takes six. */
        *io_bytes += 6 * strlen(text->valuestring) + 4;
        return text;
    }
    default:
        *io_bytes += 6;
        return cJSON_CreateNull();
    }
}

static int run(struct query *q, sqlite3_stmt *stmt, int64_t limit, cJSON *out, struct errbuf *why)
{
    cJSON *columns = cJSON_AddArrayToObject(out, "columns");
    cJSON *rows = cJSON_AddArrayToObject(out, "rows");
    int width = sqlite3_column_count(stmt), result;
    bool more = false;
    size_t bytes = 0;
    int64_t count = 0;

    for (int i = 0; i < width; i++) {
        const char *name = sqlite3_column_name(stmt, i);
        cJSON_AddItemToArray(columns, cJSON_CreateString(name ? name : ""));
        bytes += 6 * strlen(name ? name : "");
    }
    while ((result = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (count == limit || bytes > REPLY_BYTES_MAX) {
            more = true;
            break;
        }
        cJSON *row = cJSON_CreateArray();
        for (int i = 0; i < width; i++)
            cJSON_AddItemToArray(row, cell(stmt, i, &bytes));
        if (bytes > REPLY_BYTES_MAX && count > 0) {
            cJSON_Delete(row);
            more = true;
            break;
        }
        cJSON_AddItemToArray(rows, row);
        count++;
    }
    cJSON_AddBoolToObject(out, "more", more);
    return more || result == SQLITE_DONE ? 0 : statement_error(q, why);
}

int query_sql(struct query *q, const struct sql_args *a, cJSON **ret, struct errbuf *why)
{
    cJSON *out = cJSON_CreateObject();
    sqlite3_stmt *stmt = NULL;
    int64_t dataset;
    int rc = query_begin(q, &q->difficulty, true, why);

    if (rc == 0 && a->job)
        rc = query_job(q, a->job, &dataset, why);
    q->over_memory = false;
    q->memory_max = sqlite3_memory_used() + QUERY_MEMORY_MAX;
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
        sqlite3_limit(q->difficulty.sql, limits[i].id, limits[i].most);
    if (rc == 0)
        rc = prepare(q, a, &stmt, why);
    if (rc == 0)
        rc = run(q, stmt, query_limit(a->limit), out, why);
    sqlite3_finalize(stmt);
    q->memory_max = INT64_MAX;
    q->over_memory = false;
    return query_end(&q->difficulty, rc, out, ret);
}
