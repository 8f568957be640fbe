#include "worker/nn/arena.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "common/layer_memory.h"
#include "common/machine.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

void *arena_take(struct arena *a, size_t count, size_t size)
{
    size_t bytes, end;

    if (__builtin_mul_overflow(count, size, &bytes) ||
        __builtin_add_overflow(a->used, bytes, &end) ||
        end > SIZE_MAX - MEMORY_ALIGN - MEMORY_GAP - 2 * MEMORY_PAGE) {
        a->overflow = true;
        return NULL;
    }
    end = a->used + memory_share(bytes);
    char *p = a->base ? a->base + a->used : NULL;
    if (p) { /* the gap is poisoned, so that an overrun is seen */
        assert(end <= a->bytes);
        ASAN_POISON_MEMORY_REGION(p + bytes, end - a->used - bytes);
    }
    a->used = end;
    return p;
}

size_t arena_bytes(const struct arena *a)
{
    return a->overflow ? SIZE_MAX
           : a->used   ? (a->used + MEMORY_PAGE - 1) / MEMORY_PAGE * MEMORY_PAGE
                       : MEMORY_PAGE;
}

int arena_map(struct arena *a)
{
    if (a->overflow)
        return -EOVERFLOW;
    size_t bytes = arena_bytes(a);
    /* The kernel promises more memory than it has and ends a process that uses it. */
    struct machine machine;
    machine_here(&machine);
    if ((uint64_t)bytes >= (uint64_t)machine_memory(&machine))
        return -ENOMEM;
    /* Maps one page more than needed and gives the unaligned ends back. */
    char *raw =
        mmap(NULL, bytes + MEMORY_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED)
        return -ENOMEM;
    char *base = (char *)(((uintptr_t)raw + MEMORY_PAGE - 1) / MEMORY_PAGE * MEMORY_PAGE);
    if (base > raw)
        munmap(raw, (size_t)(base - raw));
    if (base < raw + MEMORY_PAGE)
        munmap(base + bytes, (size_t)(raw + MEMORY_PAGE - base));
    madvise(base, bytes, MADV_HUGEPAGE); /* only a wish: small pages also work */
    memset(base, 0, bytes);
    *a = (struct arena){.base = base, .bytes = bytes};
    return 0;
}

void arena_unmap(struct arena *a)
{
    if (!a->base)
        return;
    ASAN_UNPOISON_MEMORY_REGION(a->base, a->bytes);
    munmap(a->base, a->bytes);
    *a = (struct arena){0};
}
