/* Parts of a self-contained page of HTML: escaped text, pictures inside the page, line charts as
 * SVG. */
#ifndef STEPPE_PROTO_CLI_HTML_H
#define STEPPE_PROTO_CLI_HTML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The head of a page with its style, up to the title as <h1>; and its end. */
void html_begin(FILE *out, const char *title);
void html_end(FILE *out);
/* Text as text, in an element or in a quoted attribute. */
void html_text(FILE *out, const char *text);
/* <img> of pixels [h, w, channels] (1 or 3; otherwise the first, as grey), inside the page. side:
 * its width in CSS pixels. 0 or -errno. */
int html_image(FILE *out, const uint8_t *pixels, uint32_t w, uint32_t h, uint32_t channels,
               uint32_t side, const char *alt);

enum html_axis {
    HTML_FROM_ZERO, /* of y: it shows 0, and what lies below if there is any */
    HTML_SHARE,     /* in percent, up to 100 */
    HTML_PERCENT,   /* in percent, as far as the values reach */
    HTML_LOG        /* in powers of ten; values of 0 and less are left out */
};

struct html_line {
    const char *name;
    const double *y; /* [count]; values that are not finite are left out */
    bool dashed;
    int colour;       /* 1 to 5; 0: its place among the lines */
    const double *sd; /* [count]: half the width of a band around y; NULL: no band */
};
/* A chart of lines over x[count], from 0 to x_max. The last value of each line is written beside
 * its name. */
void html_chart(FILE *out, const char *title, const double *x, size_t count, double x_max,
                const struct html_line *lines, size_t line_count, enum html_axis axis);

/* A round step (1, 2, 2.5 or 5 times a power of ten) so that about four of them fill the span,
 * which is above 0. */
double html_round_step(double span);

#endif
