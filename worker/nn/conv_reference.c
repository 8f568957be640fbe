/* Convolutions by plain loops: the other sets are compared with them, and they are the only ones
 * for reals that are doubles. They take the shapes that have vector kernels, so that all other
 * shapes are matrix products in every set. */
#include <string.h>

#include "worker/nn/kernels.h"

/* A tap of a window: kernel row ky, column kx. Offset of the pixel that output pixel (oy, ox) of an
 * image reads there; false in the padding. */
static bool pixel_at(const struct conv_shape *s, size_t oy, size_t ox, size_t tap, size_t *ret)
{
    const size_t iy = oy * s->stride + tap / s->kernel, ix = ox * s->stride + tap % s->kernel;

    if (iy < s->padding || iy - s->padding >= s->h || ix < s->padding || ix - s->padding >= s->w)
        return false;
    *ret = ((iy - s->padding) * s->w + ix - s->padding) * s->c;
    return true;
}

static void forward(const struct conv_call *call)
{
    const struct conv_shape *s = &call->shape;
    const size_t taps = s->kernel * s->kernel, image = s->h * s->w * s->c;
    real *y = call->y;

    for (size_t i = 0; i < call->n * s->oh * s->ow; i++, y += s->out) {
        const real *x = call->x + i / (s->oh * s->ow) * image;
        for (size_t k = 0; k < s->out; k++)
            y[k] = call->b ? call->b[k] : 0;
        for (size_t tap = 0, at; tap < taps; tap++) {
            if (!pixel_at(s, i / s->ow % s->oh, i % s->ow, tap, &at))
                continue;
            for (size_t c = 0; c < s->c; c++)
                for (size_t k = 0; k < s->out; k++)
                    y[k] += x[at + c] * call->w[(tap * s->c + c) * s->out + k];
        }
        for (size_t k = 0; call->relu && k < s->out; k++)
            y[k] = y[k] < 0 ? 0 : y[k];
    }
}

static void data_gradient(const struct conv_call *call)
{
    const struct conv_shape *s = &call->shape;
    const size_t taps = s->kernel * s->kernel, image = s->h * s->w * s->c;
    const real *dy = call->dy;

    if (!call->add)
        memset(call->dx, 0, call->n * image * sizeof(*call->dx));
    for (size_t i = 0; i < call->n * s->oh * s->ow; i++, dy += s->out) {
        real *dx = call->dx + i / (s->oh * s->ow) * image;
        for (size_t tap = 0, at; tap < taps; tap++) {
            if (!pixel_at(s, i / s->ow % s->oh, i % s->ow, tap, &at))
                continue;
            for (size_t c = 0; c < s->c; c++) {
                real sum = 0;
                for (size_t k = 0; k < s->out; k++)
                    sum += dy[k] * call->w[(tap * s->c + c) * s->out + k];
                dx[at + c] += sum;
            }
        }
    }
}

static void weight_gradient(const struct conv_call *call)
{
    const struct conv_shape *s = &call->shape;
    const size_t taps = s->kernel * s->kernel, image = s->h * s->w * s->c;
    const real *dy = call->dy;

    if (!call->add)
        memset(call->dw, 0, taps * s->c * s->out * sizeof(*call->dw));
    for (size_t i = 0; i < call->n * s->oh * s->ow; i++, dy += s->out) {
        const real *x = call->x + i / (s->oh * s->ow) * image;
        for (size_t tap = 0, at; tap < taps; tap++) {
            if (!pixel_at(s, i / s->ow % s->oh, i % s->ow, tap, &at))
                continue;
            for (size_t c = 0; c < s->c; c++)
                for (size_t k = 0; k < s->out; k++)
                    call->dw[(tap * s->c + c) * s->out + k] += x[at + c] * dy[k];
        }
    }
}

static bool takes(const struct conv_shape *s)
{
    return s->kernel == 3 && s->padding == 1 && s->stride <= 2;
}

const struct kernel conv_reference[] = {
    {CONV_FORWARD, "3x3 loops", takes, NULL, forward, false},
    {CONV_DATA_GRADIENT, "3x3 loops", takes, NULL, data_gradient, false},
    {CONV_WEIGHT_GRADIENT, "3x3 loops", takes, NULL, weight_gradient, false},
    {0},
};
