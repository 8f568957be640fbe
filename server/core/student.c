#include "server/core/student.h"

#include <math.h>

#define PI 3.14159265358979323846

/* With theta instead of t: increasing from 0 to 1 on [0, pi/2]. */
static double within_angle(double theta, int df)
{
    const double c2 = cos(theta) * cos(theta);
    double term = df % 2 ? cos(theta) : 1, sum = 0;

    for (int k = df % 2 ? 1 : 0; k <= df - 2; k += 2) {
        sum += term;
        term *= c2 * (k + 1) / (k + 2);
    }
    return df % 2 ? 2 / PI * (theta + sin(theta) * sum) : sin(theta) * sum;
}

double student_within(double t, int df)
{
    return within_angle(atan(t / sqrt(df)), df);
}

double student_quantile(double share, int df)
{
    double lo = 0, hi = PI / 2;

    for (int i = 0; i < 60; i++) {
        double middle = (lo + hi) / 2;
        if (within_angle(middle, df) < share)
            lo = middle;
        else
            hi = middle;
    }
    return tan((lo + hi) / 2) * sqrt(df);
}
