/* Pictures for tests: encoders to memory, for any form that libpng and libjpeg write. */
#ifndef STEPPE_TESTS_UNIT_CLI_PICTURES_H
#define STEPPE_TESTS_UNIT_CLI_PICTURES_H

#include <png.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

#include "tests/harness.h"

struct encoded {
    uint8_t *data; /* to be freed */
    size_t bytes;
};

static inline void encoded_write(png_structp png, png_bytep data, size_t bytes)
{
    struct encoded *e = png_get_io_ptr(png);

    e->data = realloc(e->data, e->bytes + bytes);
    ASSERT(e->data);
    memcpy(e->data + e->bytes, data, bytes);
    e->bytes += bytes;
}

struct png_form {
    int colour, bits; /* PNG_COLOR_TYPE_*, bits of a channel */
    bool interlaced;
    const png_color *palette; /* of `colours` colours */
    int colours;
    const png_byte *alphas; /* of the palette's first `alpha_count` colours */
    int alpha_count;
};

/* rows: h rows of row_bytes bytes, as PNG packs them. */
static inline struct encoded png_make(const struct png_form *form, uint32_t h, uint32_t w,
                                      const uint8_t *rows, size_t row_bytes)
{
    struct encoded e = {0};
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);

    png_set_write_fn(png, &e, encoded_write, NULL);
    png_set_IHDR(png, info, w, h, form->bits, form->colour,
                 form->interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (form->palette)
        png_set_PLTE(png, info, form->palette, form->colours);
    if (form->alphas)
        png_set_tRNS(png, info, form->alphas, form->alpha_count, NULL);
    png_write_info(png, info);
    int passes = png_set_interlace_handling(png);
    for (int pass = 0; pass < passes; pass++)
        for (uint32_t y = 0; y < h; y++)
            png_write_row(png, rows + y * row_bytes);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    return e;
}

/* 8 bits, c channels: 1 grey, 3 RGB. */
static inline struct encoded png_plain(uint32_t h, uint32_t w, uint32_t c, const uint8_t *pixels)
{
    struct png_form form = {c == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, .bits = 8};

    return png_make(&form, h, w, pixels, (size_t)w * c);
}

/* Quality 100; progressive grey has two scans; space is that of the pixels: 1, 3 or 4 (CMYK)
 * channels. */
static inline struct encoded jpeg_make(J_COLOR_SPACE space, int channels, bool progressive,
                                       uint32_t h, uint32_t w, const uint8_t *pixels)
{
    /* Scans that refine nothing may be repeated. */
    static const jpeg_scan_info whole[] = {{1, {0}, 0, 0, 0, 0}, {1, {0}, 1, 63, 0, 0}};
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned char *data = NULL;
    unsigned long bytes = 0;

    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &data, &bytes);
    jpeg.image_width = w;
    jpeg.image_height = h;
    jpeg.input_components = channels;
    jpeg.in_color_space = space;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 100, TRUE);
    if (progressive && channels > 1)
        jpeg_simple_progression(&jpeg);
    if (progressive && channels == 1) {
        jpeg.scan_info = whole;
        jpeg.num_scans = 2;
    }
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < h) {
        JSAMPROW row = (JSAMPROW)pixels + (size_t)jpeg.next_scanline * w * (unsigned)channels;
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    return (struct encoded){data, bytes};
}

#endif
