/* How much a measure of difficulty still tells at an epoch: its scale, how far samples lie apart,
 * how many of them cannot be told apart, and whether its order agrees with others. Pure: numbers
 * in, numbers out.
 *
 * A column holds one number a sample, at the sample's number; NAN: not measured. */
#ifndef STEPPE_PROTO_CLI_INFORMATIVE_H
#define STEPPE_PROTO_CLI_INFORMATIVE_H

#include <stddef.h>
#include <stdint.h>

enum informative_measure {
    INFORMATIVE_LOSS,
    INFORMATIVE_GRAD_NORM,
    INFORMATIVE_EL2N,
    INFORMATIVE_ADM_POPULATION, /* gap+ / (gap+ + mean gap+), gap+ = max(adv_loss - loss, 0) */
    INFORMATIVE_ADM_SAMPLE,     /* gap+ / adv_loss */
    INFORMATIVE_MEASURES
};
extern const char *const informative_measure_names[INFORMATIVE_MEASURES];

/* Shares and correlations are NAN where they have no meaning. */
struct informative_scale {
    double p10, median, p90; /* nearest-rank quantiles of the measured samples */
    double spread;           /* (p90 - p10) / median */
    double tied; /* share of samples whose value, rounded to float32, another sample has as well */
};

/* Both ADMs from losses [count]; flags: SCORE_NO_DIRECTION is left out of the mean, as in
 * server/core/curriculum.c. An adv_loss of NAN (not measured) stays NAN. */
void informative_adm(const double *loss, const double *adv_loss, const int32_t *flags, size_t count,
                     double *ret_population, double *ret_sample);
/* 0 or -ENOMEM. */
int informative_scale(const double *column, size_t count, struct informative_scale *ret);
/* Spearman's rank correlation over the samples that have both numbers, equal ones sharing their
 * mean rank; NAN with less than three of them or when all of a column are equal. 0 or -ENOMEM. */
int informative_agreement(const double *a, const double *b, size_t count, double *ret);
/* The chance that a sample of `positive` has a larger number than one that is not (ties half): the
 * area under the ROC curve. NAN when there are none of either. 0 or -ENOMEM. */
int informative_auroc(const double *column, const uint8_t *positive, size_t count, double *ret);

#endif
