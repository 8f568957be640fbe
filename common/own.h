/* Folders and files that are this user's alone. What is kept there is believed for as long as it is
 * mapped, so nobody else may be able to change it: the owner is this user, the folder is not
 * writable by others (with the sticky bit it may be: they cannot replace what is ours), and neither
 * is a link. All is judged on the open descriptor, never on a path that may change meanwhile. */
#ifndef STEPPE_COMMON_OWN_H
#define STEPPE_COMMON_OWN_H

#include <sys/stat.h>

#include "common/err.h"

/* Opens the folder, which is made (0700, with its parents) when it is not there. A descriptor, or
 * -errno with a sentence that says what to do; -EPERM: it is a link, somebody else's or open to
 * others. */
int own_folder(const char *path, struct errbuf *why);

/* Opens the regular file `name` in the folder dir, whose name for people is `folder`. flags: of
 * open(2), with mode 0600 for what is created. A descriptor and its stat; -ENOENT: there is no such
 * file; -EPERM: it is a link, somebody else's or no file, and is left alone; else -errno. */
int own_file(int dir, const char *folder, const char *name, int flags, struct stat *ret,
             struct errbuf *why);

#endif
