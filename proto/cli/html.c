#include "proto/cli/html.h"

#include <errno.h>
#include <math.h>
#include <sodium/utils.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/png.h"
#include "common/text.h"

#define CHART_W 560
#define CHART_H 220
#define LEFT 46
#define RIGHT 14
#define TOP 10
#define BOTTOM 26
#define TICKS 4

void html_text(FILE *out, const char *text)
{
    size_t left = strlen(text);

    for (size_t n; left > 0; text += n, left -= n) {
        uint32_t code;
        bool shown;
        n = text_next(text, left, &code, &shown);
        if (code == '<' || code == '>' || code == '&' || code == '"' || code == '\'')
            fprintf(out, "&#%u;", (unsigned)code);
        else if (shown || code == '\n' || code == '\t')
            fwrite(text, 1, n, out);
        else
            fputs("&#xfffd;", out);
    }
}

static uint8_t *first_channel(const uint8_t *pixels, size_t count, uint32_t channels)
{
    uint8_t *grey = alloc_bytes(count, 1);

    for (size_t i = 0; grey && i < count; i++)
        grey[i] = pixels[i * channels];
    return grey;
}

int html_image(FILE *out, const uint8_t *pixels, uint32_t w, uint32_t h, uint32_t channels,
               uint32_t side, const char *alt)
{
    uint8_t *grey = channels == 3 ? NULL : first_channel(pixels, (size_t)w * h, channels);
    uint8_t *file = NULL;
    size_t bytes = 0;
    int rc = channels != 3 && !grey
                 ? -ENOMEM
                 : png_encode(grey ? grey : pixels, w, h, grey ? 1 : 3, &file, &bytes);
    free(grey);
    if (rc < 0)
        return rc;
    size_t room = sodium_base64_encoded_len(bytes, sodium_base64_VARIANT_ORIGINAL);
    char *text = alloc_bytes(room, 1);
    if (text) {
        sodium_bin2base64(text, room, file, bytes, sodium_base64_VARIANT_ORIGINAL);
        fprintf(out, "<img width=\"%u\" alt=\"", side);
        html_text(out, alt);
        fprintf(out, "\" src=\"data:image/png;base64,%s\">", text);
    }
    free(text);
    free(file);
    return text ? 0 : -ENOMEM;
}

/* A round step so that about TICKS of them fill the span. */
static double round_step(double span)
{
    static const double steps[] = {1, 2, 2.5, 5, 10};
    double raw = span / TICKS, power = pow(10, floor(log10(raw)));

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        if (steps[i] * power >= raw * (1 - 1e-9))
            return steps[i] * power;
    return 10 * power;
}

struct axes {
    double x_max, lo, hi;
    bool percent;
};

static double at_x(const struct axes *a, double x)
{
    return LEFT + (CHART_W - LEFT - RIGHT) * x / a->x_max;
}

static double at_y(const struct axes *a, double y)
{
    return CHART_H - BOTTOM - (CHART_H - TOP - BOTTOM) * (y - a->lo) / (a->hi - a->lo);
}

static struct axes make_axes(double x_max, const struct html_line *lines, size_t line_count,
                             size_t count, bool percent)
{
    struct axes a = {x_max > 0 ? x_max : 1, INFINITY, -INFINITY, percent};

    for (size_t l = 0; l < line_count; l++)
        for (size_t i = 0; i < count; i++)
            if (isfinite(lines[l].y[i])) {
                a.lo = fmin(a.lo, lines[l].y[i]);
                a.hi = fmax(a.hi, lines[l].y[i]);
            }
    if (a.lo > a.hi)
        a.lo = 0, a.hi = 1;
    if (!percent)
        a.lo = 0;
    if (percent)
        a.hi = 1;
    if (a.hi - a.lo < 1e-12)
        a.lo -= a.lo > 0 ? 0.1 : 0, a.hi = a.lo + 1;
    return a;
}

static void draw_axes(FILE *out, const struct axes *a)
{
    double step = round_step(a->hi - a->lo), x_step = fmax(1, round_step(a->x_max * TICKS / 8));

    for (double y = ceil(a->lo / step - 1e-9) * step; y <= a->hi + step * 1e-9; y += step) {
        double shown = fabs(y) < step * 1e-9 ? 0 : a->percent ? 100 * y : y; /* no -0 */

        fprintf(out, "<path class=\"grid\" d=\"M%d,%.1fH%d\"/>", LEFT, at_y(a, y), CHART_W - RIGHT);
        fprintf(out, "<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.4g%s</text>",
                LEFT - 7, at_y(a, y) + 4, shown, a->percent ? "%" : "");
    }
    for (double x = 0; x <= a->x_max; x += ceil(x_step))
        fprintf(out, "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g</text>",
                at_x(a, x), CHART_H - 8, x);
}

static void draw_line(FILE *out, const struct axes *a, const double *x, size_t count,
                      const struct html_line *line, size_t number)
{
    bool drawn = false;

    fprintf(out, "<path class=\"line c%zu%s\" d=\"", number, line->dashed ? " dashed" : "");
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(line->y[i]))
            continue;
        fprintf(out, "%c%.1f,%.1f", drawn ? 'L' : 'M', at_x(a, x[i]), at_y(a, line->y[i]));
        drawn = true;
    }
    fputs("\"/>", out);
}

void html_chart(FILE *out, const char *title, const double *x, size_t count, double x_max,
                const struct html_line *lines, size_t line_count, bool percent)
{
    struct axes a = make_axes(x_max, lines, line_count, count, percent);

    fputs("<figure><figcaption>", out);
    html_text(out, title);
    fputs("</figcaption><p class=\"legend\">", out);
    for (size_t l = 0; l < line_count; l++) {
        double last = NAN;
        for (size_t i = 0; i < count; i++)
            last = isfinite(lines[l].y[i]) ? lines[l].y[i] : last;
        fprintf(out, "<span class=\"key c%zu%s\"><i></i><span>%s</span> <b>", l + 1,
                lines[l].dashed ? " dashed" : "", lines[l].name);
        if (isfinite(last))
            fprintf(out, percent ? "%.2f %%" : "%.4g", percent ? 100 * last : last);
        else
            fputs("&ndash;", out);
        fputs("</b></span>", out);
    }
    fprintf(out, "</p><svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", CHART_W, CHART_H);
    html_text(out, title);
    fputs("\">", out);
    draw_axes(out, &a);
    for (size_t l = 0; l < line_count; l++)
        draw_line(out, &a, x, count, &lines[l], l + 1);
    fputs("</svg></figure>\n", out);
}
