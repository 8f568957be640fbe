/* How a camera was held: the EXIF tag Orientation of a JPEG (EXIF 2.3, 4.6.4 A), and the picture
 * turned by it. Whatever does not fit the format counts as no tag: a picture is not damaged by it.
 */
#include "proto/cli/import/picture.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define TAG_ORIENTATION 0x0112
#define TYPE_SHORT 3
#define ENTRY_BYTES 12u
#define AS_STORED 1

/* Bytes of a TIFF file, in its order of bytes. */
struct tiff {
    const uint8_t *data;
    size_t bytes;
    bool little;
};

/* n bytes at `at` as a number, n at most 4; 0 where there are none. */
static uint32_t number_at(const struct tiff *t, size_t at, size_t n)
{
    uint32_t v = 0;

    if (at > t->bytes || n > t->bytes - at)
        return 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | t->data[at + (t->little ? n - 1 - i : i)];
    return v;
}

/* The tag in the first directory of a TIFF file. */
static int tiff_orientation(const uint8_t *data, size_t bytes)
{
    struct tiff t = {data, bytes, bytes >= 2 && data[0] == 'I'};

    if (bytes < 8 || (memcmp(data, "II", 2) != 0 && memcmp(data, "MM", 2) != 0) ||
        number_at(&t, 2, 2) != 42)
        return AS_STORED;
    size_t directory = number_at(&t, 4, 4);
    uint32_t entries = number_at(&t, directory, 2);
    for (uint32_t i = 0; i < entries; i++) {
        size_t at = directory + 2 + (size_t)i * ENTRY_BYTES;
        if (at > bytes || ENTRY_BYTES > bytes - at)
            return AS_STORED;
        if (number_at(&t, at, 2) != TAG_ORIENTATION)
            continue;
        uint32_t value = number_at(&t, at + 8, 2);
        bool good = number_at(&t, at + 2, 2) == TYPE_SHORT && number_at(&t, at + 4, 4) == 1;
        return good && value >= 1 && value <= 8 ? (int)value : AS_STORED;
    }
    return AS_STORED;
}

int picture_orientation(const uint8_t *data, size_t bytes)
{
    static const uint8_t exif[] = {'E', 'x', 'i', 'f', 0, 0};

    if (bytes < 2 || data[0] != 0xff || data[1] != 0xd8)
        return AS_STORED;
    for (size_t at = 2; bytes - at >= 4 && data[at] == 0xff;) {
        unsigned marker = data[at + 1];
        if (marker == 0xff) { /* fill byte */
            at++;
            continue;
        }
        /* The scan begins, or what stands before it is no segment. */
        if (marker == 0xda || marker == 0xd9 || marker < 0xc0 || (marker >= 0xd0 && marker <= 0xd8))
            break;
        size_t length = (size_t)data[at + 2] << 8 | data[at + 3];
        if (length < 2 || length > bytes - at - 2)
            break;
        const uint8_t *segment = data + at + 4;
        if (marker == 0xe1 && length - 2 >= sizeof(exif) &&
            memcmp(segment, exif, sizeof(exif)) == 0)
            return tiff_orientation(segment + sizeof(exif), length - 2 - sizeof(exif));
        at += 2 + length;
    }
    return AS_STORED;
}

int picture_turn(struct picture *p, int orientation)
{
    /* Where row y and column x of the turned picture are in the stored one: [row][column], or
     * swapped [column][row]; then a flipped index counts from the other end. */
    static const struct {
        bool swapped, rows_flipped, columns_flipped;
    } turns[] = {
        [1] = {false, false, false}, [2] = {false, false, true}, [3] = {false, true, true},
        [4] = {false, true, false},  [5] = {true, false, false}, [6] = {true, true, false},
        [7] = {true, true, true},    [8] = {true, false, true},
    };
    const struct dims from = p->dims;

    if (orientation <= AS_STORED || orientation > 8)
        return 0;
    bool swapped = turns[orientation].swapped;
    struct dims to = {swapped ? from.w : from.h, swapped ? from.h : from.w, from.c};
    uint8_t *pixels = malloc((size_t)to.h * to.w * to.c);
    if (!pixels)
        return -ENOMEM;
    for (uint32_t y = 0; y < to.h; y++)
        for (uint32_t x = 0; x < to.w; x++) {
            uint32_t row = swapped ? x : y, column = swapped ? y : x;
            if (turns[orientation].rows_flipped)
                row = from.h - 1 - row;
            if (turns[orientation].columns_flipped)
                column = from.w - 1 - column;
            memcpy(pixels + ((size_t)y * to.w + x) * to.c,
                   p->pixels + ((size_t)row * from.w + column) * from.c, from.c);
        }
    free(p->pixels);
    *p = (struct picture){to, pixels};
    return 0;
}
