#include "common/score.h"

#include <float.h>
#include <math.h>

#include "common/bounds.h"

double score_margin(double loss, double el2n)
{
    /* 1 - p_y; a loss that underflowed to 0 counts as the smallest normal one. */
    double rest = -expm1(-fmax(loss, DBL_MIN));
    /* el2n^2 = rest^2 + the squares of the others: from one that is all the rest to all alike. */
    double ratio = el2n / rest;
    double others = fmin(fmax(ratio * ratio - 1, 1.0 / CLASSES_MAX), 1);

    return -loss - log(rest) - 0.5 * log(others);
}
