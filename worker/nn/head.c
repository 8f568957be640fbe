#include "worker/nn/head.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>

#include "common/clone.h"
#include "worker/nn/exp.h"
#include "worker/nn/lanes.h"

#define BLOCK 64

/* The e_j of a sample in blocks, without those of its top class (1) and of another one: 0 stands
 * for both. */
struct terms {
    const real *z;
    uint32_t classes, top, other;
    double *all;         /* [classes] to keep them in; NULL: they are computed again */
    double block[BLOCK]; /* the last one then */
    double of_other;
};

LANES_INLINE uint32_t block_size(const struct terms *t, uint32_t at)
{
    return t->classes - at < BLOCK ? t->classes - at : BLOCK;
}

LANES_INLINE double *terms_from(struct terms *t, uint32_t at, bool again)
{
    const uint32_t n = block_size(t, at);
    double *e = t->all ? t->all + at : t->block;

    if (again && (t->all || t->classes <= BLOCK))
        return e;
    exp_below(t->z + at, (double)t->z[t->top], n, e);
    if (t->top - at < n)
        e[t->top - at] = 0;
    if (t->other - at < n) {
        t->of_other = t->other == t->top ? 1 : e[t->other - at];
        e[t->other - at] = 0;
    }
    return e;
}

LANES_INLINE double sum_of(const lanes *v)
{
    const lanes a = *v;

    return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]));
}

/* The sum of all e_j but those two. */
LANES_INLINE double sum_terms(struct terms *t)
{
    lanes sums = {0}, v;
    double rest = 0;

    for (uint32_t at = 0; at < t->classes; at += BLOCK) {
        const uint32_t n = block_size(t, at);
        const double *e = terms_from(t, at, false);
        uint32_t j = 0;
        for (; j + LANES <= n; j += LANES) {
            memcpy(&v, e + j, sizeof(v));
            sums += v;
        }
        for (; j < n; j++)
            rest += e[j];
    }
    return sum_of(&sums) + rest;
}

/* The sum of their squares, each times factor before; delta (the terms are kept in it): e_j / sum.
 */
LANES_INLINE double sum_squares(struct terms *t, double factor, double sum, double *delta)
{
    lanes sums = {0}, v;
    double rest = 0;

    for (uint32_t at = 0; at < t->classes; at += BLOCK) {
        const uint32_t n = block_size(t, at);
        double *e = terms_from(t, at, true);
        uint32_t j = 0;
        for (; j + LANES <= n; j += LANES) {
            memcpy(&v, e + j, sizeof(v));
            sums += v * factor * (v * factor);
            v /= sum;
            if (delta)
                memcpy(e + j, &v, sizeof(v));
        }
        for (; j < n; j++) {
            rest += e[j] * factor * (e[j] * factor);
            if (delta)
                e[j] /= sum;
        }
    }
    return sum_of(&sums) + rest;
}

#define ABREAST 16

/* The lowest of the largest; no NaN unless it is the first. */
LANES_INLINE uint32_t largest(const real *z, uint32_t classes)
{
    real most[ABREAST], top = z[0];
    uint32_t at = 0, j = 0;

    if (classes >= 2 * ABREAST) {
        for (int i = 0; i < ABREAST; i++)
            most[i] = top;
        for (; at + ABREAST <= classes; at += ABREAST)
            for (uint32_t i = 0; i < ABREAST; i++)
                most[i] = z[at + i] > most[i] ? z[at + i] : most[i];
        for (int i = 0; i < ABREAST; i++)
            top = most[i] > top ? most[i] : top;
    }
    for (; at < classes; at++)
        top = z[at] > top ? z[at] : top;
    while (j < classes && !(z[j] == top))
        j++;
    return j < classes ? j : 0;
}

KERNEL void head_sample(const real *z, uint32_t classes, uint32_t label, struct head *ret,
                        double *delta)
{
    assert(label < classes);
    struct terms t = {.z = z, .classes = classes, .other = label, .all = delta};
    t.top = largest(z, classes);
    const bool right = t.top == label;
    const double both = sum_terms(&t);
    const double rest = right ? both : both + t.of_other; /* sum of e_j over j != top: S - 1 */
    const double wrong = right ? both : both + 1;         /* over j != label: R */
    const double sum = 1 + rest, p_wrong = wrong / sum, per_wrong = wrong > 0 ? 1 / wrong : 0;
    /* Of delta / p_wrong: delta of a confident sample squares to 0. */
    const double squares = sum_squares(&t, per_wrong, sum, delta) + 1;

    if (delta) {
        delta[t.top] = 1 / sum;
        delta[label] = -p_wrong;
    }
    *ret = (struct head){
        .loss = ((double)z[t.top] - (double)z[label]) + log1p(rest),
        .wrong = p_wrong,
        .el2n = p_wrong * sqrt(right ? squares : squares + per_wrong * per_wrong),
        .predicted = (int32_t)t.top,
    };
}

KERNEL void head_probabilities(const real *z, uint32_t classes, float *p)
{
    struct terms t = {.z = z, .classes = classes};
    t.other = t.top = largest(z, classes);
    const double sum = 1 + sum_terms(&t);

    for (uint32_t at = 0; at < classes; at += BLOCK) {
        const double *e = terms_from(&t, at, true);
        for (uint32_t j = 0; j < block_size(&t, at); j++)
            p[at + j] = (float)(e[j] / sum);
    }
    p[t.top] = (float)(1 / sum);
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
