/* The number type of the engine: float32, or double when the layers are compiled a second time for
 * gradient checks (STEPPE_REAL_DOUBLE). */
#ifndef STEPPE_WORKER_NN_REAL_H
#define STEPPE_WORKER_NN_REAL_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef STEPPE_REAL_DOUBLE
typedef double real;
typedef uint64_t real_bits; /* as wide as a real */
#else
typedef float real;
typedef uint32_t real_bits;
#endif

/* v or 0, by bits: from a ?: the compiler may make branches and masked stores, which are far
 * slower. */
static inline real real_keep(real v, bool take)
{
    real_bits bits;

    memcpy(&bits, &v, sizeof(bits));
    bits &= -(real_bits)take;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

#endif
