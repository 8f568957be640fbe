/* The calls of libc that change a disk, for a program of its own: linked into it, these come before
 * the C library's for all that it is made of, SQLite and libuv included. Only regular files and
 * folders count: a pipe, a socket and a terminal are no disk. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/inject/fault.h"

/* The function of the library behind this one. */
#define REAL(type, name, ...)                                                                      \
    type (*real)(__VA_ARGS__) = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name);                     \
    if (!real)                                                                                     \
    abort()

static bool on_disk(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
}

/* True: the call fails. io_bytes, of a write, may become less. */
static bool fails(size_t *io_bytes)
{
    int error = fault_disk();

    if (error == FAULT_SHORT && io_bytes && *io_bytes > 1)
        *io_bytes /= 2;
    if (error <= 0)
        return false;
    errno = error;
    return true;
}

static bool makes(int flags)
{
    return (flags & O_CREAT) || (flags & O_ACCMODE) != O_RDONLY;
}

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        REAL(int, name, const char *, int, ...);                                                   \
        va_list ap;                                                                                \
        va_start(ap, flags);                                                                       \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;                      \
        va_end(ap);                                                                                \
        return makes(flags) && fails(NULL) ? -1 : real(path, flags, mode);                         \
    }
OPEN(open)
OPEN(open64)

#define WRITE(name, offset)                                                                        \
    ssize_t name(int fd, const void *data, size_t bytes, offset at)                                \
    {                                                                                              \
        REAL(ssize_t, name, int, const void *, size_t, offset);                                    \
        return on_disk(fd) && fails(&bytes) ? -1 : real(fd, data, bytes, at);                      \
    }
WRITE(pwrite, off_t)
WRITE(pwrite64, off64_t)

ssize_t write(int fd, const void *data, size_t bytes)
{
    REAL(ssize_t, write, int, const void *, size_t);
    return on_disk(fd) && fails(&bytes) ? -1 : real(fd, data, bytes);
}

/* Nothing is synced: no power fails here. */
#define SYNC(name)                                                                                 \
    int name(int fd)                                                                               \
    {                                                                                              \
        return on_disk(fd) && fails(NULL) ? -1 : 0;                                                \
    }
SYNC(fsync)
SYNC(fdatasync)

#define CUT(name, offset)                                                                          \
    int name(int fd, offset bytes)                                                                 \
    {                                                                                              \
        REAL(int, name, int, offset);                                                              \
        return on_disk(fd) && fails(NULL) ? -1 : real(fd, bytes);                                  \
    }
CUT(ftruncate, off_t)
CUT(ftruncate64, off64_t)

#define OF_NAME(name)                                                                              \
    int name(const char *path)                                                                     \
    {                                                                                              \
        REAL(int, name, const char *);                                                             \
        return fails(NULL) ? -1 : real(path);                                                      \
    }
OF_NAME(unlink)
OF_NAME(rmdir)

int mkdir(const char *path, mode_t mode)
{
    REAL(int, mkdir, const char *, mode_t);
    return fails(NULL) ? -1 : real(path, mode);
}

int rename(const char *from, const char *to)
{
    REAL(int, rename, const char *, const char *);
    return fails(NULL) ? -1 : real(from, to);
}

/* With NULL for the buffer the name is memory. */
char *__real_realpath(const char *path, char *out);
char *__wrap_realpath(const char *path, char *out);
char *__wrap_realpath(const char *path, char *out)
{
    return fault_memory() ? NULL : fault_hold(__real_realpath(path, out));
}

DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path);
DIR *__wrap_opendir(const char *path)
{
    return fault_memory() ? NULL : __real_opendir(path);
}
