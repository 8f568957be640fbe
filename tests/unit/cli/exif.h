/* EXIF for tests: a segment with an orientation, and JPEGs that have it. */
#ifndef STEPPE_TESTS_UNIT_CLI_EXIF_H
#define STEPPE_TESTS_UNIT_CLI_EXIF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/cli/pictures.h"

#define EXIF_SEGMENT_BYTES (2 + 2 + 6 + 8 + 2 + 12 + 4)
#define EXIF_JPEG_BYTES (2 + EXIF_SEGMENT_BYTES + 2)

/* The fields of a directory with one entry. */
struct exif {
    bool big;
    uint16_t magic, entries, tag, type, value;
    uint32_t directory, values;
};

static inline struct exif exif_plain(uint16_t orientation)
{
    return (struct exif){.magic = 42,
                         .directory = 8,
                         .entries = 1,
                         .tag = 0x0112,
                         .type = 3,
                         .values = 1,
                         .value = orientation};
}

static inline uint8_t *exif_number(const struct exif *e, uint8_t *to, uint32_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        to[i] = (uint8_t)(v >> 8 * (e->big ? bytes - 1 - i : i));
    return to + bytes;
}

/* The segment APP1, EXIF_SEGMENT_BYTES. */
static inline void exif_segment(const struct exif *e, uint8_t *out)
{
    uint8_t *to = out;

    memset(out, 0, EXIF_SEGMENT_BYTES);
    memcpy(to, "\xff\xe1\0", 3);
    to[3] = EXIF_SEGMENT_BYTES - 2;
    memcpy(to + 4, "Exif\0\0", 6);
    memcpy(to + 10, e->big ? "MM" : "II", 2);
    to = exif_number(e, to + 12, e->magic, 2);
    to = exif_number(e, to, e->directory, 4);
    to = exif_number(e, to, e->entries, 2);
    to = exif_number(e, to, e->tag, 2);
    to = exif_number(e, to, e->type, 2);
    to = exif_number(e, to, e->values, 4);
    exif_number(e, to, e->value, 2);
}

/* As much of a JPEG as is looked at: its beginning, the segment, its end. Returns its bytes. */
static inline size_t exif_jpeg(const struct exif *e, uint8_t out[EXIF_JPEG_BYTES])
{
    memcpy(out, "\xff\xd8", 2);
    exif_segment(e, out + 2);
    memcpy(out + 2 + EXIF_SEGMENT_BYTES, "\xff\xd9", 2);
    return EXIF_JPEG_BYTES;
}

/* A grey JPEG with that orientation. */
static inline struct encoded jpeg_turned(uint16_t orientation, uint32_t h, uint32_t w,
                                         const uint8_t *pixels)
{
    struct encoded plain = jpeg_make(JCS_GRAYSCALE, 1, false, h, w, pixels);
    struct encoded e = {malloc(plain.bytes + EXIF_SEGMENT_BYTES), plain.bytes + EXIF_SEGMENT_BYTES};
    struct exif exif = exif_plain(orientation);

    memcpy(e.data, plain.data, 2);
    exif_segment(&exif, e.data + 2);
    memcpy(e.data + 2 + EXIF_SEGMENT_BYTES, plain.data + 2, plain.bytes - 2);
    free(plain.data);
    return e;
}

#endif
