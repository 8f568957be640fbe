/* Shared by decimal.c, its table and its test. Nobody else includes this. */
#ifndef STEPPE_COMMON_DECIMAL_INTERNAL_H
#define STEPPE_COMMON_DECIMAL_INTERNAL_H

#include <stdint.h>

#define DECIMAL_POWER_MIN (-292)
#define DECIMAL_POWERS 617

/* Entry k - DECIMAL_POWER_MIN is 10^k as a number of 128 bits of which the highest is set, upper
 * half first: 10^k divided by a power of two and rounded up. */
extern const uint64_t decimal_powers[DECIMAL_POWERS][2];

#endif
