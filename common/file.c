/* Files of ours. A file written here is either as it was or complete and on the disk, whatever
 * fails or crashes on the way; a crash may leave a temporary file (path.tmp-<16 hex digits>), which
 * nothing reads. */
#include "common/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/text.h"

#define STOP_BYTES (32 << 20) /* between two looks at whether to stop */

static int fail(struct errbuf *why, const char *what, const char *path)
{
    int rc = -errno;

    return err_set(why, rc, "cannot %s %s: %s", what, path, err_text(rc));
}

/* Up to bytes into data; the count, less only at the end of the file, or -errno. */
static ssize_t read_all(int fd, char *data, size_t bytes)
{
    size_t done = 0;

    while (done < bytes) {
        ssize_t n = read(fd, data + done, bytes - done);
        if (n == 0)
            break;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

/* A regular file of at most bytes_max. */
static int judge(int fd, const char *path, size_t bytes_max, struct stat *ret, struct errbuf *why)
{
    if (fstat(fd, ret) != 0)
        return fail(why, "read", path);
    if (!S_ISREG(ret->st_mode)) {
        int rc = S_ISDIR(ret->st_mode) ? -EISDIR : -EINVAL;
        return err_set(why, rc, "%s is %s, expected a regular file", path,
                       rc == -EISDIR ? "a folder" : "not a file");
    }
    if ((uintmax_t)ret->st_size > bytes_max)
        return err_set(why, -EFBIG, "%s is %jd bytes, allowed is at most %zu", path,
                       (intmax_t)ret->st_size, bytes_max);
    return 0;
}

ssize_t file_read_into(int fd, const char *path, char *data, size_t bytes_max, struct errbuf *why)
{
    struct stat st;
    int rc = judge(fd, path, bytes_max, &st, why);

    if (rc < 0)
        return rc;
    ssize_t n = read_all(fd, data, (size_t)st.st_size);
    if (n < 0) {
        errno = (int)-n;
        return fail(why, "read", path);
    }
    data[n] = '\0';
    return n;
}

int file_read(const char *path, size_t bytes_max, char **ret, size_t *ret_bytes, struct errbuf *why)
{
    struct stat st;
    char *data = NULL;
    int rc;

    /* O_NONBLOCK: opening a pipe must not wait for its writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fail(why, "open", path);
    rc = judge(fd, path, bytes_max, &st, why);
    if (rc < 0)
        goto out;
    data = malloc((size_t)st.st_size + 1);
    if (!data) {
        rc = fail(why, "read", path);
        goto out;
    }
    ssize_t n = file_read_into(fd, path, data, (size_t)st.st_size, why);
    if (n < 0) {
        rc = (int)n;
        goto out;
    }
    *ret = data;
    *ret_bytes = (size_t)n;
    data = NULL;
out:
    free(data);
    close(fd);
    return rc;
}

static int write_all(int fd, const char *data, size_t bytes)
{
    while (bytes > 0) {
        ssize_t n = write(fd, data, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        data += n;
        bytes -= (size_t)n;
    }
    return 0;
}

/* Synced as it goes, as one fsync of all looks at nothing for as long as it takes. */
static int write_part(int fd, const char *data, size_t bytes, const _Atomic bool *stop)
{
    while (bytes > 0) {
        const size_t piece = stop && bytes > STOP_BYTES ? STOP_BYTES : bytes;

        if (stop && *stop) {
            errno = EINTR;
            return -1;
        }
        if (write_all(fd, data, piece) != 0 || (piece < bytes && fdatasync(fd) != 0))
            return -1;
        data += piece;
        bytes -= piece;
    }
    return 0;
}

static int write_parts(int fd, const struct file_part *parts, int count, const _Atomic bool *stop)
{
    for (int i = 0; i < count; i++)
        if (write_part(fd, parts[i].data, parts[i].bytes, stop) != 0)
            return -1;
    return 0;
}

static char *temporary_path(const char *path)
{
    char digits[17];
    uint64_t number = 0;

    /* O_EXCL refuses a name that is taken, so without a random number only this write fails. */
    if (getrandom(&number, sizeof(number), 0) < 0)
        number = (uint64_t)getpid();
    text_hex(&number, sizeof(number), digits);
    return xasprintf("%s.tmp-%s", path, digits);
}

/* A rename would put a file in the place of a device or a socket. */
static int check_target(const char *path, struct errbuf *why)
{
    struct stat st;

    if (stat(path, &st) != 0 || S_ISREG(st.st_mode))
        return 0;
    return err_set(why, S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL, "cannot replace %s: it is %s",
                   path, S_ISDIR(st.st_mode) ? "a folder" : "not a regular file");
}

int file_write_atomic(const char *path, mode_t mode, const struct file_part *parts, int count,
                      struct errbuf *why)
{
    return file_write_atomic_until(path, mode, parts, count, NULL, why);
}

int file_write_atomic_until(const char *path, mode_t mode, const struct file_part *parts, int count,
                            const _Atomic bool *stop, struct errbuf *why)
{
    char *linked = realpath(path, NULL); /* a link stays one */
    char *temporary = temporary_path(linked ? linked : path);
    int fd = -1, rc = check_target(path, why);

    if (rc != 0)
        goto out;
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0) {
        rc = fail(why, "create", path);
        goto out;
    }
    if (write_parts(fd, parts, count, stop) != 0 || fsync(fd) != 0)
        rc = fail(why, "write", path);
    if (close(fd) != 0 && rc == 0)
        rc = fail(why, "write", path);
    if (rc == 0 && rename(temporary, linked ? linked : path) != 0)
        rc = fail(why, "replace", path);
    if (rc != 0)
        unlink(temporary);
    else
        rc = file_sync_parent(linked ? linked : path, why);
out:
    free(linked);
    free(temporary);
    return rc;
}

int file_draft_open(const char *path, mode_t mode, struct file_draft *ret, struct errbuf *why)
{
    struct stat st;
    char *linked = realpath(path, NULL); /* a link stays one */
    bool direct = stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
    struct file_draft d = {.path = linked ? linked : xstrdup(path)};
    int rc = direct ? 0 : check_target(path, why);

    if (!direct)
        d.temporary = temporary_path(d.path);
    int fd = rc == 0 ? open(direct ? path : d.temporary,
                            O_WRONLY | O_CLOEXEC | (direct ? 0 : O_CREAT | O_EXCL), mode)
                     : -1;
    if (rc == 0 && fd < 0)
        rc = fail(why, "write", path);
    if (fd >= 0 && !(d.out = fdopen(fd, "w"))) {
        rc = fail(why, "write", path);
        close(fd);
    }
    if (rc == 0) {
        *ret = d;
        return 0;
    }
    free(d.path);
    free(d.temporary);
    return rc;
}

int file_draft_close(struct file_draft *draft, int rc, struct errbuf *why)
{
    errno = 0;
    bool lost = fflush(draft->out) != 0 || ferror(draft->out) != 0;

    lost = lost || (draft->temporary && fsync(fileno(draft->out)) != 0);
    if (!errno)
        errno = EIO;
    if (rc == 0 && lost)
        rc = fail(why, "write", draft->path);
    if (fclose(draft->out) != 0 && rc == 0)
        rc = fail(why, "write", draft->path);
    if (draft->temporary && rc == 0 && rename(draft->temporary, draft->path) != 0)
        rc = fail(why, "replace", draft->path);
    if (draft->temporary && rc != 0)
        unlink(draft->temporary);
    else if (draft->temporary)
        rc = file_sync_parent(draft->path, why);
    free(draft->path);
    free(draft->temporary);
    *draft = (struct file_draft){NULL};
    return rc;
}

/* mkdir that accepts an existing folder. Afterwards the folder's name is on the disk, or all that
 * is written into it could be lost with it. That goes for an existing folder too: its maker may
 * have died before the sync. A folder that we may not read is not one that we made. */
static int make_folder(const char *path, mode_t mode, struct errbuf *why)
{
    struct stat st;

    if (mkdir(path, mode) == 0)
        return file_sync_parent(path, why);
    if (errno != EEXIST || stat(path, &st) != 0)
        return fail(why, "create the folder", path);
    if (S_ISDIR(st.st_mode)) {
        file_sync_parent(path, NULL);
        return 0;
    }
    errno = ENOTDIR;
    return fail(why, "create the folder", path);
}

int file_mkdirs(const char *path, mode_t mode, struct errbuf *why)
{
    char *part = xstrdup(path);
    int rc = 0;

    for (char *p = part; *p && rc == 0; p++) {
        if (*p != '/' || p == part)
            continue;
        *p = '\0';
        rc = make_folder(part, mode, why);
        *p = '/';
    }
    if (rc == 0)
        rc = make_folder(path, mode, why);
    free(part);
    return rc;
}

int file_sync_parent(const char *path, struct errbuf *why)
{
    const char *slash = strrchr(path, '/');
    char *folder = xstrdup(slash ? path : ".");
    int rc = 0;

    if (slash)
        folder[slash == path ? 1 : slash - path] = '\0';
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        rc = fail(why, "open the folder", folder);
        goto out;
    }
    /* EINVAL: this file system has no fsync of folders, so there is nothing to wait for. */
    if (fsync(fd) != 0 && errno != EINVAL)
        rc = fail(why, "write the folder", folder);
    close(fd);
out:
    free(folder);
    return rc;
}

int file_remove_folder(const char *path, struct errbuf *why)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    int rc = 0;

    if (!dir)
        return errno == ENOENT ? 0 : fail(why, "open the folder", path);
    while (rc == 0 && (entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            unlinkat(dirfd(dir), entry->d_name, 0) != 0 && errno != ENOENT)
            rc = fail(why, "empty the folder", path);
    closedir(dir);
    if (rc == 0 && rmdir(path) != 0)
        rc = fail(why, "remove the folder", path);
    return rc;
}

int file_write_at(int fd, const void *data, size_t bytes, uint64_t offset)
{
    const char *at = data;

    while (bytes > 0) {
        ssize_t n = pwrite(fd, at, bytes, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        at += n;
        bytes -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

char *file_xdg(const char *variable, const char *fallback)
{
    const char *base = getenv(variable), *home = getenv("HOME");

    if (base && base[0] == '/')
        return xasprintf("%s/steppe", base);
    return home && home[0] == '/' ? xasprintf("%s/%s/steppe", home, fallback) : NULL;
}

int file_probe_room(const char *folder, size_t bytes)
{
    static const char nothing[1 << 16];
    char *path = xasprintf("%s/room.tmp", folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int rc = fd < 0 ? -errno : 0;

    for (size_t at = 0; rc == 0 && at < bytes; at += sizeof(nothing))
        rc = file_write_at(fd, nothing, bytes - at < sizeof(nothing) ? bytes - at : sizeof(nothing),
                           at);
    if (rc == 0 && fsync(fd) < 0)
        rc = -errno;
    if (fd >= 0) {
        close(fd);
        unlink(path);
    }
    free(path);
    return rc;
}
