#include "common/secret.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness.h"

TEST(it_is_zeroed_locked_and_aligned)
{
    uint64_t *p = secret_alloc(3 * sizeof(*p));

    ASSERT(p);
    for (int i = 0; i < 3; i++)
        ASSERT_EQ(0, p[i]);
    ASSERT_EQ(0, (uintptr_t)p % sizeof(*p));
    if (!secret_locked(p, 3 * sizeof(*p)))
        SKIP("no memory may be locked here");
    secret_free(p);
    secret_free(NULL);
}

TEST(who_reads_beyond_it_ends)
{
    volatile char *p = secret_alloc(64);
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL);
        _exit(p[64]);
    }
    ASSERT_EQ(pid, waitpid(pid, &status, 0));
    ASSERT(WIFSIGNALED(status) || WEXITSTATUS(status) != 0); /* or a sanitizer */
    secret_free((void *)p);
}
