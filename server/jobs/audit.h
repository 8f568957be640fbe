/* The audit log: every command that changes something, with the key that sent it, from where, when,
 * and what came of it. The answer to a command waits until its row is in state.db: what was
 * acknowledged is on record. Rows that are ready at the same time are written together.
 *
 * While state.db cannot be written, commands are answered as they would be without a log; their
 * rows wait in memory, at most AUDIT_WAITING_MAX, and are written when it can be. Rows that had no
 * room are counted in the server's log. On the loop. */
#ifndef STEPPE_SERVER_JOBS_AUDIT_H
#define STEPPE_SERVER_JOBS_AUDIT_H

#include <stdint.h>

#include "server/net/request.h"

struct audit;

struct audit *audit_open(struct service *service);
/* As net->record. */
void audit_answer(struct request *rq, struct answer *answer);
/* Tries again to write rows that wait. */
void audit_tick(struct audit *a, int64_t now_ms);
/* The store's lane is about to close: nothing is written any more. Commands that are answered
 * later are not recorded. */
void audit_end(struct audit *a);
void audit_close(struct audit *a); /* NULL is fine */

#endif
