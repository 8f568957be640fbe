/* Bytes move a row at a time in a buffer that stays in the first-level cache, and become numbers
 * once.
 */
#include "worker/nn/augment.h"

#include <string.h>

#include "common/rng.h"
#include "worker/nn/kernel.h"
#include "worker/nn/vec.h"

struct augment_draw augment_draw(const struct augment *a, uint64_t seed, uint64_t step,
                                 uint32_t slot)
{
    struct rng r = rng_at(seed, RNG_AUGMENT, (uint32_t)step, slot);
    struct augment_draw draw = {.flip = (rng_u32(&r) & 1) != 0 && a->flip};

    if (a->crop > 0) {
        draw.dy = (int32_t)rng_below(&r, 2 * (uint64_t)a->crop + 1) - (int32_t)a->crop;
        draw.dx = (int32_t)rng_below(&r, 2 * (uint64_t)a->crop + 1) - (int32_t)a->crop;
    }
    return draw;
}

/* Rows of n pixels, w apart, from `from` to `to`; turned: each in the other order. Callers pass a
 * constant c: a copy of constant size is not a call. */
static inline __attribute__((always_inline)) void move_rows(uint8_t *restrict to,
                                                            const uint8_t *restrict from,
                                                            size_t rows, size_t n, size_t w,
                                                            size_t c, bool turned)
{
    for (size_t y = 0; y < rows; y++, to += w * c, from += w * c) {
        if (!turned)
            memcpy(to, from, n * c);
        for (size_t i = 0; turned && i < n; i++)
            memcpy(to + c * i, from + c * (n - 1 - i), c);
    }
}

KERNEL static void move_image(uint8_t *restrict to, const uint8_t *restrict from, size_t rows,
                              size_t n, size_t w, size_t c, bool turned)
{
    if (c == 1)
        move_rows(to, from, rows, n, w, 1, turned);
    else if (c == 3)
        move_rows(to, from, rows, n, w, 3, turned);
    else
        move_rows(to, from, rows, n, w, c, turned);
}

/* The part of 0 .. side - 1 that stays in that range when d is added: [*ret_from, *ret_to). */
static void overlap(int32_t side, int32_t d, int32_t *ret_from, int32_t *ret_to)
{
    *ret_from = d < 0 ? -d : 0;
    *ret_to = d > 0 ? side - d : side;
    if (*ret_to <= *ret_from)
        *ret_from = *ret_to = 0;
}

void augment_load(real *restrict x, const uint8_t *restrict pixels, struct dims d,
                  struct augment_draw draw, uint8_t *restrict scratch)
{
    const size_t entries = (size_t)d.h * d.w * d.c;
    int32_t top, bottom, left, right; /* of the result before turning: where the image is */

    if (!draw.flip && draw.dy == 0 && draw.dx == 0) {
        vec_from_bytes(x, pixels, entries);
        return;
    }
    overlap((int32_t)d.h, draw.dy, &top, &bottom);
    overlap((int32_t)d.w, draw.dx, &left, &right);
    if (draw.dy != 0 || draw.dx != 0)
        memset(scratch, 0, entries);
    if (top < bottom && left < right) {
        const size_t column = (size_t)(draw.flip ? (int32_t)d.w - right : left);
        const size_t source = (size_t)(top + draw.dy) * d.w + (size_t)(left + draw.dx);
        move_image(scratch + ((size_t)top * d.w + column) * d.c, pixels + source * d.c,
                   (size_t)(bottom - top), (size_t)(right - left), d.w, d.c, draw.flip);
    }
    vec_from_bytes(x, scratch, entries);
}
