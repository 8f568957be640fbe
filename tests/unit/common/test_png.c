#include "common/png.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#include "tests/harness.h"

static uint32_t u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* The chunk at *io_at, whose checksum must be right. */
static const uint8_t *chunk(const uint8_t *file, size_t *io_at, const char *name, uint32_t *ret)
{
    const uint8_t *at = file + *io_at;

    *ret = u32(at);
    ASSERT(memcmp(at + 4, name, 4) == 0);
    ASSERT_EQ(crc32(0, at + 4, *ret + 4), u32(at + 8 + *ret));
    *io_at += 12 + *ret;
    return at + 8;
}

static void round_trip(uint32_t width, uint32_t height, uint32_t channels)
{
    uint8_t pixels[5 * 4 * 3], rows[4 * (1 + 5 * 3)], *file;
    size_t bytes, at = 8;
    uint32_t n;
    uLongf unpacked = sizeof(rows);

    for (size_t i = 0; i < sizeof(pixels); i++)
        pixels[i] = (uint8_t)(i * 37);
    ASSERT_EQ(0, png_encode(pixels, width, height, channels, &file, &bytes));
    ASSERT(memcmp(file, "\x89PNG\r\n\x1a\n", 8) == 0);
    const uint8_t *header = chunk(file, &at, "IHDR", &n);
    ASSERT_EQ(13, n);
    ASSERT_EQ(width, u32(header));
    ASSERT_EQ(height, u32(header + 4));
    ASSERT_EQ(8, header[8]);
    ASSERT_EQ(channels == 1 ? 0 : 2, header[9]);
    const uint8_t *data = chunk(file, &at, "IDAT", &n);
    ASSERT_EQ(Z_OK, uncompress(rows, &unpacked, data, n));
    ASSERT_EQ(height * (1 + width * channels), unpacked);
    for (uint32_t y = 0; y < height; y++) {
        ASSERT_EQ(0, rows[y * (1 + width * channels)]);
        ASSERT(memcmp(rows + y * (1 + width * channels) + 1, pixels + y * width * channels,
                      width * channels) == 0);
    }
    chunk(file, &at, "IEND", &n);
    ASSERT_EQ(0, n);
    ASSERT_EQ(bytes, at);
    free(file);
}

TEST(pixels_come_back)
{
    round_trip(5, 4, 1);
    round_trip(5, 4, 3);
    round_trip(1, 1, 1);
    round_trip(5, 1, 3);
}

TEST(what_is_no_picture_is_refused)
{
    uint8_t pixel[4] = {0}, *file;
    size_t bytes;

    ASSERT_EQ(-EINVAL, png_encode(pixel, 0, 1, 1, &file, &bytes));
    ASSERT_EQ(-EINVAL, png_encode(pixel, 1, 0, 1, &file, &bytes));
    ASSERT_EQ(-EINVAL, png_encode(pixel, 1, 1, 2, &file, &bytes));
    ASSERT_EQ(-EINVAL, png_encode(pixel, 1, 1, 4, &file, &bytes));
    ASSERT_EQ(-EINVAL, png_encode(pixel, 1u << 20, 1u << 20, 3, &file, &bytes));
}
