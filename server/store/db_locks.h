/* Which other processes hold locks of a database, according to the kernel: for sentences to people.
 * Uses descriptors that SQLite already has open: opening and closing one of its files would drop
 * every lock of this process on it. */
#ifndef STEPPE_SERVER_STORE_DB_LOCKS_H
#define STEPPE_SERVER_STORE_DB_LOCKS_H

#include <stdbool.h>

#define DB_HOLDER_BYTES 128

/* Who keeps this process from writing or reading dir/name: "sqlite3 (pid 71)"; false: unknown, or
 * no longer. A connection to the file must be open. */
bool db_locked_by(const char *dir, const char *name, char ret[DB_HOLDER_BYTES]);
/* Who reads an older state of the file, so that its write-ahead log cannot be moved into it:
 * "python3 (pid 71), sqlite3 (pid 80)"; false: no other process does. */
bool db_read_by(const char *dir, const char *name, char ret[DB_HOLDER_BYTES]);

#endif
