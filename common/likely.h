/* What logits say of one picture: its likeliest classes. Terminal, files and the dashboard show it
 * from here, so that they show the same numbers. */
#ifndef STEPPE_COMMON_LIKELY_H
#define STEPPE_COMMON_LIKELY_H

#include <stdint.h>

#define LIKELY_TOP 3 /* classes shown of a picture */

/* The likeliest first; equal ones by number. */
struct likely {
    uint32_t shown; /* fewer than LIKELY_TOP where there are fewer classes */
    uint32_t class[LIKELY_TOP];
    double probability[LIKELY_TOP];
    double margin; /* logit of the first less that of the second; NAN of one class */
};

/* z[classes]: logits, 1 to CLASSES_MAX of them. */
struct likely likely_of(const float *z, uint32_t classes);
/* p[classes] = softmax of z, in double precision. */
void likely_softmax(const float *z, uint32_t classes, double *p);

#endif
