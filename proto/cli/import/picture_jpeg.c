/* JPEG through libjpeg-turbo. Its errors come back by longjmp, so everything that changes while it
 * works lives in struct decoder, outside the registers of the function that called setjmp. The
 * accurate integer transform is the same with and without SIMD. */
#include "proto/cli/import/picture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

#include <jerror.h>

/* Progressive files send their coefficients in scans, usually ten. A small file with thousands of
 * empty scans keeps a decoder busy for hours. */
#define SCANS_MAX 200

struct decoder {
    const char *path;
    uint32_t side_max;
    struct dims dims;
    uint8_t *pixels;
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf jump;
    int rc; /* 0 until why has a sentence */
    struct errbuf *why;
};

static void on_error(j_common_ptr jpeg)
{
    struct decoder *d = jpeg->client_data;
    char text[JMSG_LENGTH_MAX];

    jpeg->err->format_message(jpeg, text);
    if (!d->rc)
        d->rc = err_set(d->why, -EINVAL, "%s is a damaged JPEG (%s)", d->path, text);
    longjmp(d->jump, 1);
}

/* Except for these, warnings (negative levels) mean that pixels are made up. */
static void on_message(j_common_ptr jpeg, int level)
{
    int code = jpeg->err->msg_code;

    if (level < 0 && code != JWRN_EXTRANEOUS_DATA && code != JWRN_JFIF_MAJOR &&
        code != JWRN_ADOBE_XFORM)
        on_error(jpeg);
}

static void on_output(j_common_ptr jpeg)
{
    (void)jpeg;
}

static void on_progress(j_common_ptr jpeg)
{
    struct decoder *d = jpeg->client_data;

    if (d->jpeg.input_scan_number <= SCANS_MAX)
        return;
    d->rc = err_set(d->why, -EINVAL, "%s is a JPEG of more than %d scans", d->path, SCANS_MAX);
    on_error(jpeg);
}

static void header_read(struct decoder *d)
{
    struct jpeg_decompress_struct *j = &d->jpeg;

    jpeg_read_header(j, TRUE);
    d->rc = picture_size_check(d->path, j->image_height, j->image_width, d->side_max, d->why);
    if (d->rc)
        return;
    if (j->jpeg_color_space != JCS_GRAYSCALE && j->jpeg_color_space != JCS_YCbCr &&
        j->jpeg_color_space != JCS_RGB) {
        d->rc = err_set(d->why, -EINVAL,
                        "%s is a JPEG of %d channels that are neither grey nor YCbCr nor RGB "
                        "(CMYK, perhaps)",
                        d->path, j->num_components);
        return;
    }
    j->out_color_space = j->jpeg_color_space == JCS_GRAYSCALE ? JCS_GRAYSCALE : JCS_RGB;
    j->dct_method = JDCT_ISLOW;
}

static void pixels_read(struct decoder *d)
{
    struct jpeg_decompress_struct *j = &d->jpeg;

    jpeg_start_decompress(j);
    d->dims = (struct dims){j->output_height, j->output_width, (uint32_t)j->output_components};
    size_t row_bytes = (size_t)d->dims.w * d->dims.c;
    d->pixels = malloc(row_bytes * d->dims.h);
    if (!d->pixels) {
        d->rc = err_set(d->why, -ENOMEM, "no memory for the pixels of %s", d->path);
        return;
    }
    while (j->output_scanline < j->output_height) {
        JSAMPROW row = d->pixels + j->output_scanline * row_bytes;
        jpeg_read_scanlines(j, &row, 1);
    }
    jpeg_finish_decompress(j);
}

static void decode(struct decoder *d, const uint8_t *data, size_t bytes)
{
    if (setjmp(d->jump))
        return;
    jpeg_create_decompress(&d->jpeg);
    d->jpeg.progress = &d->progress;
    jpeg_mem_src(&d->jpeg, data, bytes);
    header_read(d);
    if (!d->rc)
        pixels_read(d);
}

int picture_decode_jpeg(const char *path, const uint8_t *data, size_t bytes, uint32_t side_max,
                        struct picture *ret, struct errbuf *why)
{
    struct decoder d = {.path = path, .side_max = side_max, .why = why};

    d.jpeg.err = jpeg_std_error(&d.errors);
    d.jpeg.client_data = &d;
    d.errors.error_exit = on_error;
    d.errors.emit_message = on_message;
    d.errors.output_message = on_output;
    d.progress.progress_monitor = on_progress;
    decode(&d, data, bytes);
    jpeg_destroy_decompress(&d.jpeg);
    if (d.rc)
        free(d.pixels);
    else
        *ret = (struct picture){d.dims, d.pixels};
    return d.rc;
}
