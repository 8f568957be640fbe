/* Questions in SQL, each answered in a process of its own (a cell): whatever a statement does, it
 * does it there, with its own memory and its own deadline, and its end is that of one question.
 *
 * A cell has no keys, no sockets but the one on which it answers, and no thread or memory of the
 * server: the keeper, of which it is a child, is this program started anew. It has difficulty.db
 * open to read, with the index of its log, and cannot open anything else (inmate.c). */
#ifndef STEPPE_SERVER_CELL_CELLS_H
#define STEPPE_SERVER_CELL_CELLS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "server/cell/keeper.h"
#include "server/query/query.h"

struct cells;

/* program: this one, for the keeper to run; dir: the state folder; both are borrowed. */
struct cells *cells_create(const char *program, const char *dir);
/* Starts the keeper, so that the first question need not wait for it; each question starts it as
 * well, when there is none. 0 or -errno. */
int cells_start(struct cells *c, struct errbuf *why);

/* The parts of the answer to a question, as text of JSON; cell_answer_done by the caller. */
struct cell_answer {
    char *columns, *rows;
    bool more;
};
/* Asks and waits; from any thread, from CELLS_MAX at once. As query_sql, and: -ETIMEDOUT, the cell
 * was ended at its deadline; -EIO, it ended before it answered; -EAGAIN, there is none;
 * -ESHUTDOWN, after cells_stop. A keeper that has ended is started again. */
int cells_ask(struct cells *c, const struct sql_args *a, struct cell_answer *ret,
              struct errbuf *why);
void cell_answer_done(struct cell_answer *a); /* a zeroed one is fine */

/* Ends the keeper and all cells at once; who waits in cells_ask is told. NULL is fine. */
void cells_stop(struct cells *c);
void cells_free(struct cells *c); /* nobody is in cells_ask any more; NULL is fine */

#endif
