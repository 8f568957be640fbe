/* The list is made of what changes the machine (mounts, modules, clocks, names), looks into or
 * steers other processes, changes who one is, or is a large and rarely used part of the kernel
 * (bpf, io_uring, user namespaces) of which faults are known. libuv does without io_uring where it
 * is refused, the C library without clone3, whose arguments no filter can read. */
#define _GNU_SOURCE /* CLONE_NEWUSER and its like */
#include "common/filter.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/bpf.h"

#if defined(ARCHITECTURE) && !defined(STEPPE_SANITIZED)

#define X32_BIT 0x40000000u
#define NAMESPACES                                                                                 \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |  \
     CLONE_NEWNET)

static const uint32_t denied[] = {
    /* other processes */
    __NR_ptrace,
    __NR_process_vm_readv,
    __NR_process_vm_writev,
    __NR_kcmp,
    __NR_perf_event_open,
    __NR_userfaultfd,
#ifdef __NR_pidfd_getfd
    __NR_pidfd_getfd,
#endif
#ifdef __NR_process_madvise
    __NR_process_madvise,
#endif
    /* who one is, and where */
    __NR_setuid,
    __NR_setgid,
    __NR_setreuid,
    __NR_setregid,
    __NR_setresuid,
    __NR_setresgid,
    __NR_setfsuid,
    __NR_setfsgid,
    __NR_setgroups,
    __NR_capset,
    __NR_chroot,
    __NR_unshare,
    __NR_setns,
    __NR_personality,
    /* files of others, and of no name */
    __NR_mount,
    __NR_umount2,
    __NR_pivot_root,
    __NR_mknodat,
    __NR_name_to_handle_at,
    __NR_open_by_handle_at,
    __NR_fanotify_init,
    __NR_quotactl,
    __NR_swapon,
    __NR_swapoff,
#ifdef __NR_open_tree
    __NR_open_tree,
    __NR_move_mount,
    __NR_fsopen,
    __NR_fsconfig,
    __NR_fsmount,
    __NR_fspick,
#endif
#ifdef __NR_mount_setattr
    __NR_mount_setattr,
#endif
    /* the kernel and the machine */
    __NR_bpf,
    __NR_keyctl,
    __NR_add_key,
    __NR_request_key,
    __NR_init_module,
    __NR_finit_module,
    __NR_delete_module,
    __NR_kexec_load,
#ifdef __NR_kexec_file_load
    __NR_kexec_file_load,
#endif
    __NR_reboot,
    __NR_acct,
    __NR_syslog,
    __NR_vhangup,
    __NR_sethostname,
    __NR_setdomainname,
    __NR_settimeofday,
    __NR_clock_settime,
    __NR_clock_adjtime,
    __NR_adjtimex,
#ifdef __NR_io_uring_setup
    __NR_io_uring_setup,
    __NR_io_uring_enter,
    __NR_io_uring_register,
#endif
#ifdef __x86_64__
    __NR_mknod,
    __NR_iopl,
    __NR_ioperm,
    __NR_modify_ldt,
#endif
    __NR_execveat,
};

/* The next `skip` are for a value that meets the test. */
#define UNLESS(test, value, skip) JUMP(test, value, 0, skip)
#define FAIL(error) RETURN(SECCOMP_RET_ERRNO | (error))

#define DENIED (sizeof(denied) / sizeof(denied[0]))
#define REST (32 + 5 * FILTER_PROGRAMS_MAX) /* instructions beside the list */

struct program {
    struct sock_filter code[2 * DENIED + REST];
    unsigned short count;
};

static void add(struct program *p, struct sock_filter instruction)
{
    p->code[p->count++] = instruction;
}

/* Another instruction set has other numbers; x32 is one of its own. */
static void add_architecture(struct program *p)
{
    add(p, LOAD(AT(arch)));
    add(p, JUMP(BPF_JEQ, ARCHITECTURE, 1, 0));
    add(p, FAIL(EPERM));
    add(p, LOAD(AT(nr)));
#ifdef __x86_64__
    add(p, UNLESS(BPF_JGE, X32_BIT, 1));
    add(p, FAIL(ENOSYS));
#endif
}

/* New namespaces, and keys that a terminal takes as typed. */
static void add_judged(struct program *p)
{
#ifdef __NR_clone3
    add(p, UNLESS(BPF_JEQ, __NR_clone3, 1));
    add(p, FAIL(ENOSYS));
#endif
    add(p, UNLESS(BPF_JEQ, __NR_clone, 4));
    add(p, LOAD(LOW(0)));
    add(p, UNLESS(BPF_JSET, NAMESPACES, 1));
    add(p, FAIL(EPERM));
    add(p, RETURN(SECCOMP_RET_ALLOW));
    add(p, UNLESS(BPF_JEQ, __NR_ioctl, 4));
    add(p, LOAD(LOW(1)));
    add(p, UNLESS(BPF_JEQ, TIOCSTI, 1));
    add(p, FAIL(EPERM));
    add(p, RETURN(SECCOMP_RET_ALLOW));
}

/* The filter that a started program inherits compares with our addresses: its own are others. */
static void add_execve(struct program *p, const char *const *paths)
{
    uint8_t count = 0;

    while (paths[count])
        count++;
    assert(count <= FILTER_PROGRAMS_MAX);
    add(p, UNLESS(BPF_JEQ, __NR_execve, (uint8_t)(5 * count + 1)));
    for (uint8_t i = 0; i < count; i++) {
        const uint64_t at = (uintptr_t)paths[i];
        add(p, LOAD(LOW(0)));
        add(p, UNLESS(BPF_JEQ, at & UINT32_MAX, 3));
        add(p, LOAD(HIGH(0)));
        add(p, UNLESS(BPF_JEQ, at >> 32, 1));
        add(p, RETURN(SECCOMP_RET_ALLOW));
    }
    add(p, FAIL(EPERM));
}

int filter_set(const char *const *programs)
{
    struct program p = {.count = 0};

    add_architecture(&p);
    for (size_t i = 0; i < DENIED; i++) {
        add(&p, UNLESS(BPF_JEQ, denied[i], 1));
        add(&p, FAIL(EPERM));
    }
    add_judged(&p);
    add_execve(&p, programs);
    add(&p, RETURN(SECCOMP_RET_ALLOW));

    const struct sock_fprog all = {.len = p.count, .filter = p.code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    /* A thread that has a filter of its own keeps the others from getting this one: its number. */
    long rc = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &all);
    return rc < 0 ? -errno : rc > 0 ? -EBUSY : 0;
}

#else

int filter_set(const char *const *programs)
{
    (void)programs;
    return -ENOTSUP;
}

#endif
