#include "proto/cli/histogram.h"

#include <string.h>

#include "proto/cli/draw.h"

#define BOUND_BYTES 24
#define BAR_CELLS_MIN 10

static int larger(int a, int b)
{
    return a > b ? a : b;
}

void histogram_print(const struct bin *bins, int bin_count, int columns, FILE *out)
{
    int lo_width = 1, hi_width = 1, count_width = 1;
    char lo[BOUND_BYTES], hi[BOUND_BYTES], bar[DRAW_LINE_BYTES];
    int64_t largest = 1;

    for (int i = 0; i < bin_count; i++) {
        lo_width = larger(lo_width, snprintf(lo, sizeof(lo), "%.4g", bins[i].lo));
        hi_width = larger(hi_width, snprintf(hi, sizeof(hi), "%.4g", bins[i].hi));
        count_width =
            larger(count_width, snprintf(lo, sizeof(lo), "%lld", (long long)bins[i].count));
        largest = bins[i].count > largest ? bins[i].count : largest;
    }
    /* "LO .. HI  BAR COUNT" */
    int cells = columns - lo_width - hi_width - count_width - 7;
    cells = larger(cells, BAR_CELLS_MIN);
    for (int i = 0; i < bin_count; i++) {
        double share = bins[i].count > 0 ? (double)bins[i].count / (double)largest : 0;
        snprintf(lo, sizeof(lo), "%.4g", bins[i].lo);
        snprintf(hi, sizeof(hi), "%.4g", bins[i].hi);
        draw_bar(share, cells, bar);
        fprintf(out, "%*s .. %*s  %s%s%lld\n", lo_width, lo, hi_width, hi, bar, *bar ? " " : "",
                (long long)bins[i].count);
    }
}
