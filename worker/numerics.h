/* The numerics class: workers of one class give the same bits. */
#ifndef STEPPE_WORKER_NUMERICS_H
#define STEPPE_WORKER_NUMERICS_H

#define NUMERICS_CLASS_BYTES 80 /* with the closing 0 */

/* "<kernel set>/<OpenBLAS core>/<16 hex digits>": the digits are the start of the SHA-256 of a
 * canary: matrix products in the layers' shapes (all transposes), exp and log1p over a fixed list,
 * with FTZ/DAZ on. Takes some milliseconds. */
void numerics_class(char out[NUMERICS_CLASS_BYTES]);

#endif
