/* WebP through libwebp, lossy and lossless. Its decoder has the same bits with and without SIMD. */
#include "proto/cli/import/picture.h"

#include <errno.h>
#include <stdlib.h>

#include <webp/decode.h>

/* Lays pixels with alpha on black, in place: v * alpha / 255, rounded. */
static void alpha_apply(uint8_t *rgba, size_t pixels)
{
    uint8_t *to = rgba;

    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < 3; c++)
            *to++ = (uint8_t)((rgba[4 * i + c] * rgba[4 * i + 3] + 127) / 255);
}

int picture_decode_webp(const char *path, const uint8_t *data, size_t bytes, uint32_t side_max,
                        struct picture *ret, struct errbuf *why)
{
    WebPBitstreamFeatures f;

    if (WebPGetFeatures(data, bytes, &f) != VP8_STATUS_OK)
        return err_set(why, -EINVAL, "%s is a damaged WebP", path);
    if (f.has_animation)
        return err_set(why, -EINVAL, "%s is an animated WebP, allowed is one picture", path);
    int rc = picture_size_check(path, (uint32_t)f.height, (uint32_t)f.width, side_max, why);
    if (rc)
        return rc;
    size_t pixels = (size_t)f.width * (size_t)f.height;
    int channels = f.has_alpha ? 4 : 3;
    uint8_t *out = malloc(pixels * (size_t)channels);
    if (!out)
        return err_set(why, -ENOMEM, "no memory for the pixels of %s", path);
    if (!(f.has_alpha ? WebPDecodeRGBAInto : WebPDecodeRGBInto)(
            data, bytes, out, pixels * (size_t)channels, channels * f.width)) {
        free(out);
        return err_set(why, -EINVAL, "%s is a damaged WebP", path);
    }
    if (f.has_alpha)
        alpha_apply(out, pixels);
    *ret = (struct picture){{(uint32_t)f.height, (uint32_t)f.width, 3}, out};
    return 0;
}
