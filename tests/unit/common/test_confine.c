/* What a confined process can no longer do. */
#define _GNU_SOURCE
#include "common/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness.h"

#define NOT_FILTERED 100

static const int calls[] = {__NR_mmap, __NR_mprotect,   __NR_munmap, __NR_brk,
                            __NR_exit, __NR_exit_group, __NR_getppid};

/* The exit status of a child that calls judge, confined; or, below 0, the signal that ended it. */
static int confined(bool kills, int (*judge)(void))
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        if (confine_limits(64 << 20, 60) < 0)
            _exit(99);
        if (confine_calls(calls, sizeof(calls) / sizeof(calls[0]), kills) < 0)
            _exit(NOT_FILTERED);
        _exit(judge());
    }
    ASSERT_EQ(pid, waitpid(pid, &status, 0));
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* 0, or the number of the first that does not hold. */
static int judge_all(void)
{
    const size_t page = 4096;
    int pair[2];

    if (open("/dev/null", O_RDONLY) >= 0)
        return 2;
    if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0)
        return 3;
    if (kill(getppid(), 0) == 0 || errno != EPERM)
        return 4;
    void *p = mmap(NULL, page, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p != MAP_FAILED)
        return 5;
    p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return 6;
    if (mprotect(p, page, PROT_READ | PROT_EXEC) == 0 || mprotect(p, page, PROT_READ) < 0)
        return 7;
    return fork() >= 0 ? 8 : 0;
}

static int judge_open(void)
{
    return open("/dev/null", O_RDONLY) < 0;
}

TEST(other_system_calls_fail)
{
#ifdef STEPPE_SANITIZED
    SKIP("a sanitizer has system calls of its own");
#endif
    int got = confined(false, judge_all);

    if (got == NOT_FILTERED)
        SKIP("the kernel filters no system calls");
    ASSERT_EQ(0, got);
}

TEST(or_they_kill)
{
    int got = confined(true, judge_open);

    if (got == NOT_FILTERED)
        SKIP("the kernel filters no system calls");
    ASSERT_EQ(-SIGSYS, got);
}

TEST(there_is_no_more_memory_than_it_may_have)
{
#ifdef STEPPE_SANITIZED
    SKIP("a sanitizer's shadow is larger than any limit");
#else
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        if (confine_limits(64 << 20, 60) < 0)
            _exit(1);
        void *volatile small = malloc(32 << 20), *volatile large = malloc(65 << 20);
        _exit(small && !large ? 0 : 2);
    }
    ASSERT_EQ(pid, waitpid(pid, &status, 0));
    ASSERT(WIFEXITED(status));
    ASSERT_EQ(0, WEXITSTATUS(status));
#endif
}

TEST(nothing_can_be_written_to_a_file)
{
    int status = 0, fd = open(test_path("file"), O_RDWR | O_CREAT, 0600);
    pid_t pid = fork();

    if (pid == 0) {
        signal(SIGXFSZ, SIG_IGN);
        _exit(confine_limits(64 << 20, 60) == 0 && write(fd, "x", 1) < 0 ? 0 : 1);
    }
    ASSERT_EQ(pid, waitpid(pid, &status, 0));
    ASSERT_EQ(0, status);
    close(fd);
}
