#include "proto/cli/table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/text.h"

#define COLUMNS_MAX 32
#define CELL_BYTES 600 /* longer ones are cut and end with "..." */
#define TAIL_MIN 16    /* characters that are left of a cell whose beginning goes */

struct cell {
    char *text;
    enum paint paint;
};

struct table {
    const struct column *columns;
    char *titles[COLUMNS_MAX]; /* as they are shown */
    size_t column_count;
    int fit;            /* 0: any width */
    struct cell *cells; /* row by row */
    size_t count, space;
};

const char *paint_on(enum paint paint, bool colour)
{
    static const char *const codes[] = {
        [PAINT_NONE] = "",         [PAINT_GOOD] = "\033[32m", [PAINT_BAD] = "\033[31m",
        [PAINT_WAIT] = "\033[33m", [PAINT_DIM] = "\033[2m",   [PAINT_BOLD] = "\033[1m",
    };

    return colour ? codes[paint] : "";
}

const char *paint_off(enum paint paint, bool colour)
{
    return colour && paint != PAINT_NONE ? "\033[0m" : "";
}

struct table *table_create(const struct column *columns)
{
    struct table *t = xcalloc(1, sizeof(*t));

    t->columns = columns;
    for (; columns[t->column_count].title; t->column_count++) {
        assert(t->column_count < COLUMNS_MAX);
        t->titles[t->column_count] = xstrdup(columns[t->column_count].title);
        text_make_printable(t->titles[t->column_count]);
    }
    assert(t->column_count > 0);
    return t;
}

void table_free(struct table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->column_count; i++)
        free(t->titles[i]);
    for (size_t i = 0; i < t->count; i++)
        free(t->cells[i].text);
    free(t->cells);
    free(t);
}

void table_add(struct table *t, const char *fmt, ...)
{
    char text[CELL_BYTES];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (n >= (int)sizeof(text))
        memcpy(text + sizeof(text) - 4, "...", 4);
    text_make_printable(text);
    if (t->count == t->space) {
        t->space = t->space ? 2 * t->space : 64;
        t->cells = xrealloc(t->cells, t->space * sizeof(*t->cells));
    }
    t->cells[t->count++] = (struct cell){.text = xstrdup(*text ? text : TABLE_NONE)};
}

void table_paint(struct table *t, enum paint paint)
{
    assert(t->count > 0);
    t->cells[t->count - 1].paint = paint;
}

/* Characters of UTF-8 text: every byte that does not continue one. */
static int text_width(const char *s)
{
    int width = 0;

    for (; *s; s++)
        width += ((unsigned char)*s & 0xc0) != 0x80;
    return width;
}

/* Width of a column, 0 when it is left out. */
static int column_width(const struct table *t, size_t column)
{
    int width = text_width(t->titles[column]);
    bool used = !t->columns[column].optional;

    for (size_t i = column; i < t->count; i += t->column_count) {
        int w = text_width(t->cells[i].text);
        width = w > width ? w : width;
        used = used || strcmp(t->cells[i].text, TABLE_NONE) != 0;
    }
    return used ? width : 0;
}

void table_fit(struct table *t, int width)
{
    t->fit = width;
}

/* The last characters of a text that is too wide, behind "..."; a text that fits as it is. */
static const char *tail_of(const char *text, int width, char buf[CELL_BYTES + 4])
{
    int skip = text_width(text) - width;

    if (skip <= 0)
        return text;
    for (skip += 3; skip > 0 && *text; skip--)
        do
            text++;
        while (((unsigned char)*text & 0xc0) == 0x80);
    snprintf(buf, CELL_BYTES + 4, "...%s", text);
    return buf;
}

/* Takes what the lines are too long from the columns that may lose it. */
static void narrow(const struct table *t, int widths[COLUMNS_MAX])
{
    int all = -2;

    for (size_t c = 0; c < t->column_count; c++)
        all += widths[c] > 0 ? widths[c] + 2 : 0;
    for (size_t c = t->column_count; t->fit > 0 && c-- > 0;) {
        int room = widths[c] - TAIL_MIN, over = all - t->fit;
        if (!t->columns[c].tail || room <= 0 || over <= 0)
            continue;
        widths[c] -= over < room ? over : room;
        all -= over < room ? over : room;
    }
}

static void print_cell(const struct cell *cell, const struct column *column, int width, bool last,
                       bool colour, FILE *out)
{
    char buf[CELL_BYTES + 4];
    const char *text = tail_of(cell->text, width, buf);
    int blanks = width - text_width(text);

    fprintf(out, "%*s%s%s%s", column->right ? blanks : 0, "", paint_on(cell->paint, colour), text,
            paint_off(cell->paint, colour));
    if (!last)
        fprintf(out, "%*s", (column->right ? 0 : blanks) + 2, "");
}

void table_print(const struct table *t, bool colour, FILE *out)
{
    int widths[COLUMNS_MAX];
    size_t last = 0;

    assert(t->column_count > 0);
    for (size_t c = 0; c < t->column_count; c++) {
        widths[c] = column_width(t, c);
        last = widths[c] > 0 ? c : last;
    }
    narrow(t, widths);
    for (size_t row = 0; row <= t->count / t->column_count; row++) {
        for (size_t c = 0; c < t->column_count; c++) {
            struct cell title = {t->titles[c], PAINT_BOLD};
            const struct cell *cell = &title;
            if (widths[c] == 0)
                continue;
            if (row > 0)
                cell = &t->cells[(row - 1) * t->column_count + c];
            print_cell(cell, &t->columns[c], widths[c], c == last, colour, out);
        }
        fputc('\n', out);
    }
}
