/* The largest eigenvalues of a symmetric matrix that is only known by its products with vectors
 * (Lanczos 1950), with full reorthogonalisation (Golub and Van Loan, Matrix Computations, 10.3).
 * Vectors are float32, as they travel; sums are in double, in a fixed order. Pure. */
#ifndef STEPPE_SERVER_CORE_LANCZOS_H
#define STEPPE_SERVER_CORE_LANCZOS_H

#include <stdbool.h>
#include <stddef.h>

#define LANCZOS_STEPS_MAX 100

struct lanczos;

/* For vectors of n floats and at most `limit` products, 1 to LANCZOS_STEPS_MAX. NULL when memory is
 * out. */
struct lanczos *lanczos_create(size_t n, int limit);
void lanczos_free(struct lanczos *l); /* NULL is fine */
/* start[n], not all 0: it is scaled to length 1 and copied. 0, -EINVAL or -ENOMEM. */
int lanczos_begin(struct lanczos *l, const float *start);
/* [n] the vector whose product is wanted next; valid until lanczos_add. */
const float *lanczos_vector(const struct lanczos *l);
/* Takes scale * product[n], the product with lanczos_vector. 0 or -ENOMEM. */
int lanczos_add(struct lanczos *l, const float *product, double scale);
/* Is there nothing left to ask for: the limit is reached, the space is exhausted (the residuals
 * are 0), or each of the largest `wanted` values has a residual of at most tolerance times the
 * largest magnitude? */
bool lanczos_done(const struct lanczos *l, int wanted, double tolerance);
int lanczos_steps(const struct lanczos *l); /* products taken */

/* The largest Ritz values, falling, at most `wanted`, and of each an upper bound of its distance to
 * an eigenvalue: the residual norm |H y - value y| = beta |last entry of its eigenvector of T|.
 * Returns how many there are. */
int lanczos_values(const struct lanczos *l, int wanted, double *ret_values, double *ret_residuals);
/* The Ritz vector of the largest value, of length 1, into ret[n]. */
void lanczos_top(const struct lanczos *l, float *ret);

/* All eigenvalues of the symmetric a[n, n], row by row, falling, and the eigenvectors as the
 * columns of vectors[n, n]. By Jacobi's rotations in a fixed order; a is destroyed. */
void lanczos_jacobi(double *a, int n, double *values, double *vectors);

#endif
