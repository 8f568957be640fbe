#include "server/core/spread.h"

#include <math.h>
#include <stddef.h>

#include "server/core/student.h"

/* A spread below this share of the values is that of their rounding. */
#define EQUAL_SHARE 1e-12

const char *const outcome_names[] = {
    [OUTCOME_NO_PAIR] = "no pair",
    [OUTCOME_NOT_YET] = "not done yet",
    [OUTCOME_ONE_PAIR] = "one seed: no interval",
    [OUTCOME_EQUAL] = "equal differences: no interval",
    [OUTCOME_NOISE] = "inside the noise",
    [OUTCOME_ABOVE] = "above",
    [OUTCOME_BELOW] = "below",
    [OUTCOMES] = NULL,
};

/* Of x, or of x - minus where that is not NULL. */
static struct spread of(const double *x, const double *minus, int n)
{
    struct spread s = {0, NAN, NAN};
    double sum = 0, squares = 0;

    for (int i = 0; i < n; i++) {
        double v = minus ? x[i] - minus[i] : x[i];
        if (!isnan(v)) {
            sum += v;
            s.count++;
        }
    }
    if (s.count > 0)
        s.mean = sum / s.count;
    for (int i = 0; i < n; i++) {
        double d = (minus ? x[i] - minus[i] : x[i]) - s.mean;
        if (!isnan(d))
            squares += d * d;
    }
    if (s.count > 1)
        s.sd = sqrt(squares / (s.count - 1));
    return s;
}

struct spread spread_of(const double *x, int n)
{
    return of(x, NULL, n);
}

/* Of the pairs that are there. */
static double largest(const double *x, const double *control, int n)
{
    double most = 0;

    for (int i = 0; i < n; i++)
        if (!isnan(x[i] - control[i]))
            most = fmax(most, fmax(fabs(x[i]), fabs(control[i])));
    return most;
}

struct difference spread_difference(const double *x, const double *control, int n)
{
    struct spread s = of(x, control, n);
    struct difference d = {s.count, s.mean, NAN, NAN, OUTCOME_NO_PAIR};

    if (s.count == 1)
        d.outcome = OUTCOME_ONE_PAIR;
    if (s.count < 2)
        return d;
    if (s.sd <= EQUAL_SHARE * largest(x, control, n)) {
        d.outcome = OUTCOME_EQUAL;
        return d;
    }
    double reach = student_quantile(SPREAD_CONFIDENCE, s.count - 1) * s.sd / sqrt(s.count);
    d.low = s.mean - reach;
    d.high = s.mean + reach;
    d.outcome = d.low > 0 ? OUTCOME_ABOVE : d.high < 0 ? OUTCOME_BELOW : OUTCOME_NOISE;
    return d;
}
