/* Matrix products, row-major: the only caller of OpenBLAS. BLAS runs single-threaded: parallelism
 * comes from shards. */
#ifndef STEPPE_WORKER_NN_GEMM_H
#define STEPPE_WORKER_NN_GEMM_H

#include <stdbool.h>

#include "worker/nn/real.h"

/* Sets BLAS to one thread; call once before any other thread starts. */
void gemm_init(void);
/* Name of the kernel family OpenBLAS chose ("Zen", "SkylakeX"). */
const char *gemm_core(void);

/* C [m,n] = op(A) op(B) + beta*C; op transposes when ta/tb; lda.. are row strides as stored. */
void gemm(bool ta, bool tb, int m, int n, int k, const real *a, int lda, const real *b, int ldb,
          real beta, real *c, int ldc);
/* The same by a triple loop: the oracle of the tests. */
void gemm_ref(bool ta, bool tb, int m, int n, int k, const real *a, int lda, const real *b, int ldb,
              real beta, real *c, int ldc);

#endif
