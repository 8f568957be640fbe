/* Numbers as people read them, and pictures made of characters. Pure: everything goes to the
 * caller's buffer. */
#ifndef STEPPE_PROTO_CLI_DRAW_H
#define STEPPE_PROTO_CLI_DRAW_H

#include <stddef.h>
#include <stdint.h>

#define DRAW_TEXT_BYTES 32 /* holds a duration, an age or a size */
#define DRAW_CELL_BYTES 3  /* one block character in UTF-8 */
#define DRAW_CELLS_MAX 500 /* widest picture, in characters */
#define DRAW_LINE_BYTES (DRAW_CELLS_MAX * DRAW_CELL_BYTES + 1)

/* "850 ms", "12 s", "3 min 20 s", "1 h 05 min", "2 d 4 h"; below 0 counts as 0. Returns buf. */
char *draw_duration(int64_t ms, char buf[DRAW_TEXT_BYTES]);
/* "now" below a second, else the largest unit of the duration and "ago": "3 s ago". */
char *draw_age(int64_t ms, char buf[DRAW_TEXT_BYTES]);
/* "512 B", "44.9 MiB". */
char *draw_bytes(uint64_t bytes, char buf[DRAW_TEXT_BYTES]);

/* A bar of share (clamped to [0, 1]) of `cells` characters, in eighths of one. Not padded: unfilled
 * cells are not written. A share above 0 shows at least an eighth. */
char *draw_bar(double share, int cells, char buf[DRAW_LINE_BYTES]);
/* As draw_bar, with the rest of the cells drawn as a light track. */
char *draw_progress(double share, int cells, char buf[DRAW_LINE_BYTES]);
/* One character a value (at most DRAW_CELLS_MAX, evenly picked), between the least and the largest;
 * values that are not finite are blank. All equal: a line in the middle. */
char *draw_spark(const double *values, size_t count, char buf[DRAW_LINE_BYTES]);

#endif
