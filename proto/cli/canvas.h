/* A picture in memory that a command draws on: rectangles, images, text in a small font. RGB, 8
 * bits a channel; anything outside is cut off. */
#ifndef STEPPE_PROTO_CLI_CANVAS_H
#define STEPPE_PROTO_CLI_CANVAS_H

#include <stdint.h>

#include "common/err.h"

#define CANVAS_GLYPH_W 6 /* of a character, the gap to the next one included, at scale 1 */
#define CANVAS_GLYPH_H 9

struct canvas {
    uint32_t width, height;
    uint8_t *pixels; /* [height, width, 3] */
};

/* Colours are 0xRRGGBB. -ENOMEM. */
int canvas_open(struct canvas *c, uint32_t width, uint32_t height, uint32_t colour,
                struct errbuf *why);
void canvas_close(struct canvas *c); /* a zeroed struct is fine */

void canvas_fill(struct canvas *c, uint32_t x, uint32_t y, uint32_t w, uint32_t h, uint32_t colour);
/* Pixels [h, w, channels] at `scale` times their size; channels other than 3: the first, as grey.
 */
void canvas_image(struct canvas *c, uint32_t x, uint32_t y, const uint8_t *pixels, uint32_t w,
                  uint32_t h, uint32_t channels, uint32_t scale);
/* At most `most` characters; a longer text ends with a dot. Characters beyond ASCII become '?'. */
void canvas_text(struct canvas *c, uint32_t x, uint32_t y, const char *text, uint32_t most,
                 uint32_t scale, uint32_t colour);
/* Writes it as a PNG, atomically. */
int canvas_write(const struct canvas *c, const char *path, struct errbuf *why);

/* The columns of an ASCII character, bit 0 on top. */
const uint8_t *font_glyph(char ch);

#endif
