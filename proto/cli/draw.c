#include "proto/cli/draw.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const bar_eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"};
static const char *const spark_levels[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
#define SPARK_LEVELS 8

#define SECOND_MS 1000LL
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)

char *draw_duration(int64_t ms, char buf[DRAW_TEXT_BYTES])
{
    long long t = ms < 0 ? 0 : ms;

    if (t < SECOND_MS)
        snprintf(buf, DRAW_TEXT_BYTES, "%lld ms", t);
    else if (t < MINUTE_MS)
        snprintf(buf, DRAW_TEXT_BYTES, "%lld s", t / SECOND_MS);
    else if (t < HOUR_MS)
        snprintf(buf, DRAW_TEXT_BYTES, "%lld min %02lld s", t / MINUTE_MS, t % MINUTE_MS / 1000);
    else if (t < DAY_MS)
        snprintf(buf, DRAW_TEXT_BYTES, "%lld h %02lld min", t / HOUR_MS, t % HOUR_MS / MINUTE_MS);
    else
        snprintf(buf, DRAW_TEXT_BYTES, "%lld d %lld h", t / DAY_MS, t % DAY_MS / HOUR_MS);
    return buf;
}

char *draw_age(int64_t ms, char buf[DRAW_TEXT_BYTES])
{
    static const struct {
        int64_t ms;
        const char *name;
    } units[] = {{DAY_MS, "d"}, {HOUR_MS, "h"}, {MINUTE_MS, "min"}, {SECOND_MS, "s"}};

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (ms < units[i].ms)
            continue;
        snprintf(buf, DRAW_TEXT_BYTES, "%lld %s ago", (long long)(ms / units[i].ms), units[i].name);
        return buf;
    }
    snprintf(buf, DRAW_TEXT_BYTES, "now");
    return buf;
}

char *draw_bytes(uint64_t bytes, char buf[DRAW_TEXT_BYTES])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", NULL};
    double value = (double)bytes / 1024;
    int unit = 0;

    if (bytes < 1024) {
        snprintf(buf, DRAW_TEXT_BYTES, "%llu B", (unsigned long long)bytes);
        return buf;
    }
    /* 1023.96 would print as 1024.0. */
    for (; value >= 1023.95 && units[unit + 1]; unit++)
        value /= 1024;
    snprintf(buf, DRAW_TEXT_BYTES, "%.1f %s", value, units[unit]);
    return buf;
}

static int limit_cells(int cells)
{
    return cells < 0 ? 0 : cells > DRAW_CELLS_MAX ? DRAW_CELLS_MAX : cells;
}

static char *add_text(char *at, const char *text)
{
    size_t n = strlen(text);

    memcpy(at, text, n + 1);
    return at + n;
}

/* Writes the filled part and returns how many characters it takes. */
static int fill_bar(double share, int cells, char **at)
{
    double clamped = share > 0 ? (share < 1 ? share : 1) : 0; /* NaN counts as 0 */
    int eighths = (int)(clamped * cells * 8 + 0.5);

    if (eighths == 0 && clamped > 0 && cells > 0)
        eighths = 1;
    for (int i = 0; i < eighths / 8; i++)
        *at = add_text(*at, bar_eighths[8]);
    *at = add_text(*at, bar_eighths[eighths % 8]);
    return (eighths + 7) / 8;
}

char *draw_bar(double share, int cells, char buf[DRAW_LINE_BYTES])
{
    char *at = buf;

    fill_bar(share, limit_cells(cells), &at);
    return buf;
}

char *draw_progress(double share, int cells, char buf[DRAW_LINE_BYTES])
{
    char *at = buf;

    cells = limit_cells(cells);
    for (int used = fill_bar(share, cells, &at); used < cells; used++)
        at = add_text(at, "░");
    return buf;
}

char *draw_spark(const double *values, size_t count, char buf[DRAW_LINE_BYTES])
{
    size_t cells = count < DRAW_CELLS_MAX ? count : DRAW_CELLS_MAX;
    double least = INFINITY, largest = -INFINITY;
    char *at = buf;

    for (size_t i = 0; i < count; i++) {
        if (!isfinite(values[i]))
            continue;
        least = fmin(least, values[i]);
        largest = fmax(largest, values[i]);
    }
    *at = '\0';
    for (size_t i = 0; i < cells; i++) {
        double v = values[i * count / cells];
        int level = SPARK_LEVELS / 2 - 1;
        if (isfinite(v) && largest > least)
            level = (int)((v / 2 - least / 2) / (largest / 2 - least / 2) * SPARK_LEVELS);
        if (level >= SPARK_LEVELS)
            level = SPARK_LEVELS - 1;
        at = add_text(at, isfinite(v) ? spark_levels[level] : " ");
    }
    return buf;
}
