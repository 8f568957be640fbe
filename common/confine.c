#define _GNU_SOURCE
#include "common/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/bpf.h"

void confine_die_first(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return; /* not being able to say so is no reason to stop */
    ssize_t written = write(fd, "1000", 4);
    (void)written;
    close(fd);
}

/* Soft and hard, as far as may be. */
static int bound(int what, rlim_t soft, rlim_t hard)
{
    struct rlimit now;

    if (getrlimit(what, &now) < 0)
        return -errno;
    const struct rlimit to = {.rlim_cur = soft < now.rlim_max ? soft : now.rlim_max,
                              .rlim_max = hard < now.rlim_max ? hard : now.rlim_max};
    return setrlimit(what, &to) < 0 ? -errno : 0;
}

#ifdef STEPPE_SANITIZED

static int bound_memory(int64_t bytes)
{
    (void)bytes;
    return 0;
}

#else

/* The kernel counts what is mapped, of which the libraries are the larger part. */
static int bound_memory(int64_t bytes)
{
    FILE *file = fopen("/proc/self/statm", "re");
    char line[64] = "";
    rlim_t pages = 0;

    if (file) {
        for (const char *p = fgets(line, sizeof(line), file); p && *p >= '0' && *p <= '9'; p++)
            pages = 10 * pages + (rlim_t)(*p - '0');
        fclose(file);
    }
    if (pages == 0)
        return -ENOENT;
    const rlim_t all = pages * (rlim_t)sysconf(_SC_PAGESIZE) + (rlim_t)bytes;
    return bound(RLIMIT_AS, all, all);
}

#endif

int confine_limits(int64_t memory_bytes, int cpu_s)
{
    int rc = bound_memory(memory_bytes);

    if (rc == 0)
        rc = bound(RLIMIT_CPU, (rlim_t)cpu_s, (rlim_t)cpu_s + 1);
    if (rc == 0)
        rc = bound(RLIMIT_FSIZE, 0, 0);
    if (rc == 0)
        rc = bound(RLIMIT_NPROC, 0, 0);
    return rc == 0 ? bound(RLIMIT_CORE, 0, 0) : rc;
}

#ifdef ARCHITECTURE

#define CALLS_MAX 200
/* The filter behind the jumps: refuse; look at the protection of pages, refuse; allow. */
#define HEAD 4
#define TAIL 5
#define PROTECTION_ARG 2

_Static_assert(CALLS_MAX + TAIL < 256, "a jump reaches 255 further");

int confine_calls(const int *calls, size_t count, bool kills)
{
    const unsigned refusal = kills ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | EPERM;
    struct sock_filter code[HEAD + CALLS_MAX + TAIL];
    const size_t refuse = HEAD + count, look = refuse + 1, allow = refuse + TAIL - 1;
    size_t n = 0;

    if (count > CALLS_MAX)
        return -EINVAL;
    code[n++] = LOAD(AT(arch));
    code[n++] = JUMP(BPF_JEQ, ARCHITECTURE, 1, 0);
    code[n++] = RETURN(SECCOMP_RET_KILL_PROCESS);
    code[n++] = LOAD(AT(nr));
    for (size_t i = 0; i < count; i++, n++) {
        bool maps = calls[i] == __NR_mmap || calls[i] == __NR_mprotect;
        code[n] = JUMP(BPF_JEQ, calls[i], (maps ? look : allow) - n - 1, 0);
    }
    code[n++] = RETURN(refusal);
    code[n++] = LOAD(LOW(PROTECTION_ARG));
    code[n++] = JUMP(BPF_JSET, PROT_EXEC, 0, 1);
    code[n++] = RETURN(refusal);
    code[n++] = RETURN(SECCOMP_RET_ALLOW);

    const struct sock_fprog program = {.len = (unsigned short)n, .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        return -errno;
    return 0;
}

#else

int confine_calls(const int *calls, size_t count, bool kills)
{
    (void)calls;
    (void)count;
    (void)kills;
    return -ENOSYS;
}

#endif
