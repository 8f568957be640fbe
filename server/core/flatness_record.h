/* What one measurement of flatness found (flatness.h). */
#ifndef STEPPE_SERVER_CORE_FLATNESS_RECORD_H
#define STEPPE_SERVER_CORE_FLATNESS_RECORD_H

#include <stdint.h>

#define FLATNESS_TOP 5     /* eigenvalues */
#define FLATNESS_LINES 3   /* directions; 0: the first eigenvector, the others random */
#define FLATNESS_POINTS 21 /* on each line; odd, so that 0 is one */

struct flatness_point {
    double t;
    double distance; /* |t d|, from theta */
    double loss;     /* nats, mean */
};

struct flatness_record {
    uint32_t samples, probes;
    int products; /* of the Lanczos iteration */
    double loss;  /* at theta */
    double gradient_norm;
    int count; /* eigenvalues, at most FLATNESS_TOP; less in a tiny model */
    double value[FLATNESS_TOP], residual[FLATNESS_TOP]; /* falling */
    double trace, trace_error;                          /* its standard error; NAN: one probe */
    double sharpness, rho;
    struct flatness_point line[FLATNESS_LINES][FLATNESS_POINTS];
};

#endif
