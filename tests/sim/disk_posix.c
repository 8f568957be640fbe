/* The file functions of libc that the product calls, as the linker hands them over (--wrap): what
 * lies below DISK_ROOT is simulated, everything else is the machine's. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/own.h"
#include "tests/sim/disk.h"
#include "tests/sim/own.h"
#include "tests/sim/world.h"

#define FDS_MAX 1024

static struct inode *files[FDS_MAX]; /* by descriptor; NULL: not of the simulated disk */

/* The one folder that is being read, as it was when it was opened. */
#define NAME_BYTES 256
static struct {
    int fd, at, count;
    char (*names)[NAME_BYTES];
    struct dirent entry;
} reading = {.fd = -1};

#define REAL(type, name, ...)                                                                      \
    type __real_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)

/* The folder above counts as the root itself. */
static bool ours(const char *path)
{
    return strncmp(path, DISK_ROOT, strlen(DISK_ROOT)) == 0 || strcmp(path, "/") == 0;
}

static struct inode *file_of(int fd)
{
    return fd >= 0 && fd < FDS_MAX ? files[fd] : NULL;
}

static int fail(int rc)
{
    errno = -rc;
    return rc < 0 ? -1 : 0;
}

/* Of an operation that needs room: what it fails with, or 0. */
static int refusal(void)
{
    int rc = disk_operation();

    return -(disk_error() ? disk_error() : rc);
}

static int keep(int fd, struct inode *f)
{
    if (fd >= FDS_MAX)
        abort();
    if (fd >= 0)
        files[fd] = f;
    return fd;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    struct inode *f;
    char link[64];
    mode_t mode = 0;
    int rc;

    if (flags & (O_CREAT | O_TMPFILE)) {
        va_list ap;
        va_start(ap, flags);
        mode = va_arg(ap, mode_t);
        va_end(ap);
    }
    if (!ours(path))
        return __real_open(path, flags, mode);
    f = disk_find(path);
    if (f && (flags & O_CREAT) && (flags & O_EXCL))
        return fail(-EEXIST);
    if (!f && !(flags & O_CREAT))
        return fail(-ENOENT);
    if (!f) {
        rc = refusal();
        if (rc < 0)
            return fail(rc);
        rc = disk_create(path, false, &f);
        if (rc < 0)
            return fail(rc);
    }
    if (f->folder) {
        if (!(flags & O_DIRECTORY))
            return fail(-EISDIR);
        return keep(__real_open("/dev/null", O_RDONLY | O_CLOEXEC), f);
    }
    if ((flags & O_ACCMODE) != O_RDONLY)
        disk_touch(f, 0, DISK_FILE_BYTES_MAX);
    if (flags & O_TRUNC)
        disk_resize(f, 0);
    disk_settle(f);
    snprintf(link, sizeof(link), "/proc/self/fd/%d", f->fd);
    return keep(__real_open(link, flags & (O_ACCMODE | O_CLOEXEC | O_APPEND)), f);
}

REAL(int, close, int fd)
{
    if (fd >= 0 && fd < FDS_MAX)
        files[fd] = NULL;
    return __real_close(fd);
}

REAL(ssize_t, write, int fd, const void *data, size_t bytes)
{
    struct inode *f = file_of(fd);

    if (!f)
        return __real_write(fd, data, bytes);
    int rc = refusal();
    if (rc < 0)
        return fail(rc);
    ssize_t n = __real_write(fd, data, bytes);
    disk_touch(f, 0, DISK_FILE_BYTES_MAX);
    disk_look(f);
    return n;
}

REAL(ssize_t, pwrite, int fd, const void *data, size_t bytes, off_t at)
{
    struct inode *f = file_of(fd);

    if (!f)
        return __real_pwrite(fd, data, bytes, at);
    int rc = refusal();
    if (rc < 0)
        return fail(rc);
    ssize_t n = __real_pwrite(fd, data, bytes, at);
    disk_touch(f, 0, DISK_FILE_BYTES_MAX);
    disk_look(f);
    return n;
}

REAL(int, ftruncate, int fd, off_t bytes)
{
    struct inode *f = file_of(fd);

    if (!f)
        return __real_ftruncate(fd, bytes);
    int rc = disk_operation();
    if (rc)
        return fail(-rc);
    disk_resize(f, (size_t)bytes);
    disk_settle(f);
    disk_touch(f, 0, DISK_FILE_BYTES_MAX);
    return 0;
}

REAL(int, fsync, int fd)
{
    if (!file_of(fd))
        return __real_fsync(fd);
    int rc = disk_operation();
    if (rc)
        return fail(-rc);
    disk_sync(file_of(fd));
    return 0;
}

REAL(int, flock, int fd, int operation)
{
    struct inode *f = file_of(fd);

    if (!f)
        return __real_flock(fd, operation);
    if (f->locked)
        return fail(-EWOULDBLOCK);
    f->locked = true;
    return 0;
}

REAL(int, rename, const char *from, const char *to)
{
    if (!ours(from))
        return __real_rename(from, to);
    int rc = disk_operation();
    return fail(rc ? -rc : disk_rename(from, to));
}

REAL(int, unlink, const char *path)
{
    if (!ours(path))
        return __real_unlink(path);
    int rc = disk_operation();
    return fail(rc ? -rc : disk_remove(path));
}

REAL(int, rmdir, const char *path)
{
    if (!ours(path))
        return __real_rmdir(path);
    int rc = disk_operation();
    return fail(rc ? -rc : disk_remove(path));
}

REAL(int, mkdir, const char *path, mode_t mode)
{
    struct inode *f;

    if (!ours(path))
        return __real_mkdir(path, mode);
    if (disk_find(path))
        return fail(-EEXIST);
    int rc = refusal();
    return fail(rc < 0 ? rc : disk_create(path, true, &f));
}

REAL(int, stat, const char *path, struct stat *st)
{
    if (!ours(path))
        return __real_stat(path, st);
    struct inode *f = disk_find(path);
    if (!f)
        return fail(-ENOENT);
    if (!f->folder) {
        disk_settle(f);
        int rc = fstat(f->fd, st);
        st->st_mtim.tv_sec = (time_t)(clock_unix_ms() / 1000); /* no file grows old here */
        return rc;
    }
    *st = (struct stat){.st_mode = S_IFDIR | 0700};
    return 0;
}

REAL(int, access, const char *path, int mode)
{
    return !ours(path) ? __real_access(path, mode) : fail(disk_find(path) ? 0 : -ENOENT);
}

REAL(char *, realpath, const char *path, char *out)
{
    if (!ours(path))
        return __real_realpath(path, out);
    fail(-ENOENT);
    return disk_find(path) ? xstrdup(path) : NULL;
}

REAL(DIR *, opendir, const char *path)
{
    if (!ours(path))
        return __real_opendir(path);
    reading.fd = __wrap_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    reading.at = reading.count = 0;
    const char *name;
    while (reading.fd >= 0 && (name = disk_name(file_of(reading.fd), reading.count)) != NULL) {
        reading.names = own_realloc(reading.names, (size_t)(reading.count + 1) * NAME_BYTES);
        snprintf(reading.names[reading.count++], NAME_BYTES, "%s", name);
    }
    return reading.fd < 0 ? NULL : (DIR *)&reading;
}

REAL(struct dirent *, readdir, DIR *dir)
{
    if (dir != (DIR *)&reading)
        return __real_readdir(dir);
    if (reading.at == reading.count)
        return NULL;
    snprintf(reading.entry.d_name, NAME_BYTES, "%s", reading.names[reading.at++]);
    return &reading.entry;
}

REAL(int, dirfd, DIR *dir)
{
    return dir != (DIR *)&reading ? __real_dirfd(dir) : reading.fd;
}

REAL(int, closedir, DIR *dir)
{
    return dir != (DIR *)&reading ? __real_closedir(dir) : __wrap_close(reading.fd);
}

REAL(int, unlinkat, int fd, const char *name, int flags)
{
    struct inode *folder = file_of(fd);

    if (!folder)
        return __real_unlinkat(fd, name, flags);
    int rc = disk_operation();
    return fail(rc ? -rc : disk_remove_in(folder, name));
}

/* Names of temporary files, and nothing else, come of it. */
REAL(ssize_t, getrandom, void *out, size_t bytes, unsigned flags)
{
    uint8_t *to = out;

    (void)flags;
    for (size_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)world_draw(256);
    return (ssize_t)bytes;
}

/* The simulated disk has one user and no modes. */
int __wrap_own_closed(const char *path, struct errbuf *why);
int __wrap_own_closed(const char *path, struct errbuf *why)
{
    (void)path, (void)why;
    return 0;
}

int __wrap_own_close(const char *path, int depth, uint64_t *ret_count, struct errbuf *why);
int __wrap_own_close(const char *path, int depth, uint64_t *ret_count, struct errbuf *why)
{
    (void)path, (void)depth, (void)why;
    *ret_count = 0;
    return 0;
}
