/* Scaling in two passes, along rows and along columns; both are sums of `count` entries from
 * `first` on, with whole-number weights. */
#include "proto/cli/import/picture.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define WEIGHT_BITS 22 /* 255 times the sum of weights, about 2^22, stays below 2^31 */

/* The source entries and weights for every entry along one side of the result. */
struct taps {
    uint32_t count, width; /* entries of the result; room for weights of each */
    struct span {
        uint32_t first, count;
    } * spans;
    int32_t *weights; /* [count, width] */
};

static void taps_done(struct taps *t)
{
    free(t->spans);
    free(t->weights);
}

/* Triangle filter around the middle of entry i: weight 1 - |x| at a distance of x * reach. */
static void taps_fill(struct taps *t, uint32_t i, uint32_t from, double factor, double *real)
{
    double reach = factor > 1 ? factor : 1, middle = (i + 0.5) * factor, sum = 0;
    double low = middle - reach + 0.5, high = middle + reach + 0.5;
    uint32_t first = low > 0 ? (uint32_t)low : 0, last = high < from ? (uint32_t)high : from;
    int32_t *weights = t->weights + (size_t)i * t->width;

    for (uint32_t k = first; k < last; k++) {
        double x = fabs((k - middle + 0.5) * (1 / reach));
        real[k - first] = x < 1 ? 1 - x : 0;
        sum += real[k - first];
    }
    for (uint32_t k = 0; k < last - first; k++)
        weights[k] = (int32_t)(real[k] / sum * (1 << WEIGHT_BITS) + 0.5);
    t->spans[i] = (struct span){first, last - first};
}

static int taps_make(struct taps *t, uint32_t from, uint32_t to)
{
    double factor = (double)from / to;

    t->count = to;
    t->width = (uint32_t)ceil(factor > 1 ? factor : 1) * 2 + 1;
    t->spans = malloc(to * sizeof(*t->spans));
    t->weights = malloc((size_t)to * t->width * sizeof(*t->weights));
    double *real = malloc(t->width * sizeof(*real));
    int rc = t->spans && t->weights && real ? 0 : -ENOMEM;
    for (uint32_t i = 0; !rc && i < to; i++)
        taps_fill(t, i, from, factor, real);
    free(real);
    return rc;
}

/* One entry of the result from entries `stride` bytes apart. */
static uint8_t tap(const struct taps *t, uint32_t i, const uint8_t *from, size_t stride)
{
    const struct span *span = &t->spans[i];
    const int32_t *weights = t->weights + (size_t)i * t->width;
    int32_t sum = 1 << (WEIGHT_BITS - 1);

    from += span->first * stride;
    for (uint32_t k = 0; k < span->count; k++)
        sum += from[k * stride] * weights[k];
    sum >>= WEIGHT_BITS;
    return sum < 255 ? (uint8_t)sum : 255;
}

int picture_scale(const struct picture *from, uint32_t h, uint32_t w, struct picture *ret)
{
    struct taps rows = {0}, columns = {0};
    size_t c = from->dims.c, wide = w * c, from_wide = from->dims.w * c;
    uint8_t *narrow = malloc(wide * from->dims.h), *pixels = malloc(wide * h);
    int rc = narrow && pixels ? 0 : -ENOMEM;

    if (!rc)
        rc = taps_make(&rows, from->dims.w, w);
    if (!rc)
        rc = taps_make(&columns, from->dims.h, h);
    if (rc)
        goto out;
    for (uint32_t y = 0; y < from->dims.h; y++)
        for (size_t i = 0; i < wide; i++)
            narrow[y * wide + i] =
                tap(&rows, (uint32_t)(i / c), from->pixels + y * from_wide + i % c, c);
    for (uint32_t y = 0; y < h; y++)
        for (size_t i = 0; i < wide; i++)
            pixels[y * wide + i] = tap(&columns, y, narrow + i, wide);
    *ret = (struct picture){{h, w, from->dims.c}, pixels};
    pixels = NULL;
out:
    taps_done(&rows);
    taps_done(&columns);
    free(narrow);
    free(pixels);
    return rc;
}
