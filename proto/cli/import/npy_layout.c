/* A header does not say which side is which. Images are grey, RGB or RGBA, so a second or last side
 * of 1, 3 or 4 is taken for the channels when the other is none of these. Without such a side, the
 * only one of the two that can be channels is taken. Otherwise the user must say: both readings
 * would train, and one of them on noise. */
#include "proto/cli/import/npy_layout.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/bounds.h"

const char *const npy_layout_names[] = {"nhwc", "nchw", NULL};

const char *npy_shape_text(const uint64_t *shape, int dims, char buf[NPY_SHAPE_BYTES])
{
    size_t used = 1;

    memcpy(buf, "[", 2);
    for (int i = 0; i < dims; i++)
        used += (size_t)snprintf(buf + used, NPY_SHAPE_BYTES - used, "%s%" PRIu64, i ? "," : "",
                                 shape[i]);
    snprintf(buf + used, NPY_SHAPE_BYTES - used, "]");
    return buf;
}

static bool usual(uint64_t channels)
{
    return channels == 1 || channels == 3 || channels == 4;
}

static bool allowed(uint64_t channels)
{
    return channels >= 1 && channels <= CHANNELS_MAX;
}

/* For [N,H,W] and [N,C,L]. One channel gives the same images either way. */
static int rows_judge(const char *path, const uint64_t *shape, enum npy_layout *ret,
                      struct errbuf *why)
{
    char text[NPY_SHAPE_BYTES];
    uint64_t a = shape[1], b = shape[2];

    *ret = NPY_LAYOUT_NHWC;
    if (usual(a) && a > 1)
        return err_set(why, -EINVAL,
                       "%s has shape %s: as [N,H,W] that is images of %" PRIu64 " x %" PRIu64
                       ", as [N,C,L] rows of %" PRIu64 " with %" PRIu64
                       " channels; use --layout nhwc or --layout nchw",
                       path, npy_shape_text(shape, 3, text), a, b, b, a);
    if (usual(b) && b > 1)
        return err_set(why, -EINVAL,
                       "%s has shape %s: as [N,H,W] that is images of %" PRIu64 " x %" PRIu64
                       ", which --layout nhwc says; rows of %" PRIu64 " with %" PRIu64
                       " channels need the shape [N,1,%" PRIu64 ",%" PRIu64 "]",
                       path, npy_shape_text(shape, 3, text), a, b, a, b, a, b);
    return 0;
}

int npy_layout_judge(const char *path, const uint64_t *shape, int dims, enum npy_layout asked,
                     enum npy_layout *ret, struct errbuf *why)
{
    char text[NPY_SHAPE_BYTES];

    *ret = asked;
    if (asked != NPY_LAYOUT_JUDGE)
        return 0;
    if (dims == 3)
        return rows_judge(path, shape, ret, why);
    uint64_t first = shape[1], last = shape[3];
    bool like = usual(first) == usual(last);
    bool is_first = like ? allowed(first) : usual(first),
         is_last = like ? allowed(last) : usual(last);
    *ret = is_first ? NPY_LAYOUT_NCHW : NPY_LAYOUT_NHWC;
    if (is_first != is_last)
        return 0;
    if (!is_first)
        return err_set(why, -EINVAL,
                       "%s has shape %s: neither its second nor its last side can be channels, "
                       "allowed is 1 to %d; expected [N,H,W,C] or [N,C,H,W] "
                       "(numpy.moveaxis(a, -1, 0) where the images are counted last)",
                       path, npy_shape_text(shape, dims, text), CHANNELS_MAX);
    return err_set(why, -EINVAL,
                   "%s has shape %s: as [N,H,W,C] that is images of %" PRIu64 " x %" PRIu64
                   " with %" PRIu64 " channels, as [N,C,H,W] of %" PRIu64 " x %" PRIu64
                   " with %" PRIu64 "; use --layout nhwc or --layout nchw",
                   path, npy_shape_text(shape, dims, text), first, shape[2], last, shape[2], last,
                   first);
}

void npy_layout_sides(const uint64_t *shape, int dims, enum npy_layout layout, uint64_t ret[3])
{
    bool first = layout == NPY_LAYOUT_NCHW;

    ret[0] = dims == 3 ? first ? 1 : shape[1] : shape[first ? 2 : 1];
    ret[1] = dims == 3 ? shape[2] : shape[first ? 3 : 2];
    ret[2] = first ? shape[1] : dims == 3 ? 1 : shape[3];
}

int npy_layout_channels_last(uint8_t *images, uint32_t count, struct dims dims)
{
    size_t pixels = (size_t)dims.h * dims.w, channels = dims.c, bytes = pixels * channels;
    uint8_t *planes = alloc_bytes(bytes, 1);

    if (!planes)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++, images += bytes) {
        memcpy(planes, images, bytes);
        for (size_t c = 0; c < channels; c++)
            for (size_t p = 0; p < pixels; p++)
                images[p * channels + c] = planes[c * pixels + p];
    }
    free(planes);
    return 0;
}
