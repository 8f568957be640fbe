/* Files: whole reads with a limit, atomic durable writes, folders. All return 0 or -errno with a
 * sentence that names the path. */
#ifndef STEPPE_COMMON_FILE_H
#define STEPPE_COMMON_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "common/err.h"

/* Reads the whole regular file (at most bytes_max; -EFBIG above) into malloc'd memory with a 0
 * after it that is not counted. */
int file_read(const char *path, size_t bytes_max, char **ret, size_t *ret_bytes,
              struct errbuf *why);
/* The same of an open file, for secrets: into data, which has room for bytes_max and the 0. The
 * count or -errno. */
ssize_t file_read_into(int fd, const char *path, char *data, size_t bytes_max, struct errbuf *why);
/* Writes the parts one after another: temporary file beside path, fsync, rename, fsync of the
 * folder. On failure path is as it was and the temporary file is gone; only when the fsync of the
 * folder fails is the new file there, perhaps not yet durable. A link is followed; an existing path
 * that is not a regular file is refused. */
struct file_part {
    const void *data;
    size_t bytes;
};
int file_write_atomic(const char *path, mode_t mode, const struct file_part *parts, int count,
                      struct errbuf *why);
/* Until *stop is set: then -EINTR, soon, and path is as it was. */
int file_write_atomic_until(const char *path, mode_t mode, const struct file_part *parts, int count,
                            const _Atomic bool *stop, struct errbuf *why);
/* The same for writing piece by piece: print to out, then close it with the result of printing. rc
 * 0: path is the new file, durably, or as it was and the sentence says why; below 0: path is as it
 * was, rc is returned. An existing pipe or device is written to directly; a folder is refused. */
struct file_draft {
    FILE *out;
    char *path, *temporary; /* NULL: written to directly */
};
int file_draft_open(const char *path, mode_t mode, struct file_draft *ret, struct errbuf *why);
int file_draft_close(struct file_draft *draft, int rc, struct errbuf *why);
/* Creates the folder and its parents; durable. */
int file_mkdirs(const char *path, mode_t mode, struct errbuf *why);
/* Removes the folder with the files in it. If it contains a folder, both stay. A missing folder is
 * fine. */
int file_remove_folder(const char *path, struct errbuf *why);
/* Writes all of data at offset, over short writes and EINTR. 0 or -errno, without a sentence. */
int file_write_at(int fd, const void *data, size_t bytes, uint64_t offset);
/* The folder "steppe" of a base folder of the XDG rules: $variable/steppe when that is an absolute
 * path, else $HOME/fallback/steppe. Freed by the caller; NULL when HOME is no absolute path either:
 * then the person must say where. */
char *file_xdg(const char *variable, const char *fallback);
/* Could `bytes` bytes be written in this folder now? 0 or -errno, without a sentence. */
int file_probe_room(const char *folder, size_t bytes);
/* A file of `bytes` bytes that somebody else reads and checks on the way: read copies `count` bytes
 * from `offset` on to out. 0, or -errno with a sentence. */
struct file_source {
    uint64_t bytes;
    int (*read)(void *arg, uint64_t offset, size_t count, void *out, struct errbuf *why);
    void *arg;
};
/* fsync of the folder that holds path. */
int file_sync_parent(const char *path, struct errbuf *why);

#endif
