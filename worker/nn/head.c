#include "worker/nn/head.h"

#include <assert.h>
#include <math.h>

void head_sample(const real *z, uint32_t classes, uint32_t label, struct head *ret, double *delta)
{
    assert(label < classes);
    uint32_t top = 0;
    for (uint32_t j = 1; j < classes; j++)
        if (z[j] > z[top])
            top = j;

    const double z_top = z[top];
    double rest = 0;  /* sum of e_j over j != top: S - 1 */
    double wrong = 0; /* sum of e_j over j != label: R */
    for (uint32_t j = 0; j < classes; j++) {
        const double e = j == top ? 1 : exp(z[j] - z_top);
        rest += j == top ? 0 : e;
        wrong += j == label ? 0 : e;
        if (delta)
            delta[j] = e;
    }
    const double sum = 1 + rest, p_wrong = wrong / sum;
    double squares = 1; /* of delta / p_wrong: delta of a confident sample squares to 0 */
    for (uint32_t j = 0; j < classes; j++) {
        const double e = delta ? delta[j] : j == top ? 1 : exp(z[j] - z_top);
        if (j != label && wrong > 0)
            squares += e / wrong * (e / wrong);
        if (delta)
            delta[j] = j == label ? -p_wrong : e / sum;
    }
    *ret = (struct head){
        .loss = (z_top - z[label]) + log1p(rest),
        .wrong = p_wrong,
        .el2n = p_wrong * sqrt(squares),
        .predicted = (int32_t)top,
    };
}

void head_probabilities(const real *z, uint32_t classes, float *p)
{
    double top = z[0], sum = 0;

    for (uint32_t j = 1; j < classes; j++)
        top = z[j] > top ? z[j] : top;
    for (uint32_t j = 0; j < classes; j++)
        sum += exp(z[j] - top);
    for (uint32_t j = 0; j < classes; j++)
        p[j] = (float)(exp(z[j] - top) / sum);
}

void head_smooth(const real *z, uint32_t classes, uint32_t label, double smoothing, struct head *io,
                 double *delta)
{
    const double share = smoothing / classes;
    double ahead = 0; /* sum of z_y - z_j */

    for (uint32_t j = 0; j < classes; j++) {
        ahead += (double)z[label] - (double)z[j];
        delta[j] -= share;
    }
    delta[label] += smoothing;
    io->loss += share * ahead;
}

int head_exponent(const struct head *h)
{
    int e;

    if (!(h->wrong > 0) || !isfinite(h->wrong))
        return 0;
    frexp(h->wrong, &e);
    return e - 1;
}
