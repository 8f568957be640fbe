/* The keeper of the databases' write-ahead logs: looks every few seconds at logs that are larger
 * than DB_LOG_BYTES_MAX, says who keeps them so, and cuts them when nobody does any more.
 * Everything but the look itself is on the loop. */
#ifndef STEPPE_SERVER_JOBS_LOG_KEEPER_H
#define STEPPE_SERVER_JOBS_LOG_KEEPER_H

#include <stdbool.h>
#include <stdint.h>

#include "server/store/db_log.h"

struct lane;
struct service;

struct log_keeper {
    struct service *service;
    struct db_log logs[DB_LOG_FILES]; /* from the last check that had a reason */
    int64_t held_ms[DB_LOG_FILES];    /* monotonic, since when it is held; 0: not held */
    int64_t said_bytes[DB_LOG_FILES]; /* its size when that was logged */
    int64_t look_ms;
    bool looking;
};
void log_keeper_tick(struct log_keeper *k, struct lane *lane, int64_t now_ms);

#endif
