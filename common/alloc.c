#include "common/alloc.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MAPPED_BYTES (32 << 20) /* the most that the C library accepts */
#define PAD_BYTES (1 << 20)
#define LARGE_PAGE_BYTES (2 << 20)
#define ALIGN_BYTES 64 /* a cache line and the widest vector register */

__attribute__((noreturn)) static void out_of_memory(size_t count, size_t bytes)
{
    fprintf(stderr, "out of memory: %zu x %zu bytes\n", count, bytes);
    abort();
}

void *xmalloc(size_t bytes)
{
    void *p = malloc(bytes ? bytes : 1);

    if (!p)
        out_of_memory(1, bytes);
    return p;
}

void *xcalloc(size_t count, size_t bytes)
{
    void *p = count && bytes ? calloc(count, bytes) : calloc(1, 1);

    if (!p)
        out_of_memory(count, bytes);
    return p;
}

void *xrealloc(void *p, size_t bytes)
{
    void *q = realloc(p, bytes ? bytes : 1);

    if (!q)
        out_of_memory(1, bytes);
    return q;
}

char *xstrdup(const char *s)
{
    size_t bytes = strlen(s) + 1;

    return memcpy(xmalloc(bytes), s, bytes);
}

char *xasprintf(const char *fmt, ...)
{
    va_list ap, again;

    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        out_of_memory(1, 0);
    char *s = xmalloc((size_t)n + 1);
    vsnprintf(s, (size_t)n + 1, fmt, again);
    va_end(again);
    return s;
}

/* False: so much cannot be had. */
static bool is_possible(size_t count, size_t bytes, size_t *ret_total)
{
    return !__builtin_mul_overflow(count, bytes, ret_total) && *ret_total <= PTRDIFF_MAX;
}

/* Asks for large pages where a block has room for some: to fault in small ones costs more than what
 * is done with them. Where the kernel has none it stays as it is. */
static void *in_large_pages(void *p, size_t bytes)
{
    const uintptr_t page = LARGE_PAGE_BYTES;
    const uintptr_t first = ((uintptr_t)p + page - 1) & ~(page - 1);
    const uintptr_t end = ((uintptr_t)p + bytes) & ~(page - 1);

    if (p && bytes >= 4 * page && end > first)
        (void)madvise((char *)p + (first - (uintptr_t)p), end - first, MADV_HUGEPAGE);
    return p;
}

void *alloc_bytes(size_t count, size_t bytes)
{
    size_t total;
    void *p;

    if (!is_possible(count, bytes, &total))
        return NULL;
    if (posix_memalign(&p, ALIGN_BYTES, total ? total : 1) != 0)
        return NULL;
    return memset(in_large_pages(p, total), 0, total);
}

void *alloc_untouched(size_t count, size_t bytes)
{
    size_t total;

    if (!is_possible(count, bytes, &total))
        return NULL;
    return in_large_pages(calloc(1, total ? total : 1), total);
}

void alloc_keep(int kept_bytes)
{
    mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES);
    mallopt(M_TRIM_THRESHOLD, kept_bytes);
    mallopt(M_TOP_PAD, PAD_BYTES);
}

void alloc_give_back(void)
{
    malloc_trim(0);
}
