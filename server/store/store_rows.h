/* Rows from memory as an SQL table: `INSERT OR FAIL INTO t SELECT ?2, c0, c1 FROM rows(?1)` run
 * with DB_ARGS(DB_P(&rows), DB_I(job)). One statement writes a whole slice, in half the time that a
 * bind and a step for each row take. With OR FAIL SQLite makes no copies of pages to undo only the
 * statement: it runs in a transaction that is rolled back when it fails. */
#ifndef STEPPE_SERVER_STORE_STORE_ROWS_H
#define STEPPE_SERVER_STORE_STORE_ROWS_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/store/db.h"

#define ROWS_COLUMNS 13 /* c0 .. c12 */

struct rows {
    uint32_t from, to; /* numbers of the rows, given in this order */
    const void *arg;
    /* Is there such a row? */
    bool (*has)(const void *arg, uint32_t row);
    /* Sets column c<column> of a row with sqlite3_result_*; if it sets nothing, the column is
     * NULL. */
    void (*column)(const void *arg, uint32_t row, int column, sqlite3_context *ret);
};

/* Registers rows() with the connection, and the functions that an UPDATE needs: row_is_there(?1,
 * row), and row_value(?1, row, k), the row's column c<k>. */
int rows_register(struct db *db, struct errbuf *why);

#endif
