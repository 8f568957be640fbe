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
/* The same, aligned as malloc does it, where a large block is filled bit by bit: the kernel clears
 * each of its pages when it is first touched, and nobody waits until all are. */
void *alloc_untouched(size_t count, size_t bytes);

/* Once, when a program starts whose messages come and go by the megabyte: by default the C library
 * gives their pages back to the kernel and faults them in again with every step. From now on up to
 * kept_bytes that are free stay with the process; blocks larger than any message are mapped and go
 * back at once. */
void alloc_keep(int kept_bytes);
/* What is free and kept goes back: nothing large is about to come again. */
void alloc_give_back(void);

#endif
