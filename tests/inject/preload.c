/* Put before the C library of a program (LD_PRELOAD, with disk.c): of the calls that hand memory
 * out, or of those that change a disk, the n-th fails. They count from where main begins, whoever
 * calls: the program, its libraries, libc itself. STEPPE_INJECT says which:
 *   memory:N:0    once; memory:N:1: and all that come after it
 *   disk:N:E      with errno E, once
 * and STEPPE_INJECT_SAYS names a file, which gets the lines "asked FILE", the program or library
 * that asked, and "struck N" when it strikes, and "calls N" when the program returns. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/inject/fault.h"

/* The C library's own. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);

static struct {
    bool armed;
    struct fault fault;
    int says; /* descriptor */
    atomic_uint_fast64_t calls;
    atomic_bool said; /* that it strikes */
} state;
static _Thread_local bool saying;

/* Not through write, which counts. */
static void put(const char *line, int bytes)
{
    if (syscall(SYS_write, state.says, line, (size_t)bytes) != bytes)
        _exit(99);
}

static void say(const char *what, uint64_t number)
{
    char line[64];

    put(line, snprintf(line, sizeof(line), "%s %" PRIu64 "\n", what, number));
}

static void say_who(const void *caller)
{
    char line[128];
    Dl_info info;

    if (!dladdr(caller, &info) || !info.dli_fname)
        return;
    const char *slash = strrchr(info.dli_fname, '/');
    put(line, snprintf(line, sizeof(line), "asked %.100s\n", slash ? slash + 1 : info.dli_fname));
}

static bool strikes(enum fault_kind kind, const void *caller)
{
    if (!state.armed || state.fault.kind != kind)
        return false;
    uint64_t n = atomic_fetch_add(&state.calls, 1) + 1;
    if (n == state.fault.nth) {
        saying = true;
        if (caller)
            say_who(caller);
        say("struck", n);
        saying = false;
        atomic_store(&state.said, true);
        return true;
    }
    if (n < state.fault.nth || !state.fault.lasting)
        return false;
    /* What fails next to the first may end the process: not before that was told. */
    while (!saying && !atomic_load(&state.said))
        sched_yield();
    return true;
}

int fault_disk(void)
{
    return strikes(FAULT_DISK, NULL) ? state.fault.error : 0;
}

static bool lacks_memory(const void *caller)
{
    if (!strikes(FAULT_MEMORY, caller))
        return false;
    errno = ENOMEM;
    return true;
}

bool fault_memory(void)
{
    return lacks_memory(NULL);
}

void *fault_hold(void *p)
{
    return p;
}

void *malloc(size_t bytes)
{
    return lacks_memory(__builtin_return_address(0)) ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    return lacks_memory(__builtin_return_address(0)) ? NULL : __libc_calloc(count, bytes);
}

void *realloc(void *old, size_t bytes)
{
    return lacks_memory(__builtin_return_address(0)) ? NULL : __libc_realloc(old, bytes);
}

void *memalign(size_t align, size_t bytes);
void *memalign(size_t align, size_t bytes)
{
    return lacks_memory(__builtin_return_address(0)) ? NULL : __libc_memalign(align, bytes);
}

void *aligned_alloc(size_t align, size_t bytes)
{
    return memalign(align, bytes);
}

int posix_memalign(void **ret, size_t align, size_t bytes)
{
    void *p = memalign(align, bytes);

    if (p)
        *ret = p;
    return p ? 0 : ENOMEM;
}

__attribute__((constructor)) static void begin(void)
{
    const char *text = getenv("STEPPE_INJECT"), *path = getenv("STEPPE_INJECT_SAYS");
    uint64_t nth;
    int last;

    if (!text || !path)
        return;
    bool disk = sscanf(text, "disk:%" SCNu64 ":%d", &nth, &last) == 2;
    if (!disk && sscanf(text, "memory:%" SCNu64 ":%d", &nth, &last) != 2)
        _exit(99);
    state.says =
        (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    state.fault = (struct fault){.kind = disk ? FAULT_DISK : FAULT_MEMORY,
                                 .nth = nth,
                                 .lasting = !disk && last,
                                 .error = last};
    state.armed = true;
}

__attribute__((destructor)) static void end(void)
{
    if (state.armed)
        say("calls", state.calls);
}
