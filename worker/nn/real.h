/* The number type of the engine: float32, or double when the layers are compiled a second time for
 * gradient checks (STEPPE_REAL_DOUBLE). */
#ifndef STEPPE_WORKER_NN_REAL_H
#define STEPPE_WORKER_NN_REAL_H

#include <stdint.h>

#ifdef STEPPE_REAL_DOUBLE
typedef double real;
typedef uint64_t real_bits; /* as wide as a real */
#else
typedef float real;
typedef uint32_t real_bits;
#endif

#endif
