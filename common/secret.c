#include "common/secret.h"

#include <sodium.h>
#include <string.h>
#include <sys/mman.h>

void *secret_alloc(size_t bytes)
{
    void *p = sodium_init() < 0 ? NULL : sodium_malloc(bytes);

    return p ? memset(p, 0, bytes) : NULL;
}

void secret_free(void *p)
{
    sodium_free(p);
}

bool secret_locked(void *p, size_t bytes)
{
    return mlock(p, bytes) == 0;
}
