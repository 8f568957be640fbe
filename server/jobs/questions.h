/* People's questions in SQL: they wait for their turn, fair by asker, and are answered in cells
 * (cell/cells.h), several at a time. */
#ifndef STEPPE_SERVER_JOBS_QUESTIONS_H
#define STEPPE_SERVER_JOBS_QUESTIONS_H

#include <stdint.h>

#include "common/err.h"

struct questions;
struct request;
struct service;

/* program: the server's own, from which cells are made; NULL: this process has none, and each
 * question is told so. If cells cannot be made now, that is logged, and tried again with each
 * question. 0 or -errno; *ret is closed in any case. */
int questions_open(struct service *s, const char *program, struct questions **ret,
                   struct errbuf *why);
/* Answers rq. sql is borrowed from its message. */
void questions_ask(struct questions *q, struct request *rq, int64_t job, int64_t limit,
                   const char *sql);
unsigned questions_waiting(const struct questions *q);
/* Those that wait are dropped, those at work end now. NULL is fine, as below. */
void questions_stop(struct questions *q);
void questions_close(struct questions *q);

#endif
