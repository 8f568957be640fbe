/* Differences to a control as a picture in a page (SVG): a row for each arm with a dot for each
 * seed, their mean, a bar for its interval, and a line at 0. */
#ifndef STEPPE_PROTO_CLI_FOREST_H
#define STEPPE_PROTO_CLI_FOREST_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct forest_dot {
    double value;
    int64_t seed;
};

struct forest_row {
    const char *name;
    const char *tone;       /* a class of the page: good, bad or unsure */
    char said[96];          /* "+1.20, above", at the end of the row */
    double mean, low, high; /* NAN: there is none */
    const struct forest_dot *dots;
    size_t dot_count;
};

/* The axis that rows share. */
struct forest_axis {
    double lo, hi;
};

/* All dots and 0, and the intervals as far as they leave the dots room: an interval of two seeds
 * may be a hundred times as wide as what they say. */
struct forest_axis forest_axis(const struct forest_row *rows, size_t count);
/* A figure with its title. An interval that leaves the axis ends in an arrow. */
void forest_print(FILE *out, const char *title, const struct forest_row *rows, size_t count,
                  struct forest_axis axis);

#endif
