#include "proto/cli/import/picture.h"

#include <errno.h>
#include <webp/encode.h>
#include <zlib.h>

#include "common/rng.h"
#include "tests/unit/cli/pictures.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define HIGH 9
#define WIDE 13
#define SIDE_MAX 64

static struct errbuf why;

static void pixels_fill(uint8_t *pixels, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        pixels[i] = (uint8_t)(i * 37 + 11);
}

static int decode(const struct encoded *e, struct picture *ret)
{
    return picture_decode("a.img", e->data, e->bytes, SIDE_MAX, false, ret, &why);
}

/* Decodes and frees e; the pixels must be `want`. */
static void assert_decodes(struct encoded e, uint32_t h, uint32_t w, uint32_t c,
                           const uint8_t *want)
{
    struct picture p;

    ASSERT_OK(decode(&e, &p), why);
    ASSERT_EQ(h, p.dims.h);
    ASSERT_EQ(w, p.dims.w);
    ASSERT_EQ(c, p.dims.c);
    for (size_t i = 0; i < (size_t)h * w * c; i++)
        ASSERT_EQ(want[i], p.pixels[i]);
    free(p.pixels);
    free(e.data);
}

/* Decodes and frees e. */
static void assert_refused(struct encoded e, int code, const char *part)
{
    struct picture p;

    ASSERT_EQ(code, decode(&e, &p));
    ASSERT_HAS("a.img", why.text);
    ASSERT_HAS(part, why.text);
    free(e.data);
}

TEST(png_pixels_come_as_they_are)
{
    uint8_t pixels[HIGH * WIDE * 3];

    pixels_fill(pixels, sizeof(pixels));
    assert_decodes(png_plain(HIGH, WIDE, 1, pixels), HIGH, WIDE, 1, pixels);
    assert_decodes(png_plain(HIGH, WIDE, 3, pixels), HIGH, WIDE, 3, pixels);
    struct png_form form = {PNG_COLOR_TYPE_RGB, .bits = 8, .interlaced = true};
    assert_decodes(png_make(&form, HIGH, WIDE, pixels, WIDE * 3), HIGH, WIDE, 3, pixels);
}

TEST(fewer_and_more_bits_become_eight)
{
    struct png_form bits1 = {PNG_COLOR_TYPE_GRAY, .bits = 1};
    struct png_form bits4 = {PNG_COLOR_TYPE_GRAY, .bits = 4};
    struct png_form bits16 = {PNG_COLOR_TYPE_GRAY, .bits = 16};

    assert_decodes(png_make(&bits1, 1, 3, (uint8_t[]){0xa0}, 1), 1, 3, 1, (uint8_t[]){255, 0, 255});
    assert_decodes(png_make(&bits4, 1, 3, (uint8_t[]){0x1f, 0x80}, 2), 1, 3, 1,
                   (uint8_t[]){17, 255, 136});
    /* 0x00ff is 0.99 of 257 and becomes 1. */
    assert_decodes(png_make(&bits16, 1, 3, (uint8_t[]){0, 0xff, 0x80, 0, 0xff, 0xff}, 6), 1, 3, 1,
                   (uint8_t[]){1, 128, 255});
}

TEST(palettes_become_rgb)
{
    static const png_color colours[] = {{1, 2, 3}, {40, 50, 60}, {200, 210, 220}};
    struct png_form form = {PNG_COLOR_TYPE_PALETTE, .bits = 2, .palette = colours,
                            .colours = COUNT(colours)};

    assert_decodes(png_make(&form, 1, 3, (uint8_t[]){0x84}, 1), 1, 3, 3,
                   (uint8_t[]){200, 210, 220, 1, 2, 3, 40, 50, 60});
}

TEST(transparency_is_laid_on_black)
{
    static const png_color colours[] = {{100, 200, 255}, {40, 50, 60}};
    struct png_form rgba = {PNG_COLOR_TYPE_RGB_ALPHA, .bits = 8};
    struct png_form grey = {PNG_COLOR_TYPE_GRAY_ALPHA, .bits = 8};
    struct png_form palette = {PNG_COLOR_TYPE_PALETTE,     .bits = 8,
                               .palette = colours,         .colours = COUNT(colours),
                               .alphas = (png_byte[]){51}, .alpha_count = 1};

    assert_decodes(
        png_make(&rgba, 1, 3, (uint8_t[]){9, 8, 7, 255, 9, 8, 7, 0, 100, 200, 255, 128}, 12), 1, 3,
        3, (uint8_t[]){9, 8, 7, 0, 0, 0, 50, 100, 128});
    assert_decodes(png_make(&grey, 2, 1, (uint8_t[]){77, 255, 255, 51}, 2), 2, 1, 1,
                   (uint8_t[]){77, 51});
    assert_decodes(png_make(&palette, 1, 2, (uint8_t[]){0, 1}, 2), 1, 2, 3,
                   (uint8_t[]){20, 40, 51, 40, 50, 60});
}

/* A slope from dark to bright that JPEG keeps well. */
static void slope_fill(uint8_t *pixels, uint32_t h, uint32_t w, uint32_t c)
{
    for (uint32_t y = 0; y < h; y++)
        for (uint32_t x = 0; x < w; x++)
            for (uint32_t k = 0; k < c; k++)
                pixels[(y * w + x) * c + k] = (uint8_t)(20 + 6 * x + 4 * y + 30 * k);
}

static void assert_slope(struct encoded e, uint32_t c)
{
    uint8_t want[HIGH * WIDE * 3];
    struct picture p;

    slope_fill(want, HIGH, WIDE, c);
    ASSERT_OK(decode(&e, &p), why);
    ASSERT_EQ(HIGH, p.dims.h);
    ASSERT_EQ(WIDE, p.dims.w);
    ASSERT_EQ(c, p.dims.c);
    for (size_t i = 0; i < HIGH * WIDE * c; i++)
        ASSERT_NEAR(want[i], p.pixels[i], 4);
    free(p.pixels);
    free(e.data);
}

TEST(jpeg_pixels_come_close)
{
    uint8_t pixels[HIGH * WIDE * 3];

    for (int progressive = 0; progressive < 2; progressive++) {
        slope_fill(pixels, HIGH, WIDE, 1);
        assert_slope(jpeg_make(JCS_GRAYSCALE, 1, progressive, HIGH, WIDE, pixels), 1);
        slope_fill(pixels, HIGH, WIDE, 3);
        assert_slope(jpeg_make(JCS_RGB, 3, progressive, HIGH, WIDE, pixels), 3);
    }
}

static struct encoded webp_make(int channels, const uint8_t *pixels)
{
    struct encoded e = {0};

    e.bytes = (channels == 4 ? WebPEncodeLosslessRGBA
                             : WebPEncodeLosslessRGB)(pixels, WIDE, HIGH, WIDE * channels, &e.data);
    ASSERT(e.bytes > 0);
    return e;
}

TEST(webp_pixels_come_as_they_are)
{
    uint8_t pixels[HIGH * WIDE * 3];

    pixels_fill(pixels, sizeof(pixels));
    assert_decodes(webp_make(3, pixels), HIGH, WIDE, 3, pixels);
}

TEST(transparency_of_webp_lies_on_black)
{
    uint8_t pixels[HIGH * WIDE * 4], want[HIGH * WIDE * 3];

    for (size_t i = 0; i < HIGH * WIDE; i++) {
        memcpy(pixels + 4 * i, "\xc8\x64\x32\x80", 4);
        memcpy(want + 3 * i, "\x64\x32\x19", 3);
    }
    assert_decodes(webp_make(4, pixels), HIGH, WIDE, 3, want);
}

TEST(a_webp_that_is_cut_or_moves_is_refused)
{
    static const uint8_t moves[] = "RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0\x0c\0\0\x08\0\0";
    uint8_t pixels[HIGH * WIDE * 3];

    pixels_fill(pixels, sizeof(pixels));
    struct encoded cut = webp_make(3, pixels);
    cut.bytes -= 10;
    assert_refused(cut, -EINVAL, "is a damaged WebP");
    cut = webp_make(3, pixels);
    cut.bytes = 14;
    assert_refused(cut, -EINVAL, "is a damaged WebP");
    struct encoded e = {malloc(sizeof(moves) - 1), sizeof(moves) - 1};
    memcpy(e.data, moves, e.bytes);
    assert_refused(e, -EINVAL, "is an animated WebP");
}

TEST(jpegs_for_printing_are_refused)
{
    uint8_t pixels[HIGH * WIDE * 4] = {0};

    assert_refused(jpeg_make(JCS_CMYK, 4, false, HIGH, WIDE, pixels), -EINVAL,
                   "4 channels that are neither grey nor YCbCr nor RGB (CMYK");
}

TEST(other_formats_are_refused)
{
    static const struct encoded none = {0};

    assert_refused((struct encoded){(uint8_t *)strdup("GIF89a"), 6}, -EINVAL,
                   "is neither PNG nor JPEG nor WebP");
    assert_refused((struct encoded){(uint8_t *)strdup("\xff\xd8"), 2}, -EINVAL,
                   "is neither PNG nor JPEG nor WebP");
    assert_refused((struct encoded){(uint8_t *)strdup("RIFF    WAVEfmt "), 16}, -EINVAL,
                   "is neither PNG nor JPEG nor WebP");
    assert_refused(none, -EINVAL, "is empty");
}

/* The size is known before anything is decoded: these have next to no pixels behind the header. */
TEST(bombs_are_refused_by_their_header)
{
    uint8_t pixels[HIGH * WIDE * 3] = {0};
    struct encoded png = png_plain(HIGH, WIDE, 3, pixels);
    struct encoded jpeg = jpeg_make(JCS_RGB, 3, false, HIGH, WIDE, pixels);

    memcpy(png.data + 16, "\0\0\xff\xff\0\0\xff\xff", 8);
    uint32_t crc = (uint32_t)crc32(0, png.data + 12, 17);
    for (int i = 0; i < 4; i++)
        png.data[29 + i] = (uint8_t)(crc >> (24 - 8 * i));
    assert_refused(png, -ERANGE, "is 65535 pixels high and 65535 wide, allowed is 1 to 64");
    for (size_t i = 2; i + 9 < jpeg.bytes; i++)
        if (jpeg.data[i] == 0xff && jpeg.data[i + 1] == 0xc0) {
            memcpy(jpeg.data + i + 5, "\xff\x00\xff\x00", 4);
            break;
        }
    assert_refused(jpeg, -ERANGE, "is 65280 pixels high and 65280 wide, allowed is 1 to 64");
    uint8_t *tall = calloc(65, 1);
    assert_refused(png_plain(65, 1, 1, tall), -ERANGE, "is 65 pixels high and 1 wide");
    free(tall);
}

/* A text of 100 MB in a few hundred kB: it is skipped, not unfolded. */
TEST(compressed_texts_are_skipped)
{
    uLongf bytes = compressBound(100 << 20);
    uint8_t pixels[3] = {1, 2, 3}, *chunk = malloc(bytes + 32), *text = calloc(100, 1 << 20);
    struct encoded png = png_plain(1, 1, 3, pixels);
    struct picture p;

    memcpy(chunk + 4, "zTXtk\0\0", 7);
    ASSERT_EQ(Z_OK, compress(chunk + 11, &bytes, text, 100 << 20));
    bytes += 3;
    uint32_t crc = (uint32_t)crc32(0, chunk + 4, (uInt)bytes + 4);
    for (int i = 0; i < 4; i++) {
        chunk[i] = (uint8_t)(bytes >> (24 - 8 * i));
        chunk[8 + bytes + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
    }
    struct encoded both = {malloc(png.bytes + bytes + 12), png.bytes + bytes + 12};
    memcpy(both.data, png.data, 33); /* behind IHDR */
    memcpy(both.data + 33, chunk, bytes + 12);
    memcpy(both.data + 33 + bytes + 12, png.data + 33, png.bytes - 33);
    ASSERT_OK(decode(&both, &p), why);
    ASSERT_EQ(3, p.pixels[2]);
    free(p.pixels);
    free(both.data);
    free(png.data);
    free(chunk);
    free(text);
}

/* A progressive file that repeats its last scan a thousand times. */
TEST(endless_scans_are_refused)
{
    uint8_t pixels[HIGH * WIDE] = {0};
    struct encoded e = jpeg_make(JCS_GRAYSCALE, 1, true, HIGH, WIDE, pixels);
    size_t scan = 0;

    for (size_t i = 0; i + 1 < e.bytes; i++)
        if (e.data[i] == 0xff && e.data[i + 1] == 0xda)
            scan = i;
    ASSERT(scan > 0);
    size_t scan_bytes = e.bytes - 2 - scan;
    struct encoded many = {malloc(e.bytes + 1000 * scan_bytes), 0};
    memcpy(many.data, e.data, e.bytes - 2);
    many.bytes = e.bytes - 2;
    for (int i = 0; i < 1000; i++, many.bytes += scan_bytes)
        memcpy(many.data + many.bytes, e.data + scan, scan_bytes);
    memcpy(many.data + many.bytes, "\xff\xd9", 2);
    many.bytes += 2;
    free(e.data);
    assert_refused(many, -EINVAL, "is a JPEG of more than 200 scans");
}

static struct encoded sample(int which)
{
    static const png_color colours[] = {{1, 2, 3}, {40, 50, 60}};
    struct png_form interlaced = {PNG_COLOR_TYPE_RGB_ALPHA, .bits = 16, .interlaced = true};
    struct png_form palette = {PNG_COLOR_TYPE_PALETTE, .bits = 1, .palette = colours,
                               .colours = COUNT(colours)};
    uint8_t pixels[HIGH * WIDE * 8];

    pixels_fill(pixels, sizeof(pixels));
    switch (which) {
    case 0:
        return png_plain(HIGH, WIDE, 3, pixels);
    case 1:
        return png_make(&interlaced, HIGH, WIDE, pixels, WIDE * 8);
    case 2:
        return png_make(&palette, HIGH, WIDE, pixels, 2);
    case 3:
        return jpeg_make(JCS_RGB, 3, false, HIGH, WIDE, pixels);
    case 4:
        return jpeg_make(JCS_GRAYSCALE, 1, true, HIGH, WIDE, pixels);
    default:
        return jpeg_make(JCS_RGB, 3, true, HIGH, WIDE, pixels);
    }
}
#define SAMPLES 6

TEST(every_truncation_of_a_picture_is_refused)
{
    for (int which = 0; which < SAMPLES; which++) {
        struct encoded e = sample(which);
        for (size_t bytes = 0; bytes < e.bytes; bytes++) {
            /* A copy of its own lets the sanitizer see a read behind the end. */
            struct encoded cut = {malloc(bytes ? bytes : 1), bytes};
            memcpy(cut.data, e.data, bytes);
            assert_refused(cut, -EINVAL, "");
        }
        free(e.data);
    }
}

TEST(mutated_pictures_are_read_or_refused)
{
    for (uint32_t i = 0; i < SAMPLES * 1500; i++) {
        struct encoded e = sample((int)(i % SAMPLES));
        struct rng r = rng_at(2, RNG_TEST, i, 0);
        struct picture p;
        for (uint64_t k = 1 + rng_below(&r, 4); k > 0; k--)
            e.data[rng_below(&r, e.bytes)] ^= (uint8_t)(1 + rng_below(&r, 255));
        why.text[0] = 0;
        int rc = decode(&e, &p);
        ASSERT_EQ(rc == 0, why.text[0] == 0);
        if (rc == 0) {
            ASSERT(p.dims.h <= SIDE_MAX && p.dims.w <= SIDE_MAX);
            ASSERT(p.dims.c == 1 || p.dims.c == 3);
            free(p.pixels);
        }
        free(e.data);
    }
}

/* The wanted values are those of Pillow 9.4, Image.resize(..., BILINEAR). */
TEST(scaling_gives_what_pillow_gives)
{
    static const struct {
        struct dims from;
        uint32_t h, w;
        uint8_t want[20];
    } cases[] = {
        {{5, 7, 1}, 3, 3, {44, 123, 202, 49, 128, 207, 54, 133, 212}},
        {{2, 3, 1}, 5, 4, {11,  34,  62,  85,  22,  45,  73,  96,  67,  90,
                           118, 141, 111, 134, 162, 185, 122, 145, 173, 196}},
        {{9, 6, 3}, 2, 2, {122, 125, 134, 138, 130, 117, 124, 119, 133, 137, 131, 120}},
        {{1, 1, 3}, 2, 3, {11, 48, 85, 11, 48, 85, 11, 48, 85, 11, 48, 85, 11, 48, 85, 11, 48, 85}},
    };
    uint8_t pixels[256];
    struct picture scaled;

    pixels_fill(pixels, sizeof(pixels));
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct picture from = {cases[i].from, pixels};
        ASSERT_EQ(0, picture_scale(&from, cases[i].h, cases[i].w, &scaled));
        ASSERT_EQ(cases[i].h, scaled.dims.h);
        ASSERT_EQ(cases[i].w, scaled.dims.w);
        for (size_t k = 0; k < (size_t)cases[i].h * cases[i].w * from.dims.c; k++)
            ASSERT_EQ(cases[i].want[k], scaled.pixels[k]);
        free(scaled.pixels);
    }
}

TEST(scaling_to_the_same_size_changes_nothing)
{
    uint8_t pixels[HIGH * WIDE * 3];
    struct picture scaled, from = {{HIGH, WIDE, 3}, pixels};

    pixels_fill(pixels, sizeof(pixels));
    ASSERT_EQ(0, picture_scale(&from, HIGH, WIDE, &scaled));
    ASSERT_MEM(pixels, scaled.pixels, sizeof(pixels));
    free(scaled.pixels);
}

TEST(white_stays_white_at_every_size)
{
    uint8_t *pixels = malloc(8192);
    struct picture scaled;

    memset(pixels, 255, 8192);
    for (uint32_t w = 1; w <= 8192; w = w * 3 + 1) {
        struct picture from = {{1, w, 1}, pixels};
        ASSERT_EQ(0, picture_scale(&from, 2, 97, &scaled));
        for (int i = 0; i < 2 * 97; i++)
            ASSERT_EQ(255, scaled.pixels[i]);
        free(scaled.pixels);
    }
    free(pixels);
}
