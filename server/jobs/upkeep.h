/* Keeps the databases in order while jobs run: backups, checks, compaction, and the retention
 * policy. One task at a time, in slices; a request for the running task waits for the same
 * answer. */
#ifndef STEPPE_SERVER_JOBS_UPKEEP_H
#define STEPPE_SERVER_JOBS_UPKEEP_H

#include "server/jobs/log_keeper.h"
#include "server/net/request.h"
#include "server/store/store_upkeep.h"

struct upkeep;

/* Backups that `db.backup` keeps when the request does not say how many. */
#define BACKUPS_KEPT 5
#define BACKUPS_MAX 100

enum upkeep_task {
    UPKEEP_NONE,
    UPKEEP_RETIRE, /* the policy's own look */
    UPKEEP_COMPACT,
    UPKEEP_BACKUP,
    UPKEEP_CHECK,
    UPKEEP_TASKS
};

int upkeep_open(struct service *s, const struct retention *policy, struct upkeep **ret,
                struct errbuf *why);
/* Ends the running slice and answers waiting requests. Before the lanes are closed; NULL is
 * fine. */
void upkeep_stop(struct upkeep *u);
/* Once the lanes are closed, before the store is. NULL is fine. */
void upkeep_close(struct upkeep *u);
/* Does a task that a person asked for and answers rq when it is done; keep: copies that a backup
 * leaves, at most BACKUPS_MAX. */
void upkeep_ask(struct upkeep *u, struct request *rq, enum upkeep_task task, int64_t keep);
/* Looks at the retention policy, at the start and then every minute, and at uploads and logs;
 * called a few times a second. */
void upkeep_tick(struct upkeep *u, int64_t now_ms);
/* The watch on the write-ahead logs. */
const struct log_keeper *upkeep_logs(const struct upkeep *u);
/* Is there room for another job? -ERANGE: difficulty.db is above --max-db. */
int upkeep_room(const struct upkeep *u, struct errbuf *why);

#endif
