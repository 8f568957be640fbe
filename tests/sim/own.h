/* Memory of the simulation itself while the server's code runs: a fault that is to hit the server's
 * allocations passes it by. As those of common/alloc.h. */
#ifndef STEPPE_TESTS_SIM_OWN_H
#define STEPPE_TESTS_SIM_OWN_H

#include <stdbool.h>
#include <stddef.h>

void *own_calloc(size_t count, size_t bytes);
void *own_realloc(void *p, size_t bytes);
char *own_strdup(const char *s);
/* Is it such an allocation that is being made? */
bool own_now(void);

#endif
