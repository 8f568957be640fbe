#include "common/score.h"

#include <float.h>
#include <math.h>

/* 1 - p_y; a loss that underflowed to 0 counts as the smallest normal one. */
static double rest_of(double loss)
{
    return -expm1(-fmax(loss, DBL_MIN));
}

/* The least concentration that counts. That of the margin is part of its definition: databases have
 * means of margins, and views that compute them (server/store/store_sql_parts.h), so that it stays
 * what it was when there were at most 1000 classes. */
#define MARGIN_LEAST 0.001
#define RIVAL_LEAST 0x1p-16

/* The squares of the other probabilities over the square of their sum: 1 where one class is all of
 * it, 1 / k where k are alike. */
static double concentration(double rest, double el2n, double least)
{
    double ratio = el2n / rest;

    return fmin(fmax(ratio * ratio - 1, least), 1);
}

bool score_is_finite(const struct score *s)
{
    return isfinite(s->loss) && isfinite(s->adv_loss) && isfinite(s->grad_norm) &&
           isfinite(s->el2n);
}

double score_margin(double loss, double el2n)
{
    if (isnan(loss) || isnan(el2n))
        return NAN;
    double rest = rest_of(loss), others = concentration(rest, el2n, MARGIN_LEAST);

    return -loss - log(rest) - 0.5 * log(others);
}

double score_rival(double loss, double el2n)
{
    double rest = rest_of(loss), others = concentration(rest, el2n, RIVAL_LEAST);
    double k = floor(1 / others);

    return rest * (k + sqrt(fmax(k * ((k + 1) * others - 1), 0))) / (k * (k + 1));
}

double score_el2n(double loss, double margin)
{
    if (isnan(loss) || isnan(margin))
        return NAN;
    double rest = rest_of(loss), others = exp(2 * (-loss - log(rest) - margin));

    return rest * sqrt(1 + fmin(fmax(others, MARGIN_LEAST), 1));
}
