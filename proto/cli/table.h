/* Aligned tables of text. Widths count characters, not bytes; characters that may not be shown
 * (text_is_visible: control characters, marks of direction, those of no width) become '?', in cells
 * and titles. */
#ifndef STEPPE_PROTO_CLI_TABLE_H
#define STEPPE_PROTO_CLI_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#define TABLE_NONE "-" /* shown where there is no value */

enum paint { PAINT_NONE, PAINT_GOOD, PAINT_BAD, PAINT_WAIT, PAINT_DIM, PAINT_BOLD };

struct column {
    const char *title; /* NULL ends the list */
    bool right;        /* numbers: aligned to the right */
    bool optional;     /* left out when no row has a value in it */
    bool tail;         /* may lose the beginning of its cells so that the table fits */
};

struct table;

/* columns (at most 32) is borrowed for the life of the table. */
struct table *table_create(const struct column *columns);
void table_free(struct table *t); /* NULL is fine */

/* Adds the next cell, row by row from left to right. "" counts as TABLE_NONE. */
__attribute__((format(printf, 2, 3))) void table_add(struct table *t, const char *fmt, ...);
/* Colours the cell that was added last. */
void table_paint(struct table *t, enum paint paint);

/* Lines of at most so many characters, as far as columns with `tail` allow; 0: of any length. */
void table_fit(struct table *t, int width);
/* Prints title and rows, two blanks between columns, none at the end of a line. */
void table_print(const struct table *t, bool colour, FILE *out);

/* Escape sequences that begin and end a colour; "" without colour. */
const char *paint_on(enum paint paint, bool colour);
const char *paint_off(enum paint paint, bool colour);

#endif
