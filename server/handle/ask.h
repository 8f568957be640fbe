/* Where questions to difficulty.db are answered: on the query lane, or, where they have so many
 * rows to read that those of others would wait behind them, on the scan lane. */
#ifndef STEPPE_SERVER_HANDLE_ASK_H
#define STEPPE_SERVER_HANDLE_ASK_H

#include "server/net/op.h"

struct query;

/* The line for a request that is one: WAIT_ASK or WAIT_SCAN. */
enum wait_line ask_line(const struct request *rq);
/* As op_run, on the lane of the line that op.rq is in. */
void ask_run(struct op op);
/* On that lane: its connection. What it works on ends when nobody waits for op->rq any more. */
struct query *ask_query(struct op *op);

#endif
