/* SQLite on the simulated disk. */
#ifndef STEPPE_TESTS_SIM_DISK_VFS_H
#define STEPPE_TESTS_SIM_DISK_VFS_H

/* From now on every connection is opened there. Call it once, before any other use of SQLite. */
void disk_vfs_use(void);

#endif
