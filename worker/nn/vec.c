#include "worker/nn/vec.h"

#include <string.h>

#include "common/bounds.h"
#include "worker/nn/kernel.h"

#define STRIDE_ROWS 16

void vec_fill_rows(real *restrict y, const real *restrict b, size_t rows, size_t k)
{
    const size_t total = rows * k;

    if (!b) {
        memset(y, 0, total * sizeof(*y));
        return;
    }
    /* Rows are short and calls are costly: double what is there. */
    memcpy(y, b, k * sizeof(*y));
    for (size_t done = k; done < total;) {
        const size_t more = done < total - done ? done : total - done;
        memcpy(y + done, y, more * sizeof(*y));
        done += more;
    }
}

KERNEL void vec_add_rows(real *restrict sum, const real *restrict a, size_t rows, size_t k)
{
    size_t r = 0;

    /* Four rows at a time: one trip through sum[] for four additions. */
    for (; r + 4 <= rows; r += 4, a += 4 * k)
        for (size_t j = 0; j < k; j++)
            sum[j] += (a[j] + a[k + j]) + (a[2 * k + j] + a[3 * k + j]);
    for (; r < rows; r++, a += k)
        for (size_t j = 0; j < k; j++)
            sum[j] += a[j];
}

KERNEL void vec_scale_rows(real *restrict y, const real *restrict a, const real *restrict factor,
                           size_t rows, size_t k)
{
    for (size_t r = 0; r < rows; r++, y += k, a += k)
        for (size_t j = 0; j < k; j++)
            y[j] = a[j] * factor[j];
}

KERNEL void vec_relu(real *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = y[i] < 0 ? 0 : y[i];
}

KERNEL void vec_relu_mask(real *restrict dy, const real *restrict y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dy[i] = y[i] > 0 ? dy[i] : 0;
}

/* out: the c entries of a, once a row for STRIDE_ROWS rows, so that a loop over colour images has
 * one stride whatever c is. */
static void repeat(real out[STRIDE_ROWS * CHANNELS_MAX], const float *a, size_t c)
{
    for (size_t i = 0; i < STRIDE_ROWS * c; i++)
        out[i] = a[i % c];
}

KERNEL void vec_normalise(real *restrict y, const real *restrict x, const float *mean,
                          const float *std, size_t rows, size_t c)
{
    const size_t total = rows * c, stride = STRIDE_ROWS * c;
    real m[STRIDE_ROWS * CHANNELS_MAX], s[STRIDE_ROWS * CHANNELS_MAX];

    repeat(m, mean, c);
    repeat(s, std, c);
    for (size_t i = 0; i < total; i += stride) {
        const size_t n = total - i < stride ? total - i : stride;
        for (size_t j = 0; j < n; j++)
            y[i + j] = (x[i + j] - m[j]) / s[j];
    }
}

KERNEL void vec_denormalise(real *restrict dx, const real *restrict dy, const float *std,
                            size_t rows, size_t c)
{
    const size_t total = rows * c, stride = STRIDE_ROWS * c;
    real s[STRIDE_ROWS * CHANNELS_MAX];

    repeat(s, std, c);
    for (size_t i = 0; i < total; i += stride) {
        const size_t n = total - i < stride ? total - i : stride;
        for (size_t j = 0; j < n; j++)
            dx[i + j] = dy[i + j] / s[j];
    }
}

KERNEL void vec_from_bytes(real *restrict x, const uint8_t *restrict pixel, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (real)pixel[i] / 255;
}

KERNEL void vec_add(real *restrict sum, const real *restrict a, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum[i] += a[i];
}

KERNEL double vec_square_sum(const real *a, size_t n)
{
    double lane[16] = {0};
    size_t i = 0;

    for (; i + 16 <= n; i += 16)
        for (size_t j = 0; j < 16; j++)
            lane[j] += (double)a[i + j] * a[i + j];
    for (size_t j = 0; i + j < n; j++)
        lane[j] += (double)a[i + j] * a[i + j];
    for (size_t half = 8; half > 0; half /= 2)
        for (size_t j = 0; j < half; j++)
            lane[j] += lane[j + half];
    return lane[0];
}
