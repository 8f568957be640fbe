/* The number type of the engine: float32, or double when the layers are compiled a second time for
 * gradient checks (STEPPE_REAL_DOUBLE). */
#ifndef STEPPE_WORKER_NN_REAL_H
#define STEPPE_WORKER_NN_REAL_H

#ifdef STEPPE_REAL_DOUBLE
typedef double real;
#else
typedef float real;
#endif

#endif
