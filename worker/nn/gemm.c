#include "worker/nn/gemm.h"

#include <cblas.h>
#include <stddef.h>
#include <string.h>

void gemm_init(void)
{
    openblas_set_num_threads(1);
}

const char *gemm_core(void)
{
    return openblas_get_corename();
}

void gemm(bool ta, bool tb, int m, int n, int k, const real *a, int lda, const real *b, int ldb,
          real beta, real *c, int ldc)
{
    const CBLAS_TRANSPOSE opa = ta ? CblasTrans : CblasNoTrans;
    const CBLAS_TRANSPOSE opb = tb ? CblasTrans : CblasNoTrans;

    /* On some cores OpenBLAS clears C by a slow loop: up to a third of the time of a product with a
     * short inner dimension. */
    if (beta == 0) {
        for (size_t i = 0, rows = ldc == n ? 1 : (size_t)m; i < rows; i++)
            memset(c + i * (size_t)ldc, 0, (ldc == n ? (size_t)m : 1) * (size_t)n * sizeof(*c));
        beta = 1;
    }
#ifdef STEPPE_REAL_DOUBLE
    cblas_dgemm(CblasRowMajor, opa, opb, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
#else
    cblas_sgemm(CblasRowMajor, opa, opb, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
#endif
}

void gemm_ref(bool ta, bool tb, int m, int n, int k, const real *a, int lda, const real *b, int ldb,
              real beta, real *c, int ldc)
{
    const size_t rows = (size_t)m, cols = (size_t)n, depth = (size_t)k;
    const size_t sa = (size_t)lda, sb = (size_t)ldb, sc = (size_t)ldc;

    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < cols; j++) {
            double sum = 0;
            for (size_t l = 0; l < depth; l++) {
                const double x = ta ? a[l * sa + i] : a[i * sa + l];
                const double y = tb ? b[j * sb + l] : b[l * sb + j];
                sum += x * y;
            }
            /* As in BLAS, the old C counts only when beta is not 0. */
            const double old = beta != 0 ? (double)beta * c[i * sc + j] : 0;
            c[i * sc + j] = (real)(old + sum);
        }
    }
}
