/* Samples as a browser sees them. */
#include <stdlib.h>

#include "common/alloc.h"
#include "common/png.h"
#include "server/http/http_internal.h"

/* A browser shows grey or RGB; of other channels it gets the first. */
void http_make_picture(struct answer *answer)
{
    const struct tensor *t = answer->tensors; /* [1, h, w, c] */
    const uint8_t *pixels = t->data;
    uint32_t h = (uint32_t)t->shape[1], w = (uint32_t)t->shape[2], c = (uint32_t)t->shape[3];
    uint32_t channels = c == 3 ? 3 : 1;
    uint8_t *grey = NULL, *png;

    if (c != channels) {
        grey = alloc_bytes((size_t)h * w, 1);
        for (size_t i = 0; grey && i < (size_t)h * w; i++)
            grey[i] = pixels[i * c];
    }
    if ((c == channels || grey) &&
        png_encode(grey ? grey : pixels, w, h, channels, &png, &answer->made_bytes) == 0)
        answer->made = png;
    free(grey);
}
