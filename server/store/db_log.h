/* The write-ahead logs of the two databases. A log grows while somebody reads an older state of its
 * file: what was written since cannot be moved past them. */
#ifndef STEPPE_SERVER_STORE_DB_LOG_H
#define STEPPE_SERVER_STORE_DB_LOG_H

#include <cjson/cJSON.h>
#include <stdint.h>

#include "common/err.h"
#include "server/store/db_locks.h"

#define DB_LOG_FILES 2
extern const char *const db_log_files[]; /* names of the databases, NULL-terminated */

struct db_log {
    int64_t bytes;                 /* of the file of the log */
    int64_t held_bytes;            /* the part that cannot be moved */
    char held_by[DB_HOLDER_BYTES]; /* "" : a question to this server itself */
};
/* The size of a file of the database dir/name, by its suffix: "", "-wal" or "-shm"; 0: there is
 * none. */
int64_t db_file_bytes(const char *dir, const char *name, const char *suffix);
/* Moves a log as far as possible, and cuts it when it is large. Uses its own connection, on any
 * thread, and keeps nobody from writing. -EBUSY: another connection is moving it. */
int db_log_settle(const char *dir, const char *name, struct db_log *ret, struct errbuf *why);
/* Both of them as {"state.db": {bytes, held_bytes, held_by?}, ..}. */
cJSON *db_log_rows(const char *dir);

#endif
