#include "server/core/apportion.h"

#include <errno.h>

#include "server/core/radix.h"

int apportion(uint32_t total, const uint32_t *sizes, uint32_t groups, uint32_t *quotas)
{
    struct radix remainders;
    uint32_t left = total;
    uint64_t n = 0;

    if (radix_begin(&remainders, groups, NULL) < 0)
        return -ENOMEM;
    for (uint32_t g = 0; g < groups; g++)
        n += sizes[g];
    for (uint32_t g = 0; g < groups; g++) {
        const uint64_t exact = (uint64_t)total * sizes[g];
        quotas[g] = (uint32_t)(exact / n);
        left -= quotas[g];
        radix_add(&remainders, UINT64_MAX - exact % n, g); /* the largest is first */
    }
    /* What is left is the sum of the remainders: more groups have one than get a place by it. */
    radix_sort(&remainders);
    for (uint32_t i = 0; i < left; i++)
        quotas[remainders.ids[i]]++;
    radix_done(&remainders);
    return 0;
}
