/* PNG through libpng. Its errors come back by longjmp, so everything that changes while it works
 * lives in struct decoder, outside the registers of the function that called setjmp. */
#include "proto/cli/import/picture.h"

#include <errno.h>
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

struct decoder {
    const char *path;
    const uint8_t *data;
    size_t bytes, at;
    uint32_t side_max, h, w, channels; /* channels as decoded: 1 to 4 */
    uint8_t *pixels;
    png_structp png;
    png_infop info;
    int rc; /* 0 until why has a sentence */
    struct errbuf *why;
};

static void on_error(png_structp png, png_const_charp text)
{
    struct decoder *d = png_get_error_ptr(png);

    if (!d->rc)
        d->rc = err_set(d->why, -EINVAL, "%s is a damaged PNG (%s)", d->path, text);
    png_longjmp(png, 1);
}

/* libpng warns about harmless faults: a wrong checksum of a comment and the like. */
static void on_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static void on_read(png_structp png, png_bytep ret, size_t bytes)
{
    struct decoder *d = png_get_io_ptr(png);

    if (bytes > d->bytes - d->at) {
        d->rc = err_set(d->why, -EINVAL, "%s is a truncated PNG: it ends after %zu bytes", d->path,
                        d->bytes);
        png_error(png, "truncated");
    }
    memcpy(ret, d->data + d->at, bytes);
    d->at += bytes;
}

/* Whatever the file holds becomes 8-bit grey or RGB, with alpha where pixels are transparent. */
static void header_read(struct decoder *d)
{
    png_read_info(d->png, d->info);
    d->h = png_get_image_height(d->png, d->info);
    d->w = png_get_image_width(d->png, d->info);
    d->rc = picture_size_check(d->path, d->h, d->w, d->side_max, d->why);
    if (d->rc)
        return;
    png_set_expand(d->png);
    png_set_scale_16(d->png);
}

static void pixels_read(struct decoder *d)
{
    int passes = png_set_interlace_handling(d->png);

    png_read_update_info(d->png, d->info);
    d->channels = png_get_channels(d->png, d->info);
    size_t row_bytes = (size_t)d->w * d->channels;
    if (d->channels < 1 || d->channels > 4 || png_get_bit_depth(d->png, d->info) != 8 ||
        png_get_rowbytes(d->png, d->info) != row_bytes)
        png_error(d->png, "a form that cannot be converted");
    d->pixels = malloc(row_bytes * d->h);
    if (!d->pixels) {
        d->rc = err_set(d->why, -ENOMEM, "no memory for the pixels of %s", d->path);
        return;
    }
    for (int pass = 0; pass < passes; pass++)
        for (uint32_t y = 0; y < d->h; y++)
            png_read_row(d->png, d->pixels + y * row_bytes, NULL);
    png_read_end(d->png, NULL);
}

static int decode(struct decoder *d)
{
    if (setjmp(png_jmpbuf(d->png)))
        return d->rc;
    png_set_read_fn(d->png, d, on_read);
    /* Skips every chunk that is not needed for pixels: texts and profiles may unfold to megabytes.
     */
    png_set_keep_unknown_chunks(d->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    header_read(d);
    if (!d->rc)
        pixels_read(d);
    return d->rc;
}

/* Lays pixels with alpha on black, in place: v * alpha / 255, rounded. */
static void alpha_apply(struct decoder *d)
{
    size_t colours = d->channels - 1, pixels = (size_t)d->h * d->w;
    const uint8_t *from = d->pixels;
    uint8_t *to = d->pixels;

    for (size_t i = 0; i < pixels; i++, from += colours + 1) {
        unsigned alpha = from[colours];
        for (size_t c = 0; c < colours; c++)
            *to++ = (uint8_t)((from[c] * alpha + 127) / 255);
    }
    d->channels--;
}

int picture_decode_png(const char *path, const uint8_t *data, size_t bytes, uint32_t side_max,
                       struct picture *ret, struct errbuf *why)
{
    struct decoder d = {
        .path = path, .data = data, .bytes = bytes, .side_max = side_max, .why = why};

    d.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &d, on_error, on_warning);
    d.info = d.png ? png_create_info_struct(d.png) : NULL;
    if (d.info)
        decode(&d);
    else
        d.rc = err_set(why, -ENOMEM, "no memory to read %s", path);
    png_destroy_read_struct(&d.png, &d.info, NULL);
    if (d.rc) {
        free(d.pixels);
        return d.rc;
    }
    if (d.channels % 2 == 0)
        alpha_apply(&d);
    *ret = (struct picture){{d.h, d.w, d.channels}, d.pixels};
    return 0;
}
