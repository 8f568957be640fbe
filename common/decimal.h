/* Numbers as text, fast: for exports of millions of rows, where printf takes most of the time. */
#ifndef STEPPE_COMMON_DECIMAL_H
#define STEPPE_COMMON_DECIMAL_H

#include <stddef.h>
#include <stdint.h>

/* The longest text that these write; there is no closing 0. */
#define DECIMAL_BYTES 24

/* Both write at `to`, which has room for DECIMAL_BYTES, and return how many bytes they wrote. */
size_t decimal_of_i64(int64_t v, char *to);
/* The shortest decimal that reads back as v, and of several the one next to v; laid out as printf
 * lays out %g with as many digits, but whole numbers below 10^15 have no exponent. "nan", "inf" and
 * "-inf" where v is no number. */
size_t decimal_of_f64(double v, char *to);

#endif
