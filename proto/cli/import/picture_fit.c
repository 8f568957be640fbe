#include "proto/cli/import/picture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int fit_colour(const char *path, const struct picture *p, uint32_t channels, uint8_t *out,
                      struct errbuf *why)
{
    const size_t pixels = (size_t)p->dims.h * p->dims.w;

    if (p->dims.c == channels) {
        memcpy(out, p->pixels, pixels * channels);
        return 0;
    }
    if (channels == 3) {
        for (size_t i = 0; i < 3 * pixels; i++)
            out[i] = p->pixels[i / 3];
        return 0;
    }
    if (channels != 1)
        return err_set(why, -EINVAL, "%s has %u channels, the model takes %u", path, p->dims.c,
                       channels);
    for (size_t i = 0; i < pixels; i++) {
        const uint8_t *rgb = p->pixels + 3 * i;
        if (rgb[0] != rgb[1] || rgb[1] != rgb[2])
            return err_set(why, -EINVAL, "%s is in colour, the model takes grey pictures", path);
        out[i] = rgb[0];
    }
    return 0;
}

int picture_fit(const char *path, struct picture *p, const struct dims *to, uint8_t *out,
                struct errbuf *why)
{
    struct picture scaled;
    int rc = 0;

    if (p->dims.h != to->h || p->dims.w != to->w) {
        rc = picture_scale(p, to->h, to->w, &scaled);
        free(p->pixels);
        p->pixels = NULL;
        if (rc < 0)
            return err_set(why, rc, "no memory to scale %s", path);
        p->dims = scaled.dims;
        p->pixels = scaled.pixels;
    }
    rc = fit_colour(path, p, to->c, out, why);
    free(p->pixels);
    p->pixels = NULL;
    return rc;
}
