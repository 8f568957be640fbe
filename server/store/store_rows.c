/* An eponymous virtual table with the columns c0 .. c12 and a hidden one, its argument. It can only
 * be read from its first row to its last; an INSERT ... SELECT needs no more. */
#include "server/store/store_rows.h"

#include <stdlib.h>

struct cursor {
    sqlite3_vtab_cursor base;
    const struct rows *rows;
    uint32_t at;
};

static int rows_connect(sqlite3 *sql, void *aux, int argc, const char *const *argv,
                        sqlite3_vtab **ret, char **error)
{
    (void)aux;
    (void)argc;
    (void)argv;
    (void)error;
    int result = sqlite3_declare_vtab(sql, "CREATE TABLE rows(c0, c1, c2, c3, c4, c5, c6, c7, c8,"
                                           " c9, c10, c11, c12, source HIDDEN)");
    if (result != SQLITE_OK)
        return result;
    *ret = calloc(1, sizeof(**ret));
    return *ret ? SQLITE_OK : SQLITE_NOMEM;
}

static int rows_disconnect(sqlite3_vtab *table)
{
    free(table);
    return SQLITE_OK;
}

/* It needs the condition `source = ?`. */
static int rows_best_index(sqlite3_vtab *table, sqlite3_index_info *info)
{
    (void)table;
    for (int i = 0; i < info->nConstraint; i++)
        if (info->aConstraint[i].usable && info->aConstraint[i].iColumn == ROWS_COLUMNS &&
            info->aConstraint[i].op == SQLITE_INDEX_CONSTRAINT_EQ) {
            info->aConstraintUsage[i].argvIndex = 1;
            info->aConstraintUsage[i].omit = 1;
            info->estimatedCost = 1;
            return SQLITE_OK;
        }
    return SQLITE_CONSTRAINT;
}

static int rows_open(sqlite3_vtab *table, sqlite3_vtab_cursor **ret)
{
    struct cursor *c = calloc(1, sizeof(*c));

    (void)table;
    if (!c)
        return SQLITE_NOMEM;
    *ret = &c->base;
    return SQLITE_OK;
}

static int rows_close(sqlite3_vtab_cursor *base)
{
    free(base);
    return SQLITE_OK;
}

static void skip_missing(struct cursor *c)
{
    while (c->at < c->rows->to && !c->rows->has(c->rows->arg, c->at))
        c->at++;
}

static int rows_filter(sqlite3_vtab_cursor *base, int index, const char *name, int argc,
                       sqlite3_value **argv)
{
    struct cursor *c = (struct cursor *)base;

    (void)index;
    (void)name;
    c->rows = argc == 1 ? sqlite3_value_pointer(argv[0], DB_POINTER_TYPE) : NULL;
    if (!c->rows)
        return SQLITE_MISUSE;
    c->at = c->rows->from;
    skip_missing(c);
    return SQLITE_OK;
}

static int rows_next(sqlite3_vtab_cursor *base)
{
    struct cursor *c = (struct cursor *)base;

    c->at++;
    skip_missing(c);
    return SQLITE_OK;
}

static int rows_eof(sqlite3_vtab_cursor *base)
{
    const struct cursor *c = (const struct cursor *)base;

    return c->at >= c->rows->to;
}

static int rows_column(sqlite3_vtab_cursor *base, sqlite3_context *ret, int column)
{
    const struct cursor *c = (const struct cursor *)base;

    if (column < ROWS_COLUMNS)
        c->rows->column(c->rows->arg, c->at, column, ret);
    return SQLITE_OK;
}

static int rows_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *ret)
{
    *ret = ((const struct cursor *)base)->at;
    return SQLITE_OK;
}

static const sqlite3_module module = {
    .xConnect = rows_connect,
    .xDisconnect = rows_disconnect,
    .xBestIndex = rows_best_index,
    .xOpen = rows_open,
    .xClose = rows_close,
    .xFilter = rows_filter,
    .xNext = rows_next,
    .xEof = rows_eof,
    .xColumn = rows_column,
    .xRowid = rows_rowid,
};

/* Is the row with the number in the second argument among the rows of the first? */
static const struct rows *rows_of(sqlite3_value **argv, uint32_t *ret_row)
{
    const struct rows *rows = sqlite3_value_pointer(argv[0], DB_POINTER_TYPE);
    int64_t row = sqlite3_value_int64(argv[1]);

    *ret_row = (uint32_t)row;
    return rows && row >= rows->from && row < rows->to ? rows : NULL;
}

static void row_value(sqlite3_context *ret, int argc, sqlite3_value **argv)
{
    uint32_t row;
    const struct rows *rows = rows_of(argv, &row);

    (void)argc;
    if (rows)
        rows->column(rows->arg, row, sqlite3_value_int(argv[2]), ret);
}

static void row_is_there(sqlite3_context *ret, int argc, sqlite3_value **argv)
{
    uint32_t row;
    const struct rows *rows = rows_of(argv, &row);

    (void)argc;
    sqlite3_result_int(ret, rows && rows->has(rows->arg, row));
}

int rows_register(struct db *db, struct errbuf *why)
{
    const int how = SQLITE_UTF8 | SQLITE_DIRECTONLY;

    if (sqlite3_create_module(db->sql, "rows", &module, NULL) != SQLITE_OK ||
        sqlite3_create_function(db->sql, "row_value", 3, how, NULL, row_value, NULL, NULL) !=
            SQLITE_OK ||
        sqlite3_create_function(db->sql, "row_is_there", 2, how, NULL, row_is_there, NULL, NULL) !=
            SQLITE_OK)
        return db_error(db, why);
    return 0;
}
