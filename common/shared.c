#define _GNU_SOURCE /* memfd_create, seals */
#include "common/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE_SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

/* Sealed behind our own mapping, which alone may write from then on. */
static int seal(int fd, bool others_write)
{
    const int seals = SIZE_SEALS | (others_write ? 0 : F_SEAL_FUTURE_WRITE) | F_SEAL_SEAL;

    return fcntl(fd, F_ADD_SEALS, seals) < 0 ? -errno : 0;
}

static int map(struct shared *s, bool write)
{
    /* All pages at once: one fault each, in the middle of the first step, takes longer. */
    s->base = mmap(NULL, s->bytes, write ? PROT_READ | PROT_WRITE : PROT_READ,
                   MAP_SHARED | MAP_POPULATE, s->fd, 0);
    if (s->base != MAP_FAILED)
        return 0;
    s->base = NULL;
    return -errno;
}

int shared_make(size_t bytes, bool others_write, struct shared *ret)
{
    struct shared s = {.fd = memfd_create("steppe", MFD_CLOEXEC | MFD_ALLOW_SEALING),
                       .bytes = bytes};
    int rc = s.fd < 0 ? -errno : 0;

    /* Pages that the machine does not have are missed here, not at some later access. */
    if (rc == 0)
        rc = -posix_fallocate(s.fd, 0, (off_t)bytes);
    if (rc == 0)
        rc = map(&s, true);
    if (rc == 0)
        rc = seal(s.fd, others_write);
    if (rc < 0)
        shared_done(&s);
    *ret = s;
    return rc;
}

int shared_take(int fd, size_t bytes, bool write, struct shared *ret)
{
    struct shared s = {.fd = fd, .bytes = bytes};
    struct stat st;
    const int seals = fcntl(fd, F_GET_SEALS);

    *ret = SHARED_NONE;
    if (seals < 0 || (seals & SIZE_SEALS) != SIZE_SEALS || fstat(fd, &st) < 0 ||
        st.st_size != (off_t)bytes)
        return -EINVAL;
    int rc = map(&s, write);
    if (rc == 0)
        *ret = s;
    return rc;
}

void shared_close(struct shared *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

void shared_done(struct shared *s)
{
    shared_close(s);
    if (s->base)
        munmap(s->base, s->bytes);
    *s = SHARED_NONE;
}
