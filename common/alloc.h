/* Memory for small things of our own: these abort with a message when memory is out. Sizes that a
 * peer or user chose go through alloc_bytes, which is checked; only the request fails. */
#ifndef STEPPE_COMMON_ALLOC_H
#define STEPPE_COMMON_ALLOC_H

#include <stddef.h>

void *xmalloc(size_t bytes);
void *xcalloc(size_t count, size_t bytes); /* zeroed; also aborts on overflow */
void *xrealloc(void *p, size_t bytes);
char *xstrdup(const char *s);
__attribute__((format(printf, 1, 2))) char *xasprintf(const char *fmt, ...);

/* Zeroed, 64-byte aligned memory of count*bytes; NULL on overflow or when memory is out.
 * Freed with free(). */
void *alloc_bytes(size_t count, size_t bytes);

#endif
