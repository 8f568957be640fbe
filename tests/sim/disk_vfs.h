/* SQLite on the simulated disk. */
#ifndef STEPPE_TESTS_SIM_DISK_VFS_H
#define STEPPE_TESTS_SIM_DISK_VFS_H

#include <stdbool.h>
#include <stdint.h>

struct inode;

/* From now on every connection is opened there. Call it once, before any other use of SQLite. */
void disk_vfs_use(void);

/* Another program locks a database for so long, whatever becomes of the server: nobody else may
 * write it, with `all` nor read it. One at a time; false: it cannot have the lock now. */
bool disk_vfs_lock(struct inode *f, bool all, int64_t us);
/* Is there such a lock, on this file (NULL: on any)? It has the file's shared memory as well. */
bool disk_vfs_locked(const struct inode *f);
/* The machine lost its power, and the other program with it. */
void disk_vfs_crash(void);

#endif
