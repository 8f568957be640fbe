/* Which other processes hold locks of a database, as the kernel knows it: for sentences to people.
 * Asked through descriptors that SQLite has open already: to open and close one of its files would
 * drop every lock of this process on it. */
#ifndef STEPPE_SERVER_STORE_DB_LOCKS_H
#define STEPPE_SERVER_STORE_DB_LOCKS_H

#include <stdbool.h>

#define DB_HOLDER_BYTES 128

/* Who keeps this process from writing or reading dir/name: "sqlite3 (pid 71)"; false: it cannot be
 * found out, or is over. A connection to the file must be open. */
bool db_locked_by(const char *dir, const char *name, char ret[DB_HOLDER_BYTES]);
/* Who reads an older state of it, so that its write-ahead log cannot be moved into the file:
 * "python3 (pid 71), sqlite3 (pid 80)"; false: no other process does. */
bool db_read_by(const char *dir, const char *name, char ret[DB_HOLDER_BYTES]);

#endif
