/* The EXIF orientation: what is read, what is not, and how a picture is turned. */
#include <stdbool.h>
#include <string.h>

#include "common/rng.h"
#include "proto/cli/import/picture.h"
#include "tests/unit/cli/exif.h"
#include "tests/unit/cli/pictures.h"

static struct errbuf why;

static int orientation_of(const struct exif *e)
{
    uint8_t file[EXIF_JPEG_BYTES];

    return picture_orientation(file, exif_jpeg(e, file));
}

TEST(the_orientation_is_read_in_either_order_of_bytes)
{
    for (int big = 0; big < 2; big++)
        for (int value = 1; value <= 8; value++) {
            struct exif e = exif_plain((uint16_t)value);
            e.big = big;
            ASSERT_EQ(value, orientation_of(&e));
        }
}

TEST(what_does_not_fit_the_format_counts_as_stored)
{
    struct exif e;

    for (int value = 0; value < 300; value++)
        if (value < 1 || value > 8) {
            e = exif_plain((uint16_t)value);
            ASSERT_EQ(1, orientation_of(&e));
        }
    e = exif_plain(6);
    e.type = 4;
    ASSERT_EQ(1, orientation_of(&e));
    e = exif_plain(6);
    e.values = 2;
    ASSERT_EQ(1, orientation_of(&e));
    e = exif_plain(6);
    e.magic = 43;
    ASSERT_EQ(1, orientation_of(&e));
    e = exif_plain(6);
    e.directory = 0xfffffff0;
    ASSERT_EQ(1, orientation_of(&e));
    e = exif_plain(6);
    e.entries = 0;
    ASSERT_EQ(1, orientation_of(&e));
    e = exif_plain(6);
    e.entries = 0xffff; /* it is found before they end */
    ASSERT_EQ(6, orientation_of(&e));
    e.tag = 0x0100;
    ASSERT_EQ(1, orientation_of(&e));
    ASSERT_EQ(1, picture_orientation((const uint8_t *)"", 0));
    ASSERT_EQ(1, picture_orientation((const uint8_t *)"\x89PNG\r\n\x1a\n", 8));
}

/* Each copy has its very size, so that a sanitizer sees a byte too many. */
static int orientation_of_part(const uint8_t *data, size_t bytes)
{
    uint8_t *part = malloc(bytes ? bytes : 1);

    memcpy(part, data, bytes);
    int orientation = picture_orientation(part, bytes);
    free(part);
    return orientation;
}

TEST(any_bytes_have_an_orientation)
{
    struct exif e = exif_plain(6);
    uint8_t file[EXIF_JPEG_BYTES], wrong[EXIF_JPEG_BYTES];
    size_t bytes = exif_jpeg(&e, file);
    struct rng rng = rng_at(1, RNG_TEST, 0, 0);

    for (size_t n = 0; n < bytes; n++) {
        int got = orientation_of_part(file, n);
        ASSERT(got == 1 || got == 6);
    }
    for (int i = 0; i < 20000; i++) {
        memcpy(wrong, file, bytes);
        for (int k = 0; k < 3; k++)
            wrong[rng_below(&rng, (uint32_t)bytes)] = (uint8_t)rng_below(&rng, 256);
        int got = orientation_of_part(wrong, bytes);
        ASSERT(got >= 1 && got <= 8);
    }
}

/* EXIF 2.3: where the 0th row and the 0th column of the stored picture are to be seen. The stored
 * one is
 *     1 2 3
 *     4 5 6 */
TEST(a_picture_is_turned_as_people_see_it)
{
    static const struct {
        uint32_t h, w;
        uint8_t pixels[6];
    } seen[] = {
        [1] = {2, 3, {1, 2, 3, 4, 5, 6}}, /* row 0 at the top, column 0 at the left */
        [2] = {2, 3, {3, 2, 1, 6, 5, 4}}, /* top, right */
        [3] = {2, 3, {6, 5, 4, 3, 2, 1}}, /* bottom, right */
        [4] = {2, 3, {4, 5, 6, 1, 2, 3}}, /* bottom, left */
        [5] = {3, 2, {1, 4, 2, 5, 3, 6}}, /* left, top */
        [6] = {3, 2, {4, 1, 5, 2, 6, 3}}, /* right, top */
        [7] = {3, 2, {6, 3, 5, 2, 4, 1}}, /* right, bottom */
        [8] = {3, 2, {3, 6, 2, 5, 1, 4}}, /* left, bottom */
    };

    for (int o = 1; o <= 8; o++)
        for (uint32_t c = 1; c <= 3; c += 2) {
            struct picture p = {{2, 3, c}, malloc(6 * c)};
            for (size_t i = 0; i < 6 * c; i++)
                p.pixels[i] = (uint8_t)(i / c + 1 + 100 * (i % c));
            ASSERT_EQ(0, picture_turn(&p, o));
            ASSERT_EQ(seen[o].h, p.dims.h);
            ASSERT_EQ(seen[o].w, p.dims.w);
            for (size_t i = 0; i < 6 * c; i++)
                ASSERT_EQ(seen[o].pixels[i / c] + 100 * (i % c), p.pixels[i]);
            free(p.pixels);
        }
}

TEST(a_jpeg_is_turned_unless_it_is_asked_for_as_stored)
{
    uint8_t pixels[8 * 16] = {0};
    struct picture p;

    memset(pixels, 255, 8 * 8); /* the upper half is white */
    struct encoded e = jpeg_turned(6, 8, 16, pixels);
    ASSERT_OK(picture_decode("a.jpg", e.data, e.bytes, 64, false, &p, &why), why);
    ASSERT_EQ(16, p.dims.h);
    ASSERT_EQ(8, p.dims.w);
    ASSERT(p.pixels[0] < 50 && p.pixels[7] > 200); /* the top is at the right */
    free(p.pixels);
    ASSERT_OK(picture_decode("a.jpg", e.data, e.bytes, 64, true, &p, &why), why);
    ASSERT_EQ(8, p.dims.h);
    ASSERT(p.pixels[0] > 200 && p.pixels[7 * 16] < 50);
    free(p.pixels);
    free(e.data);
}
