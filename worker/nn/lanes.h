/* Eight doubles at a time, in whatever vectors the processor has: a function that is compiled for
 * several (KERNEL) has the same bits in all of them. */
#ifndef STEPPE_WORKER_NN_LANES_H
#define STEPPE_WORKER_NN_LANES_H

#include <stdint.h>
#include <string.h>

#define LANES 8

typedef double lanes __attribute__((vector_size(LANES * sizeof(double))));
typedef int64_t lane_words __attribute__((vector_size(LANES * sizeof(int64_t))));

#define LANES_INLINE __attribute__((always_inline)) static inline

#endif
