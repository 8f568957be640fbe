/* A histogram drawn with block characters. */
#ifndef STEPPE_PROTO_CLI_HISTOGRAM_H
#define STEPPE_PROTO_CLI_HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>

#include "common/bounds.h"

struct bin {
    double lo, hi;
    int64_t count;
};

/* A line a bin: its bounds, a bar in proportion to the largest count, the count. No line is longer
 * than `columns` characters if the numbers leave ten for the bars. */
void histogram_print(const struct bin *bins, int bin_count, int columns, FILE *out);

#endif
