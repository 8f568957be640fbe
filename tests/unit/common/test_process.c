#define _GNU_SOURCE
#include "common/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/filter.h"
#include "tests/harness.h"

static const char *const none[] = {NULL};

static void filter_or_skip(void)
{
    int rc = filter_set(none);

    if (rc == -ENOTSUP || rc == -EINVAL || rc == -ENOSYS)
        SKIP("no filter of system calls here");
    ASSERT_EQ(0, rc);
}

TEST(what_holds_keys_leaves_no_core_and_shows_nothing)
{
    struct rlimit core;

    process_hide();
    ASSERT_EQ(0, prctl(PR_GET_DUMPABLE));
    ASSERT_EQ(0, getrlimit(RLIMIT_CORE, &core));
    ASSERT_EQ(0, core.rlim_cur);
    ASSERT_EQ(0, core.rlim_max);
}

TEST(a_daemon_makes_files_for_its_owner_alone_whatever_the_umask)
{
    struct stat st;

    for (mode_t mask = 0; mask <= 0777; mask += 0777) {
        umask(mask);
        process_enclose(none);
        int fd = open(test_path(mask ? "b" : "a"), O_WRONLY | O_CREAT, 0666);
        ASSERT(fd >= 0);
        ASSERT_EQ(0, fstat(fd, &st));
        ASSERT_EQ(0600, st.st_mode & 0777);
        close(fd);
    }
    ASSERT_EQ(1, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
}

TEST(what_is_never_needed_is_denied)
{
    filter_or_skip();
    const struct {
        const char *name;
        long got;
    } calls[] = {
        {"ptrace", ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 ? -errno : 0},
        {"unshare", unshare(CLONE_FILES) < 0 ? -errno : 0},
        {"bpf", syscall(SYS_bpf, 0, NULL, 0) < 0 ? -errno : 0},
        {"keyctl", syscall(SYS_keyctl, 0, 0) < 0 ? -errno : 0},
        {"mount", syscall(SYS_mount, "a", "b", "c", 0, NULL) < 0 ? -errno : 0},
        {"setuid", syscall(SYS_setuid, getuid()) < 0 ? -errno : 0},
        {"TIOCSTI", ioctl(0, TIOCSTI, "x") < 0 ? -errno : 0},
        {"a namespace",
         syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, 0) < 0 ? -errno : 0},
    };
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        if (calls[i].got != -EPERM)
            FAIL("%s gives %ld, wanted -EPERM", calls[i].name, calls[i].got);
    ASSERT_EQ(-1, syscall(SYS_clone3, NULL, 0)); /* the C library then uses clone */
    ASSERT_EQ(ENOSYS, errno);
}

static void *do_nothing(void *arg)
{
    return arg;
}

TEST(threads_and_children_are_made_as_before)
{
    pthread_t thread;
    int status;

    filter_or_skip();
    ASSERT_EQ(0, pthread_create(&thread, NULL, do_nothing, NULL));
    ASSERT_EQ(0, pthread_join(thread, NULL));
    pid_t pid = fork();
    if (pid == 0)
        _exit(7);
    ASSERT(pid > 0);
    ASSERT_EQ(pid, waitpid(pid, &status, 0));
    ASSERT_EQ(7, WEXITSTATUS(status));
}

static void *try_ptrace(void *arg)
{
    pthread_barrier_wait(arg);
    return (void *)(intptr_t)(ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 ? errno : 0);
}

TEST(threads_that_were_there_have_it_too)
{
    pthread_barrier_t barrier;
    pthread_t thread;
    void *got;

    pthread_barrier_init(&barrier, NULL, 2);
    ASSERT_EQ(0, pthread_create(&thread, NULL, try_ptrace, &barrier));
    filter_or_skip();
    pthread_barrier_wait(&barrier);
    ASSERT_EQ(0, pthread_join(thread, &got));
    ASSERT_EQ(EPERM, (intptr_t)got);
}

/* What execve gives in a child: its error; 0: the program ran and was content. */
static int try_execve(const char *path, const char *const *allowed)
{
    char name[] = "test", this[] = "one_starts_this_very_program", *argv[] = {name, this, NULL};
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        if (allowed && filter_set(allowed) < 0)
            _exit(99);
        dup2(open("/dev/null", O_WRONLY), 1);
        execve(path, argv, environ);
        _exit(errno);
    }
    ASSERT(pid > 0);
    ASSERT_EQ(pid, waitpid(pid, &status, 0));
    ASSERT(WIFEXITED(status));
    return WEXITSTATUS(status);
}

TEST(one_starts_this_very_program)
{
    const char *beside = process_beside("none"), *const allowed[] = {beside, process_self, NULL};

    if (getenv("STARTED_ANEW"))
        return;
    char *copy = strdup(process_self);
    setenv("STARTED_ANEW", "1", 1);
    ASSERT(beside && strstr(beside, "/none"));
    ASSERT_EQ(0, try_execve(process_self, NULL));
    const int got = try_execve(process_self, allowed);
    if (got == 99)
        SKIP("no filter of system calls here");
    ASSERT_EQ(0, got);
    ASSERT_EQ(ENOENT, try_execve(beside, allowed)); /* allowed, but not there */
    ASSERT_EQ(EPERM, try_execve(copy, allowed));    /* the same text, elsewhere */
    ASSERT_EQ(EPERM, try_execve("/bin/true", allowed));
    ASSERT_EQ(EPERM, try_execve(process_self, none));
    free(copy);
}
