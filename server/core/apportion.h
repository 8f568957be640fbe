/* Whole numbers by shares: so many places over groups of different sizes. Pure. */
#ifndef STEPPE_SERVER_CORE_APPORTION_H
#define STEPPE_SERVER_CORE_APPORTION_H

#include <stdint.h>

/* Splits `total` over the groups by largest remainder of total * size / n, n being the sum of the
 * sizes and at least total and 1, ties to the lower group: quotas[groups], none of which exceeds
 * its size. Exact below 2^32 samples. 0 or -ENOMEM. */
int apportion(uint32_t total, const uint32_t *sizes, uint32_t groups, uint32_t *quotas);

#endif
