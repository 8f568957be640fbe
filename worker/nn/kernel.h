/* The arithmetic of the engine: how its loops are compiled, and its version. */
#ifndef STEPPE_WORKER_NN_KERNEL_H
#define STEPPE_WORKER_NN_KERNEL_H

#include "common/clone.h"

/* Part of the numerics class, behind the kernel set: raise it with every change of our own
 * arithmetic (order of a sum, tile sizes, formulas), so that old and new workers never share a job.
 */
#define KERNEL_REVISION 8

#endif
