/* The exponential function of the head (head.h). */
#ifndef STEPPE_WORKER_NN_EXP_H
#define STEPPE_WORKER_NN_EXP_H

#include <stdint.h>

#include "worker/nn/real.h"

#define EXP_LEAST (-708.0) /* below it the result would soon be denormal: it is 0 */
#define EXP_ULPS 1.25      /* the error of a result, in units of its last place, is below this */

/* e[n] = exp(z[n] - top), exactly 1 for z = top; top is the largest of z. NaN gives NaN. The bits
 * are the same on every processor: it is made of additions and multiplications of doubles. */
void exp_below(const real *z, double top, uint32_t n, double *e);

#endif
