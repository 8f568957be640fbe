#include "common/alloc.h"

#include <stdlib.h>

#include "tests/harness.h"

TEST(alloc_bytes_gives_zeroed_aligned_memory)
{
    for (size_t n = 0; n < 300; n += 37) {
        unsigned char *p = alloc_bytes(n, 3);
        ASSERT(p != NULL);
        ASSERT_EQ(0, (uintptr_t)p % 64);
        for (size_t i = 0; i < 3 * n; i++)
            ASSERT_EQ(0, p[i]);
        memset(p, 1, 3 * n);
        free(p);
    }
}

TEST(alloc_bytes_refuses_what_overflows)
{
    ASSERT(alloc_bytes(SIZE_MAX / 2, 3) == NULL);
    ASSERT(alloc_bytes(SIZE_MAX, SIZE_MAX) == NULL);
    ASSERT(alloc_bytes((size_t)1 << 63, 1) == NULL);
}

TEST(xasprintf_fits_any_length)
{
    char *s = xasprintf("%0*d-%s", 5000, 7, "end");

    ASSERT_EQ(5004, strlen(s));
    ASSERT_STR("7-end", s + 4999);
    free(s);
}

TEST(no_bytes_is_still_memory)
{
    void *p = xmalloc(0), *q = xcalloc(0, 8), *r = xrealloc(NULL, 0);

    ASSERT(p && q && r);
    free(p);
    free(q);
    free(r);
}
