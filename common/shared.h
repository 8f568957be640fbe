/* Memory that several processes of a machine have: a file without a name, in memory only, that goes
 * when the last of them has let it go. Whoever made it passes its descriptor on. Its size is
 * sealed, so that nobody who has it can make another's access fail. */
#ifndef STEPPE_COMMON_SHARED_H
#define STEPPE_COMMON_SHARED_H

#include <stdbool.h>
#include <stddef.h>

struct shared {
    int fd;     /* -1: none, or it was closed */
    void *base; /* page-aligned; NULL: not mapped */
    size_t bytes;
};
#define SHARED_NONE ((struct shared){.fd = -1})

/* Makes zeroed memory, mapped to read and write. others_write: so may whoever else gets it, who
 * otherwise can only read. 0 or -errno, and then *ret is SHARED_NONE. */
int shared_make(size_t bytes, bool others_write, struct shared *ret);
/* Maps memory of exactly so many bytes that came as a descriptor, which passes to *ret in every
 * case of success. 0; -EINVAL: it is no such memory; -errno. */
int shared_take(int fd, size_t bytes, bool write, struct shared *ret);
/* Others can have it from us no more; it stays mapped. */
void shared_close(struct shared *s);
void shared_done(struct shared *s); /* SHARED_NONE is fine, and what becomes of it */

#endif
