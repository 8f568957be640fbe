/* A PNG is a signature and three chunks: IHDR, the rows (each behind a filter byte, 0: none) packed
 * by zlib, IEND. */
#include "common/png.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "common/alloc.h"

#define SIGNATURE "\x89PNG\r\n\x1a\n"
#define CHUNK_BYTES 12 /* length, name and checksum around the data */
#define HEADER_BYTES 13
#define PIXEL_BYTES_MAX (1u << 30)

static uint8_t *put_u32(uint8_t *to, uint32_t v)
{
    to[0] = (uint8_t)(v >> 24);
    to[1] = (uint8_t)(v >> 16);
    to[2] = (uint8_t)(v >> 8);
    to[3] = (uint8_t)v;
    return to + 4;
}

/* The data lies behind the eight bytes at `to` already. */
static uint8_t *put_chunk(uint8_t *to, const char *name, uint32_t bytes)
{
    uint8_t *data = put_u32(to, bytes);

    memcpy(data, name, 4);
    return put_u32(data + 4 + bytes, (uint32_t)crc32(0, data, bytes + 4));
}

static int pack(const uint8_t *pixels, uint32_t height, size_t row_bytes, uint8_t *to,
                uLongf *io_bytes)
{
    uint8_t *rows = alloc_bytes(height, row_bytes + 1);

    if (!rows)
        return -ENOMEM;
    for (uint32_t y = 0; y < height; y++) {
        rows[y * (row_bytes + 1)] = 0;
        memcpy(rows + y * (row_bytes + 1) + 1, pixels + y * row_bytes, row_bytes);
    }
    int rc = compress2(to, io_bytes, rows, height * (row_bytes + 1), Z_DEFAULT_COMPRESSION);
    free(rows);
    return rc == Z_OK ? 0 : -ENOMEM;
}

int png_encode(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t channels,
               uint8_t **ret, size_t *ret_bytes)
{
    size_t row_bytes = (size_t)width * channels;

    if (!width || !height || (channels != 1 && channels != 3) ||
        row_bytes > PIXEL_BYTES_MAX / height)
        return -EINVAL;
    uLongf packed = compressBound(height * (row_bytes + 1));
    uint8_t *file = malloc(strlen(SIGNATURE) + 3 * CHUNK_BYTES + HEADER_BYTES + packed);
    if (!file)
        return -ENOMEM;
    memcpy(file, SIGNATURE, strlen(SIGNATURE));
    uint8_t *at = file + strlen(SIGNATURE), *header = put_u32(put_u32(at + 8, width), height);
    memcpy(header, (const uint8_t[]){8, channels == 1 ? 0 : 2, 0, 0, 0}, 5);
    at = put_chunk(at, "IHDR", HEADER_BYTES);
    int rc = pack(pixels, height, row_bytes, at + 8, &packed);
    if (rc < 0) {
        free(file);
        return rc;
    }
    at = put_chunk(at, "IDAT", (uint32_t)packed);
    at = put_chunk(at, "IEND", 0);
    *ret = file;
    *ret_bytes = (size_t)(at - file);
    return 0;
}
