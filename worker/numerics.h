/* The numerics class: workers of one class give the same bits. */
#ifndef STEPPE_WORKER_NUMERICS_H
#define STEPPE_WORKER_NUMERICS_H

#include "worker/nn/kernels.h"

#define NUMERICS_CLASS_BYTES 80 /* with the closing 0 */

/* "<kernel set>.<revision>/<OpenBLAS core>/<16 hex digits>": the digits are the start of the
 * SHA-256 of a canary: matrix products in the layers' shapes (all transposes), the set's
 * convolutions, exponentials and log1p over a fixed list, with FTZ/DAZ on. Takes some milliseconds.
 */
void numerics_class(const struct kernels *kernels, char out[NUMERICS_CLASS_BYTES]);

#endif
