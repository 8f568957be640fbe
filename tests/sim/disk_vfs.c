/* SQLite's view of the simulated disk: a VFS, made the default one. Reads and writes are those of
 * the mapped file; locks and the shared memory of the write-ahead log are kept in the inode and die
 * with the process, as the kernel's do; those of another program outlive the server. As unix's VFS,
 * the first sync of a log or journal makes its name durable too. */
#include "tests/sim/disk_vfs.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/disk.h"
#include "tests/sim/journal.h"
#include "tests/sim/own.h"
#include "tests/sim/world.h"

struct vfs_file {
    sqlite3_file base; /* first: SQLite knows only this */
    struct inode *f;
    const char *path; /* SQLite keeps it as long as the file is open; NULL: temporary */
    bool sync_name, delete_at_close, keep_log;
    int lock; /* SQLITE_LOCK_... */
    bool has_shm;
    int error; /* errno of the last failure */
};

/* Of the write-ahead log's locks: the one of who writes, and with those behind it of everybody. */
#define WRITE_LOCK 0

static struct {
    struct inode *locked; /* by another program; NULL: none */
    bool all;
    int64_t until_us, number;
    int64_t waited_us, waiting_us; /* for it, and the time of the world at which that was */
    int error;                     /* errno of the last failure of any file */
} other;

static struct vfs_file *file_of(sqlite3_file *base)
{
    return (struct vfs_file *)(void *)base;
}

static bool fails(struct vfs_file *v, int error)
{
    if (error)
        v->error = other.error = error;
    return error != 0;
}

/* True: the disk takes nothing. */
static bool refuses(struct vfs_file *v)
{
    int error = disk_operation();

    return fails(v, disk_error() ? disk_error() : error);
}

static int vfs_read(sqlite3_file *base, void *out, int bytes, sqlite3_int64 at)
{
    const struct inode *f = file_of(base)->f;
    size_t have = disk_bytes(f), from = (size_t)at, n = (size_t)bytes;

    if (from + n <= have) {
        memcpy(out, f->live + from, n);
        return SQLITE_OK;
    }
    memset(out, 0, n);
    if (from < have)
        memcpy(out, f->live + from, have - from);
    return SQLITE_IOERR_SHORT_READ;
}

static int vfs_write(sqlite3_file *base, const void *data, int bytes, sqlite3_int64 at)
{
    struct vfs_file *v = file_of(base);
    size_t end = (size_t)at + (size_t)bytes;

    if (refuses(v))
        return v->error == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    if (end > disk_bytes(v->f))
        disk_resize(v->f, end);
    memcpy(v->f->live + at, data, (size_t)bytes);
    disk_touch(v->f, (size_t)at, end);
    return SQLITE_OK;
}

static int vfs_truncate(sqlite3_file *base, sqlite3_int64 bytes)
{
    if (fails(file_of(base), disk_operation()))
        return SQLITE_IOERR_TRUNCATE;
    disk_resize(file_of(base)->f, (size_t)bytes);
    return SQLITE_OK;
}

static int vfs_sync(sqlite3_file *base, int flags)
{
    struct vfs_file *v = file_of(base);

    (void)flags;
    if (fails(v, disk_operation()))
        return SQLITE_IOERR_FSYNC;
    disk_sync(v->f);
    if (v->sync_name)
        disk_sync(disk_folder_of(v->path));
    v->sync_name = false;
    return SQLITE_OK;
}

static int vfs_size(sqlite3_file *base, sqlite3_int64 *ret)
{
    *ret = (sqlite3_int64)disk_bytes(file_of(base)->f);
    return SQLITE_OK;
}

/* --- locks --- */

static int vfs_lock(sqlite3_file *base, int level)
{
    struct vfs_file *v = file_of(base);
    struct vfs_locks *l = &v->f->locks;

    if (v->lock >= level)
        return SQLITE_OK;
    if ((l->pending && l->pending != v) || (l->exclusive && l->exclusive != v))
        return SQLITE_BUSY;
    if (level == SQLITE_LOCK_SHARED) {
        l->shared++;
    } else if (level == SQLITE_LOCK_RESERVED) {
        if (l->reserved && l->reserved != v)
            return SQLITE_BUSY;
        l->reserved = v;
    } else {
        if (l->reserved && l->reserved != v)
            return SQLITE_BUSY;
        l->pending = v;
        v->lock = SQLITE_LOCK_PENDING;
        if (l->shared > 1)
            return SQLITE_BUSY;
        l->exclusive = v;
    }
    v->lock = level;
    return SQLITE_OK;
}

static int vfs_unlock(sqlite3_file *base, int level)
{
    struct vfs_file *v = file_of(base);
    struct vfs_locks *l = &v->f->locks;

    if (v->lock <= level)
        return SQLITE_OK;
    l->reserved = l->reserved == v ? NULL : l->reserved;
    l->pending = l->pending == v ? NULL : l->pending;
    l->exclusive = l->exclusive == v ? NULL : l->exclusive;
    if (level == SQLITE_LOCK_NONE)
        l->shared--;
    v->lock = level;
    return SQLITE_OK;
}

static int vfs_check(sqlite3_file *base, int *ret)
{
    *ret = file_of(base)->f->locks.reserved != NULL;
    return SQLITE_OK;
}

/* --- another program --- */

static void unlock(void)
{
    if (other.locked)
        note("locked on=0");
    other.locked = NULL;
}

static void on_unlock(void *arg, int64_t number)
{
    (void)arg;
    if (number == other.number)
        unlock();
}

bool disk_vfs_locked(const struct inode *f)
{
    return other.locked && (!f || other.locked == f);
}

bool disk_vfs_lock(struct inode *f, bool all, int64_t us)
{
    for (int i = 0; i < SHM_LOCKS; i++)
        if (other.locked || f->locks.shm_exclusive[i] || f->locks.shm_shared[i])
            return false;
    other.locked = f;
    other.all = all;
    other.until_us = world_now_us() + us;
    note("locked on=1 all=%d", all);
    world_after(us, on_unlock, NULL, ++other.number);
    return true;
}

void disk_vfs_crash(void)
{
    unlock();
}

/* Has another program one of these locks? */
static bool is_taken(const struct vfs_file *v, int offset, int n)
{
    return disk_vfs_locked(v->f) &&
           (other.all || (offset <= WRITE_LOCK && WRITE_LOCK < offset + n));
}

/* The clock of the world stands still while the server works: it waits in time of its own, at the
 * end of which the other program may be through. */
static int wait_for_others(sqlite3_vfs *of, int us)
{
    (void)of;
    if (other.waiting_us != world_now_us())
        other.waited_us = 0;
    other.waiting_us = world_now_us();
    other.waited_us += us;
    if (other.locked && world_now_us() + other.waited_us >= other.until_us)
        unlock();
    return us;
}

/* --- shared memory of the log --- */

static int vfs_shm_map(sqlite3_file *base, int region, int bytes, int extend, void volatile **ret)
{
    struct vfs_file *v = file_of(base);
    struct vfs_locks *l = &v->f->locks;

    if (!v->has_shm)
        l->users++;
    v->has_shm = true;
    *ret = NULL;
    if (region >= SHM_REGIONS)
        return SQLITE_IOERR_SHMMAP;
    if (!l->regions[region] && extend)
        l->regions[region] = own_calloc(1, (size_t)bytes);
    *ret = l->regions[region];
    return SQLITE_OK;
}

static int vfs_shm_lock(sqlite3_file *base, int offset, int n, int flags)
{
    struct vfs_file *v = file_of(base);
    struct vfs_locks *l = &v->f->locks;
    bool exclusive = flags & SQLITE_SHM_EXCLUSIVE;

    if ((flags & SQLITE_SHM_LOCK) && is_taken(v, offset, n))
        return SQLITE_BUSY;
    for (int i = offset; i < offset + n && (flags & SQLITE_SHM_LOCK); i++)
        if (l->shm_exclusive[i] || (exclusive && l->shm_shared[i]))
            return SQLITE_BUSY;
    for (int i = offset; i < offset + n; i++) {
        if (exclusive)
            l->shm_exclusive[i] = flags & SQLITE_SHM_LOCK ? v : NULL;
        else
            l->shm_shared[i] += flags & SQLITE_SHM_LOCK ? 1 : -1;
    }
    return SQLITE_OK;
}

static void vfs_shm_barrier(sqlite3_file *base)
{
    (void)base;
}

static int vfs_shm_unmap(sqlite3_file *base, int remove)
{
    struct vfs_file *v = file_of(base);
    struct vfs_locks *l = &v->f->locks;

    (void)remove;
    if (!v->has_shm)
        return SQLITE_OK;
    v->has_shm = false;
    if (--l->users > 0 || disk_vfs_locked(v->f))
        return SQLITE_OK;
    for (int i = 0; i < SHM_REGIONS; i++) {
        free(l->regions[i]);
        l->regions[i] = NULL;
    }
    return SQLITE_OK;
}

/* --- the rest of a file --- */

static int vfs_close(sqlite3_file *base)
{
    struct vfs_file *v = file_of(base);

    vfs_shm_unmap(base, 0);
    vfs_unlock(base, SQLITE_LOCK_NONE);
    if (v->delete_at_close && v->path)
        disk_remove(v->path);
    return SQLITE_OK;
}

static int vfs_control(sqlite3_file *base, int op, void *arg)
{
    struct vfs_file *v = file_of(base);

    if (op == SQLITE_FCNTL_LAST_ERRNO) {
        *(int *)arg = v->error;
        return SQLITE_OK;
    }
    if (op != SQLITE_FCNTL_PERSIST_WAL)
        return SQLITE_NOTFOUND;
    if (*(int *)arg >= 0)
        v->keep_log = *(int *)arg;
    *(int *)arg = v->keep_log;
    return SQLITE_OK;
}

static int vfs_sector(sqlite3_file *base)
{
    (void)base;
    return 4096;
}

static int vfs_traits(sqlite3_file *base)
{
    (void)base;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = vfs_close,
    .xRead = vfs_read,
    .xWrite = vfs_write,
    .xTruncate = vfs_truncate,
    .xSync = vfs_sync,
    .xFileSize = vfs_size,
    .xLock = vfs_lock,
    .xUnlock = vfs_unlock,
    .xCheckReservedLock = vfs_check,
    .xFileControl = vfs_control,
    .xSectorSize = vfs_sector,
    .xDeviceCharacteristics = vfs_traits,
    .xShmMap = vfs_shm_map,
    .xShmLock = vfs_shm_lock,
    .xShmBarrier = vfs_shm_barrier,
    .xShmUnmap = vfs_shm_unmap,
};

/* --- names --- */

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *base, int flags,
                    int *ret_flags)
{
    struct vfs_file *v = file_of(base);
    const int named_by_sync =
        SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL;

    (void)vfs;
    *v = (struct vfs_file){.path = path, .delete_at_close = flags & SQLITE_OPEN_DELETEONCLOSE};
    v->f = path ? disk_find(path) : disk_anonymous();
    if (!v->f && !(flags & SQLITE_OPEN_CREATE))
        return SQLITE_CANTOPEN;
    if (!v->f) {
        if (refuses(v) || disk_create(path, false, &v->f) < 0)
            return SQLITE_CANTOPEN;
    }
    v->sync_name = (flags & SQLITE_OPEN_CREATE) && (flags & named_by_sync);
    if (ret_flags)
        *ret_flags = flags;
    v->base.pMethods = &methods;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int sync_folder)
{
    (void)vfs;
    if (!disk_find(path))
        return SQLITE_IOERR_DELETE_NOENT;
    int error = disk_operation();
    if (error) {
        other.error = error;
        return SQLITE_IOERR_DELETE;
    }
    disk_remove(path);
    if (sync_folder)
        disk_sync(disk_folder_of(path));
    return SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *ret)
{
    (void)vfs;
    (void)flags;
    *ret = disk_find(path) != NULL;
    return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *path, int bytes, char *out)
{
    (void)vfs;
    sqlite3_snprintf(bytes, out, "%s", path);
    return SQLITE_OK;
}

static int vfs_randomness(sqlite3_vfs *vfs, int bytes, char *out)
{
    (void)vfs;
    for (int i = 0; i < bytes; i++)
        out[i] = (char)world_draw(256);
    return bytes;
}

static int vfs_time(sqlite3_vfs *vfs, double *ret)
{
    (void)vfs;
    *ret = 2461000.5 + (double)world_now_us() / 86400e6;
    return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *vfs, int bytes, char *out)
{
    (void)vfs;
    (void)bytes;
    (void)out;
    return other.error;
}

static sqlite3_vfs sim_vfs = {
    .iVersion = 1,
    .szOsFile = sizeof(struct vfs_file),
    .mxPathname = 512,
    .zName = "sim",
    .xOpen = vfs_open,
    .xDelete = vfs_delete,
    .xAccess = vfs_access,
    .xFullPathname = vfs_full_path,
    .xRandomness = vfs_randomness,
    .xSleep = wait_for_others,
    .xCurrentTime = vfs_time,
    .xGetLastError = vfs_last_error,
};

void disk_vfs_use(void)
{
    /* A crash leaves SQLite in the middle of a call: no mutex may be held then. */
    sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
    sqlite3_initialize();
    sqlite3_vfs_register(&sim_vfs, 1);
}
