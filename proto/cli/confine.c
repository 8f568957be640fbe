#define _GNU_SOURCE
#include "proto/cli/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The largest picture with the coefficients of a progressive JPEG, a copy that is turned, the file
 * and the program itself. */
#define MEMORY_BYTES (1280u << 20)
#define PROCESSOR_S 10

#if defined(__x86_64__)
#define MACHINE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define MACHINE AUDIT_ARCH_AARCH64
#endif

/* The address space of a sanitizer has terabytes. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define BOUND_MEMORY true
#else
#define BOUND_MEMORY false
#endif

static int bound(int what, rlim_t most)
{
    const struct rlimit limit = {most, most};

    return setrlimit(what, &limit) == 0 ? 0 : -errno;
}

/* Not being able to say so is no reason to stop. */
static void die_first(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    ssize_t written = write(fd, "1000", 4);
    (void)written;
    close(fd);
}

#ifdef MACHINE

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)
#define ALLOW(call)                                                                                \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##call, 0, 1), RETURN(SECCOMP_RET_ALLOW)

static int filter_calls(void)
{
    struct sock_filter code[] = {
        LOAD(arch),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MACHINE, 1, 0),
        RETURN(SECCOMP_RET_KILL_PROCESS),
        LOAD(nr),
        ALLOW(read),
        ALLOW(write),
        ALLOW(brk),
        ALLOW(munmap),
        ALLOW(mremap),
        ALLOW(madvise),
        ALLOW(futex),
        ALLOW(rt_sigreturn),
        ALLOW(exit),
        ALLOW(exit_group),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_mmap, 1, 0),
        RETURN(SECCOMP_RET_KILL_PROCESS),
        LOAD(args[2]), /* prot; both machines have the lower half first */
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1),
        RETURN(SECCOMP_RET_KILL_PROCESS),
        RETURN(SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        return -errno;
    return 0;
}

#else

static int filter_calls(void)
{
    return -ENOSYS;
}

#endif

int confine(struct errbuf *why)
{
    die_first();
    closefrom(STDERR_FILENO + 1);
    int rc = BOUND_MEMORY ? bound(RLIMIT_AS, MEMORY_BYTES) : 0;
    if (rc == 0)
        rc = bound(RLIMIT_CPU, PROCESSOR_S);
    if (rc == 0)
        rc = bound(RLIMIT_CORE, 0);
    if (rc == 0)
        rc = filter_calls();
    if (rc < 0)
        return err_set(why, rc,
                       "this machine's kernel cannot confine a process (%s); pictures of strangers "
                       "are decoded in such a one only",
                       err_text(rc));
    return 0;
}
