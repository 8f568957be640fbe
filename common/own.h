/* Folders and files that are this user's alone. Their content is trusted as long as it is mapped,
 * so nobody else may be able to change it: this user is the owner, others cannot write to the
 * folder (unless it has the sticky bit: then they cannot replace our files), and neither is a link.
 * All checks use the open descriptor, never a path, which may change meanwhile. */
#ifndef STEPPE_COMMON_OWN_H
#define STEPPE_COMMON_OWN_H

#include <stdint.h>
#include <sys/stat.h>

#include "common/err.h"

/* Opens the folder; makes it (0700, with its parents) when it is missing. A descriptor, or -errno
 * with a sentence that says what to do; -EPERM: it is a link, somebody else's or open to others. */
int own_folder(const char *path, struct errbuf *why);

/* Is this existing folder this user's, and closed to everybody else (no mode for group and others)?
 * 0, or -EPERM with the command that makes it so. */
int own_closed(const char *path, struct errbuf *why);
/* Closes to everybody else what lies in a folder of ours, to `depth` folders below it; links are
 * left alone. *ret_count: how many were open. 0 or -errno with a sentence. */
int own_close(const char *path, int depth, uint64_t *ret_count, struct errbuf *why);

/* Opens the regular file `name` in the folder dir, whose name for people is `folder`. flags: as for
 * open(2); a new file gets mode 0600. A descriptor and its stat; -ENOENT: there is no such file;
 * -EPERM: it is a link, somebody else's or not a file, and is left alone; else -errno. */
int own_file(int dir, const char *folder, const char *name, int flags, struct stat *ret,
             struct errbuf *why);

#endif
