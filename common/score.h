/* What was measured on one sample at one theta: workers fill it, the server folds it. */
#ifndef STEPPE_COMMON_SCORE_H
#define STEPPE_COMMON_SCORE_H

#include <stdbool.h>
#include <stdint.h>

#define SCORE_MEASURED 1u     /* the entry holds a measurement */
#define SCORE_NO_DIRECTION 2u /* gradient of x was all zero: left out of the mean gap */
#define SCORE_LEFT_OUT 4u     /* of the fold that the job does not train on */

struct score {
    double loss, adv_loss; /* of the sample and of its adversarial twin, nats */
    double grad_norm;      /* ||d loss / d x||_2, per unit of pixel intensity in [0, 1] */
    double el2n;           /* ||softmax - onehot||_2 */
    int32_t predicted, adv_predicted; /* class with the largest logit, lowest index on ties */
    uint32_t flags;                   /* SCORE_ bits */
}; /* of a program that reports what it has, a measure may be NAN and a class -1: not known */

/* Is each of its four numbers neither NAN nor infinite? */
bool score_is_finite(const struct score *s);

/* ln p_y - ln ||p without y||_2 = z_y - ln sqrt(sum over j != y of exp(2 z_j)): the logit of the
 * label above the largest other one, as far as loss and el2n show. At most ln(C - 1) / 2 below
 * z_y - max z_j, and equal to it for two classes: below 0 for all wrong predictions and for some
 * right ones. Its mean over the epochs is the area under the margin (arXiv 2001.10528). Where the
 * others are spread over more than 1000 classes they count as spread over 1000: with C classes at
 * most ln(C / 1000) / 2 too low. Finite; NAN without one of the two. */
double score_margin(double loss, double el2n);
/* The el2n of which score_margin makes this margin, as far as it can; NAN without one of the two.
 */
double score_el2n(double loss, double margin);

/* The largest probability of a class other than the label, as far as loss and el2n show: with s = 1
 * - p_y and q = el2n^2 - s^2, the sum of the others and of their squares, the least that the
 * largest can be: k of them are alike and one takes the rest, k = floor(s^2 / q), so that it is (k
 * s + sqrt(k ((k + 1) q - s^2))) / (k (k + 1)). Exact for up to three classes. In [0, 1 - p_y]. */
double score_rival(double loss, double el2n);

#endif
