/* Memory for keys: locked, so that it is never swapped out; left out of core files; between pages
 * that end the process when somebody reads or writes beyond it; overwritten when it is freed. For
 * few and small things: each takes four pages and more. */
#ifndef STEPPE_COMMON_SECRET_H
#define STEPPE_COMMON_SECRET_H

#include <stdbool.h>
#include <stddef.h>

/* Zeroed; NULL when memory is out. It is not locked where the limit on locked memory (ulimit -l) is
 * too low; secret_locked says so. A size that is a multiple of 8 is aligned to 8. */
void *secret_alloc(size_t bytes);
/* Overwrites and frees; NULL is fine. */
void secret_free(void *p);
/* Is it locked? bytes as given to secret_alloc. */
bool secret_locked(void *p, size_t bytes);

#endif
