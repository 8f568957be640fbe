/* One PNG, JPEG or WebP file to 8-bit grey or RGB pixels, through libpng, libjpeg-turbo and
 * libwebp.
 *
 * The bytes decide what a picture is, not the end of its name. The size in its header is judged
 * before anything is decoded. Palettes and fewer than 8 bits become 8 bits, 16 bits are rounded to
 * 8, transparent pixels are laid on black. A WebP is always RGB. A JPEG is turned as its EXIF
 * orientation says, as people see it; all else of EXIF, gamma and colour profiles are ignored, as
 * most loaders of training data do. JPEGs of other colours (CMYK) and animations are refused, and
 * so is any damage that would leave pixels made up. */
#ifndef STEPPE_PROTO_CLI_IMPORT_PICTURE_H
#define STEPPE_PROTO_CLI_IMPORT_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/model.h"

struct picture {
    struct dims dims; /* c is 1 or 3 */
    uint8_t *pixels;  /* [h, w, c], to be freed */
};

/* stored: it is not turned. 0, -ERANGE (higher or wider than side_max, at most PICTURE_SIDE_MAX),
 * -EINVAL or -errno; the sentence names the file. */
int picture_read(const char *path, uint32_t side_max, bool stored, struct picture *ret,
                 struct errbuf *why);

/* The same for bytes in memory; path only appears in sentences. */
int picture_decode(const char *path, const uint8_t *data, size_t bytes, uint32_t side_max,
                   bool stored, struct picture *ret, struct errbuf *why);
/* Of bytes that begin as such a file does; nothing is turned. */
int picture_decode_png(const char *path, const uint8_t *data, size_t bytes, uint32_t side_max,
                       struct picture *ret, struct errbuf *why);
int picture_decode_jpeg(const char *path, const uint8_t *data, size_t bytes, uint32_t side_max,
                        struct picture *ret, struct errbuf *why);
int picture_decode_webp(const char *path, const uint8_t *data, size_t bytes, uint32_t side_max,
                        struct picture *ret, struct errbuf *why);

/* The EXIF orientation of a JPEG, 1 to 8; 1 (as stored) of anything else, whatever its bytes are.
 */
int picture_orientation(const uint8_t *data, size_t bytes);
/* Turns and mirrors the stored pixels to how they are looked at. 0 or -ENOMEM, then p is untouched.
 */
int picture_turn(struct picture *p, int orientation);

/* 0 or -ERANGE with a sentence. */
int picture_size_check(const char *path, uint32_t h, uint32_t w, uint32_t side_max,
                       struct errbuf *why);

/* A new picture of h x w pixels, each side at least 1 and at most PICTURE_SIDE_MAX: every side is
 * scaled on its own, so another shape is squeezed. Triangle filter, widened by the factor when
 * scaling down (an average over the area, no aliasing), first along rows, then along columns, each
 * rounded to 8 bits with weights of 22 bits: what Pillow's resize with BILINEAR gives, the same
 * bits on every machine. 0 or -ENOMEM. */
int picture_scale(const struct picture *from, uint32_t h, uint32_t w, struct picture *ret);

/* A new picture as a model takes it, to out [to->h, to->w, to->c]: scaled where its size is
 * another, grey made RGB where the model wants it. A coloured one for a grey model is refused.
 * Frees the pixels of p in any case. 0, -EINVAL or -ENOMEM; the sentence names path. */
int picture_fit(const char *path, struct picture *p, const struct dims *to, uint8_t *out,
                struct errbuf *why);

#endif
