#include "server/core/share.h"

void share_order(const double *granted_ms, size_t count, size_t loaded, uint32_t threads,
                 size_t *order)
{
    for (size_t i = 0; i < count; i++) { /* insertion: a handful of jobs run */
        size_t at = i;
        for (; at > 0 && granted_ms[order[at - 1]] > granted_ms[i]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    if (loaded == SIZE_MAX || count == 0 ||
        granted_ms[loaded] - granted_ms[order[0]] > (double)SHARE_TURN_MS * threads)
        return;
    size_t at = 0;
    while (order[at] != loaded)
        at++;
    for (; at > 0; at--)
        order[at] = order[at - 1];
    order[0] = loaded;
}

double share_level(double granted_ms, const double *ms, size_t count, uint32_t threads)
{
    double most = granted_ms;

    for (size_t i = 0; i < count; i++)
        if (ms[i] > most)
            most = ms[i];
    double least = most - (double)SHARE_OWED_MS * threads;
    return granted_ms < least ? least : granted_ms;
}
