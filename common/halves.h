/* Long loops over a vector, shared by the caller and a few threads, one a processor at most: server
 * and worker use them on parameters and gradients while everybody waits. Each thread takes the next
 * piece when it has finished one. The function must treat each entry on its own, so that the bits
 * are those of one loop. */
#ifndef STEPPE_COMMON_HALVES_H
#define STEPPE_COMMON_HALVES_H

#include <stdbool.h>
#include <stddef.h>

/* With fewer entries for each a thread does not pay: waking it takes as long as ten thousand. */
#define HALVES_MIN ((size_t)1 << 17)

struct halves;

/* Entries [first, end). Called on several threads at once. */
typedef void (*halves_fn)(void *arg, size_t first, size_t end);

/* NULL with one processor or when no thread can be made; then the caller's thread does
 * everything. */
struct halves *halves_create(void);
void halves_free(struct halves *h); /* NULL is fine */
/* fn over [0, count): in pieces when count >= HALVES_MIN, else whole. Returns when all of it is
 * done. One call at a time. */
void halves_run(struct halves *h, size_t count, halves_fn fn, void *arg);
/* memcpy, floats_finite and floats_copy_finite, shared in this way. */
void halves_copy(struct halves *h, void *out, const void *in, size_t bytes);
bool halves_finite(struct halves *h, const float *a, size_t n);
bool halves_copy_finite(struct halves *h, float *out, const void *in, size_t n);

#endif
