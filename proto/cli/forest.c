#include "proto/cli/forest.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "common/alloc.h"
#include "common/text.h"
#include "proto/cli/html.h"

#define WIDTH 560
#define EDGE 12
#define ROW 52 /* the name, the bar, the dots */
#define NAME_Y 14
#define BAR_Y 27
#define DOTS_Y 39
#define AXIS_H 24
#define CHARACTER 7.2 /* the width of one, about */
#define REACH 1.5     /* an interval may reach so many times the width of the dots beyond them */

static void widen(struct forest_axis *a, double v)
{
    if (!isfinite(v))
        return;
    a->lo = fmin(a->lo, v);
    a->hi = fmax(a->hi, v);
}

struct forest_axis forest_axis(const struct forest_row *rows, size_t count)
{
    struct forest_axis dots = {0, 0}, all;

    for (size_t i = 0; i < count; i++) {
        widen(&dots, rows[i].mean);
        for (size_t d = 0; d < rows[i].dot_count; d++)
            widen(&dots, rows[i].dots[d].value);
    }
    const double room = dots.hi > dots.lo ? REACH * (dots.hi - dots.lo) : INFINITY;
    all = dots;
    for (size_t i = 0; i < count; i++) {
        widen(&all, fmax(rows[i].low, dots.lo - room));
        widen(&all, fmin(rows[i].high, dots.hi + room));
    }
    if (all.lo == all.hi)
        return (struct forest_axis){-1, 1};
    const double edge = 0.05 * (all.hi - all.lo);
    return (struct forest_axis){all.lo - edge, all.hi + edge};
}

static double at_x(struct forest_axis a, double v)
{
    return EDGE + (WIDTH - 2 * EDGE) * (fmin(fmax(v, a.lo), a.hi) - a.lo) / (a.hi - a.lo);
}

static void draw_grid(FILE *out, struct forest_axis a, double height)
{
    const double step = html_round_step(a.hi - a.lo);

    for (double v = ceil(a.lo / step) * step; v <= a.hi; v += step) {
        double shown = fabs(v) < step * 1e-9 ? 0 : v;
        fprintf(out, "<path class=\"%s\" d=\"M%.1f,4V%.1f\"/>", shown == 0 ? "zero" : "grid",
                at_x(a, v), height - AXIS_H + 4);
        fprintf(out, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">",
                at_x(a, v), height - 6);
        fprintf(out, shown == 0 ? "%.4g</text>" : "%+.4g</text>", shown);
    }
}

/* Text cut to `most` characters. */
static void cut_text(FILE *out, const char *text, size_t most)
{
    char part[256];
    size_t used = 0, left = strlen(text);

    for (size_t i = 0, n; left > 0 && used < sizeof(part) - 8; i++, left -= n) {
        uint32_t code;
        bool shown;
        n = text_next(text + used, left, &code, &shown);
        if (i + 1 == most && left > n) {
            memcpy(part + used, "…", sizeof("…"));
            html_text(out, part);
            return;
        }
        memcpy(part + used, text + used, n);
        used += n;
    }
    part[used] = 0;
    html_text(out, part);
}

static void draw_bar(FILE *out, const struct forest_row *row, struct forest_axis a, double y)
{
    const double x0 = at_x(a, row->low), x1 = at_x(a, row->high);

    fprintf(out, "<path class=\"bar %s\" d=\"M%.1f,%.1fH%.1f", row->tone, x0, y, x1);
    if (row->low < a.lo)
        fprintf(out, "M%.1f,%.1fL%.1f,%.1fL%.1f,%.1f", x0 + 5, y - 5, x0, y, x0 + 5, y + 5);
    else
        fprintf(out, "M%.1f,%.1fv10", x0, y - 5);
    if (row->high > a.hi)
        fprintf(out, "M%.1f,%.1fL%.1f,%.1fL%.1f,%.1f", x1 - 5, y - 5, x1, y, x1 - 5, y + 5);
    else
        fprintf(out, "M%.1f,%.1fv10", x1, y - 5);
    fputs("\"/>", out);
}

static void draw_row(FILE *out, const struct forest_row *row, struct forest_axis a, double top)
{
    const double room = (WIDTH - 8) / CHARACTER - (double)strlen(row->said) - 3;

    fprintf(out, "<text class=\"name\" x=\"4\" y=\"%.1f\">", top + NAME_Y);
    cut_text(out, row->name, room > 8 ? (size_t)room : 8);
    fputs("<title>", out);
    html_text(out, row->name);
    fprintf(out, "</title></text><text class=\"said %s\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">",
            row->tone, WIDTH - 4, top + NAME_Y);
    html_text(out, row->said);
    fputs("</text>", out);
    if (isfinite(row->low) && isfinite(row->high))
        draw_bar(out, row, a, top + BAR_Y);
    if (isfinite(row->mean))
        fprintf(out, "<path class=\"mean %s\" d=\"M%.1f,%.1fl5.5,-5.5l5.5,5.5l-5.5,5.5Z\"/>",
                row->tone, at_x(a, row->mean) - 5.5, top + BAR_Y);
    for (size_t d = 0; d < row->dot_count; d++)
        fprintf(out,
                "<circle class=\"seed\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"><title>seed %lld: %+.4g"
                "</title></circle>",
                at_x(a, row->dots[d].value), top + DOTS_Y, (long long)row->dots[d].seed,
                row->dots[d].value);
}

void forest_print(FILE *out, const char *title, const struct forest_row *rows, size_t count,
                  struct forest_axis axis)
{
    const double height = ROW * (double)count + AXIS_H;

    fputs("<figure><figcaption>", out);
    html_text(out, title);
    fprintf(out, "</figcaption><svg viewBox=\"0 0 %d %.0f\" role=\"img\" aria-label=\"", WIDTH,
            height);
    html_text(out, title);
    for (size_t i = 0; i < count; i++) {
        fputs(i ? "; " : ": ", out);
        html_text(out, rows[i].name);
        fputs(": ", out);
        html_text(out, rows[i].said);
    }
    fputs("\">", out);
    draw_grid(out, axis, height);
    for (size_t i = 0; i < count; i++)
        draw_row(out, &rows[i], axis, ROW * (double)i);
    fputs("</svg></figure>\n", out);
}
