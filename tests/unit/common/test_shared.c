#include "common/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/harness.h"

enum { BYTES = 3 * 4096 };

TEST(who_takes_it_sees_what_its_maker_writes)
{
    struct shared made, taken;

    ASSERT_EQ(0, shared_make(BYTES, false, &made));
    for (int i = 0; i < BYTES; i++)
        ASSERT_EQ(0, ((unsigned char *)made.base)[i]);
    ASSERT_EQ(0, shared_take(dup(made.fd), BYTES, false, &taken));
    memset(made.base, 7, BYTES);
    ASSERT_MEM(made.base, taken.base, BYTES);
    shared_done(&taken);
    shared_close(&made);
    memset(made.base, 8, BYTES); /* it stays mapped */
    shared_done(&made);
    shared_done(&made);
}

TEST(others_write_only_where_they_may)
{
    struct shared made, taken;

    ASSERT_EQ(0, shared_make(BYTES, false, &made));
    ASSERT(shared_take(made.fd, BYTES, true, &taken) < 0);
    ASSERT(pwrite(made.fd, "x", 1, 0) < 0);
    ASSERT(mprotect(made.base, BYTES, PROT_READ | PROT_WRITE) == 0);
    shared_done(&made);
    ASSERT_EQ(0, shared_make(BYTES, true, &made));
    ASSERT_EQ(0, shared_take(dup(made.fd), BYTES, true, &taken));
    memset(taken.base, 9, BYTES);
    ASSERT_MEM(taken.base, made.base, BYTES);
    shared_done(&taken);
    shared_done(&made);
}

TEST(its_size_is_that_of_its_maker)
{
    struct shared made, taken;

    ASSERT_EQ(0, shared_make(BYTES, true, &made));
    ASSERT(ftruncate(made.fd, 0) < 0);
    ASSERT(ftruncate(made.fd, 2 * BYTES) < 0);
    ASSERT_EQ(-EINVAL, shared_take(made.fd, BYTES - 1, false, &taken));
    ASSERT(!taken.base);
    shared_done(&made);
}

TEST(what_can_shrink_is_not_taken)
{
    char path[] = "/tmp/steppe-shared-XXXXXX";
    struct shared taken;
    int fd = mkstemp(path);

    ASSERT(fd >= 0);
    unlink(path);
    ASSERT_EQ(0, ftruncate(fd, BYTES));
    ASSERT_EQ(-EINVAL, shared_take(fd, BYTES, false, &taken));
    close(fd);
}
