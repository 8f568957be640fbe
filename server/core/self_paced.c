#include "server/core/self_paced.h"

#include <math.h>

#define ZETA_LEAST 0x1p-10

double self_paced_weight(enum curriculum_mode mode, double loss, double threshold, double largest)
{
    if (mode == MODE_SPL_HARD || largest == 0)
        return 1;
    if (threshold == 0)
        return 0;
    if (mode == MODE_SPL_LINEAR)
        return 1 - loss / threshold;
    const double zeta = fmax(1 - threshold / largest, ZETA_LEAST);

    return fmax(log(loss / largest + zeta) / log(zeta), 0);
}

double self_paced_bonus(double gamma, uint32_t r)
{
    return gamma / (sqrt((double)r) + sqrt((double)(r - 1)));
}
