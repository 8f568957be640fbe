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

static const char style[] =
    "<style>:root{--bg:#f5f4ef;--card:#fff;--ink:#1c1e19;--muted:#666b60;--line:#e1dfd6;"
    "--c1:#1d64b4;--c2:#c06a0a;--c3:#a0307c;--c4:#2b7d3a;--c5:#6a4bc4;--bad:#a8321f;"
    "--good:#1c6e43;color-scheme:"
    "light dark}"
    "@media(prefers-color-scheme:dark){:root{--bg:#111310;--card:#191c18;--ink:#eceee6;"
    "--muted:#989e90;--line:#2a2e28;--c1:#6fb1f2;--c2:#eda851;--c3:#e58bc6;--c4:#7fd08c;--c5:#"
    "b9a3f5;--bad:#f3937f;--good:#85d3a2}}"
    ".band{fill:currentColor;opacity:.15}.good{color:var(--good)}.bad{color:var(--bad)}.unsure{"
    "color:"
    "var(--muted)}.name{fill:var(--ink);font-size:12.5px;font-weight:600}.said{fill:currentColor;"
    "font-size:12px}.zero{stroke:var(--muted);stroke-width:1.5}.bar{fill:none;stroke:currentColor;"
    "stroke-width:2}.mean{fill:currentColor}.seed{fill:var(--c1);fill-opacity:.75}.name,.said{"
    "paint-order:stroke;stroke:var(--card);stroke-width:5px}"
    "*{box-sizing:border-box}body{font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,"
    "'DejaVu Sans',sans-serif;font-variant-numeric:tabular-nums;color:var(--ink);"
    "background:var(--bg);max-width:1160px;margin:0 auto;padding:32px 20px 48px}"
    "h1{font-size:28px;line-height:1.2;letter-spacing:-.02em;margin:0}h2{font-size:18px;margin:"
    "36px "
    "0 10px}p{margin:4px 0;color:var(--muted)}"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:1px;"
    "background:var(--line);border:1px solid var(--line);border-radius:12px;overflow:hidden;"
    "margin:20px 0}.tiles div{background:var(--card);padding:12px 16px}.tiles "
    "dt{color:var(--muted);"
    "font-size:13px}.tiles dd{margin:2px 0 0;font-size:20px;font-weight:640}"
    ".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));"
    "gap:16px}figure,.card{background:var(--card);border:1px solid var(--line);border-radius:12px;"
    "padding:14px 16px;margin:0}figcaption{font-weight:640;font-size:16px}svg{width:100%;"
    "display:block}.grid{stroke:var(--line);fill:none}.tick{fill:var(--muted);font-size:11px}"
    ".line{fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round}"
    ".dashed{stroke-dasharray:6 4}.legend{display:flex;flex-wrap:wrap;gap:2px 16px;font-size:13px}"
    ".key{display:inline-flex;align-items:center;gap:6px}.key i{width:16px;border-top:2.5px solid "
    "currentColor}.key.dashed i{border-top-style:dashed}.key span{color:var(--muted)}"
    ".key "
    "b{color:var(--ink)}.c1{color:var(--c1)}.c2{color:var(--c2)}.c3{color:var(--c3)}.c4{color:var(-"
    "-c4)}.c5{color:var(--c5)}"
    "img{image-rendering:pixelated;display:block;border-radius:6px}.heat{position:relative;"
    "padding-left:34px}.samples .uri{display:block;overflow-wrap:anywhere}.heat "
    "img{width:100%;height:260px}.heat span{position:absolute;left:0;"
    "color:var(--muted);font-size:11px}.samples{display:grid;"
    "grid-template-columns:repeat(auto-fill,minmax(98px,1fr));gap:10px}.samples div{"
    "background:var(--card);border:1px solid var(--line);border-radius:10px;padding:7px;"
    "font-size:12.5px;line-height:1.35;overflow-wrap:anywhere}.samples img{width:100%;height:auto;"
    "margin-bottom:5px;background:#000}.samples b{display:block;font-weight:600}.samples "
    "small{color:var(--muted)}.wrong{color:var(--bad)}.scroll{overflow-x:auto}table{"
    "border-collapse:collapse;width:100%}th,td{text-align:right;padding:6px "
    "12px;border-bottom:1px solid "
    "var(--line);white-space:nowrap}th:first-child,th:last-child,td:last-child{"
    "text-align:left}p+.charts{margin-top:12px}tbody "
    "th{white-space:normal;overflow-wrap:anywhere;min-width:110px}thead "
    "th{color:var(--muted);font-weight:560;font-size:13px}pre{overflow:auto;"
    "font:12.5px/1.45 ui-monospace,'DejaVu Sans Mono',monospace}summary{cursor:pointer;"
    "font-weight:640}@media print{body{background:none}figure,.card,.samples "
    "div{break-inside:avoid}}</style>";

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

void html_begin(FILE *out, const char *title)
{
    fputs("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta "
          "name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>",
          out);
    html_text(out, title);
    fprintf(out, "</title>%s</head><body><h1>", style);
    html_text(out, title);
    fputs("</h1>", out);
}

void html_end(FILE *out)
{
    fprintf(out, "<p>Written by steppe %s.</p></body></html>\n", STEPPE_VERSION);
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

double html_round_step(double span)
{
    static const double steps[] = {1, 2, 2.5, 5, 10};
    double raw = span / TICKS, power = pow(10, floor(log10(raw)));

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        if (steps[i] * power >= raw * (1 - 1e-9))
            return steps[i] * power;
    return 10 * power;
}

/* On a HTML_LOG axis y is its decimal logarithm. */
struct axes {
    double x_max, lo, hi;
    enum html_axis axis;
};

static bool is_percent(enum html_axis axis)
{
    return axis == HTML_SHARE || axis == HTML_PERCENT;
}

static double at_x(const struct axes *a, double x)
{
    return LEFT + (CHART_W - LEFT - RIGHT) * x / a->x_max;
}

static double at_y(const struct axes *a, double y)
{
    return CHART_H - BOTTOM - (CHART_H - TOP - BOTTOM) * (y - a->lo) / (a->hi - a->lo);
}

/* Where a value stands on the axis; NAN: nowhere. */
static double placed(enum html_axis axis, double y)
{
    if (axis == HTML_LOG)
        return y > 0 ? log10(y) : NAN;
    return isfinite(y) ? y : NAN;
}

static double spread_at(const struct html_line *line, size_t i)
{
    return line->sd && isfinite(line->sd[i]) ? line->sd[i] : 0;
}

static struct axes make_axes(double x_max, const struct html_line *lines, size_t line_count,
                             size_t count, enum html_axis axis)
{
    struct axes a = {x_max > 0 ? x_max : 1, INFINITY, -INFINITY, axis};

    for (size_t l = 0; l < line_count; l++)
        for (size_t i = 0; i < count; i++) {
            double y = placed(axis, lines[l].y[i]), sd = spread_at(&lines[l], i);
            if (isfinite(y)) {
                a.lo = fmin(a.lo, y - sd);
                a.hi = fmax(a.hi, y + sd);
            }
        }
    if (a.lo > a.hi)
        a.lo = 0, a.hi = 1;
    if (axis == HTML_FROM_ZERO)
        a.lo = fmin(a.lo, 0);
    if (axis == HTML_SHARE)
        a.hi = 1;
    if (axis == HTML_LOG)
        a.lo = floor(a.lo), a.hi = ceil(a.hi);
    if (a.hi - a.lo < 1e-12)
        a.lo -= a.lo > 0 ? 0.1 : 0, a.hi = a.lo + 1;
    return a;
}

static void draw_tick(FILE *out, const struct axes *a, double y, double step)
{
    double shown = fabs(y) < step * 1e-9 ? 0 : y; /* no -0 */

    fprintf(out, "<path class=\"grid\" d=\"M%d,%.1fH%d\"/>", LEFT, at_y(a, y), CHART_W - RIGHT);
    fprintf(out, "<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", LEFT - 7,
            at_y(a, y) + 4);
    if (a->axis == HTML_LOG)
        fprintf(out, "1e%.0f</text>", shown);
    else
        fprintf(out, "%.4g%s</text>", is_percent(a->axis) ? 100 * shown : shown,
                is_percent(a->axis) ? "%" : "");
}

static void draw_axes(FILE *out, const struct axes *a)
{
    double step = html_round_step(a->hi - a->lo),
           x_step = fmax(1, html_round_step(a->x_max * TICKS / 8));

    if (a->axis == HTML_LOG)
        step = ceil(step);
    for (double y = ceil(a->lo / step - 1e-9) * step; y <= a->hi + step * 1e-9; y += step)
        draw_tick(out, a, y, step);
    for (double x = 0; x <= a->x_max; x += ceil(x_step))
        fprintf(out, "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g</text>",
                at_x(a, x), CHART_H - 8, x);
}

static int colour_of(const struct html_line *line, size_t place)
{
    return line->colour ? line->colour : (int)place + 1;
}

static void draw_line(FILE *out, const struct axes *a, const double *x, size_t count,
                      const struct html_line *line, size_t place)
{
    bool drawn = false;

    fprintf(out, "<path class=\"line c%d%s\" d=\"", colour_of(line, place),
            line->dashed ? " dashed" : "");
    for (size_t i = 0; i < count; i++) {
        double y = placed(a->axis, line->y[i]);
        if (!isfinite(y))
            continue;
        fprintf(out, "%c%.1f,%.1f", drawn ? 'L' : 'M', at_x(a, x[i]), at_y(a, y));
        drawn = true;
    }
    fputs("\"/>", out);
}

/* One deviation above the line, and back below it. */
static void draw_band(FILE *out, const struct axes *a, const double *x, size_t count,
                      const struct html_line *line, size_t place)
{
    char join = 'M';
    size_t some = 0;

    for (size_t i = 0; i < count; i++)
        some += isfinite(placed(a->axis, line->y[i]));
    if (some == 0)
        return;
    fprintf(out, "<path class=\"band c%d\" d=\"", colour_of(line, place));
    for (size_t i = 0; i < 2 * count; i++) {
        const size_t at = i < count ? i : 2 * count - 1 - i;
        double y = placed(a->axis, line->y[at]);
        if (!isfinite(y))
            continue;
        y += (i < count ? 1 : -1) * spread_at(line, at);
        fprintf(out, "%c%.1f,%.1f", join, at_x(a, x[at]), at_y(a, fmin(fmax(y, a->lo), a->hi)));
        join = 'L';
    }
    fputs("Z\"/>", out);
}

static void draw_key(FILE *out, const struct html_line *line, size_t place, size_t count,
                     enum html_axis axis)
{
    char text[TEXT_F64_BYTES];
    double last = NAN;

    for (size_t i = 0; i < count; i++)
        last = isfinite(line->y[i]) ? line->y[i] : last;
    fprintf(out, "<span class=\"key c%d%s\"><i></i><span>", colour_of(line, place),
            line->dashed ? " dashed" : "");
    html_text(out, line->name);
    fputs("</span> <b>", out);
    if (isfinite(last) && is_percent(axis))
        fputs(text_of_share(last, text), out);
    else if (isfinite(last))
        fprintf(out, "%.4g", last);
    else
        fputs("&ndash;", out);
    fputs("</b></span>", out);
}

void html_chart(FILE *out, const char *title, const double *x, size_t count, double x_max,
                const struct html_line *lines, size_t line_count, enum html_axis axis)
{
    struct axes a = make_axes(x_max, lines, line_count, count, axis);

    fputs("<figure><figcaption>", out);
    html_text(out, title);
    fputs("</figcaption><p class=\"legend\">", out);
    for (size_t l = 0; l < line_count; l++)
        draw_key(out, &lines[l], l, count, axis);
    fprintf(out, "</p><svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", CHART_W, CHART_H);
    html_text(out, title);
    fputs("\">", out);
    draw_axes(out, &a);
    for (size_t l = 0; l < line_count; l++)
        if (lines[l].sd)
            draw_band(out, &a, x, count, &lines[l], l);
    for (size_t l = 0; l < line_count; l++)
        draw_line(out, &a, x, count, &lines[l], l);
    fputs("</svg></figure>\n", out);
}
