/* Long runs of float32 that came from elsewhere. */
#ifndef STEPPE_COMMON_FLOATS_H
#define STEPPE_COMMON_FLOATS_H

#include <stdbool.h>
#include <stddef.h>

/* From here on this thread treats denormal operands and results as 0 in every float operation.
 * Returns the previous mode, for floats_restore. */
unsigned floats_flush(void);
void floats_restore(unsigned mode);

/* Is none of the n floats NaN or infinite? */
bool floats_finite(const float *a, size_t n);
/* Copies n floats from in, which may be unaligned, and says whether all are finite. */
bool floats_copy_finite(float *restrict out, const void *restrict in, size_t n);
/* The same for n IEEE halves or bfloat16 (both exact), or doubles, which are rounded to the nearest
 * float; one beyond float32 is not finite. */
bool floats_from_f16(float *restrict out, const void *restrict in, size_t n);
bool floats_from_bf16(float *restrict out, const void *restrict in, size_t n);
bool floats_from_f64(float *restrict out, const void *restrict in, size_t n);

/* Sums of squares in double, in a fixed order: entry i of every run goes to lane i % FLOATS_LANES,
 * and the lanes are added pairwise at the end. */
#define FLOATS_LANES 16
void floats_add_squares(double lane[FLOATS_LANES], const float *a, size_t n);
double floats_sum_lanes(double lane[FLOATS_LANES]); /* consumes the lanes */
/* sum a b in that order. */
double floats_dot(const float *a, const float *b, size_t n);
/* y += factor x, computed in double and rounded once. */
void floats_add_times(float *restrict y, double factor, const float *restrict x, size_t n);
/* y = factor x, likewise; y may be x. */
void floats_times(float *y, double factor, const float *x, size_t n);

#endif
