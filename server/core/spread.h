/* What several seeds of the same job say: their mean and spread, and the paired difference to a
 * control with its interval. Pure. NAN stands for a value that is not there. */
#ifndef STEPPE_SERVER_CORE_SPREAD_H
#define STEPPE_SERVER_CORE_SPREAD_H

/* Two-sided confidence of an interval. */
#define SPREAD_CONFIDENCE 0.95

struct spread {
    int count;       /* of values that are there */
    double mean, sd; /* sd: of a sample (count - 1); NAN with fewer than two, mean with none */
};
/* Of x[n], summed in order. */
struct spread spread_of(const double *x, int n);

enum outcome {
    OUTCOME_NO_PAIR,  /* no seed has both values */
    OUTCOME_NOT_YET,  /* likewise, but jobs that may have them are not done; spread.c knows none */
    OUTCOME_ONE_PAIR, /* a difference, but no interval */
    OUTCOME_EQUAL,    /* likewise: all pairs differ alike, which is no measure of their spread */
    OUTCOME_NOISE,    /* the interval has 0 in it */
    OUTCOME_ABOVE,    /* all of it is above 0 */
    OUTCOME_BELOW,
    OUTCOMES
};
extern const char *const outcome_names[]; /* as people read it; NULL-terminated */

struct difference {
    int count;        /* of pairs */
    double mean;      /* of x - control; NAN without a pair */
    double low, high; /* mean -+ t(SPREAD_CONFIDENCE, count - 1) sd / sqrt(count); NAN: none */
    enum outcome outcome;
};
/* Student's paired t interval of x[i] - control[i] over the i that have both. */
struct difference spread_difference(const double *x, const double *control, int n);

#endif
