#include "worker/nn/arena.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "common/machine.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

#define ALIGN 64
/* Behind every block. Activations of a whole shard are multiples of a page: 13 lines between them
 * keep the streams of one loop off one offset in their pages, where loads wait for stores that only
 * look alike. Poisoned under AddressSanitizer, so that an overrun is seen. */
#define GAP (13 * ALIGN)
#define PAGE ((size_t)2 << 20)

size_t arena_share(size_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN + GAP;
}

void *arena_take(struct arena *a, size_t count, size_t size)
{
    size_t bytes, end;

    if (__builtin_mul_overflow(count, size, &bytes) ||
        __builtin_add_overflow(a->used, bytes, &end) || end > SIZE_MAX - ALIGN - GAP - 2 * PAGE) {
        a->overflow = true;
        return NULL;
    }
    end = a->used + arena_share(bytes);
    char *p = a->base ? a->base + a->used : NULL;
    if (p) {
        assert(end <= a->bytes);
        ASAN_POISON_MEMORY_REGION(p + bytes, end - a->used - bytes);
    }
    a->used = end;
    return p;
}

size_t arena_bytes(const struct arena *a)
{
    return a->overflow ? SIZE_MAX : a->used ? (a->used + PAGE - 1) / PAGE * PAGE : PAGE;
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
        mmap(NULL, bytes + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED)
        return -ENOMEM;
    char *base = (char *)(((uintptr_t)raw + PAGE - 1) / PAGE * PAGE);
    if (base > raw)
        munmap(raw, (size_t)(base - raw));
    if (base < raw + PAGE)
        munmap(base + bytes, (size_t)(raw + PAGE - base));
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
