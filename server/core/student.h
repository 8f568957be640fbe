/* Student's t distribution with whole degrees of freedom. Pure. */
#ifndef STEPPE_SERVER_CORE_STUDENT_H
#define STEPPE_SERVER_CORE_STUDENT_H

/* The chance that |T| <= t, for t >= 0 and df >= 1. Abramowitz & Stegun, Handbook of Mathematical
 * Functions, 26.7.3 (odd df) and 26.7.4 (even df): with theta = atan(t / sqrt(df)),
 *   df 1:    2 theta / pi
 *   odd:     2/pi (theta + sin(theta) (cos + 2/3 cos^3 + .. + 2 4 .. (df-3) / (3 5 .. (df-2))
 *            cos^(df-2)))
 *   even:    sin(theta) (1 + 1/2 cos^2 + .. + 1 3 .. (df-3) / (2 4 .. (df-2)) cos^(df-2)) */
double student_within(double t, int df);

/* The t with student_within(t, df) = share, 0 < share < 1: an interval of that confidence reaches
 * so many standard errors to both sides. Within 1e-12 of its angle. */
double student_quantile(double share, int df);

#endif
