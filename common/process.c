#define _GNU_SOURCE /* memrchr */
#include "common/process.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/filter.h"

#define PATH_BYTES 4096

const char process_self[] = "/proc/self/exe";

const char *process_beside(const char *name)
{
    char path[PATH_BYTES];
    ssize_t n = readlink(process_self, path, sizeof(path) - 1);
    char *slash = n > 0 ? memrchr(path, '/', (size_t)n) : NULL;

    if (!slash || (size_t)(slash - path) + strlen(name) + 2 > sizeof(path))
        return NULL;
    memcpy(slash + 1, name, strlen(name) + 1);
    char *page =
        mmap(NULL, sizeof(path), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return NULL;
    memcpy(page, path, strlen(path) + 1);
    mprotect(page, sizeof(path), PROT_READ);
    return page;
}

void process_forgo_rights(void)
{
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

void process_hide(void)
{
    const struct rlimit none = {0};

    /* The limit alone does not keep a core from a program that the kernel pipes it to. */
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

int process_enclose(const char *const *programs)
{
    umask(077);
    process_hide();
    process_forgo_rights();
    return filter_set(programs);
}
