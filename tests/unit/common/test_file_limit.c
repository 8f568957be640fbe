#include "common/file_limit.h"

#include <errno.h>
#include <sys/resource.h>

#include "tests/harness.h"

static void set_limit(rlim_t soft, rlim_t hard)
{
    const struct rlimit files = {soft, hard};

    ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &files));
}

TEST(the_soft_limit_is_raised_to_the_hard_one)
{
    struct errbuf why = {""};
    struct rlimit files;

    set_limit(20, 200);
    ASSERT_OK(file_limit_raise(100, &why), why);
    ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &files));
    ASSERT_EQ(200, files.rlim_cur);
}

TEST(a_limit_that_is_too_low_is_named_with_what_is_needed)
{
    struct errbuf why = {""};

    set_limit(20, 20);
    ASSERT_EQ(-EMFILE, file_limit_raise(56, &why));
    ASSERT_HAS("the limit on open files is 20 (ulimit -n): this process may open ", why.text);
    ASSERT_HAS(" more and needs 56; raise it (ulimit -n 1024", why.text);
    /* What was tried is closed again. */
    ASSERT_OK(file_limit_raise(4, &why), why);
    ASSERT_OK(file_limit_raise(4, &why), why);
}
