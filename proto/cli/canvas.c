#include "proto/cli/canvas.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/file.h"
#include "common/png.h"

int canvas_open(struct canvas *c, uint32_t width, uint32_t height, uint32_t colour,
                struct errbuf *why)
{
    *c = (struct canvas){width, height, alloc_bytes((size_t)width * height, 3)};
    if (!c->pixels)
        return err_set(why, -ENOMEM, "no memory for a picture of %u x %u", width, height);
    canvas_fill(c, 0, 0, width, height, colour);
    return 0;
}

void canvas_close(struct canvas *c)
{
    free(c->pixels);
    c->pixels = NULL;
}

static void put(struct canvas *c, uint32_t x, uint32_t y, uint32_t colour)
{
    if (x >= c->width || y >= c->height)
        return;
    uint8_t *at = c->pixels + ((size_t)y * c->width + x) * 3;
    at[0] = (uint8_t)(colour >> 16);
    at[1] = (uint8_t)(colour >> 8);
    at[2] = (uint8_t)colour;
}

void canvas_fill(struct canvas *c, uint32_t x, uint32_t y, uint32_t w, uint32_t h, uint32_t colour)
{
    for (uint32_t dy = 0; dy < h; dy++)
        for (uint32_t dx = 0; dx < w; dx++)
            put(c, x + dx, y + dy, colour);
}

void canvas_image(struct canvas *c, uint32_t x, uint32_t y, const uint8_t *pixels, uint32_t w,
                  uint32_t h, uint32_t channels, uint32_t scale)
{
    uint32_t green = channels == 3 ? 1 : 0, blue = channels == 3 ? 2 : 0;

    for (uint32_t iy = 0; iy < h; iy++)
        for (uint32_t ix = 0; ix < w; ix++) {
            const uint8_t *p = pixels + ((size_t)iy * w + ix) * channels;
            uint32_t colour = (uint32_t)p[0] << 16 | (uint32_t)p[green] << 8 | p[blue];
            canvas_fill(c, x + ix * scale, y + iy * scale, scale, scale, colour);
        }
}

static void put_glyph(struct canvas *c, uint32_t x, uint32_t y, char ch, uint32_t scale,
                      uint32_t colour)
{
    const uint8_t *columns = font_glyph(ch);

    for (uint32_t gx = 0; gx < CANVAS_GLYPH_W - 1; gx++)
        for (uint32_t gy = 0; gy < 8; gy++)
            if (columns[gx] >> gy & 1)
                canvas_fill(c, x + gx * scale, y + gy * scale, scale, scale, colour);
}

void canvas_text(struct canvas *c, uint32_t x, uint32_t y, const char *text, uint32_t most,
                 uint32_t scale, uint32_t colour)
{
    size_t bytes = strlen(text);

    for (uint32_t i = 0; i < bytes && i < most; i++)
        put_glyph(c, x + i * CANVAS_GLYPH_W * scale, y,
                  i + 1 == most && bytes > most ? '.' : text[i], scale, colour);
}

int canvas_write(const struct canvas *c, const char *path, struct errbuf *why)
{
    uint8_t *file;
    size_t bytes;
    int rc = png_encode(c->pixels, c->width, c->height, 3, &file, &bytes);

    if (rc < 0)
        return err_set(why, rc, "cannot make the picture: %s", err_text(rc));
    const struct file_part part = {file, bytes};
    rc = file_write_atomic(path, 0644, &part, 1, why);
    free(file);
    return rc;
}
