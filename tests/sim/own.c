#include "tests/sim/own.h"

#include "common/alloc.h"

static int depth;

void *own_calloc(size_t count, size_t bytes)
{
    depth++;
    void *p = xcalloc(count, bytes);
    depth--;
    return p;
}

void *own_realloc(void *p, size_t bytes)
{
    depth++;
    p = xrealloc(p, bytes);
    depth--;
    return p;
}

char *own_strdup(const char *s)
{
    depth++;
    char *copy = xstrdup(s);
    depth--;
    return copy;
}

bool own_now(void)
{
    return depth > 0;
}
