#include "common/own.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/file.h"

static int judge_folder(int fd, const char *path, struct errbuf *why)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_set(why, -errno, "cannot look at the folder %s: %s", path, err_text(-errno));
    if (st.st_uid != geteuid())
        return err_set(why, -EPERM,
                       "the folder %s belongs to user %u, not to user %u who runs this; name a "
                       "folder of your own",
                       path, (unsigned)st.st_uid, (unsigned)geteuid());
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) && !(st.st_mode & S_ISVTX))
        return err_set(why, -EPERM,
                       "others may change files in the folder %s (mode %03o); forbid that (chmod "
                       "go-w) or name another folder",
                       path, (unsigned)(st.st_mode & 0777));
    return 0;
}

/* The path without trailing slashes: with them a link would be followed. */
static char *without_slashes(const char *path)
{
    char *plain = xstrdup(path);

    for (size_t n = strlen(plain); n > 1 && plain[n - 1] == '/'; n--)
        plain[n - 1] = '\0';
    return plain;
}

static bool is_link(int dir, const char *name)
{
    struct stat st;

    return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

int own_folder(const char *path, struct errbuf *why)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    char *plain = without_slashes(path);
    int rc, fd = open(plain, flags);

    if (fd < 0 && errno == ENOENT) {
        rc = file_mkdirs(plain, 0700, why);
        if (rc < 0)
            goto out;
        fd = open(plain, flags);
    }
    if (fd < 0) {
        rc = -errno;
        if (is_link(AT_FDCWD, plain))
            rc = err_set(why, -EPERM, "%s is a link; name the folder that it points to", plain);
        else
            err_set(why, rc, "cannot open the folder %s: %s", plain, err_text(rc));
        goto out;
    }
    rc = judge_folder(fd, plain, why);
    if (rc < 0)
        close(fd);
    else
        rc = fd;
out:
    free(plain);
    return rc;
}

int own_closed(const char *path, struct errbuf *why)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return err_set(why, -errno, "cannot look at the folder %s: %s", path, err_text(-errno));
    if (st.st_uid != geteuid())
        return err_set(
            why, -EPERM,
            "the folder %s belongs to user %u, who may change what is in it, and this is "
            "user %u: give it to that one (chown), or name another folder",
            path, (unsigned)st.st_uid, (unsigned)geteuid());
    if (st.st_mode & 077)
        return err_set(why, -EPERM,
                       "others may look into or change the folder %s (mode %04o): close it with "
                       "chmod 700 %s, or name another folder",
                       path, (unsigned)st.st_mode & 07777, path);
    return 0;
}

static int close_folder(int fd, const char *path, int depth, uint64_t *count, struct errbuf *why);

/* An entry that is gone meanwhile is fine. */
static int close_entry(int dir, const char *folder, const char *name, int depth, uint64_t *count,
                       struct errbuf *why)
{
    struct stat st;
    int rc = 0;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
        return 0;
    if (st.st_mode & 077) {
        if (fchmodat(dir, name, st.st_mode & 07700, 0) < 0 && errno != ENOENT)
            return err_set(why, -errno, "others may read %s/%s, and that cannot be changed: %s",
                           folder, name, err_text(-errno));
        ++*count;
    }
    if (!S_ISDIR(st.st_mode) || depth == 0)
        return 0;
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0
                               : err_set(why, -errno, "cannot open the folder %s/%s: %s", folder,
                                         name, err_text(-errno));
    char *path = xasprintf("%s/%s", folder, name);
    rc = close_folder(fd, path, depth - 1, count, why);
    free(path);
    return rc;
}

/* Closes fd. */
static int close_folder(int fd, const char *path, int depth, uint64_t *count, struct errbuf *why)
{
    DIR *dir = fdopendir(fd);
    struct dirent *entry;
    int rc = 0;

    if (!dir) {
        rc = err_set(why, -errno, "cannot open the folder %s: %s", path, err_text(-errno));
        close(fd);
        return rc;
    }
    while (rc == 0 && (entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = close_entry(dirfd(dir), path, entry->d_name, depth, count, why);
    closedir(dir);
    return rc;
}

int own_close(const char *path, int depth, uint64_t *ret_count, struct errbuf *why)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    *ret_count = 0;
    if (fd < 0)
        return err_set(why, -errno, "cannot open the folder %s: %s", path, err_text(-errno));
    return close_folder(fd, path, depth, ret_count, why);
}

static int judge_file(int fd, const char *folder, const char *name, struct stat *st,
                      struct errbuf *why)
{
    if (fstat(fd, st) < 0)
        return err_set(why, -errno, "cannot look at %s/%s: %s", folder, name, err_text(-errno));
    if (!S_ISREG(st->st_mode))
        return err_set(why, -EPERM, "%s/%s is %s, expected a file; remove it", folder, name,
                       S_ISDIR(st->st_mode) ? "a folder" : "not a regular file");
    if (st->st_uid != geteuid())
        return err_set(why, -EPERM,
                       "%s/%s belongs to user %u, not to user %u who runs this, and is not used; "
                       "remove it",
                       folder, name, (unsigned)st->st_uid, (unsigned)geteuid());
    return 0;
}

int own_file(int dir, const char *folder, const char *name, int flags, struct stat *ret,
             struct errbuf *why)
{
    /* O_NONBLOCK: opening a pipe must not wait for its other end. */
    int rc, fd = openat(dir, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);

    if (fd < 0) {
        rc = -errno;
        if (rc == -ELOOP || is_link(dir, name))
            return err_set(why, -EPERM, "%s/%s is a link and is not used; remove it", folder, name);
        return err_set(why, rc, "cannot open %s/%s: %s", folder, name, err_text(rc));
    }
    rc = judge_file(fd, folder, name, ret, why);
    if (rc < 0)
        close(fd);
    return rc < 0 ? rc : fd;
}
