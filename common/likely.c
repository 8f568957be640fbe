#include "common/likely.h"

#include <math.h>

void likely_softmax(const float *z, uint32_t classes, double *p)
{
    double most = z[0], sum = 0;

    for (uint32_t j = 1; j < classes; j++)
        most = z[j] > most ? z[j] : most;
    for (uint32_t j = 0; j < classes; j++)
        sum += p[j] = exp(z[j] - most);
    for (uint32_t j = 0; j < classes; j++)
        p[j] /= sum;
}

struct likely likely_of(const float *z, uint32_t classes)
{
    struct likely v = {.margin = NAN};
    double sum = 0;

    for (uint32_t j = 0; j < classes; j++) {
        uint32_t at = v.shown < LIKELY_TOP ? v.shown++ : LIKELY_TOP;
        while (at > 0 && z[j] > z[v.class[at - 1]]) {
            if (at < LIKELY_TOP)
                v.class[at] = v.class[at - 1];
            at--;
        }
        if (at < LIKELY_TOP)
            v.class[at] = j;
    }
    for (uint32_t j = 0; j < classes; j++) /* as likely_softmax */
        sum += exp((double)z[j] - (double)z[v.class[0]]);
    for (uint32_t k = 0; k < v.shown; k++)
        v.probability[k] = exp((double)z[v.class[k]] - (double)z[v.class[0]]) / sum;
    if (v.shown > 1)
        v.margin = (double)z[v.class[0]] - z[v.class[1]];
    return v;
}
